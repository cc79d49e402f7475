"""One observation row for several bodies, each with channels of its own: [which member | its raw row | padding]."""

from collections.abc import Sequence

import torch

from envs.observations import Term
from policies.networks import Layout
from policies.tokens.body import Body


class BodyRow:
    """Rows of members that differ in joints.

    Args:
        bodies: The members.
        terms: Observation terms of each, measurable ones first.
    """

    def __init__(self, bodies: Sequence[Body], terms: Sequence[tuple[Term, ...]]) -> None:
        self.bodies, self.terms, self.num_members = tuple(bodies), tuple(terms), len(bodies)
        self.width = 1 + max(body.width for body in bodies)
        self.measurable_width = 1 + max(len(body.measured.statistic) for body in bodies)

    def layout(self, *, privileged: bool) -> Layout:
        """The row as networks see it."""
        width = self.width if privileged else self.measurable_width
        return Layout((0.0,) * self.width, (1.0,) * self.width, width)

    def put(self, member: int, body: Body, terms: tuple[Term, ...]) -> None:
        """Let a member be another body with the same joints, observed by `terms`.

        Raises:
            ValueError: its joints have other roles, or it is observed by other channels.
        """
        own = self.bodies[member]
        if body.role.tolist() != own.role.tolist() or body.known.statistic.tolist() != own.known.statistic.tolist():
            raise ValueError(
                f"a member may become a body with the same joints and sensors, got {body.name} ({body.num_joints} "
                f"joints, {body.width} channels) for {own.name} ({own.num_joints}, {own.width})"
            )
        self.bodies = (*self.bodies[:member], body, *self.bodies[member + 1 :])
        self.terms = (*self.terms[:member], terms, *self.terms[member + 1 :])

    def lift(self, member: int, observation: torch.Tensor) -> torch.Tensor:
        """Rows, (n, width), of a member's raw rows, (n, its own width)."""
        row = observation.new_zeros(len(observation), self.width)
        row[:, 0] = member
        row[:, 1 : 1 + observation.shape[1]] = observation
        return row
