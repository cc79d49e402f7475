"""Joint angles that raise a foot straight up: two pitching joints of a leg place it, an ankle keeps its sole level.

Base frame: x forward, y left, z up. Angles in rad, lengths in m.
"""

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.kinematics import Kinematics
from robots.model import joint_dof_indices

Array = NDArray[np.float64]


def foot_lift(kinematics: Kinematics, leg: int, height: float) -> Array:
    """(num_joints,) offsets that raise a foot straight up by `height`, or as far as the joint limits let it."""
    spec = kinematics.spec
    nominal = np.array(spec.default_positions)
    kinematics.pose(nominal)
    pitches = kinematics.turning_about(1, kinematics.chain(leg))[:3]
    if len(pitches) < 2:
        return np.zeros(spec.num_joints)
    low, high = np.array([joint.position_limits for joint in spec.joints]).T
    for share in (1.0, 0.8, 0.6, 0.4, 0.2):
        q = _raise_foot(kinematics, leg, pitches, share * height)
        if q is not None and np.all((q >= low) & (q <= high)):
            return q - nominal
    return np.zeros(spec.num_joints)


def _raise_foot(kinematics: Kinematics, leg: int, joints: list[int], height: float, steps: int = 10) -> Array | None:
    """Joint angles with a foot `height` above its nominal place: Newton's method, followed in small steps.

    Two joints place the foot; a third, the ankle's, keeps its sole level.
    """
    q = np.array(kinematics.spec.default_positions)
    start = _place(kinematics, leg, q)
    up = np.array([0.0, height, 0.0])
    rows = len(joints)
    for step in range(1, steps + 1):
        goal = start + up * step / steps
        for _ in range(5):
            error = goal - _place(kinematics, leg, q)
            q[joints] += np.linalg.lstsq(_place_jacobian(kinematics, leg, joints)[:rows], error[:rows], rcond=1e-3)[0]
    reached = _place(kinematics, leg, q)
    return q if np.allclose(reached[:rows], (start + up)[:rows], atol=1e-6) else None


def _place(kinematics: Kinematics, leg: int, q: Array) -> Array:
    """(3,) of a foot in the base frame: x and z of its centre [m], pitch [rad]."""
    foot = kinematics.foot(leg, q)
    forward = kinematics.data.geom_xmat[kinematics.feet[leg]].reshape(3, 3)[:, 0]
    x, _, z = kinematics.data.xmat[kinematics.base].reshape(3, 3).T @ forward
    return np.array([foot[0], foot[2], math.atan2(-z, x)])


def _place_jacobian(kinematics: Kinematics, leg: int, joints: list[int]) -> Array:
    """(3, len(joints)) of `_place`, in the pose it was last called with."""
    model, data = kinematics.model, kinematics.data
    moved, turned = np.zeros((3, model.nv)), np.zeros((3, model.nv))
    mujoco.mj_comPos(model, data)
    mujoco.mj_jacGeom(model, data, moved, turned, kinematics.feet[leg])
    to_base = data.xmat[kinematics.base].reshape(3, 3).T
    dofs = joint_dof_indices(model, kinematics.spec)[joints]
    return np.stack([(to_base @ moved)[0], (to_base @ moved)[2], (to_base @ turned)[1]])[:, dofs]
