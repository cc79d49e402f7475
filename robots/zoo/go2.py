"""Unitree Go2: a 15 kg quadruped with twelve quasi-direct-drive joints.

SI, on the joint side of the gearbox. `URDF` below is go2_description of unitreerobotics/unitree_ros (BSD-3-Clause).
"""

from math import cos, sin

from robots import assumptions
from robots.spec import ActuatorSpec, FootSpec, JointSpec, RobotSpec

LINK_LENGTH = 0.213  # of thigh and of calf [m]: URDF thigh_length and calf_length
FOOT_RADIUS, FOOT_OFFSET = 0.022, 0.002  # sphere and how far it sits behind the calf's axis [m]: Menagerie unitree_go2
HIP_HEIGHT = 2 * LINK_LENGTH * cos(0.9) + FOOT_OFFSET * sin(0.9) + FOOT_RADIUS  # nominal pose: 0.2884 m

ROTOR_INERTIA = 1.11842e-4  # [kg·m²]: go1_description, thigh_rotor_iyy; both robots have the same 23.7 N·m drives
GEAR_RATIO = 6.33  # motor/joint turns of hip and thigh: Unitree Go1 motor data sheet
CALF_LINKAGE = 45.43 / 23.7  # further reduction of the calf linkage, 1.917: URDF torque limits
KNEE_SPEED = 13.5  # of hip and thigh, where torque begins to fall [rad/s]: Go2HV in unitreerobotics/unitree_rl_lab


def _actuator(linkage: float, velocity_limit: float) -> ActuatorSpec:
    return ActuatorSpec(
        kp=42.0,
        kd=1.2,
        torque_limit=23.7 * linkage,
        knee_speed=KNEE_SPEED / linkage,
        velocity_limit=velocity_limit,
        armature=ROTOR_INERTIA * (GEAR_RATIO * linkage) ** 2,
        damping=0.01,
        friction_loss=0.2,
        delay=assumptions.DELAY,
    )


def _leg(leg: str) -> tuple[JointSpec, ...]:
    hip, calf = _actuator(1.0, 30.1), _actuator(CALF_LINKAGE, 15.7)
    thigh_limits = (-1.5708, 3.4907) if leg[0] == "F" else (-0.5236, 4.5379)
    return (
        JointSpec(name=f"{leg}_hip_joint", position_limits=(-1.0472, 1.0472), default_position=0.0, actuator=hip),
        JointSpec(name=f"{leg}_thigh_joint", position_limits=thigh_limits, default_position=0.9, actuator=hip),
        JointSpec(name=f"{leg}_calf_joint", position_limits=(-2.7227, -0.83776), default_position=-1.8, actuator=calf),
    )


LEGS = ("FL", "FR", "RL", "RR")

ROBOT = RobotSpec(
    name="go2",
    kind="quadruped",
    mjcf="go2/go2.xml",
    base_body="base",
    joints=tuple(joint for leg in LEGS for joint in _leg(leg)),
    feet=tuple(FootSpec(name=leg, radius=FOOT_RADIUS) for leg in LEGS),
    imu=assumptions.IMU,
    encoders=assumptions.ENCODERS,
    default_height=HIP_HEIGHT,
    length=HIP_HEIGHT,
    mass=6.921 + 4 * (0.678 + 1.152 + 0.241352),  # base + 4 · (hip + thigh + calf), 15.206 kg
    sources={
        "geometry": "URDF const.xacro: leg_offset, thigh_offset, thigh_length, calf_length; foot sphere of the MuJoCo "
        "Menagerie's unitree_go2 (BSD-3-Clause)",
        "inertias": "URDF const.xacro: trunk, hip, thigh; calf and foot merged as in the Menagerie's unitree_go2",
        "joint_limits": "URDF: positions; 23.7 N·m and 30.1 rad/s of hip and thigh, 45.43 N·m, 15.7 rad/s of the calf",
        "default_pose": "the MuJoCo Menagerie's standing pose: hip 0, thigh 0.9, calf -1.8",
        "gains": "a choice between those others walk with: go1's stiffness and damping in units of mgL and mgL·T (0.98 "
        "and 0.16). Unitree's unitree_rl_lab trains with kp 25, kd 0.5, MuJoCo Playground with kp 50",
        "actuator_physics": "armature = rotor inertia × gear ratio² of the Go1's drive, which has the same torque and "
        "speed limits; knee of the torque curve: Unitree's motor test in unitree_rl_lab (which reached 20.2 N·m of the "
        "URDF's 23.7); damping and friction of the URDF's joint dynamics; the linkage that raises the calf's torque by "
        "1.917 lowers its speeds by the same",
        "delay": assumptions.DELAY_SOURCE,
        "sensors": assumptions.SENSORS,
    },
)
