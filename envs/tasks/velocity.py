"""Walk at the commanded velocity on flat ground.

Rewards follow the usual velocity-tracking shape (Rudin et al. 2021, arXiv:2109.11978), written in the robot's own units
of length, mass and time: dynamically similar robots get equal rewards for equal motion.
"""

from dataclasses import dataclass

import torch

from envs.commands import is_standing
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


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Of the terms of the reward, all in the robot's own units."""

    near: float
    """Of speed within a few tolerances; within one tolerance it counts 1."""
    turning: float
    turning_near: float
    turning_sharpness: float
    """Inverse width of what counts as turning as commanded, in yaw tolerances."""
    restlessness: float
    """Of actions and of their changes."""
    rocking: float
    """Of roll and pitch rates."""
    upright: float
    """Of every tick without a fall."""
    stepping: float
    """Of feet as high as the gait clock wants them."""


MANY_LEGS = Weights(
    near=0.3,
    turning=0.5,
    turning_near=0.2,
    turning_sharpness=1.0,
    restlessness=0.01,
    rocking=1.1,
    upright=0.0,
    stepping=0.0,
)
TWO_LEGS = Weights(
    near=0.5,
    turning=0.3,
    turning_near=0.3,
    turning_sharpness=0.5,
    restlessness=0.005,
    rocking=0.2,
    upright=0.3,
    stepping=3.0,
)
"""A biped's trunk rocks and yaws with every step: by the weights of many legs its reward is zero, and stays so.

Nor does it step unless that pays: cancelling the lift of its feet, it stands safely."""


def reward(world: LeggedWorld, space: JointSpace, dt: float) -> torch.Tensor:
    """Tracking less effort, never negative, (n,)."""
    weights = TWO_LEGS if space.num_legs == 2 else MANY_LEGS
    speed = speed_error(world.command, world.velocity, speed=space.speed) * (-1.0 / SPEED_TOLERANCE)
    yaw = yaw_error(world.command, world.gyro, time=space.time) * (-weights.turning_sharpness / YAW_TOLERANCE)
    tracking = torch.exp(speed) + weights.near * torch.exp(0.2 * speed)
    turning = weights.turning * torch.exp(yaw) + weights.turning_near * torch.exp(0.2 * yaw)
    changes = (world.action - world.previous_action).square().sum(-1)
    restlessness = weights.restlessness * changes + weights.restlessness * world.action.square().sum(-1)
    rocking = world.gyro[:, :2].square().sum(-1)
    bounce = (1.3 / space.speed**2) * world.velocity[:, 2].square() + (weights.rocking * space.time**2) * rocking
    tilt = 3.0 * world.gravity[:, :2].square().sum(-1)
    effort = (0.11 / space.torque**2) * world.torque.square().sum(-1)
    tracked = torch.clamp(tracking + turning - restlessness - bounce - tilt - effort, min=0.0)
    rewarded = tracked + weights.upright
    if weights.stepping > 0.0:
        rewarded = rewarded + weights.stepping * stepping(world, space)
    return dt * rewarded


def stepping(world: LeggedWorld, space: JointSpace) -> torch.Tensor:
    """How well feet follow the gait clock, 0 to 1, (n,): each in its turn up by `lift_height`, else on the ground."""
    wanted = (torch.sin(world.phase) * world.phase.new_tensor(space.foot_sign)).clamp(min=0.0)
    wanted = wanted * ~is_standing(world.command, speed=space.speed, time=space.time)
    missed = world.foot_heights / (space.lift_height * space.length) - wanted
    return torch.exp(-4.0 * missed.square()).mean(-1)


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
