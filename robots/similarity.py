"""Dynamically similar robots: every number of a robot multiplied by the power of length, mass and time it carries.

Buckingham's theorem: two robots whose dimensionless numbers agree behave identically, seen in their own units. Length
L, mass m and gravity g are multiplied; time follows as √(L/g), force as mg. The contact solver has units too: time
constants of `solref`, the width of `solimp`, torsional and rolling friction (lengths). SI.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import mujoco
import numpy as np

from robots.flat_mjcf import flat_mjcf, write_flat
from robots.model import edit_model
from robots.spec import ActuatorSpec, JointSpec, PassiveJointSpec, RobotSpec

SLIDE, FREE = int(mujoco.mjtJoint.mjJNT_SLIDE), int(mujoco.mjtJoint.mjJNT_FREE)
POWERS: dict[str, tuple[float, float, float]] = {
    "body_pos": (1, 0, 0),
    "body_ipos": (1, 0, 0),
    "body_mass": (0, 1, 0),
    "body_inertia": (2, 1, 0),
    "jnt_pos": (1, 0, 0),
    "geom_size": (1, 0, 0),
    "geom_pos": (1, 0, 0),
    "geom_margin": (1, 0, 0),
    "geom_gap": (1, 0, 0),
    "site_pos": (1, 0, 0),
    "site_size": (1, 0, 0),
    "opt.gravity": (1, 0, -2),
    "opt.wind": (1, 0, -1),
    "opt.density": (-3, 1, 0),
    "opt.viscosity": (-1, 1, -1),
}
"""Of length, mass and time, in model fields that have one unit throughout."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Factors of the three units everything else follows from."""

    length: float
    mass: float
    gravity: float

    def __post_init__(self) -> None:
        for name in ("length", "mass", "gravity"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"factor of {name} must be > 0, got {getattr(self, name)}; 1.0 leaves it as it is")

    @property
    def time(self) -> float:
        return math.sqrt(self.length / self.gravity)

    def power(self, length: float, mass: float, time: float) -> float:
        """Factor of a quantity with these powers of length, mass and time."""
        return float(self.length**length * self.mass**mass * self.time**time)

    def position(self, slides: bool) -> float:
        """Of a joint: an angle has no unit."""
        return self.length if slides else 1.0

    def torque(self, slides: bool) -> float:
        """Energy per position: mgL of a hinge, mg of a slide."""
        return self.mass * self.gravity * self.length / self.position(slides)


def scaled(spec: RobotSpec, folder: Path, *, length: float, mass: float, gravity: float) -> RobotSpec:
    """The robot dynamically similar to `spec` whose length, mass and gravity are multiplied by these factors.

    Its MJCF is written to `folder/robot.xml`. Control and physics periods scale with time as well; noise and biases of
    encoders are taken as those of hinges.

    Raises:
        ValueError: a factor is not positive, the MJCF holds more than bodies, joints and primitive shapes, or its free
            joint resists motion.
    """
    scale = Scale(length=length, mass=mass, gravity=gravity)
    model = _without_motors(spec)
    flat_mjcf(model)  # refuses what it cannot write
    slides = {model.joint(joint).name: int(model.jnt_type[joint]) == SLIDE for joint in range(model.njnt)}
    scale_model(model, scale)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "robot.xml"
    path.write_text(write_flat(model))
    time = scale.time
    return replace(
        spec,
        mjcf=str(path.resolve()),
        joints=tuple(_scaled_joint(joint, scale, slides[joint.name]) for joint in spec.joints),
        passive_joints=tuple(_scaled_passive(joint, scale, slides[joint.name]) for joint in spec.passive_joints),
        feet=tuple(replace(foot, radius=foot.radius * length) for foot in spec.feet),
        imu=replace(spec.imu, gyro_noise=spec.imu.gyro_noise / time, gyro_bias=spec.imu.gyro_bias / time),
        encoders=replace(spec.encoders, velocity_noise=spec.encoders.velocity_noise / time),
        default_height=spec.default_height * length,
        length=spec.length * length,
        mass=spec.mass * mass,
        control_hz=spec.control_hz / time,
        physics_dt=spec.physics_dt * time,
    )


def scale_model(model: mujoco.MjModel, scale: Scale) -> None:
    """Multiply the numbers of bodies, joints, shapes and medium in place; derived constants become stale."""
    for name, powers in POWERS.items():
        owner, field = (model.opt, name[4:]) if name.startswith("opt.") else (model, name)
        setattr(owner, field, getattr(owner, field) * scale.power(*powers))
    model.geom_friction[:, 1:] *= scale.length
    model.geom_solimp[:, 2] *= scale.length
    for solref in (model.geom_solref, model.jnt_solref, model.dof_solref):
        _scale_solref(solref, scale.time)
    for joint in range(model.njnt):
        _scale_joint(model, joint, scale)


def _scale_solref(solref: np.ndarray, time: float) -> None:
    """Either a time constant and a damping ratio, or, negative, a stiffness [1/s²] and a damping [1/s]."""
    direct = solref[:, 0] <= 0.0
    solref[~direct, 0] *= time
    solref[direct] /= (time**2, time)


def _scale_joint(model: mujoco.MjModel, joint: int, scale: Scale) -> None:
    address, kind = model.jnt_qposadr[joint], int(model.jnt_type[joint])
    slides = kind == SLIDE
    if kind == FREE:
        _refuse_resistance(model, joint)
        model.qpos0[address : address + 3] *= scale.length
        return
    position, torque, time = scale.position(slides), scale.torque(slides), scale.time
    for field in (model.jnt_range, model.jnt_margin):
        field[joint] *= position
    model.jnt_solimp[joint, 2] *= position
    for field in (model.qpos0, model.qpos_spring):
        field[address] *= position
    model.jnt_stiffness[joint] *= torque / position
    dofs = model.dof_jntid == joint
    model.dof_damping[dofs] *= torque / position * time
    model.dof_frictionloss[dofs] *= torque
    model.dof_armature[dofs] *= torque / position * time**2


def _refuse_resistance(model: mujoco.MjModel, free: int) -> None:
    """A free joint's damping and armature are one number for metres and for radians: no factor fits both."""
    dofs = model.dof_jntid == free
    if model.dof_damping[dofs].any() or model.dof_armature[dofs].any():
        raise ValueError(
            f"free joint {model.joint(free).name!r} has damping or armature, which cannot be scaled; set them to 0"
        )


def _scaled_joint(joint: JointSpec, scale: Scale, slides: bool) -> JointSpec:
    position = scale.position(slides)
    low, high = joint.position_limits
    return replace(
        joint,
        position_limits=(low * position, high * position),
        default_position=joint.default_position * position,
        actuator=_scaled_actuator(joint.actuator, scale, slides),
    )


def _scaled_passive(joint: PassiveJointSpec, scale: Scale, slides: bool) -> PassiveJointSpec:
    torque, position = scale.torque(slides), scale.position(slides)
    return replace(
        joint,
        default_position=joint.default_position * position,
        damping=joint.damping * torque / position * scale.time,
        friction_loss=joint.friction_loss * torque,
    )


def _scaled_actuator(actuator: ActuatorSpec, scale: Scale, slides: bool) -> ActuatorSpec:
    torque, position, time = scale.torque(slides), scale.position(slides), scale.time
    return replace(
        actuator,
        kp=actuator.kp * torque / position,
        kd=actuator.kd * torque / position * time,
        torque_limit=actuator.torque_limit * torque,
        velocity_limit=actuator.velocity_limit * position / time,
        knee_speed=actuator.knee_speed * position / time,
        armature=actuator.armature * torque / position * time**2,
        damping=actuator.damping * torque / position * time,
        friction_loss=actuator.friction_loss * torque,
        delay=actuator.delay * time,
    )


def _without_motors(spec: RobotSpec) -> mujoco.MjModel:
    """Floor, robot and IMU site, everything that collides in the file."""
    editable = edit_model(spec, contacts="full")
    for actuator in list(editable.actuators):
        editable.delete(actuator)
    return editable.compile()
