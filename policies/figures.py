"""Figures of an update: what SB3's log, TensorBoard and a watch over the run are told."""

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from policies.networks import ActorCritic
    from policies.rollout import TorchRolloutBuffer

SB3_NAMES = {"divergence": "approx_kl", "policy_loss": "policy_gradient_loss"}
"""What Stable-Baselines3 calls a figure in its log."""


class Figures:
    """Tensors of one number each, kept where they are: a GPU is not waited for before `means`."""

    def __init__(self) -> None:
        self._kept: dict[str, list[torch.Tensor]] = {}

    def add(self, **figures: torch.Tensor) -> None:
        """One minibatch's."""
        for name, value in figures.items():
            self._kept.setdefault(name, []).append(value)

    def means(self) -> dict[str, float]:
        """Over all minibatches so far."""
        return {name: torch.stack(values).mean().item() for name, values in self._kept.items()}


def whole(policy: "ActorCritic", buffer: "TorchRolloutBuffer") -> dict[str, float]:
    """Figures of the actor after its update, and of how well the critic had foretold the rollout's returns."""
    unexplained, spread = (buffer.returns - buffer.values[:-1]).var().item(), buffer.returns.var().item()
    return {
        "std": policy.log_std.detach().exp().mean().item(),
        "entropy": policy.entropy().item(),
        "explained_variance": 1.0 - unexplained / spread if spread > 0.0 else 0.0,
    }
