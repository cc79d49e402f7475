"""A body of primitive shapes as MJCF, its mass following its geometry.

Motors have the masses they are given. All other shapes share one density, which makes the whole as heavy as it is
asked to be; centres of mass and inertias follow from the shapes. SI; every number is written at full precision.
"""

import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from robots.cache import cache_dir, write_addressed
from robots.flat_mjcf import add

Point = Sequence[float]
FRICTION = 0.8
"""Of every shape, sliding only; as a go1's."""


class Body:
    """Shapes that are added one by one and weighed at the end."""

    def __init__(self, name: str) -> None:
        self.root = ET.Element("mujoco", model=name)
        add(self.root, "compiler", angle="radian", autolimits="true")
        add(add(self.root, "default"), "geom", group="3", condim="3", friction=FRICTION)
        self.world = add(self.root, "worldbody")
        self.volumes: dict[ET.Element, float] = {}
        self.motors = 0.0

    def box(self, body: ET.Element, name: str, half: Point) -> None:
        self.volumes[add(body, "geom", name=name, type="box", size=half)] = 8.0 * math.prod(half)

    def sphere(self, body: ET.Element, name: str, centre: Point, radius: float) -> None:
        geom = add(body, "geom", name=name, type="sphere", pos=centre, size=radius)
        self.volumes[geom] = 4.0 / 3.0 * math.pi * radius**3

    def capsule(self, body: ET.Element, name: str, start: Point, end: Point, radius: float, collide: bool) -> None:
        geom = add(body, "geom", name=name, type="capsule", fromto=(*start, *end), size=radius)
        if not collide:
            geom.attrib |= {"contype": "0", "conaffinity": "0"}
        self.volumes[geom] = math.pi * radius**2 * (math.dist(start, end) + 4.0 / 3.0 * radius)

    def cylinder(self, body: ET.Element, name: str, start: Point, end: Point, radius: float) -> None:
        geom = add(body, "geom", name=name, type="cylinder", fromto=(*start, *end), size=radius)
        self.volumes[geom] = math.pi * radius**2 * math.dist(start, end)

    def motor(self, body: ET.Element, centre: Point, radius: float, mass: float) -> None:
        """A solid sphere that touches nothing."""
        add(body, "geom", type="sphere", pos=centre, size=radius, mass=mass, contype="0", conaffinity="0")
        self.motors += mass

    def weigh(self, mass: float) -> None:
        """Give the shapes the density that makes everything together `mass` [kg] heavy."""
        density = (mass - self.motors) / sum(self.volumes.values())
        for geom, volume in self.volumes.items():
            geom.set("mass", repr(density * volume))

    def write(self, folder: Path | None) -> Path:
        """Write the MJCF to `folder`, or to the cache."""
        ET.indent(self.root)
        return write_addressed(folder or cache_dir("families"), ET.tostring(self.root, encoding="unicode"), ".xml")


def check_ranges(values: object, ranges: dict[str, tuple[float, float, str]]) -> None:
    """Refuse parameters outside their ranges.

    Raises:
        ValueError: with the parameter, its range, its unit and what came.
    """
    for name, (low, high, unit) in ranges.items():
        value = getattr(values, name)
        if not low <= value <= high:
            raise ValueError(f"{name} must lie within {low} and {high} {unit}, got {value}")
