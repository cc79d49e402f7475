"""Walk at the commanded velocity on flat ground.

Rewards follow the usual velocity-tracking shape (Rudin et al. 2021, arXiv:2109.11978), written in the robot's own units
of length, mass and time: dynamically similar robots get equal rewards for equal motion.
"""

import torch

from envs.embodiments.legged import LeggedWorld
from envs.task import TaskSpec
from envs.velocity_score import (
    SPEED_TOLERANCE,
    YAW_TOLERANCE,
    has_fallen,
    speed_error,
    velocity_score,
    yaw_error,
    yaw_score,
)
from robots.joint_space import JointSpace
from robots.spec import RobotSpec


def reward(world: LeggedWorld, space: JointSpace, dt: float) -> torch.Tensor:
    """Tracking less effort, never negative, (n,)."""
    speed = speed_error(world.command, world.velocity, speed=space.speed) * (-1.0 / SPEED_TOLERANCE)
    yaw = yaw_error(world.command, world.gyro, time=space.time) * (-1.0 / YAW_TOLERANCE)
    tracking = torch.exp(speed) + 0.3 * torch.exp(0.2 * speed)
    turning = 0.5 * torch.exp(yaw) + 0.2 * torch.exp(0.2 * yaw)
    smoothness = 0.01 * (world.action - world.previous_action).square().sum(-1) + 0.01 * world.action.square().sum(-1)
    rocking = world.gyro[:, :2].square().sum(-1)
    bounce = (1.3 / space.speed**2) * world.velocity[:, 2].square() + (1.1 * space.time**2) * rocking
    tilt = 3.0 * world.gravity[:, :2].square().sum(-1)
    effort = (0.11 / space.torque**2) * world.torque.square().sum(-1)
    return dt * torch.clamp(tracking + turning - smoothness - bounce - tilt - effort, min=0.0)


def score(world: LeggedWorld, space: JointSpace) -> torch.Tensor:
    """The velocity score of every world, (n,)."""
    return velocity_score(torch, world.command, world.velocity, speed=space.speed)


def turning_score(world: LeggedWorld, space: JointSpace) -> torch.Tensor:
    """The yaw score of every world, (n,)."""
    return yaw_score(torch, world.command, world.gyro, time=space.time)


def fallen(world: LeggedWorld, space: JointSpace, default_height: float) -> torch.Tensor:
    """True where the base tips over or sinks to half its height, (n,)."""
    return has_fallen(world.gravity, world.height, default_height=default_height)


def refuses(spec: RobotSpec) -> str:
    """Only what stands on feet walks."""
    return "" if spec.feet else "is for robots that stand on feet"


TASK = TaskSpec(
    name="velocity",
    title="Walk at the commanded velocity on flat ground",
    episode_seconds=10.0,
    training_seconds=5.0,
    command_high=(0.5, 0.18, 0.1),
    score_command_high=(0.5, 0.18, 0.1),
    standing_fraction=0.1,
    resample_seconds=4.0,
    reward=reward,
    fall_reward=-1.0,
    fallen=fallen,
    score=score,
    yaw_score=turning_score,
    refuses=refuses,
)
