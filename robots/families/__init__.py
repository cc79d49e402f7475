"""Parametric bodies: a name with numbers is a robot, "quadruped:leg_length=0.2,mass=12" or "arm:links=4".

A robot's name holds every parameter that is not the default; `robots.get` of the name gives the robot back.
"""

import dataclasses
from pathlib import Path
from typing import Any

from robots.families.arms import Arm, build_arm
from robots.families.quadrupeds import Quadruped, build_quadruped
from robots.families.worlds import family_fields
from robots.records import decode
from robots.spec import RobotSpec

__all__ = ["FAMILIES", "Arm", "Quadruped", "arm", "build", "family_fields", "parse", "quadruped", "robot_name", "vary"]

FAMILIES: dict[str, type[Quadruped] | type[Arm]] = {"quadruped": Quadruped, "arm": Arm}


def quadruped(folder: Path | None = None, **parameters: Any) -> RobotSpec:
    """A legged robot with the parameters of `Quadruped`; its MJCF goes to `folder`, or to the cache."""
    return build(Quadruped(**parameters), folder)


def arm(folder: Path | None = None, **parameters: Any) -> RobotSpec:
    """An arm with the parameters of `Arm`; its MJCF goes to `folder`, or to the cache."""
    return build(Arm(**parameters), folder)


def build(body: Quadruped | Arm, folder: Path | None = None) -> RobotSpec:
    """The robot of a parametric body."""
    if isinstance(body, Arm):
        return build_arm(body, robot_name(body), folder)
    return build_quadruped(body, robot_name(body), folder)


def vary(spec: RobotSpec, folder: Path | None = None, **parameters: Any) -> RobotSpec:
    """Another member of a robot's family: the same parameters, but for those given."""
    return build(dataclasses.replace(parse(spec.name), **parameters), folder)


def robot_name(body: Quadruped | Arm) -> str:
    """The name that `parse` reads: the family and what differs from its defaults."""
    family = next(name for name, kind in FAMILIES.items() if isinstance(body, kind))
    changed = [field.name for field in dataclasses.fields(body) if getattr(body, field.name) != field.default]
    parameters = ",".join(f"{name}={getattr(body, name)!r}" for name in changed)
    return f"{family}:{parameters}" if parameters else family


def parse(name: str) -> Quadruped | Arm:
    """The body that a name like "quadruped:leg_length=0.2,mass=12" describes.

    Raises:
        LookupError: there is no such family.
        ValueError: an unknown parameter, with the valid ones, or a value that is no number or out of range.
    """
    family, _, text = name.partition(":")
    if family not in FAMILIES:
        raise LookupError(f"no family of robots named {family!r}; there are {', '.join(FAMILIES)}")
    values = dict(_assignment(name, part) for part in text.split(",") if part)
    return decode(FAMILIES[family], values, where=f"robot {name!r}")


def _assignment(name: str, part: str) -> tuple[str, int | float]:
    key, _, text = part.partition("=")
    try:
        return key.strip(), int(text) if text.strip().isdigit() else float(text)
    except ValueError:
        raise ValueError(f"robot {name!r}: expected parameter=number, got {part!r}") from None
