"""`save`, `load` and `set_parameters` of Stable-Baselines3 in a format that runs no code: safetensors and JSON.

What is loaded learns on exactly as what was saved, given worlds in the same state. A Stable-Baselines3 zip holds
pickles, which run whatever code they name; it is refused unless its import is asked for.
"""

import io
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import stable_baselines3
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from envs.state_dicts import Tensors, prefixed, without_prefix
from policies.files import checkpoint
from policies.files.learner_state import learner_state, restore_learner
from policies.hyperparameters import Hyperparameters
from policies.networks import ActorCritic, Layout
from policies.symmetry import Mirror
from policies.vec_env import worlds_of
from robots.records import decode

if TYPE_CHECKING:
    from policies.ppo import PPO

KIND, SUFFIX = "ppo", ".safetensors"
PASSED_ON = ("verbose", "tensorboard_log")
"""Arguments of Stable-Baselines3 that a file keeps."""
OWN = frozenset({"generator", "layout", "hidden", "activation", "initial_std"})
"""Arguments of a policy that are kept by other means."""
Self = TypeVar("Self", bound="SafeFiles")


class SafeFiles(stable_baselines3.PPO):
    """The half of `policies.ppo.PPO` that reads and writes files."""

    def save(self, path: Any, exclude: Any = None, include: Any = None) -> None:
        """Write the learner to `path` (a name without suffix, or with .zip, gets .safetensors) or to an open file.

        Args:
            path: File name or binary file.
            exclude: Refused: a file is always whole.
            include: Refused: a file holds no attributes.
        """
        if exclude or include:
            raise ValueError("exclude and include must be left out: a file holds the whole learner and no attributes")
        ppo = cast("PPO", self)
        tensors, record = learner_state(ppo)
        record = {"kind": KIND, "learner": record, **_recipe(ppo)}
        if isinstance(path, io.IOBase):
            path.write(checkpoint.pack(prefixed("learner", tensors), record))
        else:
            file = _named(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.save(file, prefixed("learner", tensors), record)

    @classmethod
    def load(
        cls: type[Self],
        path: Any,
        env: Any = None,
        device: Any = "auto",
        custom_objects: dict[str, Any] | None = None,
        print_system_info: bool = False,
        force_reset: bool = True,
        unsafe_import: bool = False,
        **settings: Any,
    ) -> Self:
        """A learner from a file that `save` wrote.

        Args:
            path: File name (the suffix may be left out) or binary file.
            env: To learn in; may be left out for `predict`.
            device: Ignored: a learner lives where its worlds do.
            custom_objects: `{"policy_class": ...}` for a policy that is no plain `ActorCritic`.
            print_system_info: Print versions, as Stable-Baselines3 does.
            force_reset: Begin with new episodes; False goes on in those that `env` is in.
            unsafe_import: Convert a Stable-Baselines3 zip.
            settings: Hyperparameters and other arguments that are to differ from those saved.

        Raises:
            FileNotFoundError: there is none.
            ValueError: damaged, of another schema, a zip, or made for other observations or actions.
        """
        if print_system_info:
            stable_baselines3.common.utils.get_system_info()
        tensors, record = _read(path, unsafe_import)
        env = None if env is None else cls._wrap_env(env, record["settings"]["verbose"], True)
        _refuse_misfit(path, record, env)
        given = custom_objects or {}
        if "policy_class" not in given and record["policy_class"] != ActorCritic.__name__:
            raise ValueError(
                f"{path} holds a policy of class {record['policy_class']}, which must be given: "
                f"custom_objects={{'policy_class': {record['policy_class']}}}"
            )
        saved = decode(Hyperparameters, record["hyperparameters"], str(path))
        if env is None:
            saved = replace(saved, mirror=False)  # `set_env` knows whose mirror image it is
        ppo = cls(
            given.get("policy_class", ActorCritic),
            env or _Nowhere(record),
            hyperparameters=saved,
            policy_kwargs={**record["policy_kwargs"], "layout": Layout(**_tuples(record["layout"]))},
            **{**record["settings"], **settings},
        )
        restore_learner(cast("PPO", ppo), without_prefix("learner", tensors), _changed(record["learner"], settings))
        if env is None or force_reset or ppo.n_envs != record["num_envs"]:
            ppo._last_obs = None
        if env is None:
            ppo.env, ppo.hyperparameters = None, decode(Hyperparameters, record["hyperparameters"], str(path))
        return ppo

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Learn in other worlds from now on, as many as before."""
        super().set_env(env, force_reset)
        ppo = cast("PPO", self)
        if ppo.hyperparameters.mirror:
            ppo.mirror = Mirror.of(worlds_of(cast(VecEnv, ppo.env)), ppo.device)

    def set_parameters(self, load_path_or_dict: Any, exact_match: bool = True, device: Any = "auto") -> None:
        """Take weights and optimizers from a file that `save` wrote, or from what `get_parameters` gave."""
        if isinstance(load_path_or_dict, dict):
            super().set_parameters(load_path_or_dict, exact_match, device)
            return
        ppo, (tensors, record) = cast("PPO", self), _read(load_path_or_dict, unsafe_import=False)
        own, own_record = learner_state(ppo)
        taken = ("policy.", "actor_optimizer.", "critic_optimizer.")
        found = without_prefix("learner", tensors)
        mixed = {name: value for name, value in own.items() if not name.startswith(taken)}
        mixed |= {name: value for name, value in found.items() if name.startswith(taken)}
        rates = {name: record["learner"][name] for name in ("rates", "adaptive_rate") if name in record["learner"]}
        restore_learner(ppo, mixed, own_record | rates)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> Any:
        if self.env is None:
            raise RuntimeError("this learner was loaded without worlds: call set_env first")
        ppo, before = cast("PPO", self), self._last_obs
        prepared = super()._setup_learn(*args, **kwargs)
        if self._last_obs is not before:  # the worlds began anew
            ppo.episodes = type(ppo.episodes)(ppo.n_envs)
        return prepared

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "policy.optimizer", "policy.critic_optimizer"], []


def _recipe(ppo: "PPO") -> dict[str, Any]:
    """How to build a learner like this one, as JSON data."""
    kwargs = {name: value for name, value in ppo.policy_kwargs.items() if name not in OWN}
    for name, value in kwargs.items():
        if not isinstance(value, (bool, int, float, str, type(None))):
            raise ValueError(f"policy_kwargs[{name!r}] must be a number or a text to be saved, got {value!r}")
    box = {name: _box(getattr(ppo, f"{name}_space")) for name in ("observation", "action")}
    return {
        "policy_class": type(ppo.policy).__name__,
        "hyperparameters": asdict(ppo.hyperparameters),
        "policy_kwargs": kwargs,
        "layout": asdict(ppo.policy.layout),
        "spaces": box,
        "num_envs": ppo.n_envs,
        "settings": {name: getattr(ppo, name) for name in PASSED_ON},
    }


def _read(path: Any, unsafe_import: bool) -> tuple[Tensors, dict[str, Any]]:
    from policies.files import sb3_import

    if isinstance(path, io.IOBase):
        data, name = path.read(), str(getattr(path, "name", "file"))
        if zipfile.is_zipfile(io.BytesIO(data)):
            raise ValueError(
                f"{name} is a zip: give its path, with unsafe_import=True if you trust where it comes from"
            )
        tensors, record = checkpoint.unpack(data, name)
    else:
        file = _found(path)
        if sb3_import.is_archive(file):
            file = sb3_import.convert_learner(file, unsafe_import=unsafe_import)
        tensors, record = checkpoint.load(file)
    if record.get("kind") != KIND:
        raise ValueError(f"{path} must be what PPO.save wrote, got a file of kind {record.get('kind')!r}")
    return tensors, record


def _named(path: Any) -> Path:
    file = Path(path)
    return file.with_suffix(SUFFIX) if file.suffix == ".zip" else file if file.suffix else file.with_suffix(SUFFIX)


def _found(path: Any) -> Path:
    """The file that a name stands for: itself, what `save` made of that name, or the zip that is there."""
    given, ours = Path(path), _named(path)
    zipped = given if given.suffix else given.with_suffix(".zip")
    return next((file for file in (given, ours, zipped) if file.is_file()), given)


def _changed(record: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """The learner's record with the learning rate that was asked for, if one was."""
    if "learning_rate" not in settings:
        return record
    rate = settings["learning_rate"]
    return record | {"adaptive_rate": rate, "rates": {"actor": rate, "critic": rate}}


def _box(space: spaces.Space) -> dict[str, Any]:
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise ValueError(f"a learner that is saved must have flat boxes as spaces, got {space}")
    return {"low": space.low.tolist(), "high": space.high.tolist(), "dtype": str(space.dtype)}


def _space(record: dict[str, Any]) -> spaces.Box:
    dtype = np.dtype(record["dtype"])
    return spaces.Box(np.array(record["low"], dtype), np.array(record["high"], dtype), dtype=dtype.type)


def _refuse_misfit(path: Any, record: dict[str, Any], env: VecEnv | None) -> None:
    if env is None:
        return
    for name, box in record["spaces"].items():
        expected, found = len(box["low"]), getattr(env, f"{name}_space").shape
        if found != (expected,):
            raise ValueError(
                f"{path} was saved with {expected} {name} channels, this environment has {_count(found)}; give an "
                "environment of the robot and task that it learned in"
            )


def _count(shape: tuple[int, ...] | None) -> str:
    return str(shape[0]) if shape and len(shape) == 1 else f"shape {shape}"


def _tuples(record: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in record.items()}


class _Nowhere(VecEnv):
    """Stands in for the worlds of a learner that only predicts."""

    def __init__(self, record: dict[str, Any]) -> None:
        observation, action = (_space(record["spaces"][name]) for name in ("observation", "action"))
        self.render_mode = None
        super().__init__(record["num_envs"], observation, action)

    def nothing(self, *_: Any, **__: Any) -> Any:
        """Nobody steps it: the learner that was built with it lets go of it."""

    reset = step_async = step_wait = set_attr = env_method = close = nothing

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [None] * self.num_envs

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs
