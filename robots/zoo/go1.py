"""Unitree Go1: a 13 kg quadruped with twelve quasi-direct-drive joints.

SI, on the joint side of the gearbox. `URDF` below is go1_description of unitreerobotics/unitree_ros (BSD-3-Clause).
"""

from math import cos

from robots import assumptions
from robots.spec import ActuatorSpec, FootSpec, JointSpec, RobotSpec

LINK_LENGTH = 0.213  # of thigh and of calf [m]: URDF const.xacro, thigh_length and calf_length
FOOT_RADIUS = 0.02  # [m]: URDF const.xacro, foot_radius
HIP_HEIGHT = 2 * LINK_LENGTH * cos(0.9) + FOOT_RADIUS  # hip axis above ground in the nominal pose, 0.2848 m

ROTOR_INERTIA = 1.11842e-4  # [kg·m²]: URDF const.xacro, thigh_rotor_iyy
GEAR_RATIO = 6.33  # motor/joint turns of hip and thigh: Unitree Go1 motor data sheet
CALF_LINKAGE = 35.55 / 23.7  # further reduction of the calf linkage, 1.5: URDF torque limits


def _actuator(linkage: float, velocity_limit: float) -> ActuatorSpec:
    return ActuatorSpec(
        kp=35.0,
        kd=1.0,
        torque_limit=23.7 * linkage,
        velocity_limit=velocity_limit,
        armature=ROTOR_INERTIA * (GEAR_RATIO * linkage) ** 2,
        damping=0.01,
        friction_loss=0.2,
        delay=assumptions.DELAY,
    )


def _leg(leg: str) -> tuple[JointSpec, ...]:
    hip, calf = _actuator(1.0, 30.1), _actuator(CALF_LINKAGE, 20.06)
    return (
        JointSpec(name=f"{leg}_hip_joint", position_limits=(-0.863, 0.863), default_position=0.0, actuator=hip),
        JointSpec(name=f"{leg}_thigh_joint", position_limits=(-0.686, 4.501), default_position=0.9, actuator=hip),
        JointSpec(name=f"{leg}_calf_joint", position_limits=(-2.818, -0.888), default_position=-1.8, actuator=calf),
    )


LEGS = ("FL", "FR", "RL", "RR")

ROBOT = RobotSpec(
    name="go1",
    kind="quadruped",
    mjcf="go1/go1.xml",
    base_body="trunk",
    joints=tuple(joint for leg in LEGS for joint in _leg(leg)),
    feet=tuple(FootSpec(name=leg, radius=FOOT_RADIUS) for leg in LEGS),
    imu=assumptions.IMU,
    encoders=assumptions.ENCODERS,
    default_height=HIP_HEIGHT,
    length=HIP_HEIGHT,
    mass=5.204 + 4 * (0.68 + 1.009 + 0.195862),  # trunk + 4 · (hip + thigh + calf), 12.743 kg
    sources={
        "geometry": "URDF const.xacro: leg_offset, thigh_offset, thigh_length, calf_length, foot_radius",
        "inertias": "URDF const.xacro, links merged as noted in go1.xml; the four hip rotors (0.089 kg each) are taken "
        "as part of the trunk's 5.204 kg: total 12.743 kg where the URDF's own comment says 12.84 kg",
        "joint_limits": "URDF const.xacro: position, torque and velocity limits",
        "default_pose": "Unitree's and the MuJoCo Menagerie's standing pose: hip 0, thigh 0.9, calf -1.8",
        "gains": "kp 35, kd 1: chosen for 50 Hz position targets; MuJoCo Playground's Go1 walks with the same kp",
        "actuator_physics": "armature = URDF rotor inertia × gear ratio²; damping and friction of the URDF's joint "
        "dynamics; the linkage that raises the calf's torque by 1.5 lowers its speed by the same. That torque falls in "
        "a line from rest on is an assumption, Isaac Lab's too: no knee is published for this drive, and the Go2's, of "
        "the same torque and speed, holds its torque up to 13.5 rad/s",
        "delay": assumptions.DELAY_SOURCE,
        "sensors": assumptions.SENSORS,
    },
)
