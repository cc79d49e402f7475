"""What learners ask of many worlds stepped together, whatever simulates them: `VectorEnv` or `GymnasiumWorlds`."""

from typing import Any, NamedTuple, Protocol

import torch

from envs.observations import Term
from envs.randomization import Disturbances, Randomization, Randomizer
from envs.task import TaskSpec, World
from robots.joint_space import JointSpace
from robots.spec import RobotSpec


class Step(NamedTuple):
    """What one control step returns; observations of ended worlds are those of their next episode."""

    observation: torch.Tensor
    """(num_envs, width) raw SI, float32."""
    reward: torch.Tensor
    """(num_envs,)."""
    terminated: torch.Tensor
    """(num_envs,) bool: failed, or diverged."""
    truncated: torch.Tensor
    """(num_envs,) bool: time is up, or the ground's end is reached."""
    final_observation: torch.Tensor | None
    """(num_envs, width) before resets, or None where no world ended."""
    world: World
    """Ground truth before resets."""


def finite_where(diverged: torch.Tensor, reward: torch.Tensor) -> torch.Tensor:
    """Rewards, (num_envs,), with 0 for what is not finite in worlds that left the finite numbers, (num_envs,) bool.

    In other worlds such a reward is the task's own mistake: it stays, for the learner to name.
    """
    return reward.masked_fill(diverged & ~reward.isfinite(), 0.0)


class Worlds(Protocol):
    """Many worlds of one task on one robot."""

    spec: RobotSpec
    task: TaskSpec
    space: JointSpace
    randomization: Randomization
    randomizer: Randomizer
    """Writes the hidden parameters of every world."""
    disturbances: Disturbances
    """Pushes, of themselves only in training."""
    diverged: torch.Tensor
    """(num_envs,) times a world left the finite numbers and was started anew."""
    num_envs: int
    scoring: bool
    """Episodes as the score has them: all begin at once, commands are kept, nothing pushes."""
    dt: float
    """Control period [s]."""
    episode_steps: int
    """Control steps of an episode."""
    generator: torch.Generator
    """Of everything random."""
    actor_terms: tuple[Term, ...]
    privileged_terms: tuple[Term, ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        """Measurable terms, then privileged ones."""
        return self.actor_terms + self.privileged_terms

    @property
    def actor_width(self) -> int:
        """Leading channels of an observation that hardware can measure."""
        return sum(term.width for term in self.actor_terms)

    @property
    def width(self) -> int:
        """Channels of an observation."""
        return sum(term.width for term in self.terms)

    def reset(self) -> torch.Tensor:
        """Start every world anew; returns observations, (num_envs, width)."""

    def step(self, action: torch.Tensor) -> Step:
        """Advance one control period under `action`, (num_envs, num_joints), dimensionless."""

    def observation(self) -> torch.Tensor:
        """(num_envs, width) of the worlds as they are; sensors are read anew."""

    def begin_as(self, other: "Worlds", like: torch.Tensor) -> None:
        """Begin in every world the episode that world `like` of `other`, (num_envs,), is in; parameters stay its own.

        `other` holds the same robot, task and delay buffers.
        """

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that the next step depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
