"""What a joint does by its own measurements alone: a few hidden units of its own, alike for every joint.

    action_j = trunk's + a·(u(state_j) − u(0)),    u: layers as wide as the state of a joint

A perceptron hears the joints of a body as a sum, and on a body it never met cannot tell from it which of them has to
move. The joints of legs are told apart by their roles. Those of an arm are not: a policy that learned to reach with
three links moved five at random. But the law of one joint is much the same on every arm. Folded, its units stand beside
those of the trunk.
"""

from collections.abc import Sequence

import torch
from torch import nn

from policies.perceptron import run_layers
from policies.tokens.body import Body, Reading
from robots.descriptors import ROLES

SLOPE = 0.3
"""Of a unit by what it hears, at first."""
START = {"elu": 1.0, "relu": 1.0, "tanh": 0.0}
"""Activation -> what a unit hears of a state of zeros, at first: it is straight around there."""
LOUD = 8.0
"""Factor on the last weights: a joint has a handful of units, where the trunk has a hundred that learn together."""


def suits(bodies: Sequence[Body]) -> bool:
    """Whether no role tells joints apart, on any of the bodies."""
    return all(bool((body.role == ROLES.index("other")).all()) for body in bodies)


class Reflex(nn.Module):
    """The units of one joint, which every joint has.

    Args:
        quantities: Numbers in the state of a joint, and units in a layer.
        layers: Hidden layers.
        activation: Between them.
    """

    def __init__(self, quantities: int, layers: int, activation: str) -> None:
        super().__init__()
        self.activation, self.quantities = activation, quantities
        slopes, starts = [SLOPE, *[1.0] * (layers - 1)], [START[activation], *[0.0] * (layers - 1)]
        self.weights = nn.ParameterList(slope * torch.eye(quantities) for slope in slopes)
        self.biases = nn.ParameterList(torch.full((quantities,), start) for start in starts)
        self.act = nn.Parameter(torch.zeros(1, quantities))

    def beside(self, layers: Sequence[torch.Tensor], body: Body, reading: Reading) -> list[torch.Tensor]:
        """Weights and biases, in turn, of the perceptron with these, `layers`, and the units of all joints beside."""
        each, weights, biases = torch.eye(body.num_joints), layers[::2], layers[1::2]
        state = reading.joint.view(-1, body.num_joints, self.quantities)
        hears = torch.einsum("wjq,iq->jiw", state, self.weights[0]).flatten(0, 1)
        passes = [torch.kron(each, own) for own in self.weights[1:]]
        wide = [
            torch.cat([weights[0], hears]),
            *(torch.block_diag(trunk, own) for trunk, own in zip(weights[1:-1], passes, strict=True)),
            torch.cat([weights[-1], torch.kron(each, LOUD * self.act)], 1),
        ]
        own_biases = [torch.cat([bias, own.repeat(len(each))]) for bias, own in zip(biases, self.biases, strict=False)]
        return [value for pair in zip(wide, [*own_biases, biases[-1] - self._at_rest()], strict=True) for value in pair]

    def _at_rest(self) -> torch.Tensor:
        """(1,) what the units of a joint come to for a state of zeros."""
        hidden = [value for pair in zip(self.weights, self.biases, strict=True) for value in pair]
        rest = torch.zeros(1, self.quantities)
        return run_layers(rest, self.activation, [*hidden, LOUD * self.act, torch.zeros(1)])[0]
