"""Serial arms of two to seven links, from a reach and a mass.

Links are equal capsules in a row. The first joint turns the arm about its column, the others bend it forward or
sideways, so that each one moves the tool. Motors sit at their joints, on the inner link, and weigh in proportion to
the links they carry. A joint's torque limit and gains follow from the load it must bear: weight and inertia of the
stretched arm beyond it. SI.
"""

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from robots.families.bodies import Body, check_ranges
from robots.flat_mjcf import add
from robots.spec import ActuatorSpec, EncoderSpec, JointSpec, RobotSpec

GRAVITY = 9.81
AXES = "zyyxyxy"
"""Of the joints, in their links' frames, whose z points along the link."""
RADIUS, MOTOR = 0.05, 0.06
"""Of links and motors [reach]."""
PEDESTAL = 0.1
"""Radius of the base, and its height up to the first joint [reach]."""
BEND = math.pi / 2
"""Angle between column and last link in the nominal pose, in equal parts at the joints that bend forward [rad]."""
TURN, LEAN = 3.0, 2.3
"""Ranges of the first joint and of the others, of either sign [rad]."""
SOURCES = {
    "geometry": "parametric: equal links in a row, capsules of radius 0.05 reach",
    "inertias": "parametric: motors are motor_share of the mass, each in proportion to the links it carries; base and "
    "links have one density",
    "joint_limits": "a choice: ±3.0 rad of the column, ±2.3 rad of the others",
    "default_pose": "computed: bent forward by 90° in equal parts",
    "gains": "stiffness · load per rad, where load is the weight of the stretched arm beyond the joint times its "
    "lever; damping_ratio of the stretched arm's inertia with the armature",
    "actuator_physics": "dimensionless: torque limit = strength · load (Universal Robots' UR5e data sheet: 150 N·m at "
    "the shoulder, its load is 52 N·m), no-load speed 1/T (UR5e: π rad/s is 0.92); armature a tenth of the inertia "
    "beyond the joint and friction loss 0.02 load are assumptions",
    "delay": "4 ms, an assumption",
    "sensors": "assumptions: encoders with 0.5 mrad of noise and 5 mrad/s; no IMU",
}


@dataclass(frozen=True, kw_only=True)
class Arm:
    """An arm on a fixed base with one joint per link."""

    links: int = 6
    reach: float = 0.8
    """First joint to tool, stretched [m]."""
    mass: float = 10.0
    """Whole robot, its base included [kg]."""
    motor_share: float = 0.5
    """All motors together, of the mass."""
    stiffness: float = 20.0
    """[load/rad]"""
    damping_ratio: float = 1.0
    strength: float = 3.0
    """Torque limit [load]."""
    velocity_limit: float = 1.0
    """No-load speed [1/T]."""
    knee_speed: float = 0.0
    """Up to here the torque limit holds [1/T]."""
    armature: float = 0.1
    """[inertia of the stretched arm beyond the joint]"""
    friction_loss: float = 0.02
    """[load]"""
    delay: float = 0.004
    """[s]"""
    control_hz: float = 50.0
    physics_dt: float = 0.004
    """[s]"""

    def __post_init__(self) -> None:
        if self.links not in range(2, len(AXES) + 1):
            raise ValueError(f"links must be a whole number from 2 to {len(AXES)}, got {self.links}")
        check_ranges(self, RANGES)

    @property
    def motors(self) -> list[float]:
        """Mass of the motor at each joint [kg]."""
        carried = range(self.links, 0, -1)
        return [self.motor_share * self.mass * count / sum(carried) for count in carried]

    @property
    def pose(self) -> list[float]:
        """Nominal joint angles [rad]."""
        bends = AXES[: self.links].count("y")
        return [BEND / bends if axis == "y" else 0.0 for axis in AXES[: self.links]]


RANGES = {
    "reach": (0.05, 10.0, "m"),
    "mass": (0.05, 1000.0, "kg"),
    "motor_share": (0.01, 0.9, "of the mass"),
    "stiffness": (1.0, 500.0, "load/rad"),
    "damping_ratio": (0.01, 10.0, ""),
    "strength": (1.0, 100.0, "load"),
    "velocity_limit": (0.05, 100.0, "1/T"),
    "armature": (0.0, 10.0, "inertia beyond the joint"),
    "friction_loss": (0.0, 0.5, "load"),
    "delay": (0.0, 0.2, "s"),
}


def build_arm(arm: Arm, name: str, folder: Path | None = None) -> RobotSpec:
    """The robot `arm` describes; its MJCF goes to `folder`, or to the cache."""
    body = _mjcf(arm)
    masses = [_mass(link) for link in body.world.iter("body")][1:]
    return RobotSpec(
        name=name,
        kind="arm",
        mjcf=str(body.write(folder)),
        base_body="base",
        joints=tuple(_joint(arm, index, masses) for index in range(arm.links)),
        end_effector="tool",
        sensors=("encoders",),
        encoders=EncoderSpec(position_noise=5e-4, velocity_noise=5e-3),
        default_height=0.0,
        length=arm.reach,
        mass=arm.mass,
        control_hz=arm.control_hz,
        physics_dt=arm.physics_dt,
        sources=SOURCES,
    )


def _joint(arm: Arm, index: int, masses: list[float]) -> JointSpec:
    link = arm.reach / arm.links
    levers = [(number + 0.5) * link for number in range(arm.links - index)]
    load = GRAVITY * sum(mass * lever for mass, lever in zip(masses[index:], levers, strict=True))
    inertia = sum(mass * lever**2 for mass, lever in zip(masses[index:], levers, strict=True))
    kp, time = arm.stiffness * load, math.sqrt(arm.reach / GRAVITY)
    limit = TURN if index == 0 else LEAN
    actuator = ActuatorSpec(
        kp=kp,
        kd=2.0 * arm.damping_ratio * math.sqrt(kp * inertia * (1.0 + arm.armature)),
        torque_limit=arm.strength * load,
        velocity_limit=arm.velocity_limit / time,
        knee_speed=arm.knee_speed / time,
        armature=arm.armature * inertia,
        friction_loss=arm.friction_loss * load,
        delay=arm.delay,
    )
    return JointSpec(
        name=f"joint{index + 1}", position_limits=(-limit, limit), default_position=arm.pose[index], actuator=actuator
    )


def _mjcf(arm: Arm) -> Body:
    link, motors, made = arm.reach / arm.links, arm.motors, Body("arm")
    parent = add(made.world, "body", name="base")
    top = (0.0, 0.0, PEDESTAL * arm.reach)
    made.cylinder(parent, "base", (0.0, 0.0, 0.0), top, PEDESTAL * arm.reach)
    for index in range(arm.links):
        made.motor(parent, top, MOTOR * arm.reach, motors[index])
        axis = tuple(float(letter == AXES[index]) for letter in "xyz")
        parent = add(parent, "body", name=f"link{index + 1}", pos=top)
        add(parent, "joint", name=f"joint{index + 1}", axis=axis)
        top = (0.0, 0.0, link)
        made.capsule(parent, f"link{index + 1}", (0.0, 0.0, 0.0), top, RADIUS * arm.reach, collide=True)
    add(parent, "site", name="tool", pos=top)
    add(add(made.root, "contact"), "exclude", body1="base", body2="link1")  # a fixed parent is not excluded by itself
    made.weigh(arm.mass)
    return made


def _mass(link: ET.Element) -> float:
    """Of one body, without its children [kg]."""
    return sum(float(geom.attrib["mass"]) for geom in link.findall("geom"))
