"""Actor and critic: plain perceptrons over normalized, dimensionless observations.

The actor reads the leading `actor_width` channels; the critic reads everything. Nothing in the weights knows the
robot's units: a policy moves to another robot by swapping the terms' constants.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from envs.actions import ACTION_CLIP
from envs.observations import Term
from policies.normalizer import Normalizer
from policies.perceptron import Perceptron

LOG_SQRT_2_PI = 0.9189385332046727
Policy = TypeVar("Policy", bound="ActorCritic")


@dataclass(frozen=True)
class Layout:
    """How an observation row is made up."""

    offset: tuple[float, ...]
    scale: tuple[float, ...]
    actor_width: int
    """Leading channels that the actor reads; all of them for a privileged teacher."""

    @staticmethod
    def of(terms: tuple[Term, ...], *, privileged: bool) -> "Layout":
        """The layout of `terms`, whose measurable ones come first."""
        offset = tuple(value for term in terms for value in term.offset)
        scale = tuple(value for term in terms for value in term.scale)
        measurable = sum(term.width for term in terms if term.measurable)
        return Layout(offset, scale, len(scale) if privileged else measurable)


class ActorCritic(ActorCriticPolicy):
    """Gaussian actor and privileged critic for `policies.ppo.PPO`; usable wherever SB3 takes an ActorCriticPolicy."""

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        *,
        layout: Layout | None = None,
        hidden: tuple[int, ...] = (128, 128),
        activation: str = "elu",
        initial_std: float = 0.7,
        generator: torch.Generator | None = None,
        **kwargs: Any,
    ) -> None:
        width = spaces.flatdim(observation_space)
        self.layout = layout or Layout((0.0,) * width, (1.0,) * width, width)
        self.hidden, self.activation, self.initial_std = hidden, activation, initial_std
        self.generator = generator
        super().__init__(observation_space, action_space, lr_schedule, **kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        joints = spaces.flatdim(self.action_space)
        self.normalizer = Normalizer(torch.tensor(self.layout.offset), torch.tensor(self.layout.scale))
        self.actor = Perceptron([self.layout.actor_width, *self.hidden, joints], self.activation)
        self.critic = Perceptron([len(self.layout.scale), *self.hidden, 1], self.activation)
        self.log_std = nn.Parameter(torch.full((joints,), self.initial_std).log())
        last = self.actor[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight.mul_(0.01)
            last.bias.zero_()
        self.optimizer = torch.optim.Adam(self.actor_parameters, lr=lr_schedule(1.0), fused=True)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=lr_schedule(1.0), fused=True)

    @property
    def actor_parameters(self) -> list[nn.Parameter]:
        return [*self.actor.parameters(), self.log_std]

    def action_mean(self, normalized: torch.Tensor) -> torch.Tensor:
        """(n, num_joints) for normalized observations, (n, width)."""
        return self.actor(normalized[:, : self.layout.actor_width])

    def value(self, normalized: torch.Tensor) -> torch.Tensor:
        """(n,) for normalized observations, (n, width)."""
        return self.critic(normalized)[:, 0]

    def spread(self, normalized: torch.Tensor, log_std: torch.Tensor) -> torch.Tensor:
        """Log of the deviation of actions, (num_joints,) or (n, num_joints), for a value of the parameter `log_std`."""
        return log_std

    def log_prob(self, action: torch.Tensor, mean: torch.Tensor, log_std: torch.Tensor | None = None) -> torch.Tensor:
        """(n,) of a diagonal Gaussian; `log_std` as `spread` gives it, the parameter if left out."""
        log_std = self.log_std if log_std is None else log_std
        deviation = (action - mean) / log_std.exp()
        return -0.5 * deviation.square().sum(-1) - log_std.sum(-1) - LOG_SQRT_2_PI * mean.shape[-1]

    def entropy(self) -> torch.Tensor:
        """() of the Gaussian, ½·log(2πe σ²) a dimension [nat]."""
        return (self.log_std + 0.5 + LOG_SQRT_2_PI).sum()

    def sample(self, mean: torch.Tensor, log_std: torch.Tensor | None = None) -> torch.Tensor:
        """Actions around `mean`, from the owned generator; `log_std` as of `log_prob`."""
        noise = torch.randn(mean.shape, generator=self.generator, device=mean.device)
        return mean + (self.log_std if log_std is None else log_std).exp() * noise

    def forward(
        self, obs: torch.Tensor, deterministic: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        normalized = self.normalizer(obs.float())
        mean, log_std = self.action_mean(normalized), self.spread(normalized, self.log_std)
        action = mean if deterministic else self.sample(mean, log_std)
        return action, self.value(normalized)[:, None], self.log_prob(action, mean, log_std)

    def evaluate_actions(
        self, obs: torch.Tensor, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        normalized = self.normalizer(obs.float())
        mean, log_std = self.action_mean(normalized), self.spread(normalized, self.log_std)
        return self.value(normalized)[:, None], self.log_prob(actions, mean, log_std), self.entropy().expand(len(mean))

    def predict_values(self, obs: torch.Tensor) -> torch.Tensor:
        return self.value(self.normalizer(obs.float()))[:, None]

    def _predict(self, observation: torch.Tensor, deterministic: bool = False) -> torch.Tensor:
        normalized = self.normalizer(observation.float())
        mean = self.action_mean(normalized)
        return mean if deterministic else self.sample(mean, self.spread(normalized, self.log_std))


def blank(
    kind: type[Policy], width: int, joints: int, hidden: tuple[int, ...], activation: str, **others: Any
) -> Policy:
    """A policy of `kind` over rows of this width whose weights are about to be overwritten.

    torch.nn's draws for them leave no trace; `others` are further arguments of the policy.
    """
    space = spaces.Box(-float("inf"), float("inf"), (width,)), spaces.Box(-ACTION_CLIP, ACTION_CLIP, (joints,))
    with torch.random.fork_rng(devices=[]):
        return kind(*space, lambda _: 0.0, hidden=hidden, activation=activation, **others)


def kl_divergence(
    old: torch.Tensor, old_log_std: torch.Tensor, new: torch.Tensor, new_log_std: torch.Tensor
) -> torch.Tensor:
    """Mean KL(old ‖ new) of diagonal Gaussians [nat], ()."""
    variance_ratio = (2.0 * (old_log_std - new_log_std)).exp()
    shift = ((new - old) / new_log_std.exp()).square()
    return (0.5 * (variance_ratio + shift - 1.0) + new_log_std - old_log_std).sum(-1).mean()
