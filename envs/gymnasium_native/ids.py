"""Gymnasium ids: what is registered under one, and what its MuJoCo environment says about itself.

An id may name the module that registers it, as `gymnasium.make` has it: `my_robots:HeavyCheetah-v0`. Registered
variants, that is keywords in the id's `EnvSpec`, are read from there; defaults come from the environment's signature.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
from gymnasium.envs import registration
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.envs.registration import EnvSpec

NATIVE = {
    "gymnasium.envs.mujoco.half_cheetah_v5:HalfCheetahEnv": "envs.gymnasium_native.planar:HalfCheetah",
    "gymnasium.envs.mujoco.hopper_v5:HopperEnv": "envs.gymnasium_native.planar:Hopper",
    "gymnasium.envs.mujoco.walker2d_v5:Walker2dEnv": "envs.gymnasium_native.planar:Walker2d",
    "gymnasium.envs.mujoco.ant_v5:AntEnv": "envs.gymnasium_native.spatial:Ant",
    "gymnasium.envs.mujoco.humanoid_v5:HumanoidEnv": "envs.gymnasium_native.spatial:Humanoid",
}
"""Gymnasium's class -> ours on the batch engine; a subclass of one is its user's and runs as it is written."""


@dataclass(frozen=True)
class Registered:
    """A registered id with a MuJoCo environment behind it."""

    name: str
    """As it was asked for, its module included."""
    spec: EnvSpec
    single: MujocoEnv
    """One environment as `gymnasium.make` builds it, wrappers off: its file, spaces and start state."""

    @property
    def creator(self) -> Callable[..., Any]:
        """What makes the environment."""
        entry = self.spec.entry_point
        return registration.load_env_creator(entry) if isinstance(entry, str) else entry  # type: ignore[return-value]

    @property
    def native(self) -> str:
        """Where our version of it is, "module:class"; empty where there is none."""
        creator = self.creator
        if self.spec.additional_wrappers:  # they see one environment at a time
            return ""
        return NATIVE.get(f"{creator.__module__}:{getattr(creator, '__qualname__', '')}", "")

    @property
    def keywords(self) -> dict[str, Any]:
        """Every argument of the constructor: the registered ones over the defaults."""
        parameters = inspect.signature(self.creator).parameters.values()
        defaults = {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}
        return defaults | self.spec.kwargs


def find(name: str, **keywords: Any) -> Registered:
    """The id called `name`.

    Args:
        name: `ID`, or `MODULE:ID` where MODULE registers it.
        keywords: Of its constructor, over the registered ones.

    Raises:
        LookupError: nothing is registered under it, or no MuJoCo environment.
    """
    try:
        wrapped = gymnasium.make(name, disable_env_checker=True, **keywords)
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        raise LookupError(
            f"Gymnasium cannot make {name!r}: {error}. An id of your own is found as MODULE:ID, where importing MODULE "
            "registers it"
        ) from error
    single, spec = wrapped.unwrapped, wrapped.spec
    if not isinstance(single, MujocoEnv) or spec is None:
        raise LookupError(
            f"{name!r} is a {type(single).__name__}, and only Gymnasium's MuJoCo environments have a machine to train"
        )
    return Registered(name, spec, single)
