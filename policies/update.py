"""The update of PPO: minibatches of a rollout, the clipped objective of the actor, the values of the critic.

Schulman et al. 2017, arXiv:1707.06347; the learning rate follows the KL divergence of the updates (after Rudin et al.
2021, arXiv:2109.11978). A mixin: `policies.ppo.PPO` has the rest.
"""

from typing import Any

import numpy as np
import torch

from policies.collective import Collective
from policies.figures import SB3_NAMES, Figures, whole
from policies.hyperparameters import Hyperparameters
from policies.networks import ActorCritic, kl_divergence
from policies.rollout import TorchRolloutBuffer
from policies.symmetry import Mirror

MIN_LEARNING_RATE, MAX_LEARNING_RATE = 3e-5, 3e-3


class Update:
    """What happens between two rollouts."""

    policy: ActorCritic
    rollout_buffer: TorchRolloutBuffer
    hyperparameters: Hyperparameters
    collective: Collective
    generator: torch.Generator
    mirror: Mirror | None
    device: torch.device
    logger: Any
    clip_range: Any
    ent_coef: float
    vf_coef: float
    max_grad_norm: float
    adaptive_rate: float
    last_update: dict[str, float]
    """Figures of the last update; those of the critic while it still learns are of the update before."""

    @property
    def num_minibatches(self) -> int:
        """Minibatches an epoch."""
        return self.hyperparameters.num_minibatches

    @property
    def target_divergence(self) -> float:
        """KL divergence that an update should reach [nat]."""
        return self.hyperparameters.target_divergence

    @torch.no_grad()
    def _batch(self) -> dict[str, torch.Tensor]:
        """All samples of the rollout, (num_samples, ...); what the critic learns from is its own."""
        buffer, policy = self.rollout_buffer, self.policy
        actions, means = buffer.actions.flatten(0, 1), buffer.means.flatten(0, 1)
        observations = buffer.normalized[:-1].flatten(0, 1).clone()
        batch = {
            "observations": observations,
            "actions": actions,
            "means": means,
            "log_probs": policy.log_prob(actions, means, policy.spread(observations, policy.log_std)),
            "advantages": self._standardized(buffer.advantages.flatten()),
            "returns": buffer.returns.flatten(),
        }
        if self.mirror is None:
            return batch
        image = batch | {
            "observations": policy.normalizer(self.mirror.observation(buffer.observations.flatten(0, 1))),
            "actions": self.mirror.action(actions),
            "means": self.mirror.action(means),
        }
        return {name: torch.cat([batch[name], image[name]]) for name in batch}

    def _seen(self) -> torch.Tensor:
        """(n, width) raw observations of the rollout, and their mirror images if those are learned from."""
        raw = self.rollout_buffer.observations.flatten(0, 1)
        return raw if self.mirror is None else torch.cat([raw, self.mirror.observation(raw)])

    def _standardized(self, advantages: torch.Tensor) -> torch.Tensor:
        """Mean 0 and deviation 1 over all ranks."""
        mean, own = advantages.mean(), advantages.mean()
        self.collective.average([mean], "control")
        variance = advantages.std().double().square() + (own - mean).square()
        self.collective.average([variance], "control")
        return (advantages - mean) / (variance.sqrt().float() + 1e-8)

    def _shuffled(self, num_samples: int) -> tuple[torch.Tensor, ...]:
        """Rows of an epoch's minibatches: of every sample and its image one, by chance."""
        own = num_samples if self.mirror is None else num_samples // 2
        order = torch.randperm(own, generator=self.generator, device=self.device)
        if self.mirror is not None:
            order = order + own * torch.randint(2, (own,), generator=self.generator, device=self.device)
        return order.chunk(self.num_minibatches)

    def _train_actor(
        self, observations: torch.Tensor, batch: dict[str, torch.Tensor], minibatches: list[torch.Tensor]
    ) -> None:
        policy, clip = self.policy, self.clip_range(1.0)
        was, figures = policy.log_std.detach().clone(), Figures()
        columns = [batch["actions"], batch["means"], batch["log_probs"][:, None], batch["advantages"][:, None]]
        table, widths = torch.cat(columns, 1), [column.shape[1] for column in columns]
        divergences = []
        for rows in minibatches:
            seen = observations.index_select(0, rows)
            actions, means, log_probs, advantages = table.index_select(0, rows).split(widths, 1)
            mean, log_std = policy.action_mean(seen), policy.spread(seen, policy.log_std)
            divergence = kl_divergence(means, policy.spread(seen, was), mean.detach(), log_std.detach())
            ratio = (policy.log_prob(actions, mean, log_std) - log_probs[:, 0]).exp()
            gain, clipped = advantages[:, 0] * ratio, ratio.clamp(1.0 - clip, 1.0 + clip)
            surrogate = torch.min(gain, advantages[:, 0] * clipped).mean()
            loss = self.extra_loss(seen, mean) - surrogate
            if self.ent_coef:
                loss = loss - self.ent_coef * policy.entropy()
            self._differentiate(policy.optimizer, policy.actor_parameters, loss, "actor", divergence)
            divergences.append(divergence.item())
            if divergences[-1] > 4.0 * self.target_divergence:
                break  # this rollout says nothing about policies so far away
            norm = self._descend(policy.optimizer, policy.actor_parameters)
            outside = (ratio.detach() != clipped.detach()).float().mean()
            figures.add(policy_loss=-surrogate.detach(), clip_fraction=outside, actor_grad_norm=norm)
        self._adapt_rate(float(np.mean(divergences[-self.num_minibatches :])))
        told = {"divergence": divergences[-1], "learning_rate": self.adaptive_rate} | figures.means()
        self._tell(told | whole(policy, self.rollout_buffer))

    def _train_critic(
        self, observations: torch.Tensor, returns: torch.Tensor, minibatches: list[torch.Tensor]
    ) -> dict[str, float]:
        policy, figures = self.policy, Figures()
        parameters = list(policy.critic.parameters())
        for rows in minibatches:
            seen, wanted = observations.index_select(0, rows), returns.index_select(0, rows)
            loss = (policy.value(seen) - wanted).square().mean()
            self._differentiate(policy.critic_optimizer, parameters, self.vf_coef * loss, "critic")
            norm = self._descend(policy.critic_optimizer, parameters)
            figures.add(value_loss=loss.detach(), critic_grad_norm=norm)
        return figures.means()

    def _differentiate(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: list[torch.nn.Parameter],
        loss: torch.Tensor,
        channel: str,
        *figures: torch.Tensor,
    ) -> None:
        """Gradients over all ranks' minibatches, and means of `figures` by the same call."""
        optimizer.zero_grad()
        loss.backward()
        gradients = [value.grad for value in parameters if value.grad is not None]
        self.collective.average([*figures, *gradients], channel)

    def _descend(self, optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter]) -> torch.Tensor:
        """One step of the optimizer; returns the gradient's norm before it is shortened."""
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        optimizer.step()
        return norm

    def extra_loss(self, observations: torch.Tensor, mean: torch.Tensor) -> torch.Tensor | float:
        """A term that transfer strategies add to the actor's loss, () for normalized observations and action means."""
        return 0.0

    def _adapt_rate(self, divergence: float) -> None:
        if not self.hyperparameters.adaptive:
            return
        if divergence > 1.5 * self.target_divergence:
            self.adaptive_rate = max(MIN_LEARNING_RATE, self.adaptive_rate / 1.3)
        elif divergence < 0.7 * self.target_divergence:
            self.adaptive_rate = min(MAX_LEARNING_RATE, self.adaptive_rate * 1.3)
        for group in self.policy.optimizer.param_groups:
            group["lr"] = self.adaptive_rate

    def _tell(self, figures: dict[str, float]) -> None:
        """Into `last_update`, and into SB3's log."""
        self.last_update |= figures
        for name, value in figures.items():
            self.logger.record(f"train/{SB3_NAMES.get(name, name)}", value)
