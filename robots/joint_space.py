"""JointSpace: units, meaning and sign of a robot's joints, computed from its compiled model.

Length L is the nominal hip height (reach for arms), m the whole mass, g gravity; T = √(L/g), speed √(gL), torque mgL.
A joint of a leg is an abduction, a swing or an extension; multiplied by its sign it moves the foot outward, forward,
away from the hip. Other joints of a legged robot turn forward, and left and right mirror each other; an arm's and a
machine's keep their own sign. Base frame: x forward, y left, z up. Angles in rad, lengths in m.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from robots.foot_lift import foot_lift
from robots.kinematics import Kinematics
from robots.spec import RobotSpec

Array = NDArray[np.float64]
Role = Literal["abduct", "swing", "extend", "other"]
LIFT = 0.36
"""Height of a lifted foot over its nominal place, in units of L."""
BIPED_LIFT = 0.05
"""The same on two legs, which tip over before a higher step is done: 3 cm on a G1."""
STEP = 1e-4
"""Of the differences that tell a sign [rad]."""
STRAIGHT = 0.05
"""A knee that changes the length of its leg by less than this part of it a rad stands straight: a Menagerie G1's by
0.025, those of the zoo by 0.07 and more."""
MIDDLE = 0.02  # joints this close to the plane of symmetry are neither left nor right, in units of L


@dataclass(frozen=True, kw_only=True)
class JointSpace:
    """What makes robots interchangeable; joint tuples are in canonical order."""

    length: float
    """Nominal hip height, reach of an arm, or the length a machine declares [m]."""
    mass: float
    """Whole robot [kg]."""
    gravity: float
    """[m/s²]."""
    leg: tuple[int, ...]
    """Index into `RobotSpec.feet` of the leg a joint moves; -1 where it moves none."""
    role: tuple[Role, ...]
    sign: tuple[float, ...]
    """+1 or -1: q·sign grows as the foot moves outward (abduct), forward (swing), away from the hip (extend).

    Of a legged robot's other joints, as the joint turns about y, or on the left about x or z and on the right about -x
    or -z, whichever is nearest."""
    lift: tuple[float, ...]
    """Offsets from the nominal pose that raise every foot straight up by `lift_height`·L, soles level [rad]."""
    leg_phase: tuple[float, ...]
    """Offset of the joint's leg in the gait, 0 or π [rad]: two legs alternate, four trot, six walk as a tripod."""
    lift_height: float = 0.0
    """How high the gait lifts a foot, in units of L."""

    @property
    def num_legs(self) -> int:
        """0 of what does not stand on feet."""
        return max(self.leg, default=-1) + 1

    @property
    def foot_sign(self) -> tuple[float, ...]:
        """`leg_sign` of the legs, in the order of the feet."""
        return tuple(round(math.cos(_phase(leg)), 12) for leg in range(self.num_legs))

    @property
    def leg_sign(self) -> tuple[float, ...]:
        """+1 for joints of legs that swing while sin(phase) > 0, -1 for the others."""
        return tuple(round(math.cos(phase), 12) for phase in self.leg_phase)

    @property
    def time(self) -> float:
        """T = √(L/g) [s]."""
        return math.sqrt(self.length / self.gravity)

    @property
    def speed(self) -> float:
        """√(gL) [m/s]."""
        return math.sqrt(self.gravity * self.length)

    @property
    def torque(self) -> float:
        """Weight times length, mgL [N·m]."""
        return self.mass * self.gravity * self.length

    @property
    def num_joints(self) -> int:
        return len(self.role)


_CACHE: dict[tuple[str, float], JointSpace] = {}


def lift_height(spec: RobotSpec) -> float:
    """Height of a lifted foot over its nominal place, in units of L."""
    return BIPED_LIFT if len(spec.feet) == 2 else LIFT


def joint_space(spec: RobotSpec, lift: float | None = None) -> JointSpace:
    """The JointSpace of `spec`, lifting feet by `lift`·L, or else by `lift_height`·L; computed once per model.

    Raises:
        ValueError: the feet are not in pairs from front to rear, left before right.
    """
    lift = lift_height(spec) if lift is None else lift
    key = (spec.model_hash, lift)
    if key not in _CACHE:
        _CACHE[key] = _compute(spec, lift)
    return _CACHE[key]


def _compute(spec: RobotSpec, lift: float) -> JointSpace:
    kinematics = Kinematics(spec)
    _check_order(kinematics)
    legs, joints = range(len(spec.feet)), range(spec.num_joints)
    chains = [kinematics.chain(leg) for leg in legs]
    roles = [leg_roles(kinematics, chain) for chain in chains]
    owner = [next((leg for leg in legs if joint in chains[leg]), -1) for joint in joints]
    names = {joint: name for own in roles for name, joint in own.items()}
    length = _length(kinematics, roles)
    lifted = sum((foot_lift(kinematics, leg, lift * length) for leg in legs), np.zeros(spec.num_joints))
    return JointSpace(
        length=length,
        mass=float(kinematics.model.body_mass.sum()),
        gravity=float(np.linalg.norm(kinematics.model.opt.gravity)),
        leg=tuple(owner),
        role=tuple(names.get(joint, "other") for joint in joints),
        sign=tuple(_signs(kinematics, owner, roles, length)),
        lift=tuple(float(value) for value in lifted),
        leg_phase=tuple(_phase(leg) for leg in owner),
        lift_height=lift if legs else 0.0,
    )


def _phase(leg: int) -> float:
    """Neighbours alternate, along a side and across; joints of no leg have phase 0."""
    return math.pi * ((leg // 2 + leg) % 2) if leg >= 0 else 0.0


def _length(kinematics: Kinematics, roles: list[dict[Role, int]]) -> float:
    """Mean height of the swing axes over the ground, else the reach; a machine's is declared."""
    spec, nominal = kinematics.spec, np.array(kinematics.spec.default_positions)
    if spec.kind == "machine":
        return spec.length
    bottoms = [kinematics.foot(leg, nominal)[2] - foot.radius for leg, foot in enumerate(spec.feet)]
    swings = [(own["swing"], bottom) for own, bottom in zip(roles, bottoms, strict=True) if "swing" in own]
    hips = [kinematics.anchor(swing)[2] - bottom for swing, bottom in swings]
    return float(np.mean(hips)) if hips else _reach(kinematics)


def _signs(kinematics: Kinematics, owner: list[int], roles: list[dict[Role, int]], length: float) -> list[float]:
    sign = [1.0] * len(owner)
    if not roles:
        return sign
    kinematics.pose(np.array(kinematics.spec.default_positions))
    for joint, side in enumerate(sides(kinematics, owner, length)):
        sign[joint] = _mirrored_sign(kinematics.axis(joint), side)
    for leg, own in enumerate(roles):
        for name, joint in own.items():
            sign[joint] = _sign(kinematics, leg, joint, name, own)
    return sign


def _check_order(kinematics: Kinematics) -> None:
    """Feet must come in pairs from front to rear, left before right."""
    spec, nominal = kinematics.spec, np.array(kinematics.spec.default_positions)
    if not spec.feet:
        return
    feet = [kinematics.foot(leg, nominal) for leg in range(len(spec.feet))]
    x, y, _ = np.array(feet).T
    pair = np.argsort(np.argsort(-x, kind="stable"), kind="stable") // 2
    if len(feet) not in (2, 4, 6) or list(np.lexsort((-y, pair))) != list(range(len(feet))):
        names = [foot.name for foot in spec.feet]
        raise ValueError(
            f"robot {spec.name}: feet must be two, four or six, in pairs from front to rear, left before right, "
            f"got {names} at x {x.round(3)} y {y.round(3)} [m] in the base frame"
        )


def sides(kinematics: Kinematics, leg: Sequence[int], length: float) -> list[int]:
    """+1 for joints on the left of a legged robot, -1 on the right, 0 in between and on robots without legs.

    Args:
        kinematics: In the nominal pose.
        leg: Leg of each joint, or -1 (`JointSpace.leg`).
        length: Unit of length [m].
    """
    if not kinematics.spec.feet:
        return [0] * len(leg)
    places = [kinematics.anchor(joint)[1] / length for joint in range(len(leg))]
    aside = [int(np.sign(place)) * (abs(place) > MIDDLE) for place in places]
    return [(1, -1)[own % 2] if own >= 0 else other for own, other in zip(leg, aside, strict=True)]


def _mirrored_sign(axis: Array, side: int) -> float:
    """Sign of a joint that has no role; mirrored in the plane y = 0, an axis (x, y, z) is (-x, y, -z)."""
    main = int(np.argmax(np.abs(axis)))
    return float(np.sign(axis[main])) * (-1.0 if side < 0 and main != 1 else 1.0)


def leg_roles(kinematics: Kinematics, chain: list[int]) -> dict[Role, int]:
    """Which joint of a leg abducts, swings and extends it; further joints have no role."""
    rolls, pitches = kinematics.turning_about(0, chain), kinematics.turning_about(1, chain)
    roles: dict[Role, int] = dict(zip(("abduct",), rolls, strict=False))
    return roles | dict(zip(("swing", "extend"), pitches, strict=False))


def _sign(kinematics: Kinematics, leg: int, joint: int, role: Role, roles: dict[Role, int]) -> float:
    """+1 where a growing angle moves the foot in the role's direction, by central difference at the nominal pose."""

    def coordinate(offset: float) -> float:
        q = np.array(kinematics.spec.default_positions)
        q[joint] += offset
        foot = kinematics.foot(leg, q)
        if role == "abduct":
            return foot[1] * np.sign(foot[1])
        if role == "swing":
            return foot[0]
        return float(np.linalg.norm(foot - kinematics.anchor(roles["swing"])))

    ahead, back = coordinate(STEP), coordinate(-STEP)
    if role == "extend" and abs(ahead - back) < STRAIGHT * 2.0 * STEP * ahead:
        return _bends_back(kinematics.spec, joint)
    return 1.0 if ahead >= back else -1.0


def _bends_back(spec: RobotSpec, joint: int) -> float:
    """+1 where a leg that stands straight has more room to bend by a falling angle."""
    (low, high), nominal = spec.joints[joint].position_limits, spec.default_positions[joint]
    return 1.0 if nominal - low >= high - nominal else -1.0


def _reach(kinematics: Kinematics) -> float:
    """Length of the stretched chain of joints, from the first anchor to the tool, or to the centre of the last link."""
    body, tip = kinematics.tip()
    points = [kinematics.anchor(joint) for joint in kinematics.chain_to(body)] + [tip]
    return float(sum(np.linalg.norm(b - a) for a, b in pairwise(points)))
