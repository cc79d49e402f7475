"""Attention-pooled tokens: what generated weights (`policies.tokens`) were compared with before they were kept.

    v_j = ELU(V·state_j),  pooled_k = Σ_j softmax_j(key_jk)·v_j,  core = ELU(trunk([pooled | base])),
    action_j = w·ELU(W₁·core + W₂·state_j + bias_j)

The descriptor network gives each joint its keys and its bias. The sums run over the joints there are; unlike generated
weights a joint's state passes a nonlinearity before it is pooled and reaches its own action directly, and for one robot
nothing folds into a perceptron. (Pooling by descriptors after Bohlinger et al. 2024, arXiv:2409.06366.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from stable_baselines3.common.type_aliases import Schedule
from torch import nn
from torch.autograd.function import once_differentiable

from policies.perceptron import Perceptron, run_layers
from policies.tokens.body import Body, Reading
from policies.tokens.generator import FEATURES, GeneratedNet
from policies.tokens.learner import TokenPPO
from policies.tokens.policy import LAST, TokenPolicy, by_member

KEYS = 8
"""Weighted sums over the joints."""
VALUES = 8
"""What a joint says to each of them."""
DECODED = 32
"""Width of the layer in front of a joint's action."""


@dataclass(frozen=True)
class Told:
    """What the descriptor network makes of one body."""

    share: torch.Tensor
    """(num_joints, KEYS) of a joint in each sum; a column adds up to 1."""
    bias: torch.Tensor
    """(num_joints, DECODED) of its decoder."""
    known: torch.Tensor
    """(num_joints,) 1 for joints of a role that some body had in training, else 0."""


class AttentionNet(nn.Module):
    """One network for all bodies.

    Args:
        like: The generated network it stands in for; range and kind of descriptor network are those of that.
        hidden: Widths of the core's layers, at the end of which is an ELU too.
    """

    def __init__(self, like: GeneratedNet, hidden: Sequence[int]) -> None:
        super().__init__()
        self.privileged, self.outputs = like.privileged, like.outputs
        self.range, self.describe = like.range, like.describe
        states, base = like.num_quantities, like.base.in_features
        self.tell = nn.Linear(FEATURES, KEYS + DECODED)
        nn.init.normal_(self.tell.weight, 0.0, (0.25 * FEATURES) ** -0.5)  # tanh features have a variance of about ¼
        self.value = nn.Linear(states, VALUES)
        self.core = Perceptron([KEYS * VALUES + base, *hidden], "elu")
        if self.outputs == "joint":
            self.of_core, self.of_state = nn.Linear(hidden[-1], DECODED), nn.Linear(states, DECODED, bias=False)
            self.last = nn.Linear(DECODED, 1)
            with torch.no_grad():
                self.last.weight.mul_(LAST)
                self.last.bias.zero_()
        else:
            self.last = nn.Linear(hidden[-1], 1)

    def told(self, bodies: Sequence[Body]) -> list[Told]:
        """What each body's joints are, once for all rows."""
        told = self.tell(self.describe(torch.cat([self.range(body) for body in bodies])))
        known = [self.range.known[body.role] for body in bodies]
        return [
            Told(
                own[:, :KEYS].masked_fill(~there[:, None], -torch.inf).softmax(0),
                own[:, KEYS:],
                there.float(),
            )
            for own, there in zip(told.split([body.num_joints for body in bodies]), known, strict=True)
        ]

    def reading(self, body: Body) -> Reading:
        """What of a body's row it reads."""
        return body.known if self.privileged else body.measured

    def forward(self, rows: torch.Tensor, body: Body, told: Told) -> torch.Tensor:
        """(n, num_joints), or (n, 1) of a value, for the normalized channels, (n, width), of one body."""
        reading = self.reading(body)
        rows = rows[:, : len(reading.statistic)]
        state = (rows @ reading.joint).view(len(rows) * body.num_joints, -1)
        said = elu(_linear(self.value, state)).view(len(rows), body.num_joints, VALUES)
        pooled = (said.transpose(1, 2) @ told.share).flatten(1)
        core = elu(self.core(torch.cat([pooled, rows @ reading.base], 1)))
        if self.outputs == "value":
            return _linear(self.last, core)
        own = run_layers(state, "elu", [self.of_state.weight, told.bias.new_zeros(DECODED)])
        own = own.view(len(rows), body.num_joints, DECODED) + (_linear(self.of_core, core)[:, None] + told.bias)
        action = _linear(self.last, elu(own).view(-1, DECODED)).view(len(rows), body.num_joints)
        return action * told.known


class AttentionPolicy(TokenPolicy):
    """A `TokenPolicy` over attention-pooled tokens: the same rows, statistics, exploration and learner."""

    actor: AttentionNet  # type: ignore[assignment]
    critic: AttentionNet  # type: ignore[assignment]

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        actor, critic = cast(GeneratedNet, self.actor), cast(GeneratedNet, self.critic)
        self.actor, self.critic = AttentionNet(actor, self.hidden), AttentionNet(critic, self.hidden)
        self.optimizer = torch.optim.Adam(self.actor_parameters, lr=lr_schedule(1.0), fused=True)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=lr_schedule(1.0), fused=True)

    def action_mean(self, normalized: torch.Tensor) -> torch.Tensor:
        """(n, greatest num_joints) for normalized rows, (n, width); 0 for joints that a body does not have."""
        return self._over_members(normalized, self.actor, self._role.shape[1])

    def value(self, normalized: torch.Tensor) -> torch.Tensor:
        """(n,) for normalized rows, (n, width)."""
        return self._over_members(normalized, self.critic, 1)[:, 0]

    def _over_members(self, normalized: torch.Tensor, net: AttentionNet, width: int) -> torch.Tensor:
        bodies, told = self.row.bodies, net.told(self.row.bodies)

        def pass_through(member: int, rows: torch.Tensor) -> torch.Tensor:
            out = net(rows[:, 1:], bodies[member], told[member])
            return nn.functional.pad(out, (0, width - out.shape[1]))

        return by_member(normalized, len(bodies), pass_through)


class AttentionPPO(TokenPPO):
    """`TokenPPO` of an `AttentionPolicy`."""

    policy: AttentionPolicy
    policy_of_members = AttentionPolicy


def elu(x: torch.Tensor) -> torch.Tensor:
    """ELU of a CPU tensor at numpy's speed, which is several times torch's, so that costs compare networks."""
    return _Elu.apply(x)


class _Elu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        negative = x.clamp(max=0.0)
        np.expm1(negative.numpy(), out=negative.numpy())
        out = torch.maximum(x, negative, out=negative)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return torch.ops.aten.elu_backward(gradient, 1.0, 1.0, 1.0, True, ctx.saved_tensors[0])


def _linear(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    return run_layers(x, "elu", [layer.weight, layer.bias])
