"""One observation row for several members: a member is a task on a robot, and tells its channels by their terms.

    row = [which member, one-hot | measurable terms | privileged terms]

Every member's raw row is made dimensionless with its own terms' constants and placed by the terms' names, so that equal
names mean equal quantities on every body. Channels that a member lacks are zero.
"""

from collections.abc import Sequence

import torch

from envs.observations import Term
from policies.networks import Layout

Place = tuple[bool, str, str]
"""Of a term in the row: measurable or not, name, unit."""


class CommonRow:
    """Where the terms of every member lie in one row.

    Args:
        members: Observation terms of each member, measurable ones first.
    """

    def __init__(self, members: Sequence[tuple[Term, ...]]) -> None:
        self.num_members = len(members)
        self.terms = tuple(members)
        widths: dict[Place, int] = {}
        for terms in members:
            for term in terms:
                widths[_place(term)] = max(term.width, widths.get(_place(term), 0))
        starts, self.width = {}, self.num_members
        for place in sorted(widths, key=lambda place: not place[0]):  # stable: in order of appearance, measurable first
            starts[place], self.width = self.width, self.width + widths[place]
        measurable = sum(width for place, width in widths.items() if place[0])
        self.measurable_width = self.num_members + measurable
        """Leading channels that hardware can tell."""
        self.columns = tuple(
            torch.cat([starts[_place(term)] + torch.arange(term.width) for term in terms]) for terms in members
        )
        """Of each member, the channel of the row for each channel of its own."""
        self.offset = tuple(torch.tensor([value for term in terms for value in term.offset]) for terms in members)
        self.scale = tuple(torch.tensor([value for term in terms for value in term.scale]) for terms in members)

    def layout(self, *, privileged: bool) -> Layout:
        """The row as networks see it: dimensionless already."""
        width = self.width if privileged else self.measurable_width
        return Layout((0.0,) * self.width, (1.0,) * self.width, width)

    def lift(self, member: int, observation: torch.Tensor) -> torch.Tensor:
        """Common rows, (n, width), of a member's raw rows, (n, its own width)."""
        row = observation.new_zeros(len(observation), self.width)
        row[:, member] = 1.0
        row[:, self.columns[member]] = (observation - self.offset[member]) * self.scale[member]
        return row

    def present(self) -> torch.Tensor:
        """(num_members, width) bool: the channels that a member measures or knows, its own mark left out."""
        present = torch.zeros(self.num_members, self.width, dtype=torch.bool)
        for member, columns in enumerate(self.columns):
            present[member, columns] = True
        return present


def _place(term: Term) -> Place:
    return term.measurable, term.name, term.unit
