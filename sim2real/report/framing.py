"""Where a camera must be to see robots whole, and how far apart they stand in one picture. Lengths in m."""

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.model import has_free_base
from robots.spec import RobotSpec

REACH = 0.75
"""Room that the picture leaves around a robot [L], up to its size once more: joints move."""
SPACING = 2.2
"""Between robots in one picture, in radii."""
GROUND = (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD)


@dataclass(frozen=True)
class Frame:
    """The ball that a robot fills."""

    centre: NDArray[np.float64]
    """(3,) from the base, in world axes; above or below it where the base moves about."""
    radius: float


def frame(model: mujoco.MjModel, spec: RobotSpec, qpos: NDArray[np.float64]) -> Frame:
    """The ball around the robot in a pose, (nq,)."""
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    seen = ~is_ground(model)
    rotation = data.geom_xmat[seen].reshape(-1, 3, 3)
    middle = data.geom_xpos[seen] + np.einsum("gij,gj->gi", rotation, model.geom_aabb[seen, :3])
    half = np.einsum("gij,gj->gi", np.abs(rotation), model.geom_aabb[seen, 3:])
    low, high = (middle - half).min(0), (middle + half).max(0)
    centre = (low + high) / 2.0 - data.body(spec.base_body).xpos
    if has_free_base(model, spec):
        centre[:2] = 0.0
    radius = math.dist(low, high) / 2.0
    return Frame(centre, max(radius, min(REACH * spec.length, 2.0 * radius)))


def is_ground(model: mujoco.MjModel) -> NDArray[np.bool_]:
    """(ngeom,) what robots side by side share."""
    return np.isin(model.geom_type, GROUND)


def offsets(model: mujoco.MjModel, framed: Frame, robots: int) -> NDArray[np.float64]:
    """(robots, 3) by how much each world is moved, so that robots stand in a square; on a height field each has its
    own place anyway.
    """
    side = math.ceil(math.sqrt(robots))
    if model.nhfield or side == 1:
        return np.zeros((robots, 3))
    index, moved = np.arange(robots), np.zeros((robots, 3))
    moved[:, 0], moved[:, 1] = index // side, index % side
    moved[:, :2] -= (side - 1) / 2.0
    return moved * (SPACING * framed.radius)


def spread(moved: NDArray[np.float64]) -> float:
    """How much farther away than from one robot a camera must be to see all, whose offsets are (robots, 3)."""
    return 1.0 + 0.75 * (math.ceil(math.sqrt(len(moved))) - 1) if moved.any() else 1.0
