"""Feet of a robot whose MJCF does not say which shapes carry it.

The limbs that reach lowest in the nominal pose have feet: four or six round ones, or two flat ones. Lengths in m.
"""

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.primitives import MESH, SPHERE, body_name, collides, extreme_points, geom_name
from robots.source_model import Source, is_free, limb_ends, posed
from robots.spec import FootSpec

Array = NDArray[np.float64]
LEVEL = 0.2
"""Ends of limbs this close to the lowest are feet [height of the base]."""
SOLE = 0.01
"""Half thickness of a flat foot's sole [m]."""
SOLREF, SOLIMP = (0.02, 1.0), (0.9, 0.95, 0.001, 0.5, 2.0)
"""MuJoCo's default contact: files soften feet by different amounts, and soft feet creep under a pyramidal cone."""


def add_feet(editable: mujoco.MjSpec, found: Source, notes: list[str]) -> list[FootSpec]:
    """Find the limbs that reach lowest and give each one geom that carries it."""
    model = found.model
    if not is_free(model, found.base):
        return []
    data = posed(model, found.base, found.qpos)
    limbs = {end: _colliding_geoms(model, end) for end in limb_ends(found)}
    lowest = {
        end: min(float(extreme_points(model, data, geom)[:, 2].min()) for geom in geoms)
        for end, geoms in limbs.items()
        if geoms
    }
    ground = min(lowest.values(), default=0.0)
    ends = [end for end, height in lowest.items() if height < ground + LEVEL * abs(ground)]
    if len(ends) not in (2, 4, 6):
        names = [body_name(model, end) for end in ends]
        raise ValueError(f"expected limbs with 2, 4 or 6 feet on the ground, found {len(ends)}: {names}")
    notes.append("contact softness of the feet is MuJoCo's default")
    make = _flat_foot if len(ends) == 2 else _round_foot
    feet = [make(editable, model, data, limbs[end], notes) for end in ends]
    left_to_right = [float(-data.xpos[end][1]) for end in ends]
    return [feet[index] for index in np.argsort(left_to_right)] if len(ends) == 2 else feet


def _colliding_geoms(model: mujoco.MjModel, end: int) -> list[int]:
    """Of a body and what is fixed to it."""
    bodies = {end}
    for body in range(end + 1, model.nbody):
        if int(model.body_parentid[body]) in bodies:
            bodies.add(body)
    return [geom for geom in range(model.ngeom) if model.geom_bodyid[geom] in bodies and collides(model, geom)]


def _round_foot(
    editable: mujoco.MjSpec, model: mujoco.MjModel, data: mujoco.MjData, geoms: list[int], notes: list[str]
) -> FootSpec:
    """The lowest sphere of a leg, or a sphere put where its lowest shape ends."""
    heights = [float(extreme_points(model, data, geom)[:, 2].min()) for geom in geoms]
    lowest = geoms[int(np.argmin(heights))]
    if model.geom_type[lowest] == SPHERE:
        shape = editable.geom(geom_name(model, lowest))
        shape.name = model.geom(lowest).name or f"{_owner(model, lowest)}_foot"
        shape.solref, shape.solimp, shape.margin, shape.gap = SOLREF, SOLIMP, 0.0, 0.0
        return FootSpec(name=shape.name, radius=float(model.geom_size[lowest, 0]))
    points = extreme_points(model, data, lowest)
    tip = points[np.argmin(points[:, 2])]
    size = model.geom_size[lowest]
    radius = _tip_radius(points) if model.geom_type[lowest] == MESH else float(size[size > 0.0].min())
    name = f"{_owner(model, lowest)}_foot"
    centre = tip + np.array([0.0, 0.0, radius])
    _add_level_geom(editable, model, data, lowest, name, centre, mujoco.mjtGeom.mjGEOM_SPHERE, [radius, 0, 0])
    _silence(editable, model, [geom for geom in geoms if geom == lowest or model.geom_type[geom] == MESH])
    notes.append(f"foot {name}: a sphere of {radius:.3f} m in place of {geom_name(model, lowest)}")
    return FootSpec(name=name, radius=radius)


def _flat_foot(
    editable: mujoco.MjSpec, model: mujoco.MjModel, data: mujoco.MjData, geoms: list[int], notes: list[str]
) -> FootSpec:
    """A box under the shapes of a foot, level in the nominal pose."""
    points = np.concatenate([extreme_points(model, data, geom) for geom in geoms])
    bottom = points[:, 2].min()
    near = points[points[:, 2] < bottom + 2 * SOLE]
    low, high = near.min(axis=0), near.max(axis=0)
    size = np.maximum((high - low) / 2, SOLE)
    centre = np.array([*((low + high) / 2)[:2], bottom + SOLE])
    name = f"{_owner(model, geoms[0])}_sole"
    _add_level_geom(editable, model, data, geoms[0], name, centre, mujoco.mjtGeom.mjGEOM_BOX, [size[0], size[1], SOLE])
    _silence(editable, model, geoms)
    notes.append(f"foot {name}: one box of {2 * size[0]:.3f} × {2 * size[1]:.3f} m in place of {len(geoms)} shapes")
    return FootSpec(name=name, radius=SOLE)


def _tip_radius(points: Array) -> float:
    """Radius of the sphere that best fits the lowest part of a mesh: least squares in |p|² = 2 p·c + (r² − |c|²)."""
    bottom, extent = points[:, 2].min(), np.ptp(points, axis=0)
    low = points[points[:, 2] < bottom + 0.25 * extent.min()]
    solution = np.linalg.lstsq(np.c_[2 * low, np.ones(len(low))], (low**2).sum(axis=1), rcond=None)[0]
    radius = math.sqrt(max(float(solution[3] + solution[:3] @ solution[:3]), 0.0))
    return float(np.clip(radius, 0.2 * extent.min(), 0.5 * extent.min()))


def _owner(model: mujoco.MjModel, geom: int) -> str:
    """Name of the body that carries a geom."""
    return body_name(model, int(model.geom_bodyid[geom]))


def _add_level_geom(
    editable: mujoco.MjSpec,
    model: mujoco.MjModel,
    data: mujoco.MjData,
    like: int,
    name: str,
    centre: Array,
    kind: mujoco.mjtGeom,
    size: list[float],
) -> None:
    """Add a geom at a point of the world, level, with the contact properties of geom `like`."""
    index = int(model.geom_bodyid[like])
    rotation = data.xmat[index].reshape(3, 3)
    inverse = np.zeros(4)
    mujoco.mju_mat2Quat(inverse, rotation.T.flatten())
    editable.body(_owner(model, like)).add_geom(
        name=name,
        type=kind,
        pos=rotation.T @ (centre - data.xpos[index]),
        quat=inverse,
        size=size,
        contype=max(1, model.geom_contype[like]),
        conaffinity=max(1, model.geom_conaffinity[like]),
        condim=3,
        friction=model.geom_friction[like],
        mass=0.0,
        rgba=(0.1, 0.1, 0.1, 1.0),
    )


def _silence(editable: mujoco.MjSpec, model: mujoco.MjModel, geoms: list[int]) -> None:
    """Stop geoms from colliding: a foot takes their place."""
    for geom in geoms:
        shape = editable.geom(geom_name(model, geom))
        shape.contype = shape.conaffinity = 0
