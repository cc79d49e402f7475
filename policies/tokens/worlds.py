"""Worlds of bodies with different joints stepped together: for a policy that reads what its body is."""

from collections.abc import Sequence

from policies.members.worlds import Member, MemberWorlds, refuse_repeated
from policies.tokens.body import Body, refuse_different, refuse_torque
from policies.tokens.row import BodyRow
from robots.spec import RobotSpec


def refuse(members: Sequence[Member]) -> None:
    """Check that one policy over joints can drive all members.

    Raises:
        ValueError: it cannot; the message says why.
    """
    refuse_repeated(members, least=1)
    for member in members:
        refuse_torque(member.spec)


class BodyWorlds(MemberWorlds):
    """`MemberWorlds` whose members' joints need not match; observations must be of the same kind."""

    row: BodyRow  # type: ignore[assignment]
    refuse = staticmethod(refuse)

    def rows(self, member: int) -> slice:
        """The worlds of a member among all."""
        each = self.num_envs // len(self.members)
        return slice(member * each, (member + 1) * each)

    def embody(self, member: int, spec: RobotSpec, seed: int) -> None:
        """Make the worlds of a member anew, with another body that has the same joints.

        What is common stays: statistics, the size of returns, the count of worlds that diverged, the log of samples.

        Raises:
            ValueError: the body has other joints.
        """
        before, after = self.worlds[member], self.made(spec, self.members[member].task, seed)
        self.row.put(member, Body.of(spec, after.terms), after.terms)
        after.diverged += before.diverged
        after.randomizer.log = before.randomizer.log
        self.worlds = (*self.worlds[:member], after, *self.worlds[member + 1 :])
        self.scale.returns[member] = 0.0

    def common_row(self) -> BodyRow:  # type: ignore[override]
        """What a policy reads of every body.

        Raises:
            ValueError: one body is observed by other quantities than the first.
        """
        bodies = [Body.of(worlds.spec, worlds.terms) for worlds in self.worlds]
        refuse_different(bodies)
        return BodyRow(bodies, [worlds.terms for worlds in self.worlds])
