"""A robot as a policy over joints sees it: what each joint is, and which channels of an observation are whose.

A joint is a token: its own measurements, its leg's share of the gait clock and of its foot, and a constant descriptor
without units. Everything else that is observed belongs to the base. Nothing here knows a robot.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from envs.observations import Term
from robots.descriptors import CHANNELS, ROLES, descriptors
from robots.joint_space import JointSpace, joint_space
from robots.spec import RobotSpec

GAIT = "gait"
DESCRIPTORS = (*CHANNELS, GAIT)
"""Columns of `Body.descriptors`: those of `robots.descriptors`, and +1 or -1 for legs that swing first or second."""
VOICE = 4.0
"""The joints of one role together count as this many: as the legs of a quadruped do."""


@dataclass(frozen=True)
class Channels:
    """What an observation is made of, by name; equal for all robots that do one task with the same sensors."""

    joint: tuple[str, ...]
    """Quantities that every joint has."""
    base: tuple[str, ...]
    """Quantities that are not a joint's."""
    statistics: tuple[str, ...]
    """Quantities whose mean and deviation are one number for all bodies: a joint's for each role."""


@dataclass(frozen=True)
class Reading:
    """How the channels of a row become quantities of joints and of the base."""

    channels: Channels
    joint: torch.Tensor
    """(width, num_joints·len(channels.joint)): what part each channel has in each quantity of each joint."""
    base: torch.Tensor
    """(width, len(channels.base))."""
    statistic: torch.Tensor
    """(width,) long, index into `channels.statistics`."""


@dataclass(frozen=True)
class Body:
    """One robot doing one task.

    Attributes:
        name: What messages call it.
        descriptors: (num_joints, len(DESCRIPTORS)).
        role: (num_joints,) long, index into `robots.descriptors.ROLES`.
        weight: (num_joints,) of a joint's part in what the policy perceives: the joints of a role share `VOICE`.
        offset, scale: (width,) of the terms: dimensionless = (raw − offset)·scale.
        measured: The leading channels, which hardware can tell.
        known: All channels.
    """

    name: str
    descriptors: torch.Tensor
    role: torch.Tensor
    weight: torch.Tensor
    offset: torch.Tensor
    scale: torch.Tensor
    measured: Reading
    known: Reading

    @property
    def num_joints(self) -> int:
        return len(self.role)

    @property
    def width(self) -> int:
        """Channels of a row."""
        return len(self.offset)

    @cached_property
    def parts(self) -> torch.Tensor:
        """(num_joints, 2·len(DESCRIPTORS)): what descriptors add to the mean of the joint's role, and that mean."""
        member = torch.nn.functional.one_hot(self.role, len(ROLES)).to(self.descriptors.dtype)
        mean = (member.T @ self.descriptors / member.sum(0).clamp(min=1.0)[:, None])[self.role]
        return torch.cat([self.descriptors - mean, mean], 1)

    @staticmethod
    def of(spec: RobotSpec, terms: tuple[Term, ...]) -> "Body":
        """The body of `spec`, observed by `terms`, measurable ones first.

        Raises:
            ValueError: joints driven by torque, or a term that is told by joint or by foot but has another width.
        """
        refuse_torque(spec)
        space = joint_space(spec)
        role = torch.tensor([ROLES.index(own) for own in space.role])
        counts = torch.bincount(role, minlength=len(ROLES))
        gait = [sign if leg >= 0 else 0.0 for sign, leg in zip(space.leg_sign, space.leg, strict=True)]
        table = torch.tensor(descriptors(spec).copy(), dtype=torch.float32)
        measurable = tuple(term for term in terms if term.measurable)
        return Body(
            name=spec.name,
            descriptors=torch.cat([table, torch.tensor(gait)[:, None]], 1),
            role=role,
            weight=VOICE / counts[role],
            offset=torch.tensor([value for term in terms for value in term.offset]),
            scale=torch.tensor([value for term in terms for value in term.scale]),
            measured=reading(spec, space, measurable),
            known=reading(spec, space, terms),
        )


def refuse_torque(spec: RobotSpec) -> None:
    """Check that the joints of `spec` follow targets.

    Raises:
        ValueError: one of them is driven by torque.
    """
    torques = [joint.name for joint in spec.joints if joint.actuator.control == "torque"]
    if torques:
        raise ValueError(
            f"a policy over joints commands positions, and {spec.name} drives {', '.join(torques)} by torque; give "
            "their actuators control='position' and gains, or train a policy for this robot alone"
        )


def reading(spec: RobotSpec, space: JointSpace, terms: tuple[Term, ...]) -> Reading:
    """How the channels of `terms` become quantities of joints and of the base."""
    joint_names = tuple(name for term in terms for name in _joint_quantities(term))
    base_names = tuple(name for term in terms for name in _base_quantities(term))
    statistics = tuple(dict.fromkeys(name for term in terms for name in _statistics(term)))
    width, joints = sum(term.width for term in terms), spec.num_joints
    by_joint, by_base = torch.zeros(width, joints, len(joint_names)), torch.zeros(width, len(base_names))
    statistic, first = torch.zeros(width, dtype=torch.long), 0
    for term in terms:
        _check_width(spec, term)
        for channel in range(term.width):
            row = first + channel
            for joint, name, part in _parts(space, term, channel):
                by_joint[row, joint, joint_names.index(name)] = part
            if f"{term.name}.{channel}" in base_names:
                by_base[row, base_names.index(f"{term.name}.{channel}")] = 1.0
            statistic[row] = statistics.index(_statistic(space, term, channel))
        first += term.width
    channels = Channels(joint_names, base_names, statistics)
    return Reading(channels, by_joint.flatten(1), by_base, statistic)


def told_by(term: Term) -> str:
    """Whose quantity a term is: "joint", "foot", or "base"."""
    if term.frame.startswith("joint"):
        return "joint"
    return "foot" if term.name.startswith("foot_") else "base"


def _joint_quantities(term: Term) -> tuple[str, ...]:
    if told_by(term) != "base":
        return (term.name,)
    return (f"{term.name}.0", f"{term.name}.1") if term.name == "clock" else ()


def _base_quantities(term: Term) -> tuple[str, ...]:
    return tuple(f"{term.name}.{channel}" for channel in range(term.width)) if told_by(term) == "base" else ()


def _statistics(term: Term) -> tuple[str, ...]:
    if told_by(term) == "joint":
        return tuple(f"{term.name}/{role}" for role in ROLES)
    return (term.name,) if told_by(term) == "foot" else _base_quantities(term)


def _statistic(space: JointSpace, term: Term, channel: int) -> str:
    if told_by(term) == "joint":
        return f"{term.name}/{space.role[channel]}"
    return term.name if told_by(term) == "foot" else f"{term.name}.{channel}"


def _parts(space: JointSpace, term: Term, channel: int) -> Iterator[tuple[int, str, float]]:
    """(joint, quantity, part) of a channel: a joint's own, its foot's, or the clock as its leg counts it."""
    owner = told_by(term)
    if owner == "joint":
        yield channel, term.name, 1.0
    for joint, leg in enumerate(space.leg):
        if owner == "foot" and leg == channel:
            yield joint, term.name, 1.0
        if term.name == "clock" and leg >= 0:
            yield joint, f"clock.{channel}", space.leg_sign[joint]


def _check_width(spec: RobotSpec, term: Term) -> None:
    expected = {"joint": spec.num_joints, "foot": len(spec.feet), "base": term.width}[told_by(term)]
    if term.width != expected:
        raise ValueError(
            f"observation term {term.name!r} of {spec.name} must have one for each {told_by(term)}, {expected}, "
            f"got {term.width}"
        )


def refuse_different(bodies: Sequence[Body]) -> None:
    """Check that all bodies are observed alike.

    Raises:
        ValueError: one has other quantities than the first; the message names them.
    """
    first = bodies[0]
    for other in bodies[1:]:
        ours, theirs = first.known.channels, other.known.channels
        odd = set(ours.joint + ours.base) ^ set(theirs.joint + theirs.base)
        if odd:
            raise ValueError(
                f"one policy needs the same observations on every body; {', '.join(sorted(odd))} are told of only one "
                f"of {first.name} and {other.name}: give all members the same task and kind of robot"
            )
