"""Walk at the commanded velocity on flat ground.

Rewards follow the usual velocity-tracking shape (Rudin et al. 2021, arXiv:2109.11978), written in the robot's own units
of length, mass and time: dynamically similar robots get equal rewards for equal motion.
"""

import torch

from envs.task import TaskSpec, World
from robots.joint_space import JointSpace

SPEED_TOLERANCE = 0.038
"""σ² of the velocity score in units of g·L: 0.1 m²/s² on a go1."""
YAW_TOLERANCE = 0.00275
"""σ² of the yaw score in units of 1/T²: 0.1 rad²/s² on a go1."""
UPRIGHT = -0.55
"""A base whose gravity z component rises above this has fallen: 57° of tilt."""


def speed_error(world: World, space: JointSpace) -> torch.Tensor:
    """Squared error of the horizontal velocity in units of g·L, (n,)."""
    return ((world.command[:, :2] - world.velocity[:, :2]) / space.speed).square().sum(-1)


def yaw_error(world: World, space: JointSpace) -> torch.Tensor:
    """Squared error of the yaw rate in units of 1/T², (n,)."""
    return ((world.command[:, 2] - world.gyro[:, 2]) * space.time).square()


def score(world: World, space: JointSpace) -> torch.Tensor:
    """exp(−‖v_cmd − v‖²/(0.038·g·L)), (n,)."""
    return torch.exp(-speed_error(world, space) / SPEED_TOLERANCE)


def yaw_score(world: World, space: JointSpace) -> torch.Tensor:
    """exp(−(ω_cmd − ω)²·T²/0.00275), (n,)."""
    return torch.exp(-yaw_error(world, space) / YAW_TOLERANCE)


def reward(world: World, space: JointSpace, dt: float) -> torch.Tensor:
    """Tracking less effort, never negative, (n,)."""
    speed, yaw = speed_error(world, space), yaw_error(world, space)
    tracking = torch.exp(-speed / SPEED_TOLERANCE) + 0.3 * torch.exp(-speed / (5.0 * SPEED_TOLERANCE))
    turning = 0.5 * torch.exp(-yaw / YAW_TOLERANCE) + 0.2 * torch.exp(-yaw / (5.0 * YAW_TOLERANCE))
    smoothness = 0.01 * (world.action - world.previous_action).square().sum(-1) + 0.01 * world.action.square().sum(-1)
    bounce = 1.3 * (world.velocity[:, 2] / space.speed).square() + 1.1 * (world.gyro[:, :2] * space.time).square().sum(-1)
    tilt = world.gravity[:, :2].square().sum(-1)
    effort = 0.11 * (world.torque / space.torque).square().sum(-1)
    return dt * torch.clamp(tracking + turning - smoothness - bounce - tilt - effort, min=0.0)


def fallen(world: World, space: JointSpace, default_height: float) -> torch.Tensor:
    """True where the base tips over or sinks to half its height, (n,)."""
    return (world.gravity[:, 2] > UPRIGHT) | (world.height < 0.5 * default_height)


TASK = TaskSpec(
    name="velocity",
    title="Walk at the commanded velocity on flat ground",
    episode_seconds=10.0,
    command_high=(0.5, 0.18, 0.1),
    score_command_high=(0.5, 0.18, 0.1),
    standing_fraction=0.1,
    resample_seconds=4.0,
    reward=reward,
    fall_reward=-1.0,
    fallen=fallen,
    score=score,
    yaw_score=yaw_score,
)
