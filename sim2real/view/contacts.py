"""Where bodies touch, and how hard. SI, world frame."""

import mujoco
import numpy as np
from numpy.typing import NDArray


def contacts(model: mujoco.MjModel, data: mujoco.MjData) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points, (n, 3) [m], and the forces there on what moves, (n, 3) [N], of data that was just forwarded.

    Of two bodies that move the force is that on the second, in MuJoCo's order.
    """
    points, forces, local = np.zeros((data.ncon, 3)), np.zeros((data.ncon, 3)), np.zeros(6)
    for index in range(data.ncon):
        contact = data.contact[index]
        mujoco.mj_contactForce(model, data, index, local)
        points[index] = contact.pos
        forces[index] = contact.frame.reshape(3, 3).T @ local[:3]  # rows of `frame`: normal, then two tangents
        if model.body_weldid[model.geom_bodyid[contact.geom2]] == 0:
            forces[index] *= -1.0
    return points, forces
