"""What stands still in the browser's picture: light and ground; and colours as viser takes them. Lengths in m."""

from typing import Any

from sim2real.report.scene import RGB, TILE_DARK, TILE_LIGHT, TILE_MARK
from sim2real.view.meshes import INFINITE
from sim2real.view.shapes import Shape


def add_light(scene: Any) -> None:
    """One sun with shadows, and a little light from everywhere."""
    scene.configure_environment_map("studio", environment_intensity=0.25)
    scene.configure_default_lights(enabled=False)
    scene.add_light_directional("/sun", intensity=2.2, cast_shadow=True, position=(-0.4, -0.6, 1.0))


def is_ground(shape: Shape) -> bool:
    """Whether all worlds share this shape, which lies still."""
    return shape.body == 0 and shape.kinds in (("plane",), ("hfield",))


def add_ground(scene: Any, name: str, shape: Shape, length: float) -> None:
    """A surface or, for a plane without end, lines 2·`length` apart."""
    if shape.kinds == ("hfield",) or abs(shape.vertices).max() < INFINITE:
        scene.add_mesh_simple(name, shape.vertices, shape.faces, color=srgb(TILE_DARK), flat_shading=True)
        return
    scene.add_grid(
        name,
        infinite_grid=True,
        cell_size=2.0 * length,
        cell_color=srgb(TILE_MARK),
        section_size=10.0 * length,
        section_color=srgb(TILE_DARK),
        plane_color=srgb(TILE_LIGHT),
        plane_opacity=1.0,
        shadow_opacity=0.35,
        fade_distance=60.0 * length,
        position=shape.vertices.mean(0),
    )


def srgb(colour: RGB) -> tuple[int, int, int]:
    """A colour, 0..1, in bytes."""
    red, green, blue = (round(255 * channel) for channel in colour)
    return red, green, blue


def linear(colour: RGB) -> tuple[int, int, int]:
    """The same for instanced meshes, whose colours viser takes for linear ones, not for sRGB."""
    red, green, blue = (((channel + 0.055) / 1.055) ** 2.4 for channel in colour)
    return srgb((red, green, blue))
