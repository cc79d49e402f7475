"""What a task is: commands, reward, end of episode. One file in `envs/tasks` defines one."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from envs.physics.interface import Physics
from envs.start_states import settled
from envs.terrain import TerrainSpec
from robots.model import Contacts
from robots.spec import RobotSpec


@dataclass(frozen=True, kw_only=True)
class World:
    """Ground truth of every world after a control step, SI; batch axis first. Embodiments add what they have."""

    joint_pos: torch.Tensor
    """(n, num_measured) of all joints with encoders, driven ones first [rad]."""
    joint_vel: torch.Tensor
    """(n, num_measured) [rad/s]."""
    torque: torch.Tensor
    """(n, num_joints) [N·m]."""
    action: torch.Tensor
    """(n, num_joints) dimensionless."""
    previous_action: torch.Tensor
    """(n, num_joints) of the step before."""
    command: torch.Tensor
    """(n, command width) what is asked for: vx [m/s], vy [m/s], yaw rate [rad/s] of a walker, a point [m] of an arm."""


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """A task, in dimensionless units so that it asks the same of every body."""

    name: str
    title: str
    embodiment: str = "legged"
    """How its policies perceive and drive robots: a module of `envs/embodiments`."""
    episode_seconds: float
    """Of the score."""
    training_seconds: float
    """Of an episode in training; short ones practise starting off, where falls happen."""
    command_high: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Largest velocity command in training, in units of √(gL), √(gL), 1/T; the least is its negative."""
    score_command_high: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The same for the score."""
    standing_fraction: float = 0.0
    """Share of velocity commands that ask to stand still."""
    resample_seconds: float = math.inf
    """Mean time between new commands in training [s]."""
    reward: Callable[..., torch.Tensor]
    """(world, units, control period [s]) -> (n,)."""
    fall_reward: float
    """Added once when an episode ends by failure."""
    fallen: Callable[..., torch.Tensor]
    """(world, units, nominal height of the base [m]) -> (n,) bool, True where the episode has failed."""
    score: Callable[..., torch.Tensor]
    """(world, units) -> (n,), 0..1 a tick."""
    yaw_score: Callable[..., torch.Tensor] | None = None
    """(world, units) -> (n,), 0..1 a tick, of tasks that turn."""
    contacts: Contacts = "feet"
    """What collides."""
    start: Callable[[Physics, RobotSpec, torch.Generator], torch.Tensor] = settled
    """(scratch worlds in the nominal pose, robot, generator) -> state rows in which episodes begin."""
    terrain: TerrainSpec | None = None
    """Rough ground of legged robots; None is flat."""
    refuses: Callable[[RobotSpec], str] = field(default=lambda spec: "")
    """Why a robot cannot do it; an empty text where it can."""
