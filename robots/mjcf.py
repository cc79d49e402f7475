"""Reads and compiles MJCF files; what is wrong with one is said with its file, its element and what to do.

MuJoCo compiles some nonsense without a word: NaN and infinity (in a mass, NaN even counts as not given), and ranges
whose ends are swapped, which it takes for no limit at all.
"""

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import mujoco


def read_mjcf(path: Path) -> mujoco.MjSpec:
    """The MJCF at `path`, ready to be edited.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it cannot be parsed, a number is not finite, or a range is upside down.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no MJCF {path}; correct the path, or `mjcf` in robot.json, relative to its folder")
    try:
        root = ElementTree.parse(path).getroot()
        editable = mujoco.MjSpec.from_file(str(path))
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"{path}: {_one_line(error)}; correct the file") from error
    _check_numbers(root, path)
    _check_ranges(editable, path)
    return editable


def compile_mjcf(editable: mujoco.MjSpec, path: Path) -> mujoco.MjModel:
    """Compile what was read from `path`.

    Raises:
        FileNotFoundError: a file that it needs, a mesh for instance, is missing.
        ValueError: MuJoCo refuses it.
    """
    try:
        return editable.compile()
    except ValueError as error:
        missing = re.search(r"opening file '(.*?)'", str(error))
        if missing:
            raise FileNotFoundError(_missing_file(editable, path, missing[1])) from error
        raise ValueError(f"{path}: {_one_line(error)}; correct this element") from error


def _check_numbers(element: ElementTree.Element, path: Path, parent: str = "") -> None:
    """Refuse attributes that are numbers but not all finite; MuJoCo says nothing, or warns without a place."""
    place = f"{element.tag} {element.get('name')!r}" if element.get("name") else f"{element.tag}{parent}"
    for attribute, text in element.attrib.items():
        if attribute != "name" and not all(math.isfinite(number) for number in _numbers(text)):
            raise ValueError(f'{path}: {attribute}="{text}" of {place} must be finite; write numbers, or delete it')
    for child in element:
        _check_numbers(child, path, f" in {place}")


def _numbers(text: str) -> list[float]:
    """The numbers of an attribute, or none where it says something else."""
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        return []


def _check_ranges(editable: mujoco.MjSpec, path: Path) -> None:
    ranges = [("joint", joint.name, "range", joint.range) for joint in editable.joints]
    for actuator in editable.actuators:
        ranges += [("actuator", actuator.name, name, getattr(actuator, name)) for name in ("ctrlrange", "forcerange")]
    for kind, element, name, (low, high) in ranges:
        if low > high:
            raise ValueError(
                f"{path}: {name} of {kind} {element!r} must be (min, max) with min <= max, got ({low}, {high})"
            )


def _missing_file(editable: mujoco.MjSpec, path: Path, file: str) -> str:
    assets = {"mesh": editable.meshes, "height field": editable.hfields, "texture": editable.textures}
    owners = [
        f"{kind} {element.name or Path(element.file).stem!r}"
        for kind, group in assets.items()
        for element in group
        if element.file and Path(element.file).name == Path(file).name
    ]
    return (
        f"{path}: the file {file!r} of {' and '.join(owners) or 'an asset'} is missing; put it beside the MJCF or "
        f"where its meshdir points, or collide with primitives instead"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).replace("Error: ", "").split())
