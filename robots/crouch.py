"""A nominal pose for a quadruped whose MJCF has none. Angles in rad."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from robots.joint_space import leg_roles
from robots.kinematics import Kinematics
from robots.spec import JointSpec, RobotSpec

Array = NDArray[np.float64]
CROUCH = 0.85
"""Length of a bent leg as a share of the stretched one; ANYmal's X pose: 0.86."""


def crouched(spec: RobotSpec) -> tuple[JointSpec, ...]:
    """The nominal joints with every foot under its hip and knees bent, inward where the limits allow."""
    kinematics = Kinematics(spec)
    q = np.array(spec.default_positions)
    for leg in range(len(spec.feet)):
        roles = leg_roles(kinematics, kinematics.chain(leg))
        if {"swing", "extend"} <= roles.keys():
            q = _bend(kinematics, leg, q, roles["swing"], roles["extend"])
    return tuple(replace(joint, default_position=float(angle)) for joint, angle in zip(spec.joints, q, strict=True))


def _bend(kinematics: Kinematics, leg: int, q: Array, swing: int, extend: int) -> Array:
    joints = kinematics.spec.joints
    low, high = joints[extend].position_limits
    angles = np.linspace(max(low, q[extend] - math.pi), min(high, q[extend] + math.pi), 361)
    lengths = np.array([_leg_length(kinematics, leg, _with(q, extend, angle), swing) for angle in angles])
    longest = int(np.argmax(lengths))
    best, best_inward = q, -math.inf
    for side in (range(longest, -1, -1), range(longest, len(angles))):
        bent = [index for index in side if lengths[index] <= CROUCH * lengths[longest]]
        if not bent:
            continue
        pose = _with(q, extend, float(angles[bent[0]]))
        foot = kinematics.foot(leg, pose) - kinematics.anchor(swing)
        turn = math.atan2(foot[0], -foot[2]) * np.sign(kinematics.axis(swing)[1])
        pose[swing] += turn
        inside = joints[swing].position_limits[0] <= pose[swing] <= joints[swing].position_limits[1]
        kinematics.pose(pose)
        inward = -float(kinematics.anchor(extend)[0] * np.sign(kinematics.anchor(swing)[0]))
        if inside and inward > best_inward:
            best, best_inward = pose, inward
    return best


def _with(q: Array, joint: int, angle: float) -> Array:
    changed = q.copy()
    changed[joint] = angle
    return changed


def _leg_length(kinematics: Kinematics, leg: int, q: Array, swing: int) -> float:
    foot = kinematics.foot(leg, q)
    return float(np.linalg.norm((foot - kinematics.anchor(swing))[[0, 2]]))
