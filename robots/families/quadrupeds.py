"""Bodies with four or six equal legs of two or three joints, from lengths and a mass.

Proportions are lengths over `leg_length`, the servos dimensionless as in `robots.servo_rules`: torque in mgL, time in
T = √(L/g), L the nominal hip height, m the whole mass. Motors have equal masses: the abduction's is in the trunk, the
swing's in the hip, the knee's at the top of the thigh. Legs are built like a go1's; knees point backward. SI.
"""

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from robots import assumptions
from robots.families.bodies import Body, check_ranges
from robots.flat_mjcf import add
from robots.servo_rules import KD, KP, TORQUE_LIMIT, VELOCITY_LIMIT
from robots.spec import ActuatorSpec, FootSpec, JointSpec, RobotSpec

GRAVITY = 9.81
THIGH, SHANK, HIP, FOOT, MOTOR = 0.06, 0.04, 0.05, 0.047, 0.09
"""Radii of limbs, feet and motors [leg_length]: links then weigh what the mean of go1's and anymal_c's does, within a
fifth; a go1's foot is 0.047."""
OFFSET = 0.188
"""From the abduction axis outward to the thigh [leg_length]; go1: 0.08 m / 0.426 m."""
HALF_HEIGHT = 0.134
"""Of the trunk [leg_length]; go1: 0.057 m / 0.426 m."""
LEGS = {4: ("FL", "FR", "RL", "RR"), 6: ("FL", "FR", "ML", "MR", "RL", "RR")}
LIMITS = {"hip": (-0.9, 0.9), "thigh": (-1.0, 3.2), "calf": (-2.8, -0.1)}
"""Joint ranges [rad], about a go1's."""
SOURCES = {
    "geometry": "parametric: proportions over leg_length, by default about those of a go1",
    "inertias": "parametric: motors are motor_share of the mass, in equal parts at their joints; all other shapes have "
    "one density. Radii are chosen so that the default links have about the mean mass shares of go1 and anymal_c "
    "(trunk 0.42, hip 0.06, thigh 0.07, shank 0.014)",
    "joint_limits": "about those of a go1",
    "default_pose": "computed: feet under the hips at `stance` of the leg's length, knees backward",
    "gains": "robots.servo_rules: kp [mgL/rad] and kd [mgLT/rad]",
    "actuator_physics": "dimensionless, between go1 and anymal_c: armature 0.0043-0.0155 mL², damping 0.002-0.011 "
    "mgLT, friction loss 0.005-0.006 mgL; torque limit and no-load speed as in robots.servo_rules",
    "delay": assumptions.DELAY_SOURCE,
    "sensors": assumptions.SENSORS,
}


@dataclass(frozen=True, kw_only=True)
class Quadruped:
    """A body with legs; six of them make a hexapod."""

    leg_length: float = 0.4
    """Thigh and shank: swing axis to centre of the foot, stretched [m]."""
    mass: float = 12.0
    """Whole robot [kg]."""
    joints_per_leg: Literal[2, 3] = 3
    """Swing and extend, or abduct before them."""
    legs: Literal[4, 6] = 4
    thigh_share: float = 0.5
    """Of the leg's length."""
    body_length: float = 0.9
    """Front to rear hips [leg_length]."""
    body_width: float = 0.22
    """Left to right hips, where the trunk ends [leg_length]."""
    stance: float = 0.65
    """Swing axis to centre of the foot in the nominal pose [leg_length]; go1 0.62, anymal_c 0.71."""
    motor_share: float = 0.5
    """All motors together, of the mass."""
    kp: float = KP
    """[mgL/rad]"""
    kd: float = KD
    """[mgLT/rad]"""
    torque_limit: float = TORQUE_LIMIT
    """[mgL]"""
    velocity_limit: float = VELOCITY_LIMIT
    """No-load speed [1/T]."""
    knee_speed: float = 0.0
    """Up to here the torque limit holds [1/T]."""
    armature: float = 0.008
    """[mL²]"""
    damping: float = 0.005
    """[mgLT/rad]"""
    friction_loss: float = 0.005
    """[mgL]"""
    delay: float = assumptions.DELAY
    """[s]"""
    control_hz: float = 50.0
    physics_dt: float = 0.004
    """[s]"""

    def __post_init__(self) -> None:
        for name, choices in (("joints_per_leg", (2, 3)), ("legs", (4, 6))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be {choices[0]} or {choices[1]}, got {getattr(self, name)}")
        check_ranges(self, RANGES)
        shortest = abs(2.0 * self.thigh_share - 1.0)
        if not shortest < self.stance:
            raise ValueError(
                f"stance must exceed what the folded leg measures, |2·thigh_share − 1| = {shortest:.3f} of leg_length, "
                f"got {self.stance}; bring thigh_share nearer to 0.5"
            )

    @property
    def hip_height(self) -> float:
        """Unit of length L [m]."""
        return (self.stance + FOOT) * self.leg_length

    @property
    def pose(self) -> dict[str, float]:
        """Nominal angles of a leg's joints [rad]: the triangle of thigh, shank and the line from hip to foot."""
        thigh, shank, line = self.thigh_share, 1.0 - self.thigh_share, self.stance
        swing = math.acos((thigh**2 + line**2 - shank**2) / (2.0 * thigh * line))
        knee = math.acos((thigh**2 + shank**2 - line**2) / (2.0 * thigh * shank))
        return {"hip": 0.0, "thigh": swing, "calf": knee - math.pi}


RANGES = {
    "leg_length": (0.05, 3.0, "m"),
    "mass": (0.05, 1000.0, "kg"),
    "thigh_share": (0.2, 0.8, "of leg_length"),
    "body_length": (0.4, 4.0, "leg_length"),
    "body_width": (0.05, 2.0, "leg_length"),
    "stance": (0.3, 0.97, "of leg_length"),
    "motor_share": (0.01, 0.9, "of the mass"),
    "kp": (0.05, 50.0, "mgL/rad"),
    "kd": (0.0, 10.0, "mgLT/rad"),
    "torque_limit": (0.05, 100.0, "mgL"),
    "velocity_limit": (0.1, 100.0, "1/T"),
    "armature": (0.0, 1.0, "mL²"),
    "damping": (0.0, 1.0, "mgLT/rad"),
    "friction_loss": (0.0, 1.0, "mgL"),
    "delay": (0.0, 0.2, "s"),
}


def build_quadruped(body: Quadruped, name: str, folder: Path | None = None) -> RobotSpec:
    """The robot `body` describes; its MJCF goes to `folder`, or to the cache."""
    size = body.hip_height
    return RobotSpec(
        name=name,
        kind="quadruped" if body.legs == 4 else "hexapod",
        mjcf=str(_mjcf(body).write(folder)),
        base_body="trunk",
        joints=tuple(_joint(body, f"{leg}_{part}_joint", part) for leg in LEGS[body.legs] for part in _parts(body)),
        feet=tuple(FootSpec(name=leg, radius=FOOT * body.leg_length) for leg in LEGS[body.legs]),
        imu=assumptions.IMU,
        encoders=assumptions.ENCODERS,
        default_height=size,
        length=size,
        mass=body.mass,
        control_hz=body.control_hz,
        physics_dt=body.physics_dt,
        sources=SOURCES,
    )


def _parts(body: Quadruped) -> tuple[str, ...]:
    return ("hip", "thigh", "calf")[3 - body.joints_per_leg :]


def _joint(body: Quadruped, name: str, part: str) -> JointSpec:
    size = body.hip_height
    time, torque = math.sqrt(size / GRAVITY), body.mass * GRAVITY * size
    actuator = ActuatorSpec(
        kp=body.kp * torque,
        kd=body.kd * torque * time,
        torque_limit=body.torque_limit * torque,
        velocity_limit=body.velocity_limit / time,
        knee_speed=body.knee_speed / time,
        armature=body.armature * body.mass * size**2,
        damping=body.damping * torque * time,
        friction_loss=body.friction_loss * torque,
        delay=body.delay,
    )
    return JointSpec(name=name, position_limits=LIMITS[part], default_position=body.pose[part], actuator=actuator)


def _mjcf(body: Quadruped) -> Body:
    unit, motor = body.leg_length, body.motor_share * body.mass / (body.legs * body.joints_per_leg)
    made = Body("quadruped")
    trunk = add(made.world, "body", name="trunk", pos=(0.0, 0.0, body.hip_height))
    add(trunk, "freejoint", name="base")
    made.box(trunk, "trunk", (body.body_length * unit / 2, body.body_width * unit / 2, HALF_HEIGHT * unit))
    add(trunk, "site", name="imu")
    pairs = body.legs // 2
    for index, leg in enumerate(LEGS[body.legs]):
        x = body.body_length * unit * (0.5 - (index // 2) / (pairs - 1))
        side = (1.0, -1.0)[index % 2]
        _add_leg(made, body, trunk, leg, (x, side * body.body_width * unit / 2, 0.0), side, motor)
    made.weigh(body.mass)
    return made


def _add_leg(
    made: Body, body: Quadruped, trunk: ET.Element, leg: str, hip: tuple[float, float, float], side: float, motor: float
) -> None:
    unit = body.leg_length
    outward, thigh, shank = side * OFFSET * unit, body.thigh_share * unit, (1.0 - body.thigh_share) * unit
    made.motor(trunk, hip, MOTOR * unit, motor)
    if body.joints_per_leg == 3:
        carrier = add(trunk, "body", name=f"{leg}_hip", pos=hip)
        add(carrier, "joint", name=f"{leg}_hip_joint", axis=(1.0, 0.0, 0.0))
        made.capsule(carrier, f"{leg}_hip", (0.0, 0.0, 0.0), (0.0, outward, 0.0), HIP * unit, collide=False)
        made.motor(carrier, (0.0, outward, 0.0), MOTOR * unit, motor)
        start = (0.0, outward, 0.0)
    else:
        carrier, start = trunk, (hip[0], hip[1] + outward, hip[2])
    upper = add(carrier, "body", name=f"{leg}_thigh", pos=start)
    add(upper, "joint", name=f"{leg}_thigh_joint", axis=(0.0, 1.0, 0.0))
    made.capsule(upper, f"{leg}_thigh", (0.0, 0.0, 0.0), (0.0, 0.0, -thigh), THIGH * unit, collide=True)
    made.motor(upper, (0.0, 0.0, 0.0), MOTOR * unit, motor)
    lower = add(upper, "body", name=f"{leg}_calf", pos=(0.0, 0.0, -thigh))
    add(lower, "joint", name=f"{leg}_calf_joint", axis=(0.0, 1.0, 0.0))
    made.capsule(lower, f"{leg}_calf", (0.0, 0.0, 0.0), (0.0, 0.0, SHANK * unit - shank), SHANK * unit, collide=True)
    made.sphere(lower, leg, (0.0, 0.0, -shank), FOOT * unit)
