"""Whatever a Gymnasium MuJoCo id rewards: its observation, its reward, its end of an episode.

Robots are `gymnasium:ID`. The score of a tick is the reward over what a tick earns at the id's `reward_threshold`: 1 is
what Gymnasium calls solved. Ids without a threshold score their bare reward.
"""

import torch

from envs.task import TaskSpec, World
from robots.joint_space import JointSpace
from robots.spec import RobotSpec


def reward(world: World, space: JointSpace, dt: float) -> torch.Tensor:
    """The id's, (n,)."""
    return world.reward  # type: ignore[attr-defined]


def score(world: World, space: JointSpace) -> torch.Tensor:
    """Share of the threshold, (n,)."""
    return world.score  # type: ignore[attr-defined]


def fallen(world: World, space: JointSpace, default_height: float) -> torch.Tensor:
    """Nobody: the id's environment ends its episodes, (n,)."""
    return torch.zeros(len(world.action), dtype=torch.bool)


def refuses(spec: RobotSpec) -> str:
    """Only machines of ids."""
    return "" if spec.name.startswith("gymnasium:") else "is for robots called gymnasium:ID"


TASK = TaskSpec(
    name="gymnasium",
    title="What the Gymnasium id asks for",
    embodiment="gymnasium",
    episode_seconds=50.0,
    training_seconds=50.0,
    reward=reward,
    fall_reward=0.0,
    fallen=fallen,
    score=score,
    refuses=refuses,
)
