"""The machine inside a Gymnasium MuJoCo id as a RobotSpec: `robots.get("gymnasium:HalfCheetah-v5")`.

Everything is read from the id's own MJCF, SI: one driven joint per actuator, in the actuators' order, which is that of
an action; every other hinge or slide is passive. Worlds of an id run that file as it is (`envs.gymnasium_worlds`).
"""

from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from envs.gymnasium_native.ids import Registered, find
from robots.spec import ActuatorSpec, EncoderSpec, ImuSpec, JointSpec, PassiveJointSpec, RobotSpec, Sensor

PREFIX = "gymnasium:"
UNLIMITED = 1e6
"""Stands for no limit: of a joint [rad] or [m], of a speed that the file does not know [rad/s], of a torque [N·m]."""
MOVING = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))
FREE, BY_JOINT = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtTrn.mjTRN_JOINT)


def from_gymnasium(name: str) -> RobotSpec:
    """The machine of the id `name`: `ID`, or `MODULE:ID` where MODULE registers it.

    Raises:
        LookupError: nothing is registered under it, or no MuJoCo environment.
        ValueError: an action of it does not drive one named joint.
    """
    return describe(find(name))


def id_of(spec: RobotSpec) -> str:
    """The id that a robot comes from; empty for a robot of another source."""
    return spec.name.removeprefix(PREFIX) if spec.name.startswith(PREFIX) else ""


def describe(registered: Registered) -> RobotSpec:
    """See `from_gymnasium`."""
    single = registered.single
    model: Any = single.model
    driven = [_driven_joint(model, actuator, single.fullpath) for actuator in range(model.nu)]
    passive = [joint for joint in range(model.njnt) if joint not in driven and model.jnt_type[joint] in MOVING]
    base = _base(model)
    height, extent = _height(model, base), float(model.stat.extent)
    free = model.jnt_type[model.body_jntadr[base]] == FREE
    sensors: tuple[Sensor, ...] = ("imu", "encoders") if free else ("encoders",)
    return RobotSpec(
        name=PREFIX + registered.name,
        kind="machine",
        mjcf=str(Path(single.fullpath).resolve()),
        base_body=model.body(base).name,
        joints=tuple(_joint(model, actuator, joint) for actuator, joint in enumerate(driven)),
        passive_joints=tuple(_passive(model, joint) for joint in passive),
        sensors=sensors,
        imu=ImuSpec(),
        encoders=EncoderSpec(),
        default_height=height,
        length=height if height > 0.1 * extent else extent,
        mass=float(model.body_mass.sum()),
        control_hz=1.0 / single.dt,
        physics_dt=float(model.opt.timestep),
        sources={
            "model": f"Gymnasium {registered.spec.id}, {Path(single.fullpath).name}",
            "joint_limits": "the file's; torque is the motor's gear times its control range; no speed limit is stated",
            "length": "height of the base at the start; the extent of the model where the base lies on the ground",
        },
    )


def _height(model: Any, body: int) -> float:
    """Of a body at the start [m]."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    return float(data.xpos[body, 2])


def _base(model: Any) -> int:
    """The first body that moves."""
    return int(np.flatnonzero(model.body_jntnum > 0)[0])


def _driven_joint(model: Any, actuator: int, path: str) -> int:
    named = model.actuator(actuator).name or f"number {actuator}"
    if model.actuator_trntype[actuator] != BY_JOINT:
        raise ValueError(f"{path}: actuator {named} must drive a joint to be one of a robot's; give it joint=")
    joint = int(model.actuator_trnid[actuator, 0])
    if model.jnt_type[joint] not in MOVING or not model.joint(joint).name:
        raise ValueError(
            f"{path}: actuator {named} must drive a hinge or a slide that has a name; give the joint name="
        )
    return joint


def _limits(model: Any, joint: int) -> tuple[float, float]:
    low, high = model.jnt_range[joint] if model.jnt_limited[joint] else (-UNLIMITED, UNLIMITED)
    return float(low), float(high)


def _default(model: Any, joint: int) -> float:
    """The position at the start, or the nearest within the joint's range."""
    return float(np.clip(model.qpos0[model.jnt_qposadr[joint]], *_limits(model, joint)))


def _joint(model: Any, actuator: int, joint: int) -> JointSpec:
    return JointSpec(
        name=model.joint(joint).name,
        position_limits=_limits(model, joint),
        default_position=_default(model, joint),
        actuator=_actuator(model, actuator, int(model.jnt_dofadr[joint])),
    )


def _actuator(model: Any, actuator: int, dof: int) -> ActuatorSpec:
    """A motor, or a position servo where the force falls with the position."""
    gear, gain = abs(float(model.actuator_gear[actuator, 0])), abs(float(model.actuator_gainprm[actuator, 0]))
    stiffness, damping = (-gear * gear * float(value) for value in model.actuator_biasprm[actuator, 1:3])
    force = gain * float(np.abs(model.actuator_ctrlrange[actuator]).max()) if stiffness <= 0.0 else UNLIMITED
    if not model.actuator_ctrllimited[actuator]:
        force = UNLIMITED
    if model.actuator_forcelimited[actuator]:
        force = min(force, float(np.abs(model.actuator_forcerange[actuator]).max()))
    servo = {"kp": stiffness, "kd": max(damping, 0.0)} if stiffness > 0.0 else {}
    return ActuatorSpec(
        control="position" if servo else "torque",
        torque_limit=gear * force,
        velocity_limit=UNLIMITED,
        armature=float(model.dof_armature[dof]),
        damping=_viscous(model, dof),
        friction_loss=float(model.dof_frictionloss[dof]),
        **servo,
    )


def _passive(model: Any, joint: int) -> PassiveJointSpec:
    dof = int(model.jnt_dofadr[joint])
    return PassiveJointSpec(
        name=model.joint(joint).name,
        default_position=float(model.qpos0[model.jnt_qposadr[joint]]),
        damping=_viscous(model, dof),
        friction_loss=float(model.dof_frictionloss[dof]),
    )


def _viscous(model: Any, dof: int) -> float:
    return float(np.ravel(model.dof_damping[dof])[0])
