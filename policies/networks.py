"""Actor and critic: plain ELU perceptrons over normalized, dimensionless observations.

The actor reads the leading `actor_width` channels; the critic reads everything. Nothing in the weights knows the
robot's units: a policy moves to another robot by swapping the terms' constants.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from envs.observations import Term
from policies.normalizer import Normalizer


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


def perceptron(sizes: list[int]) -> nn.Sequential:
    """Linear layers with ELU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ELU()]
    return nn.Sequential(*layers[:-1])


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
        initial_std: float = 0.7,
        generator: torch.Generator | None = None,
        **kwargs: Any,
    ) -> None:
        width = spaces.flatdim(observation_space)
        self.layout = layout or Layout((0.0,) * width, (1.0,) * width, width)
        self.hidden, self.initial_std = hidden, initial_std
        self.generator = generator
        super().__init__(observation_space, action_space, lr_schedule, **kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        joints = spaces.flatdim(self.action_space)
        self.normalizer = Normalizer(torch.tensor(self.layout.offset), torch.tensor(self.layout.scale))
        self.actor = perceptron([self.layout.actor_width, *self.hidden, joints])
        self.critic = perceptron([len(self.layout.scale), *self.hidden, 1])
        self.log_std = nn.Parameter(torch.full((joints,), self.initial_std).log())
        last = self.actor[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.weight.mul_(0.01)
            last.bias.zero_()
        self.optimizer = torch.optim.Adam(self.actor_parameters, lr=lr_schedule(1.0))
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=lr_schedule(1.0))

    @property
    def actor_parameters(self) -> list[nn.Parameter]:
        return [*self.actor.parameters(), self.log_std]

    def action_mean(self, normalized: torch.Tensor) -> torch.Tensor:
        """(n, num_joints) for normalized observations, (n, width)."""
        return self.actor(normalized[:, : self.layout.actor_width])

    def value(self, normalized: torch.Tensor) -> torch.Tensor:
        """(n,) for normalized observations, (n, width)."""
        return self.critic(normalized)[:, 0]

    def log_prob(self, action: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """(n,) of a diagonal Gaussian."""
        return torch.distributions.Normal(mean, self.log_std.exp(), validate_args=False).log_prob(action).sum(-1)

    def sample(self, mean: torch.Tensor) -> torch.Tensor:
        """Actions around `mean`, from the owned generator."""
        noise = torch.randn(mean.shape, generator=self.generator, device=mean.device)
        return mean + self.log_std.exp() * noise

    def forward(
        self, obs: torch.Tensor, deterministic: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        normalized = self.normalizer(obs.float())
        mean = self.action_mean(normalized)
        action = mean if deterministic else self.sample(mean)
        return action, self.value(normalized)[:, None], self.log_prob(action, mean)

    def evaluate_actions(
        self, obs: torch.Tensor, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        normalized = self.normalizer(obs.float())
        mean = self.action_mean(normalized)
        entropy = (self.log_std + 1.4189385332046727).sum().expand(len(mean))  # ½·log(2πe) a dimension
        return self.value(normalized)[:, None], self.log_prob(actions, mean), entropy

    def predict_values(self, obs: torch.Tensor) -> torch.Tensor:
        return self.value(self.normalizer(obs.float()))[:, None]

    def _predict(self, observation: torch.Tensor, deterministic: bool = False) -> torch.Tensor:
        mean = self.action_mean(self.normalizer(observation.float()))
        return mean if deterministic else self.sample(mean)
