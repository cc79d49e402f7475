"""Geared electric motors in MuJoCo: rotor inertia, friction, delay, and the line between torque and speed.

A motor gives its torque limit up to its knee speed; from there its torque falls in a straight line, to nothing at the
no-load speed: the supply voltage is spent on back-EMF. Below the line, the torque is what the servo or the policy asks
for. It is MuJoCo's `dcmotor` (https://mujoco.readthedocs.io, DC motor technical note) without winding inductance, in
units of the supply voltage. SI, on the joint side of the gearbox.

    τ = clip(clip(kp (q_target − q) − kd dq, −S − S/ω₀ dq, S − S/ω₀ dq), −limit, limit)

ω₀ is the no-load speed, S the stall torque that the line would reach at rest: the torque limit where the knee is at 0.
The engine integrates the line implicitly, so that it stays stable where a limit set from the measured speed would not.
"""

import mujoco
import numpy as np

from robots.spec import JointSpec

RESISTANCE, MOTOR_CONSTANT, KP, KD, SUPPLY = 0, 1, 4, 6, 7
"""Columns of `actuator_gainprm`. A motor `s` times as strong has RESISTANCE / s, BACK_EMF · s and forcerange · s; a
battery at a share of its voltage has that share as SUPPLY."""
BACK_EMF = 2
"""Column of `actuator_biasprm`."""


def set_joint(joint: mujoco.MjsJoint, spec: JointSpec) -> None:
    """Range, reflected rotor inertia and friction."""
    joint.range = spec.position_limits
    joint.limited = mujoco.mjtLimited.mjLIMITED_TRUE
    joint.actfrclimited = mujoco.mjtLimited.mjLIMITED_FALSE
    joint.armature = spec.actuator.armature
    joint.damping = [spec.actuator.damping, 0.0, 0.0]
    joint.frictionloss = spec.actuator.friction_loss


def add_motor(editable: mujoco.MjSpec, joint: JointSpec, delay_samples: int, physics_dt: float) -> None:
    """The motor of a joint, named as the joint; `ctrl` is its target [rad], or its torque [N·m]."""
    motor = editable.add_actuator(name=joint.name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    spec = joint.actuator
    position = spec.control == "position"
    motor.set_to_dcmotor(
        motorconst=[0.0, 0.0],
        resistance=0.0,
        nominal=[1.0, spec.stall_torque, spec.velocity_limit],  # supply voltage, stall torque, no-load speed
        saturation=[spec.torque_limit, 0.0, 0.0],
        controller=[spec.kp, 0.0, spec.kd, 0.0, 0.0, 1.0],  # the last is the largest voltage
        ctrlspec=mujoco.mjtCtrlInput.mjINPUT_POS if position else mujoco.mjtCtrlInput.mjINPUT_FF,
    )
    # The same torque as with MuJoCo's own bias, cheaper: over plain servos a step of go1 costs 2 % more instead of 4 %.
    motor.biastype = mujoco.mjtBias.mjBIAS_AFFINE
    motor.biasprm[BACK_EMF] = -spec.stall_torque / spec.velocity_limit
    motor.ctrllimited = mujoco.mjtLimited.mjLIMITED_FALSE
    motor.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
    if delay_samples > 0:
        _set_delay(motor, joint, delay_samples, physics_dt)


def _set_delay(motor: mujoco.MjsActuator, joint: JointSpec, samples: int, physics_dt: float) -> None:
    longest = samples * physics_dt
    if joint.actuator.delay > longest + 1e-9:
        raise ValueError(
            f"joint {joint.name}: delay {joint.actuator.delay} s exceeds delay_samples × physics_dt = {longest} s; "
            f"ask for at least {int(np.ceil(joint.actuator.delay / physics_dt))} samples"
        )
    motor.nsample = samples
    motor.delay = joint.actuator.delay
