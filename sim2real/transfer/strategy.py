"""What a transfer strategy is: how a learner on the target robot begins."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from policies.files.policy_file import load_policy
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO
from policies.vec_env import Sb3VecEnv


@dataclass(frozen=True, kw_only=True)
class Source:
    """A trained actor-critic; its weights are dimensionless and know no robot's units."""

    weights: dict[str, torch.Tensor]
    hidden: tuple[int, ...]
    privileged: bool
    activation: str = "elu"

    @staticmethod
    def load(path: Path) -> "Source":
        """Read `policy.safetensors` of a training run."""
        policy = load_policy(path)
        return Source(
            weights=policy.weights, hidden=policy.hidden, activation=policy.activation, privileged=policy.privileged
        )

    @staticmethod
    def of(policy: ActorCritic, *, privileged: bool) -> "Source":
        """A policy at hand."""
        return Source(
            weights=policy.state_dict(), hidden=policy.hidden, activation=policy.activation, privileged=privileged
        )

    def policy_kwargs(self, env: Sb3VecEnv) -> dict[str, object]:
        """Arguments that give a policy on `env` the source's shape."""
        layout = Layout.of(env.env.terms, privileged=self.privileged)
        return {"layout": layout, "hidden": self.hidden, "activation": self.activation}


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """A way to hand a skill over."""

    name: str
    summary: str
    learner: Callable[[Source, Sb3VecEnv, int, int], PPO]
    """(source, environment of the target, budget [env steps], seed) -> a learner before its first step."""
    trains: bool = True
    """Whether the learner is then trained for the budget."""


def put_on(source: Source, ppo: PPO) -> PPO:
    """Load the source's weights into a learner on another robot, whose own units stay."""
    assert isinstance(ppo.policy, ActorCritic)
    ppo.policy.load_state_dict(source.weights)
    return ppo
