"""What a policy is told about each joint of a robot: constant numbers without units, read from the compiled model.

Units are those of `robots.joint_space`: length L, mass m, time T = √(L/g), torque mgL. A sliding joint has positions in
L and forces in mg. Dynamically similar robots have the same descriptors; mirrored joints differ in side, and in the
sign of what a mirror turns round: anchor_y, axis_x, axis_z.
"""

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.actuation import KD, KP, MOTOR_CONSTANT, RESISTANCE, SUPPLY
from robots.joint_space import JointSpace, joint_space, sides
from robots.kinematics import Kinematics
from robots.model import build_model, joint_dof_indices
from robots.spec import RobotSpec

Array = NDArray[np.float64]
SLIDE = int(mujoco.mjtJoint.mjJNT_SLIDE)
ROLES = ("abduct", "swing", "extend", "other")
SIDES = {"left": 1, "right": -1, "middle": 0}
CHANNELS = (
    *(f"role_{role}" for role in ROLES),
    *(f"side_{side}" for side in SIDES),
    "slides",
    "torque_controlled",
    "axis_x",
    "axis_y",
    "axis_z",
    "anchor_x",
    "anchor_y",
    "anchor_z",
    "link_length",
    "link_mass",
    "subtree_mass",
    "subtree_inertia",
    "default_position",
    "range_back",
    "range_ahead",
    "armature",
    "damping",
    "friction_loss",
    "kp",
    "kd",
    "torque_limit",
    "stall_torque",
    "velocity_limit",
    "delay",
    "control_period",
)
"""Names of the columns of `descriptors`.

- axis: of the joint in the base frame, nominal pose, turned by its semantic sign; anchor: its place there [L]
- link_length: from the joint to the next one of its limb, to the foot, or to the tool [L]
- link_mass: of the body it carries and what is fixed to it; subtree_mass: of everything beyond it [m]
- subtree_inertia: diagonal of the joint-space inertia in the nominal pose, without the rotor [mL²]
- default_position, and range_back and range_ahead of it, along the semantic sign [rad]
- armature [mL²]; damping, kd [mgLT/rad]; friction_loss, torque_limit, stall_torque [mgL]; kp [mgL/rad]
- velocity_limit: no-load speed [1/T]; delay and control_period [T]
"""

_CACHE: dict[str, Array] = {}


def descriptors(spec: RobotSpec) -> Array:
    """(num_joints, len(CHANNELS)) dimensionless descriptors in canonical order; read-only, computed once per model."""
    if spec.model_hash not in _CACHE:
        table = _compute(spec)
        table.flags.writeable = False
        _CACHE[spec.model_hash] = table
    return _CACHE[spec.model_hash]


def _compute(spec: RobotSpec) -> Array:
    space, kinematics = joint_space(spec), Kinematics(spec)
    longest = max(joint.actuator.delay for joint in spec.joints)
    model = build_model(spec, delay_samples=math.ceil(longest / spec.physics_dt - 1e-9) + 1)
    columns = _meaning(space, kinematics) | _geometry(space, kinematics)
    columns |= _masses(space, kinematics, model) | _motors(spec, space, kinematics, model)
    return np.stack([columns[name] for name in CHANNELS], axis=1)


def _meaning(space: JointSpace, kinematics: Kinematics) -> dict[str, Array]:
    """Role, side and kind as ones and zeros."""
    side = np.array(sides(kinematics, space.leg, space.length))
    columns = {f"role_{role}": np.array([own == role for own in space.role], dtype=float) for role in ROLES}
    return columns | {f"side_{name}": (side == value).astype(float) for name, value in SIDES.items()}


def _geometry(space: JointSpace, kinematics: Kinematics) -> dict[str, Array]:
    joints = range(space.num_joints)
    axes = np.array([kinematics.axis(joint) for joint in joints]) * np.array(space.sign)[:, None]
    anchors = np.array([kinematics.anchor(joint) for joint in joints]) / space.length
    ends = np.array([_link_end(kinematics, joint) for joint in joints]) / space.length
    columns = {f"axis_{name}": axes[:, index] for index, name in enumerate("xyz")}
    columns |= {f"anchor_{name}": anchors[:, index] for index, name in enumerate("xyz")}
    return columns | {"link_length": np.linalg.norm(ends - anchors, axis=1)}


def _link_end(kinematics: Kinematics, joint: int) -> Array:
    """(3,) where a joint's link ends: at the next joint towards its foot or tool, else at its foot, tool or centre."""
    for chain, tip in kinematics.limbs():
        if joint in chain:
            beyond = chain[chain.index(joint) + 1 :]
            return kinematics.anchor(beyond[0]) if beyond else tip
    moved = kinematics.moved_by(joint)
    body = int(kinematics.model.jnt_bodyid[kinematics.joints[joint]])
    return kinematics.anchor(moved[0]) if moved else kinematics.to_base(kinematics.data.xipos[body])


def _masses(space: JointSpace, kinematics: Kinematics, model: mujoco.MjModel) -> dict[str, Array]:
    bodies = model.jnt_bodyid[kinematics.joints]
    rigid = np.array([model.body_mass[model.body_weldid == model.body_weldid[body]].sum() for body in bodies])
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    mujoco.mj_forward(model, data)
    inertia = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, inertia)
    dofs = joint_dof_indices(model, kinematics.spec)
    own = np.diag(inertia)[dofs] - model.dof_armature[dofs]
    return {
        "link_mass": rigid / space.mass,
        "subtree_mass": model.body_subtreemass[bodies] / space.mass,
        "subtree_inertia": own / (space.mass * (space.length / _position(space, kinematics)) ** 2),
    }


def _motors(spec: RobotSpec, space: JointSpace, kinematics: Kinematics, model: mujoco.MjModel) -> dict[str, Array]:
    dofs, sign = joint_dof_indices(model, spec), np.array(space.sign)
    position = _position(space, kinematics)
    torque, rate = space.mass * space.gravity * space.length / position, position / space.time
    nominal = np.array(spec.default_positions)
    low, high = (model.jnt_range[kinematics.joints] - nominal[:, None]).T
    gain = model.actuator_gainprm
    return {
        "slides": (model.jnt_type[kinematics.joints] == SLIDE).astype(float),
        "torque_controlled": np.array([joint.actuator.control == "torque" for joint in spec.joints], dtype=float),
        "default_position": nominal * sign / position,
        "range_back": np.where(sign > 0, low, -high) / position,
        "range_ahead": np.where(sign > 0, high, -low) / position,
        "armature": model.dof_armature[dofs] / (space.mass * (space.length / position) ** 2),
        "damping": model.dof_damping[dofs] * rate / torque,
        "friction_loss": model.dof_frictionloss[dofs] / torque,
        "kp": gain[:, KP] * position / torque,
        "kd": gain[:, KD] * rate / torque,
        "torque_limit": model.actuator_forcerange[:, 1] / torque,
        "stall_torque": gain[:, SUPPLY] * gain[:, MOTOR_CONSTANT] / gain[:, RESISTANCE] / torque,
        "velocity_limit": gain[:, SUPPLY] / gain[:, MOTOR_CONSTANT] / rate,
        "delay": model.actuator_delay / space.time,
        "control_period": np.full(spec.num_joints, 1.0 / (spec.control_hz * space.time)),
    }


def _position(space: JointSpace, kinematics: Kinematics) -> Array:
    """Unit of each joint's position: 1 rad of a hinge, L of a slide [m]."""
    return np.where(kinematics.model.jnt_type[kinematics.joints] == SLIDE, space.length, 1.0)
