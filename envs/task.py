"""What a task is: commands, reward, end of episode. One file in `envs/tasks` defines one."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from robots.joint_space import JointSpace


@dataclass(frozen=True, kw_only=True)
class World:
    """Ground truth of every world after a control step, SI; batch axis first."""

    velocity: torch.Tensor
    """(n, 3) of the base, in its yaw frame (z up) [m/s]."""
    base_velocity: torch.Tensor
    """(n, 3) of the base, in its own frame [m/s]."""
    gyro: torch.Tensor
    """(n, 3) in the base frame [rad/s]."""
    gravity: torch.Tensor
    """(n, 3) direction of gravity in the base frame."""
    height: torch.Tensor
    """(n,) of the base above the ground [m]."""
    foot_heights: torch.Tensor
    """(n, num_feet) clearance of the soles [m]."""
    joint_vel: torch.Tensor
    """(n, num_joints) [rad/s]."""
    torque: torch.Tensor
    """(n, num_joints) [N·m]."""
    action: torch.Tensor
    """(n, num_joints) dimensionless."""
    previous_action: torch.Tensor
    """(n, num_joints) of the step before."""
    command: torch.Tensor
    """(n, 3) vx [m/s], vy [m/s], yaw rate [rad/s]."""


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """A task for legged robots, in dimensionless units so that it asks the same of every body."""

    name: str
    title: str
    episode_seconds: float
    """Of the score."""
    training_seconds: float
    """Of an episode in training; short ones practise starting off, where falls happen."""
    command_high: tuple[float, float, float]
    """Largest command in training, in units of √(gL), √(gL), 1/T; the least is its negative."""
    score_command_high: tuple[float, float, float]
    """The same for the score."""
    standing_fraction: float
    """Share of commands that ask to stand still."""
    resample_seconds: float
    """Mean time between new commands in training [s]."""
    reward: Callable[[World, JointSpace, float], torch.Tensor]
    """(world, units, control period [s]) -> (n,)."""
    fall_reward: float
    """Added once when a robot falls."""
    fallen: Callable[[World, JointSpace, float], torch.Tensor]
    """(world, units, nominal height of the base [m]) -> (n,) bool."""
    score: Callable[[World, JointSpace], torch.Tensor]
    """(n,), 0..1 a tick."""
    yaw_score: Callable[[World, JointSpace], torch.Tensor]
    """(n,), 0..1 a tick."""
