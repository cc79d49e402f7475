"""Descriptors as the descriptor network is told them: within what was seen, and louder what tells joints apart.

A joint's descriptor is the mean over the joints of its role on its body, which tells bodies apart, plus what is its
own, which tells joints apart. The second varies as much on one body as on many. The first takes as many values as
there were bodies, and a handful of points in thirty dimensions teaches nothing: told in full, policies of two and four
bodies learned their own more slowly and lost a fifth of the score on others. So it is told quietly.
"""

import torch
from torch import nn

from policies.tokens.body import DESCRIPTORS, Body
from robots.descriptors import ROLES

WIDTH = len(ROLES) + 2 * len(DESCRIPTORS)
"""Numbers told of a joint: its role, its own part of each descriptor, the mean part of each."""
QUIET = 0.1
"""Factor on what tells bodies apart."""
ROOM = 1e-6
"""What differs by less than this between all that was seen is taken as one number."""


class DescriptorRange(nn.Module):
    """What descriptors each role had in training; beyond it a joint counts as the nearest that was seen.

    A network knows nothing about what never varied, and extrapolates wildly: what is outside is clamped, and what had
    one value only is left out.
    """

    low: torch.Tensor
    high: torch.Tensor
    known: torch.Tensor
    factor: torch.Tensor
    """How loudly each part is told, as it was in training."""

    def __init__(self) -> None:
        super().__init__()
        shape = len(ROLES), 2 * len(DESCRIPTORS)
        self.register_buffer("low", torch.zeros(shape))
        self.register_buffer("high", torch.zeros(shape))
        self.register_buffer("known", torch.zeros(len(ROLES), dtype=torch.bool))
        """Roles that some body had."""
        factor = torch.ones(2 * len(DESCRIPTORS))
        factor[len(DESCRIPTORS) :] = QUIET
        self.register_buffer("factor", factor)

    def include(self, body: Body) -> None:
        """Widen to hold the joints of a body."""
        for role in body.role.unique().tolist():
            own = body.parts[body.role == role]
            low, high = own.min(0).values, own.max(0).values
            seen = bool(self.known[role])
            self.low[role] = torch.minimum(self.low[role], low) if seen else low
            self.high[role] = torch.maximum(self.high[role], high) if seen else high
            self.known[role] = True

    def forward(self, body: Body) -> torch.Tensor:
        """(num_joints, WIDTH): each joint's role, and the parts of its descriptors within −1..1."""
        low, high = self.low[body.role], self.high[body.role]
        half, middle = (high - low) / 2.0, (high + low) / 2.0
        varies = half > ROOM
        within = ((body.parts - middle) / torch.where(varies, half, 1.0)).clamp(-1.0, 1.0)
        role = nn.functional.one_hot(body.role, len(ROLES)).to(within.dtype)
        return torch.cat([role, torch.where(varies, within, 0.0) * self.factor], 1)
