"""Hyperparameters of PPO: one frozen record, read from YAML or JSON, with the set that a task was tuned with."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from envs.task import TaskSpec
from robots.records import decode
from robots.spec import RobotSpec

Activation = Literal["elu", "tanh", "relu"]


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """What a PPO run does between two rollouts; the defaults are those of the walking tasks."""

    num_steps: int = 24
    """Control steps of a rollout."""
    num_minibatches: int = 6
    """Minibatches an epoch."""
    num_epochs: int = 5
    """Passes over a rollout."""
    learning_rate: float = 1e-3
    """Of Adam: the critic's throughout, the actor's at first."""
    adaptive: bool = True
    """Whether the actor's rate follows `target_divergence`; else it stays."""
    reward_scale: float = 1.0
    """Factor on rewards before anything is learned from them: a critic is quickest where returns are around 1."""
    gamma: float = 0.97
    """Discount a control step."""
    gae_lambda: float = 0.95
    """Of generalized advantage estimation."""
    clip_range: float = 0.2
    """Largest change of a probability that is rewarded."""
    target_divergence: float = 0.03
    """KL divergence from the rollout's policy that an update should reach [nat]; four times as much ends an update."""
    value_coefficient: float = 1.0
    """Weight of the value loss."""
    entropy_coefficient: float = 0.0
    """Weight of the policy's entropy [1/nat]."""
    max_grad_norm: float = 1.0
    """Longer gradients are shortened to this."""
    initial_std: float = 0.7
    """Of exploration."""
    hidden: tuple[int, ...] = (128, 128)
    """Widths of the hidden layers of actor and critic."""
    activation: Activation = "elu"
    """Between layers."""
    mirror: bool = False
    """Whether every sample is also learned from in its left-right mirror image; legged robots only."""

    def __post_init__(self) -> None:
        for name in ("num_steps", "num_minibatches", "num_epochs"):
            _require(getattr(self, name) >= 1, name, "a whole number >= 1", getattr(self, name))
        for name in (
            "learning_rate",
            "clip_range",
            "target_divergence",
            "max_grad_norm",
            "initial_std",
            "reward_scale",
        ):
            _require(getattr(self, name) > 0.0, name, "> 0", getattr(self, name))
        for name in ("gamma", "gae_lambda"):
            _require(0.0 <= getattr(self, name) <= 1.0, name, "from 0 to 1", getattr(self, name))
        for name in ("value_coefficient", "entropy_coefficient"):
            _require(getattr(self, name) >= 0.0, name, ">= 0", getattr(self, name))
        _require(all(width >= 1 for width in self.hidden), "hidden", "widths >= 1", self.hidden)


def _require(fine: bool, name: str, expected: str, got: Any) -> None:
    if not fine:
        raise ValueError(f"{name} must be {expected}, got {got}")


TUNED = "tuned"
NAMES = frozenset(field.name for field in fields(Hyperparameters))


TWO_LEGS = Hyperparameters(gamma=0.99, initial_std=0.2, hidden=(256, 128), target_divergence=0.05)
"""A biped falls within a second or two: it must look farther ahead, and exploring wildly it never stands."""
GYMNASIUM = Hyperparameters(num_steps=32, num_minibatches=2, gamma=0.99, hidden=(64, 64), activation="tanh")
"""With 256 worlds a rollout of 8192 steps and minibatches of 4096."""


def for_task(spec: RobotSpec, task: TaskSpec) -> Hyperparameters:
    """The set that `task` on `spec` is trained with unless told otherwise."""
    if task.name == "gymnasium":
        return replace(GYMNASIUM, reward_scale=_scale_of(spec, GYMNASIUM.gamma))
    return TWO_LEGS if len(spec.feet) == 2 else Hyperparameters()


def _scale_of(spec: RobotSpec, gamma: float) -> float:
    """What brings the returns of a Gymnasium id to about 1 where it counts as solved; 0.01 where none is named.

    With returns five times as large HalfCheetah learned slower (one seed): the critic did not keep up.
    """
    from envs.gymnasium_native.ids import find
    from envs.gymnasium_native.robot import id_of

    registered = find(id_of(spec) or spec.name).spec
    solved = (registered.reward_threshold or 0.0) / (registered.max_episode_steps or 1000)
    return (1.0 - gamma) / solved if solved > 0.0 else 0.01


def chosen(name: str, spec: RobotSpec, task: TaskSpec, tuned: Hyperparameters | None = None) -> Hyperparameters:
    """The hyperparameters called `name` for `task` on `spec`: "tuned", or a file that changes some of those.

    "tuned" are those of `for_task`, unless others are given as `tuned`.

    Raises:
        LookupError, FileNotFoundError: there is neither.
        ValueError: the file has an unknown name, or a value that makes no sense.
    """
    tuned = tuned or for_task(spec, task)
    if name == TUNED:
        return tuned
    if not Path(name).suffix:
        raise LookupError(f"no hyperparameters named {name!r}; there are {TUNED!r}, and YAML or JSON files")
    return read(Path(name), tuned)


def read(path: Path, base: Hyperparameters | None = None) -> Hyperparameters:
    """Hyperparameters from a YAML or JSON file; what it leaves out is as in `base`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a mapping, an unknown name, or a value that makes no sense.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no hyperparameters {path}; write a YAML mapping of {', '.join(sorted(NAMES))}")
    try:
        data = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not readable as YAML or JSON ({error})") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path}: expected a mapping of hyperparameters, got {type(data).__name__}")
    start = {field.name: getattr(base or Hyperparameters(), field.name) for field in fields(Hyperparameters)}
    try:
        return decode(Hyperparameters, start | data, where=str(path))
    except ValueError as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
