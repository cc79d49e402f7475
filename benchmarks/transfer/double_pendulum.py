"""DFKI's double pendulum in two published designs, under position servos: two-joint arms whose joints are coupled.

SI, on the joint side of the gearbox; both angles are 0 where the links hang. `DFKI` is
dfki-ric-underactuated-lab/double_pendulum (BSD-3-Clause), its identified parameters `design_*/model_*`: a file of the
project has the mechanism, `robots/zoo/assets/acrobot/acrobot.xml`, of which each design is another set of numbers. The
third design, C.0, is left out: its second link's inertia about the joint is less than its mass times the square of its
centre's distance, which no body has.
"""

import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from math import pi
from pathlib import Path

import robots
from robots.spec import ActuatorSpec, JointSpec, RobotSpec

GEAR = 6.0
JOINTS = ("shoulder", "elbow")
DELAY = 0.006  # [s]: the acrobot's, from the same runs


@dataclass(frozen=True, kw_only=True)
class Design:
    """Of each of the two links and joints."""

    lengths: tuple[float, float]
    """[m]"""
    masses: tuple[float, float]
    """[kg]"""
    centres: tuple[float, float]
    """Joint to centre of mass [m]."""
    inertias: tuple[float, float]
    """About the joint [kg·m²]."""
    rotor: float
    """Inertia of a motor's rotor [kg·m²]."""
    viscous: float
    """Friction of a joint [N·m·s/rad]."""
    coulomb: tuple[float, float]
    """Friction of each joint [N·m]."""


DESIGNS = {
    "A0": Design(  # DFKI: design_A.0/model_2.0
        lengths=(0.3, 0.2),
        masses=(0.55938, 0.60435),
        centres=(0.3, 0.18378),
        inertias=(0.053471, 0.023924),
        rotor=7.6593e-5,
        viscous=0.001,
        coulomb=(0.093, 0.078),
    ),
    "C1": Design(  # DFKI: design_C.1/model_1.0
        lengths=(0.2, 0.3),
        masses=(0.52346, 0.62557),
        centres=(0.2, 0.25569),
        inertias=(0.031887, 0.050870),
        rotor=6.2872e-5,
        viscous=0.001,
        coulomb=(0.16, 0.12),
    ),
}


def servo_arm(name: str, folder: Path, *, kp: tuple[float, float], kd: tuple[float, float]) -> RobotSpec:
    """A design with a position servo at each joint; its MJCF goes to `folder`.

    Args:
        name: Of the design.
        folder: Existing.
        kp: Stiffness of shoulder and elbow [N·m/rad].
        kd: Damping [N·m·s/rad].
    """
    design = DESIGNS[name]
    acrobot = robots.get("acrobot")
    tree = ET.parse(acrobot.mjcf_path)
    for index, joint in enumerate(JOINTS):
        _set_link(tree, index, design)
        node = next(each for each in tree.iter("joint") if each.get("name") == joint)
        node.attrib.pop("armature", None)
    path = folder / f"double_pendulum_{name}.xml"
    tree.write(path)
    joints = [_joint(design, index, kp[index], kd[index]) for index in range(2)]
    mass = sum(design.masses)
    return replace(acrobot, name=path.stem, mjcf=str(path), joints=tuple(joints), passive_joints=(), mass=mass)


def _set_link(tree: "ET.ElementTree[ET.Element]", index: int, design: Design) -> None:
    """Its mass, centre and inertia, and the place of the link it carries."""
    link = next(each for each in tree.iter("body") if each.get("name") == f"link{index + 1}")
    mass, centre = design.masses[index], design.centres[index]
    swing = design.inertias[index] - mass * centre**2  # Steiner: about the centre of mass, across the plane
    inertial = link.find("inertial")
    assert inertial is not None
    inertial.attrib.update(mass=f"{mass}", pos=f"0 0 {-centre}", diaginertia=f"{swing} {swing} 0.0005")
    for carried in link.findall("body"):
        carried.set("pos", f"0 0 {-design.lengths[index]}")


def _joint(design: Design, index: int, kp: float, kd: float) -> JointSpec:
    actuator = ActuatorSpec(
        kp=kp,
        kd=kd,
        torque_limit=12.0,  # [N·m]: AK80-6, peak
        velocity_limit=38.2,  # [rad/s]: AK80-6 at 24 V
        knee_speed=30.0,
        armature=design.rotor * GEAR**2,
        damping=design.viscous,
        friction_loss=design.coulomb[index],
        delay=DELAY,
    )
    return JointSpec(name=JOINTS[index], position_limits=(-4 * pi, 4 * pi), default_position=0.0, actuator=actuator)
