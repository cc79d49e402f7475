"""What an embodiment offers to the engine in `envs.vector_env`, and what it works with.

The engine knows physics, randomization and episodes; an embodiment knows which numbers a policy of its kind of robot
sees, how its actions become controls, and what is asked of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from envs import draws
from envs.observations import Term
from envs.physics.interface import Physics
from envs.randomization import Randomizer
from envs.task import TaskSpec, World
from robots.joint_space import JointSpace
from robots.spec import RobotSpec

Actor = Callable[[torch.Tensor], torch.Tensor]
"""Raw observations, (n, width), to dimensionless actions, (n, num_joints)."""
Columns = torch.Tensor | slice
"""Which columns of a state tensor."""


def snapshot(live: torch.Tensor) -> torch.Tensor:
    """A float32 copy of an engine's tensor, also where the engine's own numbers are float32."""
    return live.to(torch.float32, copy=True)


@dataclass
class Episode:
    """Tensors that change every step and are neither physics nor parameters."""

    steps: torch.Tensor
    """(n,) control steps taken."""
    command: torch.Tensor
    """(n, command width)."""
    action: torch.Tensor
    """(n, num_joints), the last one."""
    previous_target: torch.Tensor
    """(n, num_joints), what was commanded last: joint targets [rad] or torques [N·m]."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Who moves, what it must do, and in which worlds."""

    spec: RobotSpec
    space: JointSpace
    task: TaskSpec
    physics: Physics
    randomizer: Randomizer
    generator: torch.Generator
    scoring: bool
    """Commands are drawn from the score's ranges and kept for the whole episode."""

    @property
    def device(self) -> torch.device:
        return self.physics.device

    @property
    def num_envs(self) -> int:
        return self.physics.num_worlds

    @property
    def dt(self) -> float:
        """Control period [s]."""
        return 1.0 / self.spec.control_hz

    def tensor(self, values: Any) -> torch.Tensor:
        """A float32 constant on the worlds' device."""
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    def columns(self, indices: np.ndarray) -> Columns:
        """Where columns lie: a slice if they are neighbours, which reads them four times faster than a list."""
        first, count = int(indices[0]), len(indices)
        if np.array_equal(indices, np.arange(first, first + count)):
            return slice(first, first + count)
        return torch.from_numpy(indices).to(self.device)

    def rand(self, *shape: int) -> torch.Tensor:
        """Uniform in 0..1."""
        return draws.rand(self.generator, *shape)

    def uniform(self, *shape: int) -> torch.Tensor:
        """Uniform in −1..1."""
        return draws.uniform(self.generator, *shape)

    def happens(self, mean_seconds: float) -> torch.Tensor:
        """Worlds, (k,), in which an event of that mean interval [s] falls into this control period."""
        return draws.happens(self.generator, self.num_envs, self.dt, mean_seconds)

    def blank_episode(self, command_width: int) -> dict[str, torch.Tensor]:
        """The fields of an `Episode` before its first step."""
        shape = (self.num_envs, self.spec.num_joints)
        return {
            "steps": torch.zeros(self.num_envs, dtype=torch.long, device=self.device),
            "command": torch.zeros(self.num_envs, command_width, device=self.device),
            "action": torch.zeros(shape, device=self.device),
            "previous_target": torch.zeros(shape, device=self.device),
        }


class Embodiment(Protocol):
    """One kind of robot in its worlds."""

    setting: Setting
    command_meaning: str
    """What a command is, with units; empty where nothing is commanded."""
    episode: Any
    """An `Episode`, with more fields where the kind needs them."""

    def __init__(self, setting: Setting) -> None: ...

    @staticmethod
    def terms(spec: RobotSpec, space: JointSpace, task: TaskSpec) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
        """Measurable and privileged terms of an observation, the randomized parameters left out."""

    @staticmethod
    def ground(spec: RobotSpec, task: TaskSpec) -> Callable[[Any], None] | None:
        """What adds the task's ground to a model that is still editable; None for the flat floor."""

    @staticmethod
    def no_op(spec: RobotSpec, task: TaskSpec) -> Actor:
        """The policy that does nothing, which scores are compared with."""

    def begin(self) -> None:
        """A blank episode in every world."""

    def restart(self, worlds: torch.Tensor) -> None:
        """Begin new episodes in worlds, (k,), whose start states were just restored."""

    def drive(self, action: torch.Tensor) -> torch.Tensor:
        """Controls for an action, both (n, num_joints); the episode remembers them."""

    def advance(self) -> None:
        """After the physics: clocks, and new commands in training."""

    def world(self, previous_action: torch.Tensor) -> World:
        """Ground truth as it is now."""

    def sensed(self, world: World) -> dict[str, torch.Tensor]:
        """What sensors would read if they were perfect: gravity, gyro, joint_pos, joint_vel, as far as declared."""

    def actor(self, sensed: dict[str, torch.Tensor]) -> torch.Tensor:
        """The measurable observation from what the sensors read."""

    def privileged(self, world: World) -> list[torch.Tensor]:
        """The privileged observation, a piece for each term."""

    def lost(self, world: World) -> torch.Tensor | None:
        """(n,) True where an episode is cut short without fault, as at the end of the ground; None where never."""
