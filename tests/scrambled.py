"""A robot as somebody else would have written it down: other names, other order, joints that turn the other way."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np

from robots.flat_mjcf import write_flat
from robots.model import build_model
from robots.spec import RobotSpec

NAMES = ("name", "body1", "body2")
"""Attributes that name something."""


def scrambled(spec: RobotSpec, folder: Path, rng: np.random.Generator) -> tuple[RobotSpec, list[int], list[float]]:
    """The same machine with every name replaced, joints and bodies in another order, and half of the axes turned round.

    Returns:
        The robot, the canonical number in `spec` of each of its joints, and the sign each of them took.
    """
    order = rng.permutation(spec.num_joints).tolist()
    signs = rng.choice([-1.0, 1.0], spec.num_joints).tolist()
    root = ET.fromstring(write_flat(build_model(spec, contacts="full")))
    turned = {spec.joints[joint].name for joint, sign in zip(order, signs, strict=True) if sign < 0.0}
    for joint in root.iter("joint"):
        if joint.get("name") in turned:
            _turn(joint)
    for body in root.iter("body"):
        _shuffle(body, rng)
    found = sorted(
        {element.attrib[key] for element in root.iter() for key in NAMES if key in element.attrib} - {"world"}
    )
    called = {name: f"n{number}" for name, number in zip(found, rng.permutation(len(found)).tolist(), strict=True)}
    for element in root.iter():
        element.attrib |= {key: called.get(element.attrib[key], "world") for key in NAMES if key in element.attrib}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "robot.xml").write_text(ET.tostring(root, encoding="unicode"))
    joints = [_joint(spec, joint, sign, called) for joint, sign in zip(order, signs, strict=True)]
    return (
        replace(
            spec,
            name="scrambled",
            mjcf=str(folder / "robot.xml"),
            base_body=called[spec.base_body],
            joints=tuple(joints),
            feet=tuple(replace(foot, name=called[foot.name]) for foot in spec.feet),
            passive_joints=tuple(replace(joint, name=called[joint.name]) for joint in spec.passive_joints),
            end_effector=called.get(spec.end_effector, ""),
            imu=replace(spec.imu, site=called.get(spec.imu.site, spec.imu.site)),
        ),
        order,
        signs,
    )


def _turn(joint: ET.Element) -> None:
    """The same joint, its positions counted the other way."""
    low, high = joint.attrib["range"].split()
    joint.set("range", f"{-float(high)} {-float(low)}")
    joint.set("axis", " ".join(str(-float(number)) for number in joint.attrib["axis"].split()))
    for name in ("ref", "springref"):
        joint.set(name, str(-float(joint.attrib[name])))


def _shuffle(body: ET.Element, rng: np.random.Generator) -> None:
    children = body.findall("body")
    for child in children:
        body.remove(child)
    body.extend([children[number] for number in rng.permutation(len(children))])


def _joint(spec: RobotSpec, number: int, sign: float, called: dict[str, str]):
    joint = spec.joints[number]
    low, high = sorted(sign * limit for limit in joint.position_limits)
    position = sign * joint.default_position
    return replace(joint, name=called[joint.name], position_limits=(low, high), default_position=position)
