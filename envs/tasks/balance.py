"""Keep a torque-controlled machine in its nominal, unstable pose: pole on a cart, pendulum, acrobot.

An episode begins near the pose and fails when a joint has gone too far from it (Barto, Sutton & Anderson 1983, IEEE
Trans. SMC-13(5), fail their pole at 12°; this is wider, since a motor may swing back).
"""

import torch

from envs.embodiments.machine import MachineWorld
from envs.start_states import nearby
from envs.task import TaskSpec
from robots.joint_space import JointSpace
from robots.spec import RobotSpec

FARTHEST = 1.0
"""Largest deviation of a joint, in rad or L, that still counts as balancing."""


def reward(world: MachineWorld, space: JointSpace, dt: float) -> torch.Tensor:
    """Near the pose with little effort, (n,)."""
    effort = 0.05 * world.action.clamp(-1.0, 1.0).square().sum(-1)
    return dt * (score(world, space) - effort)


def score(world: MachineWorld, space: JointSpace) -> torch.Tensor:
    """1 in the pose, at rest, (n,)."""
    off = world.deviation.square().sum(-1) + 0.1 * world.rate.square().sum(-1)
    return torch.exp(-off / 0.25)


def fallen(world: MachineWorld, space: JointSpace, default_height: float) -> torch.Tensor:
    """True where a joint has gone too far, (n,)."""
    return (world.deviation.abs() > FARTHEST).any(-1)


def refuses(spec: RobotSpec) -> str:
    """Only machines balance."""
    return "" if spec.kind == "machine" else "is for torque-controlled machines"


TASK = TaskSpec(
    name="balance",
    title="Keep a machine in its unstable pose",
    embodiment="machine",
    episode_seconds=10.0,
    training_seconds=5.0,
    reward=reward,
    fall_reward=-1.0,
    fallen=fallen,
    score=score,
    start=nearby,
    refuses=refuses,
)
