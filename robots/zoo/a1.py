"""Unitree A1: a 12 kg quadruped with twelve equal quasi-direct-drive joints.

SI, on the joint side of the gearbox. `URDF` below is Unitree's a1 description in unitree_mujoco (BSD-3-Clause).
"""

from math import cos

from robots import assumptions
from robots.spec import ActuatorSpec, FootSpec, JointSpec, RobotSpec

LINK_LENGTH = 0.2  # of thigh and of calf [m]: URDF thigh_length and calf_length
FOOT_RADIUS = 0.02  # [m]: URDF foot_radius
HIP_HEIGHT = 2 * LINK_LENGTH * cos(0.9) + FOOT_RADIUS  # hip axis above ground in the nominal pose, 0.2686 m

ROTOR_INERTIA = 1.11842e-4  # [kg·m²]: go1_description, thigh_rotor_iyy; the A1's own is not published
GEAR_RATIO = 9.1  # motor/joint turns: Unitree A1 motor manual

DRIVE = ActuatorSpec(
    kp=32.0,
    kd=0.9,
    torque_limit=33.5,
    knee_speed=0.45 * 21.0,
    velocity_limit=21.0,
    armature=ROTOR_INERTIA * GEAR_RATIO**2,
    damping=0.01,
    friction_loss=0.2,
    delay=assumptions.DELAY,
)


def _leg(leg: str) -> tuple[JointSpec, ...]:
    hip_limits, thigh_limits, calf_limits = (-0.802851, 0.802851), (-1.0472, 4.18879), (-2.69653, -0.916298)
    return (
        JointSpec(name=f"{leg}_hip_joint", position_limits=hip_limits, default_position=0.0, actuator=DRIVE),
        JointSpec(name=f"{leg}_thigh_joint", position_limits=thigh_limits, default_position=0.9, actuator=DRIVE),
        JointSpec(name=f"{leg}_calf_joint", position_limits=calf_limits, default_position=-1.8, actuator=DRIVE),
    )


LEGS = ("FL", "FR", "RL", "RR")

ROBOT = RobotSpec(
    name="a1",
    kind="quadruped",
    mjcf="a1/a1.xml",
    base_body="trunk",
    joints=tuple(joint for leg in LEGS for joint in _leg(leg)),
    feet=tuple(FootSpec(name=leg, radius=FOOT_RADIUS) for leg in LEGS),
    imu=assumptions.IMU,
    encoders=assumptions.ENCODERS,
    default_height=HIP_HEIGHT,
    length=HIP_HEIGHT,
    mass=4.713 + 4 * (0.696 + 1.013 + 0.226),  # trunk + 4 · (hip + thigh + calf with foot), 12.453 kg
    sources={
        "geometry": "URDF: hips at ±0.183, ±0.047 m, thighs 0.08505 m further out, links of 0.2 m, foot radius 0.02 m",
        "inertias": "URDF, calf and foot merged as in the MuJoCo Menagerie's unitree_a1 (BSD-3-Clause). The calf's "
        "inertia is as published: 4.5 times that of a rod of its length and mass",
        "joint_limits": "URDF: hip ±46°, thigh -60..240°, calf -154.5..-52.5°; 33.5 N·m and 21 rad/s",
        "default_pose": "Unitree's and the MuJoCo Menagerie's standing pose: hip 0, thigh 0.9, calf -1.8",
        "gains": "a choice between those others walk with: go1's stiffness and damping in units of mgL and mgL·T (0.98 "
        "and 0.16). legged_gym trains with kp 20, kd 0.5; the Menagerie's servos have kp 100",
        "actuator_physics": "armature = rotor inertia × gear ratio², the rotor's an assumption; so is the knee of the "
        "torque curve at 0.45 of the no-load speed, where Unitree measured it on the Go2's drive; damping and friction "
        "of the Go1's URDF, the A1's states none",
        "delay": assumptions.DELAY_SOURCE,
        "sensors": assumptions.SENSORS,
    },
)
