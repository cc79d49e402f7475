"""Bring the tool to a point.

The score of a tick is exp(−‖error‖²/(0.1·L)²); targets are drawn anew now and then instead of ending episodes, which
learns faster. Every target is the tool's place in some pose that touches nothing; the arm's own links and the floor do
not stop it on the way.
"""

import torch

from envs.embodiments.arm import ArmWorld
from envs.start_states import nearby
from envs.task import TaskSpec
from robots.joint_space import JointSpace
from robots.spec import RobotSpec

NEAR, FAR = 0.1, 0.4
"""Distances at which the score, and a wider part of the reward, fall to 1/e [L]."""


def reward(world: ArmWorld, space: JointSpace, dt: float) -> torch.Tensor:
    """Closeness less restlessness, (n,)."""
    distance = (world.error / space.length).square().sum(-1)
    closeness = torch.exp(-distance / NEAR**2) + 0.5 * torch.exp(-distance / FAR**2)
    restless = 0.01 * (world.action - world.previous_action).square().sum(-1)
    moving = 0.01 * (world.joint_vel * space.time).square().sum(-1)
    return dt * (closeness - restless - moving)


def score(world: ArmWorld, space: JointSpace) -> torch.Tensor:
    """1 at the target, (n,)."""
    return torch.exp(-(world.error / space.length).square().sum(-1) / NEAR**2)


def fallen(world: ArmWorld, space: JointSpace, default_height: float) -> torch.Tensor:
    """An arm on a fixed base never falls, (n,)."""
    return torch.zeros(len(world.error), dtype=torch.bool, device=world.error.device)


def refuses(spec: RobotSpec) -> str:
    """Only what has a tool reaches."""
    return "" if spec.end_effector and not spec.feet else "is for arms with a tool (RobotSpec.end_effector)"


TASK = TaskSpec(
    name="reach",
    title="Bring the tool to a point",
    embodiment="arm",
    episode_seconds=5.0,
    training_seconds=4.0,
    resample_seconds=2.0,
    reward=reward,
    fall_reward=0.0,
    fallen=fallen,
    score=score,
    start=nearby,
    refuses=refuses,
)
