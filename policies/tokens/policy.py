"""Actor and critic for any number of joints, for `policies.ppo.PPO`: per member an ordinary perceptron."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from policies.networks import LOG_SQRT_2_PI, ActorCritic
from policies.perceptron import run_layers
from policies.tokens import reflex
from policies.tokens.generator import GeneratedNet
from policies.tokens.normalizer import SharedNormalizer
from policies.tokens.row import BodyRow
from robots.descriptors import ROLES

LAST = 0.01
"""Factor on the actor's initial last layer: actions begin near 0."""


class TokenPolicy(ActorCritic):
    """A Gaussian actor and a privileged critic over rows of several bodies.

    Args:
        row: What the policy reads.
        privileged: Whether the actor sees what hardware cannot measure.
        kwargs: As of `ActorCritic`.
    """

    actor: GeneratedNet  # type: ignore[assignment]
    critic: GeneratedNet  # type: ignore[assignment]
    normalizer: SharedNormalizer  # type: ignore[assignment]

    def __init__(self, *spaces: Any, row: BodyRow, privileged: bool, **kwargs: Any) -> None:
        self.row, self.privileged = row, privileged
        super().__init__(*spaces, layout=row.layout(privileged=privileged), **kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        bodies = self.row.bodies
        known, seen = bodies[0].known.channels, bodies[0].measured.channels
        self.normalizer = SharedNormalizer(bodies)
        self.actor = GeneratedNet(
            known if self.privileged else seen,
            self.hidden,
            self.activation,
            privileged=self.privileged,
            outputs="joint",
            last=LAST,
            reflexes=reflex.suits(bodies),
        )
        self.critic = GeneratedNet(known, self.hidden, self.activation, privileged=True, outputs="value")
        self.log_std = nn.Parameter(torch.full((len(ROLES),), self.initial_std).log())
        for body in bodies:
            self.actor.range.include(body)
            self.critic.range.include(body)
        joints = spaces.flatdim(self.action_space)
        role = torch.stack([nn.functional.pad(body.role, (0, joints - body.num_joints)) for body in bodies])
        self._role, self._joint = role, torch.arange(joints) < torch.tensor([[body.num_joints] for body in bodies])
        self.optimizer = torch.optim.Adam(self.actor_parameters, lr=lr_schedule(1.0), fused=True)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=lr_schedule(1.0), fused=True)

    def action_mean(self, normalized: torch.Tensor) -> torch.Tensor:
        """(n, greatest num_joints) for normalized rows, (n, width); 0 for joints that a body does not have."""
        return self._by_member(normalized, self.actor.folded(self.row.bodies), self._role.shape[1])

    def value(self, normalized: torch.Tensor) -> torch.Tensor:
        """(n,) for normalized rows, (n, width)."""
        return self._by_member(normalized, self.critic.folded(self.row.bodies), 1)[:, 0]

    def spread(self, normalized: torch.Tensor, log_std: torch.Tensor) -> torch.Tensor:
        """(n, greatest num_joints) from the parameter, (num_roles,); 0 for joints that a body does not have."""
        member = normalized[..., 0].long()
        return torch.where(self._joint, log_std[self._role], 0.0)[member]

    def entropy(self) -> torch.Tensor:
        """() of the Gaussian, mean over the bodies [nat]."""
        each = torch.where(self._joint, self.log_std[self._role] + 0.5 + LOG_SQRT_2_PI, 0.0)
        return each.sum(-1).mean()

    def _by_member(self, normalized: torch.Tensor, layers: Sequence[list[torch.Tensor]], width: int) -> torch.Tensor:
        """(n, width) of the members' perceptrons, each for its own rows."""

        def pass_through(member: int, rows: torch.Tensor) -> torch.Tensor:
            inputs = layers[member][0].shape[1]
            out = run_layers(rows[:, 1 : 1 + inputs].contiguous(), self.activation, layers[member])
            return nn.functional.pad(out, (0, width - out.shape[1]))

        return by_member(normalized, len(layers), pass_through)


def by_member(rows: torch.Tensor, num_members: int, work: Callable[[int, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """`work` of each member's rows, (n, ...), whose first channel says whose they are; results in the rows' order."""
    if num_members == 1:
        return work(0, rows)
    member = rows[:, 0].long()
    sorted_already = bool((member[1:] >= member[:-1]).all())
    order = None if sorted_already else torch.argsort(member, stable=True)
    parts = (rows if order is None else rows[order]).split(torch.bincount(member, minlength=num_members).tolist())
    done = torch.cat([work(index, part) for index, part in enumerate(parts) if len(part)])
    return done if order is None else torch.empty_like(done).index_copy(0, order, done)
