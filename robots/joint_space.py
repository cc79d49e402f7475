"""JointSpace: units, meaning and sign of a robot's joints, computed from its compiled model.

Length L is the nominal hip height (reach for arms), m the whole mass, g gravity; T = √(L/g), speed √(gL), torque mgL.
A joint of a leg is an abduction, a swing or an extension; multiplied by its sign it moves the foot outward, forward,
away from the hip. Base frame: x forward, y left, z up. Angles in rad, lengths in m.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.model import build_model, foot_geom_ids, joint_dof_indices, joint_qpos_indices
from robots.spec import RobotSpec

Array = NDArray[np.float64]
Role = Literal["abduct", "swing", "extend", "other"]
LIFT = 0.36  # height of a lifted foot over its nominal place, in units of L


@dataclass(frozen=True, kw_only=True)
class JointSpace:
    """What makes robots interchangeable; joint tuples are in canonical order."""

    length: float
    """Nominal hip height, or reach of an arm [m]."""
    mass: float
    """Whole robot [kg]."""
    gravity: float
    """[m/s²]."""
    leg: tuple[int, ...]
    """Index into `RobotSpec.feet` of the leg a joint moves; -1 where it moves none."""
    role: tuple[Role, ...]
    sign: tuple[float, ...]
    """+1 or -1: q·sign grows as the foot moves outward (abduct), forward (swing), away from the hip (extend)."""
    lift: tuple[float, ...]
    """Offsets from the nominal pose that raise every foot straight up by `LIFT`·L [rad]."""
    leg_phase: tuple[float, ...]
    """Offset of the joint's leg in a trot: 0 or π [rad]."""

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


def joint_space(spec: RobotSpec, lift: float = LIFT) -> JointSpace:
    """The JointSpace of `spec`, lifting feet by `lift`·L; computed once per model.

    Raises:
        ValueError: the feet are not in the order front-left, front-right, rear-left, rear-right (left, right).
    """
    key = (spec.model_hash, lift)
    if key not in _CACHE:
        _CACHE[key] = _compute(spec, lift)
    return _CACHE[key]


class Kinematics:
    """Foot positions in the base frame as a function of the joint angles."""

    def __init__(self, spec: RobotSpec) -> None:
        self.spec = spec
        self.model = build_model(spec)
        self.data = mujoco.MjData(self.model)
        self.base = self.model.body(spec.base_body).id
        self.feet = foot_geom_ids(self.model, spec)
        self.joints = [self.model.joint(name).id for name in spec.joint_names]
        self.pose(np.array(spec.default_positions))

    def pose(self, q: Array) -> None:
        self.data.qpos = self.model.key_qpos[0]
        self.data.qpos[joint_qpos_indices(self.model, self.spec)] = q
        mujoco.mj_kinematics(self.model, self.data)

    def foot(self, leg: int, q: Array) -> Array:
        """(3,) centre of a foot in the base frame."""
        self.pose(q)
        return self.to_base(self.data.geom_xpos[self.feet[leg]])

    def to_base(self, point: Array) -> Array:
        rotation = self.data.xmat[self.base].reshape(3, 3)
        return rotation.T @ (point - self.data.xpos[self.base])

    def axis(self, joint: int) -> Array:
        """(3,) axis of a joint in the base frame."""
        return self.data.xmat[self.base].reshape(3, 3).T @ self.data.xaxis[self.joints[joint]]

    def anchor(self, joint: int) -> Array:
        return self.to_base(self.data.xanchor[self.joints[joint]])

    def chain(self, leg: int) -> list[int]:
        """Joints (canonical indices) between the base and a foot, from the base outward."""
        chain: list[int] = []
        body = self.model.geom_bodyid[self.feet[leg]]
        while body not in (self.base, 0):
            first, count = self.model.body_jntadr[body], self.model.body_jntnum[body]
            own = [self.joints.index(joint) for joint in range(first, first + count) if joint in self.joints]
            chain = own + chain
            body = self.model.body_parentid[body]
        return chain


def _compute(spec: RobotSpec, lift: float) -> JointSpace:
    kinematics = Kinematics(spec)
    model, nominal = kinematics.model, np.array(spec.default_positions)
    leg, role = [-1] * spec.num_joints, ["other"] * spec.num_joints
    sign, lifted, phase = np.ones(spec.num_joints), np.zeros(spec.num_joints), np.zeros(spec.num_joints)
    feet = [kinematics.foot(index, nominal) for index in range(len(spec.feet))]
    _check_order(spec, feet)
    hips = []
    for index, foot in enumerate(feet):
        chain = kinematics.chain(index)
        roles = leg_roles(kinematics, chain)
        for joint in chain:
            leg[joint] = index
            phase[joint] = (0.0, math.pi, math.pi, 0.0)[index]
        for name, joint in roles.items():
            role[joint] = name
            sign[joint] = _sign(kinematics, index, joint, name, roles)
        if "swing" in roles:
            kinematics.pose(nominal)
            bottom = foot[2] - spec.feet[index].radius
            hips.append(kinematics.anchor(roles["swing"])[2] - bottom)
    length = float(np.mean(hips)) if hips else _reach(kinematics)
    for index in range(len(feet)):
        roles = {role[joint]: joint for joint in range(spec.num_joints) if leg[joint] == index}
        lifted += _lift(kinematics, index, roles, lift * length)
    return JointSpace(
        length=length,
        mass=float(model.body_mass.sum()),
        gravity=float(np.linalg.norm(model.opt.gravity)),
        leg=tuple(leg),
        role=tuple(role),  # type: ignore[arg-type]
        sign=tuple(float(value) for value in sign),
        lift=tuple(float(value) for value in lifted),
        leg_phase=tuple(float(value) for value in phase),
    )


def _check_order(spec: RobotSpec, feet: list[Array]) -> None:
    """Feet must come front-left, front-right, rear-left, rear-right; two feet left, right."""
    if not feet:
        return
    x, y, _ = np.array(feet).T
    found = (y < y.mean()) + (2 * (x < x.mean()) if len(feet) == 4 else 0)
    if len(feet) not in (2, 4) or list(found) != list(range(len(feet))):
        names = [foot.name for foot in spec.feet]
        raise ValueError(
            f"robot {spec.name}: feet must be two (left, right) or four (front-left, front-right, rear-left, "
            f"rear-right), got {names} at x {x.round(3)} y {y.round(3)} [m] in the base frame"
        )


def leg_roles(kinematics: Kinematics, chain: list[int]) -> dict[str, int]:
    """Which joint of a leg abducts, swings and extends it; further joints have no role."""
    main = [int(np.argmax(np.abs(kinematics.axis(joint)))) for joint in chain]
    rolls = [joint for joint, axis in zip(chain, main, strict=True) if axis == 0]
    pitches = [joint for joint, axis in zip(chain, main, strict=True) if axis == 1]
    return dict(zip(("abduct",), rolls, strict=False)) | dict(zip(("swing", "extend"), pitches, strict=False))


def _sign(kinematics: Kinematics, leg: int, joint: int, role: str, roles: dict[str, int]) -> float:
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

    return 1.0 if coordinate(1e-4) >= coordinate(-1e-4) else -1.0


def _lift(kinematics: Kinematics, leg: int, roles: dict[str, int], height: float) -> Array:
    """(num_joints,) offsets that raise a foot straight up by `height`, or as far as the joint limits let it."""
    spec = kinematics.spec
    nominal = np.array(spec.default_positions)
    if "swing" not in roles or "extend" not in roles:
        return np.zeros(spec.num_joints)
    low, high = np.array([joint.position_limits for joint in spec.joints]).T
    for share in (1.0, 0.8, 0.6, 0.4, 0.2):
        q = _raise_foot(kinematics, leg, [roles["swing"], roles["extend"]], share * height)
        if q is not None and np.all((q >= low) & (q <= high)):
            return q - nominal
    return np.zeros(spec.num_joints)


def _raise_foot(kinematics: Kinematics, leg: int, joints: list[int], height: float, steps: int = 10) -> Array | None:
    """Joint angles with a foot `height` above its nominal place: Newton on two joints, followed in small steps."""
    q = np.array(kinematics.spec.default_positions)
    start = kinematics.foot(leg, q)[[0, 2]]
    dofs = joint_dof_indices(kinematics.model, kinematics.spec)[joints]
    up = np.array([0.0, height])
    jacobian = np.zeros((3, kinematics.model.nv))
    for step in range(1, steps + 1):
        goal = start + up * step / steps
        for _ in range(5):
            error = goal - kinematics.foot(leg, q)[[0, 2]]
            mujoco.mj_comPos(kinematics.model, kinematics.data)
            mujoco.mj_jacGeom(kinematics.model, kinematics.data, jacobian, None, kinematics.feet[leg])
            rotation = kinematics.data.xmat[kinematics.base].reshape(3, 3)
            planar = (rotation.T @ jacobian)[[0, 2]][:, dofs]
            q[joints] += np.linalg.lstsq(planar, error, rcond=1e-3)[0]
    reached = kinematics.foot(leg, q)[[0, 2]]
    return q if np.allclose(reached, start + up, atol=1e-6) else None


def _reach(kinematics: Kinematics) -> float:
    """Length of the stretched chain of joints, from the first anchor to the centre of the last link."""
    anchors = [kinematics.data.xanchor[joint] for joint in kinematics.joints]
    last = kinematics.model.jnt_bodyid[kinematics.joints[-1]]
    anchors.append(kinematics.data.xipos[last])
    return float(sum(np.linalg.norm(b - a) for a, b in pairwise(anchors)))
