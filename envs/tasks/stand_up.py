"""Get up from any attitude, and stand in the nominal pose.

Everything that collides in the robot's file collides here; an episode begins on the ground and no fall ends it. The
reward's shape follows the usual one for recovery (Lee et al. 2019, arXiv:1901.07517): upright first, then the pose.
"""

import torch

from envs.embodiments.legged import LeggedWorld
from envs.start_states import lying
from envs.task import TaskSpec
from envs.tasks.velocity import refuses
from robots.joint_space import JointSpace


def upright(world: LeggedWorld) -> torch.Tensor:
    """1 with the base level, 0 upside down, (n,)."""
    return (1.0 - world.gravity[:, 2]) / 2.0


def raised(world: LeggedWorld, space: JointSpace) -> torch.Tensor:
    """1 with the base at least 0.8 L above the ground, falling to 0 on it, (n,)."""
    return (world.height / (0.8 * space.length)).clamp(0.0, 1.0)


def reward(world: LeggedWorld, space: JointSpace, dt: float) -> torch.Tensor:
    """Upright, raised and at rest with little effort, (n,)."""
    level = upright(world)
    standing = level**4 * raised(world, space)
    rest = torch.exp(-world.action.square().mean(-1)) * standing
    smooth = 0.01 * (world.action - world.previous_action).square().sum(-1)
    effort = 0.02 * (world.torque / space.torque).square().sum(-1)
    return dt * (level + standing + 0.5 * rest - smooth - effort)


def score(world: LeggedWorld, space: JointSpace) -> torch.Tensor:
    """1 where it stands level at its height, (n,)."""
    return upright(world) ** 4 * raised(world, space)


def fallen(world: LeggedWorld, space: JointSpace, default_height: float) -> torch.Tensor:
    """Lying is where it starts, (n,)."""
    return torch.zeros(len(world.height), dtype=torch.bool, device=world.height.device)


TASK = TaskSpec(
    name="stand_up",
    title="Get up from any attitude and stand",
    episode_seconds=6.0,
    training_seconds=5.0,
    reward=reward,
    fall_reward=0.0,
    fallen=fallen,
    score=score,
    contacts="full",
    start=lying,
    refuses=refuses,
)
