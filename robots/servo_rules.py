"""Limits and gains of a joint, from its MJCF where it states them plausibly, else from dimensionless rules.

Torque in mgL, time in T = √(L/g): what one robot's servo is to it, another's is to that one. SI.
"""

import math

import mujoco
import numpy as np

from robots.source_model import actuators, drives_position
from robots.spec import JointSpec

KP = 1.0
"""Stiffness of a servo the file does not state [mgL/rad]; Go1's 35 N·m/rad is 0.98."""
KD = 0.165
"""Its damping [mgL·T/rad]; Go1's 1 N·m·s/rad."""
PLAUSIBLE_KP = (0.2, 10.0)
"""Stiffness of legs that is believed when the file states it [mgL/rad]."""
TORQUE_LIMIT = 1.0
"""Torque limit where the file has none [mgL]; Go1's calf: 35.55 N·m."""
VELOCITY_LIMIT = 4.0
"""No-load speed, which MJCF cannot state [1/T]; Go1's calf: 20 rad/s is 3.4."""


def position_limits(model: mujoco.MjModel, joint: int) -> tuple[float, float]:
    """Range of a joint [rad]: its own, its servo's, or one turn either way."""
    if model.jnt_limited[joint]:
        return float(model.jnt_range[joint, 0]), float(model.jnt_range[joint, 1])
    for actuator in actuators(model, joint):
        if model.actuator_ctrllimited[actuator] and drives_position(model, actuator):
            return float(model.actuator_ctrlrange[actuator, 0]), float(model.actuator_ctrlrange[actuator, 1])
    return -2.0 * math.pi, 2.0 * math.pi


def gains(
    model: mujoco.MjModel, joint: int, spec: JointSpec, torque: float, time: float, legged: bool, ruled: set[str]
) -> tuple[float, float, float]:
    """Stiffness, damping and the viscous friction that remains; a file often hides the servo's damping in the joint."""
    damping = spec.actuator.damping
    kp = kd = 0.0
    for act in actuators(model, joint):
        if drives_position(model, act):
            gear = float(model.actuator_gear[act, 0])
            kp, kd = -float(model.actuator_biasprm[act, 1]) * gear**2, -float(model.actuator_biasprm[act, 2]) * gear**2
    if kp <= 0.0 or (legged and not PLAUSIBLE_KP[0] <= kp / torque <= PLAUSIBLE_KP[1]):
        kp, kd = KP * torque, KD * torque * time
        ruled.add(f"kp = {KP} mgL and kd = {KD} mgLT where the file has no plausible position servo")
        return kp, kd, max(0.0, damping - kd)
    if kd <= 0.0 and damping > 0.0:
        ruled.add("kd = the joint's damping where the file's position servo has none")
        return kp, damping, 0.0
    if kd <= 0.0:
        ruled.add(f"kd = {KD} mgLT where the file has no damping at all")
        return kp, KD * torque * time, 0.0
    return kp, kd, damping


def torque_limit(model: mujoco.MjModel, joint: int, torque: float, ruled: set[str]) -> float:
    """The tightest limit the file states [N·m]; the rule it had to follow is added to `ruled`."""
    limits = []
    for act in actuators(model, joint):
        gear = abs(float(model.actuator_gear[act, 0]))
        if model.actuator_forcelimited[act]:
            limits.append(float(np.abs(model.actuator_forcerange[act]).max()) * gear)
        elif model.actuator_ctrllimited[act] and model.actuator_biastype[act] == mujoco.mjtBias.mjBIAS_NONE:
            control = float(np.abs(model.actuator_ctrlrange[act]).max())
            limits.append(control * abs(float(model.actuator_gainprm[act, 0])) * gear)
    if model.jnt_actfrclimited[joint]:
        limits.append(float(np.abs(model.jnt_actfrcrange[joint]).max()))
    limits = [limit for limit in limits if limit > 0.0]
    if not limits:
        ruled.add(f"torque limit = {TORQUE_LIMIT} mgL where the file has none")
        return TORQUE_LIMIT * torque
    return min(limits)
