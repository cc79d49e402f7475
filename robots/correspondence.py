"""Which joint of one robot plays the part of which joint of another, and which way it turns there.

Names and the order of joints are never read. Limbs are paired first, then the joints of paired limbs, each time at the
least total distance (`robots.assignment`). A distance says how differently two joints work (`robots.anatomy`): role in
a leg, axis, place on the limb, lever on its end, where the limb grows; and, less, how different their links and motors
are (`robots.descriptors`). It is the mean over a pair and its mirror image, so left and right are paired alike.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robots.anatomy import Anatomy
from robots.assignment import assign
from robots.descriptors import CHANNELS, descriptors
from robots.joint_space import STRAIGHT
from robots.limbs import Limb
from robots.spec import RobotSpec

Array = NDArray[np.float64]
LIMIT = 0.8
"""Joints that are this far apart do not play the same part."""
SIDE, FRONT, HEIGHT = 0.5, 0.15, 0.25
"""Distance of limbs one unit of `Limb.place` apart: left and right are two, so are front and rear."""
BODY = 0.2
"""Distance of joints whose links and motors have nothing in common."""
SLANT = 0.5
"""Cosine of the angle between two axes up to which no direction of one is a direction of the other."""
STEP = 0.1
"""Distance of joints one joint apart on their limbs, counted from the end that suits them better."""
MEASURES = ("link_length", "link_mass", "subtree_mass", "subtree_inertia", "armature", "torque_limit", "velocity_limit")
"""Descriptors of link and motor that are compared by their ratios."""
FLOOR = 1e-3
"""Added to both before: what is smaller is nothing."""


@dataclass(frozen=True)
class Pair:
    """Two joints with the same part; numbers are canonical."""

    source: int
    target: int
    sign: float
    """+1 where a growing angle moves both the same way, else -1: q_target - q_nom = sign · (q_source - q_nom)."""
    distance: float
    """0 for joints that do the same on equal bodies; `LIMIT` and more is no pair."""
    confidence: float
    """1 - distance / that of the next best choice of either joint: 1 beyond doubt, 0 a toss-up."""


@dataclass(frozen=True)
class Correspondence:
    """Pairs of joints of two robots, in the order of the source, and those that are left over."""

    source: RobotSpec
    target: RobotSpec
    pairs: tuple[Pair, ...]

    @property
    def unmatched_source(self) -> tuple[int, ...]:
        return tuple(sorted(set(range(self.source.num_joints)) - {pair.source for pair in self.pairs}))

    @property
    def unmatched_target(self) -> tuple[int, ...]:
        return tuple(sorted(set(range(self.target.num_joints)) - {pair.target for pair in self.pairs}))

    @property
    def distance(self) -> float:
        """Of the robots: mean over all joints of both, one without a partner counting as `LIMIT`."""
        alone = len(self.unmatched_source) + len(self.unmatched_target)
        total = sum(2.0 * pair.distance for pair in self.pairs) + alone * LIMIT
        return total / (self.source.num_joints + self.target.num_joints)

    def as_dict(self) -> dict[str, Any]:
        """By the joints' names, as data."""
        ours, theirs = self.source.joint_names, self.target.joint_names
        pairs = [
            {
                "source": ours[pair.source],
                "target": theirs[pair.target],
                "sign": round(pair.sign),
                "distance": pair.distance,
                "confidence": pair.confidence,
            }
            for pair in self.pairs
        ]
        return {
            "source": self.source.name,
            "target": self.target.name,
            "distance": self.distance,
            "pairs": pairs,
            "unmatched_source": [ours[joint] for joint in self.unmatched_source],
            "unmatched_target": [theirs[joint] for joint in self.unmatched_target],
        }


def arranged(found: Correspondence) -> RobotSpec:
    """The target with its joints in the order of the source's, those without a partner last.

    A policy that drives joints by their place then finds each one where it was; which way a leg's joint counts is
    JointSpace's business.

    Raises:
        ValueError: a joint of a robot without legs counts the other way, and nothing would turn what it is told.
    """
    turned = [found.target.joint_names[pair.target] for pair in found.pairs if pair.sign < 0.0]
    if turned and not found.target.feet:
        raise ValueError(
            f"joints {', '.join(turned)} of {found.target.name} count the other way than their partners on "
            f"{found.source.name}, and an arm's joints keep their sign: turn their axes and ranges in its MJCF"
        )
    order = [*(pair.target for pair in found.pairs), *found.unmatched_target]
    return replace(found.target, joints=tuple(found.target.joints[joint] for joint in order))


def correspondence(source: RobotSpec, target: RobotSpec) -> Correspondence:
    """The joints of `target` that play the parts of those of `source`.

    Raises:
        ValueError: no joint of one does what a joint of the other does; the message says what each of them has.
    """
    comparison = Comparison(source, target)
    limbs = _paired_limbs(comparison) if _family(source) == _family(target) else []
    pairs = [pair for limb, other in limbs for pair in comparison.paired(limb, other)]
    if not pairs:
        raise ValueError(
            f"robots {source.name} and {target.name} have no common roles: {_told(comparison.source)}, "
            f"{_told(comparison.target)}; compare two legged robots, two arms, or two machines with joints of one kind"
        )
    return Correspondence(source, target, tuple(comparison.pair(*pair) for pair in sorted(pairs)))


class Comparison:
    """Distances between the joints of two robots."""

    def __init__(self, source: RobotSpec, target: RobotSpec) -> None:
        self.source, self.target = Anatomy(source), Anatomy(target)

    @cached_property
    def distance(self) -> Array:
        """(source joints, target joints)."""
        one_way = self._parts() + self._places() + BODY * self._bodies()
        image = one_way[np.ix_(self.source.mirrored(), self.target.mirrored())]
        return (one_way + image) / 2.0

    @cached_property
    def alike(self) -> Array:
        """(source joints, target joints) cosine of the axes, or of the turns about the link; the clearer one."""
        axes = self.source.axis @ self.target.axis.T
        twists = np.outer(self.source.twist, self.target.twist)
        return np.where(np.abs(axes) >= np.abs(twists), axes, twists)

    def paired(self, limb: int, other: int) -> list[tuple[int, int]]:
        """Joints of two limbs that belong together."""
        ours, theirs = self.source.limbs[limb].joints, self.target.limbs[other].joints
        return [(ours[row], theirs[column]) for row, column in assign(self.distance[np.ix_(ours, theirs)], LIMIT)]

    def gain(self, limb: int, other: int) -> float:
        """How much better two limbs fit each other than none; never positive."""
        if self.source.limbs[limb].kind != self.target.limbs[other].kind:
            return np.inf
        return sum(float(self.distance[pair]) - LIMIT for pair in self.paired(limb, other))

    def pair(self, joint: int, other: int) -> Pair:
        own = float(self.distance[joint, other])
        rivals = np.concatenate([np.delete(self.distance[joint], other), np.delete(self.distance[:, other], joint)])
        best = min(LIMIT, float(rivals.min(initial=np.inf)))
        confidence = max(0.0, 1.0 - own / best) if best > 0.0 else 0.0
        return Pair(joint, other, self._sign(joint, other), own, confidence)

    def _sign(self, joint: int, other: int) -> float:
        """By the axes; of two knees, which may bend either way, by what stretches the leg, unless it is straight."""
        ours, theirs = self.source.stretch[joint], self.target.stretch[other]
        knees = min(abs(ours), abs(theirs)) > STRAIGHT
        return float(np.sign(ours * theirs if knees else self.alike[joint, other]))

    def _parts(self) -> Array:
        """What the joints do: infinite between a hinge and a slide, and between axes that stand across."""
        ours, theirs = self.source, self.target
        role, other = np.array(ours.space.role)[:, None], np.array(theirs.space.role)
        levers = np.linalg.norm(ours.lever, axis=1)[:, None] - np.linalg.norm(theirs.lever, axis=1)
        twists = np.abs(ours.twist)[:, None] - np.abs(theirs.twist)
        turning = np.minimum(np.abs(ours.twist)[:, None], np.abs(theirs.twist))
        steps = np.abs(ours.steps[:, None] - theirs.steps).min(axis=-1)
        along = ours.along[:, None] - theirs.along
        parts = (1.0 - np.abs(self.alike)) / 2.0 + np.abs(twists) / 2.0 + STEP * steps
        parts += (np.abs(levers) + np.abs(along)) * (1.0 - turning / 2.0)  # a twist may sit anywhere on its axis
        parts = np.where(role != other, 1.0 + parts, np.where(role != "other", parts / 2.0, parts))
        comparable = (np.abs(self.alike) > SLANT) & (ours.slides[:, None] == theirs.slides)
        return np.where(comparable, parts, np.inf)

    def _places(self) -> Array:
        """Where their limbs grow; infinite between limbs of another kind."""
        weight = np.array([FRONT, SIDE, HEIGHT])

        def apart(limb: Limb, other: Limb) -> float:
            return float(np.abs(limb.place - other.place) @ weight) if limb.kind == other.kind else np.inf

        return np.array([[apart(limb, other) for other in self.target.limb] for limb in self.source.limb])

    def _bodies(self) -> Array:
        """0 for equal links and motors, towards 1 as the ratios of their measures grow."""
        columns = [CHANNELS.index(name) for name in MEASURES]
        ours, theirs = (np.log(descriptors(robot.spec)[:, columns] + FLOOR) for robot in (self.source, self.target))
        return 1.0 - np.exp(-np.abs(ours[:, None] - theirs)).mean(axis=-1)


def _paired_limbs(comparison: Comparison) -> list[tuple[int, int]]:
    ours, theirs = range(len(comparison.source.limbs)), range(len(comparison.target.limbs))
    return assign(np.array([[comparison.gain(limb, other) for other in theirs] for limb in ours]), 0.0)


def _family(spec: RobotSpec) -> str:
    return "legged" if spec.feet else spec.kind


def _told(robot: Anatomy) -> str:
    spec, roles = robot.spec, [role for role in robot.space.role if role != "other"]
    if not spec.feet:
        kinds = ["slides" if slide else "turns" for slide in robot.slides]
        return f"{spec.name} ({spec.kind}) has no legs; {', '.join(dict.fromkeys(kinds))} in {_count(spec.num_joints)}"
    return f"{spec.name} ({spec.kind}) has {len(spec.feet)} legs that {', '.join(dict.fromkeys(roles))}"


def _count(joints: int) -> str:
    return f"{joints} joint{'s' * (joints != 1)}"
