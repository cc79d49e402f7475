"""Fine-tune: go on with PPO on the target, holding on to the source at first.

The critic is warmed up while the actor stands still, since its values are those of the source robot; then a KL anchor
to the source fades out (kickstarting, Schmitt et al. 2018, arXiv:1803.03835). Without both the skill dips before it
rises.
"""

import copy
from typing import Any

import torch

from policies.networks import ActorCritic
from policies.ppo import PPO
from policies.vec_env import Sb3VecEnv
from sim2real.transfer.strategy import Source, Strategy, put_on

WARM_UP = 0.06
"""Share of the budget in which only the critic learns."""
ANCHOR = 0.3
"""Share of the budget over which the anchor fades to nothing."""
ANCHOR_WEIGHT = 0.1
LEARNING_RATE = 3e-4


class FineTuning(PPO):
    """PPO that starts from a source policy."""

    def __init__(self, env: Sb3VecEnv, source: Source, budget: int, **kwargs: Any) -> None:
        super().__init__(
            ActorCritic, env, learning_rate=LEARNING_RATE, policy_kwargs=source.policy_kwargs(env), **kwargs
        )
        put_on(source, self)
        self.budget, self.warm_up = budget, WARM_UP * budget
        self.anchor = copy.deepcopy(self.policy.actor).requires_grad_(False)
        self.normalizer_learns = False  # it is part of the skill: its drift would move the anchor

    def extra_loss(self, observations: torch.Tensor, mean: torch.Tensor) -> torch.Tensor | float:
        """KL divergence to the source's actor, fading out."""
        weight = ANCHOR_WEIGHT * max(0.0, 1.0 - self.num_timesteps / self.budget / ANCHOR)
        if weight == 0.0:
            return 0.0
        with torch.no_grad():
            source_mean = self.anchor(observations[:, : self.policy.layout.actor_width])
        deviation = (mean - source_mean) / self.policy.log_std.detach().exp()
        return weight * 0.5 * deviation.square().sum(-1).mean()


def learner(source: Source, env: Sb3VecEnv, budget: int, seed: int) -> PPO:
    """A learner that begins as the source."""
    return FineTuning(env, source, budget, seed=seed)


STRATEGY = Strategy(
    name="finetune", summary="critic warm-up, then PPO with a fading anchor to the source", learner=learner
)
