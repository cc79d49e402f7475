"""A perceptron whose first and last layers are generated from what each joint is; its hidden layers are shared.

    h = W·base + Σ_j w_j (E_jᵀ·state_j + e_j) + b,    action_j = D_jᵀ·trunk(h) + d_j

A descriptor network gives E_j, e_j, D_j and d_j of each joint. The sums run over the joints there are, so that any
number will do, and for one robot everything folds into one ordinary perceptron, at whose cost it is trained and run.
(Ha et al. 2017, arXiv:1609.09106, generate weights; Xiong et al. 2023, arXiv:2302.06905, those of limbs.)
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from policies.perceptron import Perceptron
from policies.tokens.body import Body, Channels, Reading
from policies.tokens.descriptor_range import WIDTH, DescriptorRange
from policies.tokens.reflex import Reflex

Outputs = Literal["joint", "value"]
FEATURES = 64
"""Width of the descriptor network."""
TOLD = 8.0
"""About as many descriptors differ between the joints of one robot."""
GAIN = 32.0
"""Generated weights are the heads' outputs over this: one step of Adam moves all of them together, by about as much as
it moves the weights of an ordinary layer. Without it the first updates already diverged."""


class GeneratedNet(nn.Module):
    """One network for all bodies.

    Args:
        channels: What it reads.
        privileged: Whether that is all there is, or what hardware can measure.
        hidden: Widths of the hidden layers.
        activation: Between them.
        outputs: "joint" for one number a joint, or "value" for one of the body as a whole.
        last: Factor on the initial last layer.
        reflexes: Whether every joint also has units of its own.
    """

    def __init__(
        self,
        channels: Channels,
        hidden: Sequence[int],
        activation: str,
        *,
        privileged: bool,
        outputs: Outputs,
        last: float = 1.0,
        reflexes: bool = False,
    ) -> None:
        super().__init__()
        self.activation, self.privileged, self.outputs = activation, privileged, outputs
        self.num_quantities = len(channels.joint)
        self.range = DescriptorRange()
        first, final = hidden[0], hidden[-1]
        typical = len(channels.base) + 12 * self.num_quantities  # inputs of a quadruped
        self.describe = _describer()
        self.base = nn.Linear(len(channels.base), first)
        nn.init.uniform_(self.base.weight, -(typical**-0.5), typical**-0.5)
        self.perceive = _head((self.num_quantities + 1) * first, typical)
        self.trunk = Perceptron(list(hidden), activation)
        self.reflex = Reflex(self.num_quantities, len(hidden), activation) if reflexes else None
        if outputs == "joint":
            self.act = _head(final + 1, final, last)
        else:
            self.last = nn.Linear(final, 1)

    def folded(self, bodies: Sequence[Body]) -> list[list[torch.Tensor]]:
        """Weights and biases, in turn, of the ordinary perceptron that this is on each body."""
        features = self.describe(torch.cat([self.range(body) for body in bodies]))
        joints = [body.num_joints for body in bodies]
        heard = (self.perceive(features) / GAIN).split(joints)
        said = (self.act(features) / GAIN).split(joints) if self.outputs == "joint" else [None] * len(bodies)
        return [
            self._folded(body, body.known if self.privileged else body.measured, own, out)
            for body, own, out in zip(bodies, heard, said, strict=True)
        ]

    def _folded(
        self, body: Body, reading: Reading, heard: torch.Tensor, said: torch.Tensor | None
    ) -> list[torch.Tensor]:
        known = self.range.known[body.role][:, None]
        heard = (heard * (known * body.weight[:, None])).view(body.num_joints, self.num_quantities + 1, -1)
        joint = reading.joint @ heard[:, :-1].reshape(-1, heard.shape[-1])
        weight = (joint + reading.base @ self.base.weight.T).T
        bias = self.base.bias + heard[:, -1].sum(0)
        last = (self.last.weight, self.last.bias) if said is None else (said * known).split([said.shape[1] - 1, 1], 1)
        made = [weight, bias, *self.trunk.parameters(), last[0], last[1].flatten()]
        made = self.reflex.beside(made, body, reading) if self.reflex else made
        return [value.contiguous() for value in made]  # oneDNN is slow with other layouts


def _describer() -> nn.Sequential:
    """From descriptors to features that differ from joint to joint at once: torch's own initial weights are so small
    that all joints would look alike, and nothing was learned from their sum.
    """
    first, second = nn.Linear(WIDTH, FEATURES), nn.Linear(FEATURES, FEATURES)
    nn.init.normal_(first.weight, 0.0, TOLD**-0.5)
    nn.init.normal_(second.weight, 0.0, 1.5 * FEATURES**-0.5)
    return nn.Sequential(first, nn.Tanh(), second, nn.Tanh())


def _head(outputs: int, fan_in: int, factor: float = 1.0) -> nn.Linear:
    """A head whose outputs over `GAIN` are as large as the initial weights of a layer with `fan_in` inputs.

    One half of their variance is common to all joints, the other depends on what the joint is.
    """
    head = nn.Linear(FEATURES, outputs)
    deviation = factor * GAIN * (3.0 * fan_in) ** -0.5 * 0.5**0.5
    nn.init.normal_(head.bias, 0.0, deviation)
    nn.init.normal_(head.weight, 0.0, deviation / (0.25 * FEATURES) ** 0.5)  # tanh features have a variance of about ¼
    return head
