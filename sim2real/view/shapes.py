"""What a compiled MuJoCo model is made of, as painted triangle meshes. Lengths in m, colours 0..1."""

from dataclasses import dataclass
from itertools import groupby

import mujoco
import numpy as np

from robots.spec import RobotSpec
from sim2real.report.scene import JOINT, LIMB, RGB, RUBBER, TILE_DARK, part
from sim2real.view.meshes import Faces, Vertices, kind, mesh


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One geom, or several of one body and colour."""

    body: int
    """Whose frame `vertices` are in."""
    kinds: tuple[str, ...]
    """Of each geom in it: "sphere", "capsule", "box", "cylinder", "ellipsoid", "plane", "hfield", "mesh", "sdf"."""
    vertices: Vertices
    """(num_vertices, 3) in the body's frame [m]."""
    faces: Faces
    """(num_faces, 3)."""
    colour: RGB
    opacity: float


def shapes(model: mujoco.MjModel, spec: RobotSpec, paint: RGB) -> list[Shape]:
    """Every visible geom, in the model's order; the robot's base is painted in the colour `paint`."""
    seen = [geom for geom in range(model.ngeom) if model.geom_rgba[geom, 3] > 0.0]
    return [_shape(model, geom, _colour(model, geom, spec, paint)) for geom in seen]


def merged(given: list[Shape]) -> list[Shape]:
    """The same picture from fewer shapes: one for each body, colour and opacity."""

    def key(shape: Shape) -> tuple[int, RGB, float]:
        return shape.body, shape.colour, shape.opacity

    groups = [list(group) for _, group in groupby(sorted(given, key=key), key)]
    return [_joined(group) for group in groups]


def _shape(model: mujoco.MjModel, geom: int, colour: RGB) -> Shape:
    vertices, faces = mesh(model, geom)
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
    return Shape(
        body=int(model.geom_bodyid[geom]),
        kinds=(kind(model, geom),),
        vertices=vertices @ rotation.reshape(3, 3).T + model.geom_pos[geom],
        faces=faces,
        colour=colour,
        opacity=round(float(model.geom_rgba[geom, 3]), 3),
    )


def _joined(group: list[Shape]) -> Shape:
    starts = np.cumsum([0, *(len(shape.vertices) for shape in group[:-1])])
    return Shape(
        body=group[0].body,
        kinds=tuple(kind for shape in group for kind in shape.kinds),
        vertices=np.concatenate([shape.vertices for shape in group]),
        faces=np.concatenate([shape.faces + start for shape, start in zip(group, starts, strict=True)]),
        colour=group[0].colour,
        opacity=group[0].opacity,
    )


def _colour(model: mujoco.MjModel, geom: int, spec: RobotSpec, paint: RGB) -> RGB:
    """The paint of the films for the robot, the model's own colour for everything else but the ground."""
    depth = _depth(model, int(model.geom_bodyid[geom]), model.body(spec.base_body).id)
    if depth is not None:
        name = model.geom(geom).name
        cylinder = model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CYLINDER
        palette = {"body": paint, "joint": JOINT, "limb": LIMB, "rubber": RUBBER}
        return palette[part(name, cylinder=cylinder, depth=depth, feet={foot.name for foot in spec.feet})]
    if kind(model, geom) in ("plane", "hfield"):
        return TILE_DARK
    red, green, blue = model.geom_rgba[geom, :3].astype(float)
    return red, green, blue


def _depth(model: mujoco.MjModel, body: int, base: int) -> int | None:
    """Bodies between this one and the base; None for what is no part of the robot."""
    depth = 0
    while body != base:
        if body == 0:
            return None
        body, depth = int(model.body_parentid[body]), depth + 1
    return depth
