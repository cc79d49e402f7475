"""Makes a robot stand on its own servos, where its MJCF's pose or gains do not. Lengths in m, angles in rad."""

from dataclasses import replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.kinematics import Kinematics
from robots.model import build_model, default_data
from robots.spec import JointSpec, RobotSpec

Array = NDArray[np.float64]
SECONDS = 2.0
"""A robot stands when it still does so after this time."""
HEIGHT, TILT = 0.85, 0.1
"""And is never lower [nominal heights] or more tilted than this."""
FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""By which servos may be made stiffer."""


def stands(spec: RobotSpec) -> bool:
    """Whether the servos hold the nominal pose of a legged robot on flat ground."""
    delay = max(joint.actuator.delay for joint in spec.joints)
    model = build_model(spec, delay_samples=int(np.ceil(delay / spec.physics_dt)) + 1)
    data = default_data(model)
    base = model.body(spec.base_body).id
    for _ in range(round(SECONDS / spec.physics_dt)):
        mujoco.mj_step(model, data)
        if data.xpos[base, 2] < HEIGHT * spec.default_height or data.xmat[base, 8] < np.cos(TILT):
            return False
    return True


def balanced(spec: RobotSpec, notes: list[str]) -> RobotSpec:
    """The robot with level feet moved under its centre of mass, by its hips and ankles, where it has both."""
    kinematics = Kinematics(spec)
    legs = [kinematics.turning_about(1, kinematics.chain(leg)) for leg in range(len(spec.feet))]
    if min(len(pitches) for pitches in legs) < 3:
        return spec
    start = _offset(kinematics, np.array(spec.default_positions))
    low, high = -0.5, 0.5
    for _ in range(40):  # bisection: moving the feet forward by a larger angle lowers the offset
        angle = (low + high) / 2
        low, high = (angle, high) if _offset(kinematics, _swung(kinematics, legs, angle)) > 0.0 else (low, angle)
    q = _swung(kinematics, legs, angle)
    lowest, highest = np.array([joint.position_limits for joint in spec.joints]).T
    if (q < lowest).any() or (q > highest).any():
        return spec
    notes.append(f"nominal pose: feet moved by {start:+.3f} m, under the centre of mass")
    joints = tuple(replace(joint, default_position=float(value)) for joint, value in zip(spec.joints, q, strict=True))
    return replace(spec, joints=joints)


def stiffened(spec: RobotSpec, notes: list[str]) -> RobotSpec:
    """The robot with the softest servos that let it stand; damping grows with the root of stiffness."""
    for factor in FACTORS:
        stiffer = replace(spec, joints=tuple(_stiffer(joint, factor) for joint in spec.joints))
        if stands(stiffer):
            if factor > 1.0:
                notes.append(f"kp × {factor:g} and kd × √{factor:g}, with which it stands on its servos")
            return stiffer
    notes.append(f"it does not stand on its servos, even with kp × {FACTORS[-1]:g}")
    return spec


def _stiffer(joint: JointSpec, factor: float) -> JointSpec:
    actuator = joint.actuator
    return replace(joint, actuator=replace(actuator, kp=factor * actuator.kp, kd=factor**0.5 * actuator.kd))


def _swung(kinematics: Kinematics, legs: list[list[int]], angle: float) -> Array:
    """Nominal angles with all legs swung forward from the hip by `angle` and the feet kept level by the ankles."""
    q = np.array(kinematics.spec.default_positions)
    kinematics.pose(q)
    for pitches in legs:
        for joint, turn in ((pitches[0], -angle), (pitches[-1], angle)):  # a turn about y moves what hangs backward
            q[joint] += turn * np.sign(kinematics.axis(joint)[1])
    return q


def _offset(kinematics: Kinematics, q: Array) -> float:
    """How far the centre of mass lies before the middle of the feet [m]."""
    feet = np.mean([kinematics.foot(leg, q)[0] for leg in range(len(kinematics.spec.feet))])
    mujoco.mj_comPos(kinematics.model, kinematics.data)
    return float(kinematics.to_base(kinematics.data.subtree_com[kinematics.base])[0] - feet)
