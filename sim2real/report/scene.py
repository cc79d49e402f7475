"""A film set for a robot: its own model with paint, a tiled floor, a sky and a sun. Lengths in m."""

from collections.abc import Collection
from typing import cast

import mujoco
import numpy as np

from robots.model import FLOOR, Ground, edit_model
from robots.spec import RobotSpec

OVERSAMPLING = 2
"""Images are rendered so much larger and scaled down: smooth edges, cheaper than multisampling in software."""
SKY_TOP, SKY_HORIZON = (0.55, 0.68, 0.82), (0.93, 0.95, 0.97)
TILE_LIGHT, TILE_DARK = (0.80, 0.82, 0.85), (0.71, 0.735, 0.77)
TILE_MARK = (0.62, 0.65, 0.69)
JOINT, LIMB, RUBBER = (0.2, 0.22, 0.26), (0.84, 0.86, 0.88), (0.09, 0.09, 0.1)
"""Paint of drives and of what moves first, of the limbs behind it, and of the feet."""
UNPAINTED = (0.5, 0.5, 0.5, 1.0)
"""A shape of this colour takes that of its material."""


RGB = tuple[float, float, float]


def build_set(spec: RobotSpec, width: int, height: int, paint: RGB, ground: Ground | None = None) -> mujoco.MjModel:
    """The model of `spec` with its base in the colour `paint`, for films of this size [pixel]; physics as before.

    `ground` is what it stands on; the flat floor if left out.
    """
    editable = edit_model(spec, ground=ground)
    _set_visuals(editable, spec, width, height)
    _add_sky(editable)
    _tile_floor(editable, spec)
    _add_sun(editable, spec)
    _paint(editable, spec, paint)
    return editable.compile()


def _set_visuals(editable: mujoco.MjSpec, spec: RobotSpec, width: int, height: int) -> None:
    visual = editable.visual
    visual.global_.offwidth, visual.global_.offheight = OVERSAMPLING * width, OVERSAMPLING * height
    visual.global_.fovy = 36.0
    visual.quality.shadowsize, visual.quality.offsamples = 1024, 0
    visual.quality.numslices, visual.quality.numstacks = 20, 10
    visual.headlight.ambient, visual.headlight.diffuse = (0.42, 0.42, 0.44), (0.28, 0.28, 0.28)
    visual.headlight.specular = (0.0, 0.0, 0.0)
    visual.rgba.haze = (*SKY_HORIZON, 1.0)
    editable.stat.extent = 4.0 * spec.length
    editable.stat.center = (0.0, 0.0, spec.length)
    visual.map.znear, visual.map.zfar = 0.02, 60.0
    visual.map.fogstart, visual.map.fogend = 6.0, 25.0
    visual.map.haze, visual.map.shadowclip = 0.35, 1.2
    visual.rgba.fog = (*SKY_HORIZON, 1.0)


def _add_sky(editable: mujoco.MjSpec) -> None:
    editable.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=SKY_TOP,
        rgb2=SKY_HORIZON,
        width=256,
        height=256,
    )


def _tile_floor(editable: mujoco.MjSpec, spec: RobotSpec) -> None:
    """Square tiles of side 2·L: how far a robot walks is seen in its own units."""
    editable.add_texture(
        name="tiles",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        mark=mujoco.mjtMark.mjMARK_EDGE,
        rgb1=TILE_LIGHT,
        rgb2=TILE_DARK,
        markrgb=TILE_MARK,
        width=512,
        height=512,
    )
    per_meter = 1.0 / (4.0 * spec.length)  # a texture holds two tiles
    tiles = editable.add_material(name="tiles", texuniform=True, texrepeat=(per_meter, per_meter), specular=0.1)
    textures = list(tiles.textures)
    textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "tiles"
    tiles.textures = textures
    for geom in editable.worldbody.geoms:
        if geom.type in (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD):
            geom.material, geom.rgba = "tiles", (1.0, 1.0, 1.0, 1.0)
            geom.name = geom.name or FLOOR


def _add_sun(editable: mujoco.MjSpec, spec: RobotSpec) -> None:
    """One light from the left behind the camera, which follows the robot so that its shadow stays sharp."""
    for light in list(editable.lights):
        editable.delete(light)
    base = cast(mujoco.MjsBody, editable.body(spec.base_body))
    base.add_light(
        name="sun",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACK,
        pos=np.array((-2.0, -3.0, 8.0)) * spec.length,
        dir=(0.25, 0.4, -1.0),
        castshadow=True,
        diffuse=(0.62, 0.61, 0.58),
        specular=(0.3, 0.3, 0.3),
        ambient=(0.0, 0.0, 0.0),
    )


def _paint(editable: mujoco.MjSpec, spec: RobotSpec, body_colour: RGB) -> None:
    """Colour every shape by how far its body is from the base; shapes that the file colours apart stay darker."""
    for name, colour, gloss in (
        ("body", body_colour, 0.6),
        ("joint", JOINT, 0.4),
        ("limb", LIMB, 0.5),
        ("rubber", RUBBER, 0.1),
    ):
        editable.add_material(name=name, rgba=(*colour, 1.0), specular=gloss, shininess=0.5)
    feet = {foot.name for foot in spec.feet}
    for body in editable.bodies:
        depth = _depth(body, spec.base_body)
        if depth is None:
            continue
        for geom in body.geoms:
            cylinder = geom.type == mujoco.mjtGeom.mjGEOM_CYLINDER
            geom.material = part(geom.name, cylinder=cylinder, depth=depth, feet=feet)
            geom.rgba, geom.group = UNPAINTED, 0


def part(name: str, *, cylinder: bool, depth: int, feet: Collection[str]) -> str:
    """What a shape, so many joints behind the base, is painted as: "body", "joint", "limb" or "rubber"."""
    if name in feet:
        return "rubber"
    if depth == 0:
        return "joint" if cylinder or name.startswith(("face", "head")) else "body"
    return "joint" if cylinder or depth == 1 else "limb"


def _depth(body: mujoco.MjsBody, base: str) -> int | None:
    """Joints between a body and the base; None for what is no part of the robot."""
    depth = 0
    while body.name != base:
        if body.name == "world" or body.parent is None:
            return None
        body, depth = body.parent, depth + 1
    return depth
