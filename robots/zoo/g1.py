"""Unitree G1: a 33 kg humanoid with 29 quasi-direct-drive joints.

SI, on the joint side of the gearbox. `URDF` below is g1_29dof_rev_1_0 of g1_description in unitreerobotics/unitree_ros,
`Unitree` the motor tests and walking gains in unitreerobotics/unitree_rl_lab (both BSD-3-Clause).
"""

from dataclasses import replace
from math import cos

from robots import assumptions
from robots.spec import ActuatorSpec, FootSpec, JointSpec, RobotSpec

HIP_PITCH, KNEE = -0.312, 0.669  # nominal pose [rad]; the ankle keeps the sole level
THIGH, SHANK = 0.336596, 0.30001  # hip pitch to knee to ankle pitch axis, in the plane of the leg [m]: URDF
ANKLE_TO_GROUND = 0.017558 + 0.035  # [m]: URDF, ankle roll below ankle pitch, contact points below that
PELVIS_TO_HIP = 0.1027  # pelvis frame above the hip pitch axis [m]: URDF
HIP_HEIGHT = THIGH * cos(HIP_PITCH) + SHANK * cos(HIP_PITCH + KNEE) + ANKLE_TO_GROUND  # 0.6540 m
SOLE = 0.01  # half thickness of the box that stands for the sole [m]


def _motor(
    rotor_inertias: tuple[float, float, float],
    gear_ratios: tuple[float, float],
    torque_limit: float,
    speeds: tuple[float, float],
    friction: tuple[float, float],
) -> ActuatorSpec:
    """A motor before its servo gains are set.

    Args:
        rotor_inertias: Of the rotor and of the first and second planet carrier [kg·m²].
        gear_ratios: Of the first and second planetary stage.
        torque_limit: [N·m].
        speeds: Where torque begins to fall, and without load [rad/s].
        friction: Coulomb [N·m] and viscous [N·m·s/rad].
    """
    rotor, first, second = rotor_inertias
    return ActuatorSpec(
        kp=1.0,
        torque_limit=torque_limit,
        knee_speed=speeds[0],
        velocity_limit=speeds[1],
        armature=rotor * (gear_ratios[0] * gear_ratios[1]) ** 2 + first * gear_ratios[1] ** 2 + second,
        friction_loss=friction[0],
        damping=friction[1],
        delay=assumptions.DELAY,
    )


N7520_14 = _motor((0.489e-4, 0.098e-4, 0.533e-4), (4.5, 1 + 48 / 22), 88.0, (22.63, 35.52), (1.6, 0.16))
N7520_22 = _motor((0.489e-4, 0.109e-4, 0.738e-4), (4.5, 5.0), 139.0, (14.5, 22.7), (2.4, 0.24))
N5020 = _motor((0.139e-4, 0.017e-4, 0.169e-4), (1 + 46 / 18, 1 + 56 / 16), 25.0, (30.86, 40.13), (0.6, 0.06))
W4010 = _motor((0.068e-4, 0.0, 0.0), (5.0, 5.0), 5.0, (15.3, 24.76), (0.6, 0.06))
TWO_N5020 = replace(  # both motors of an ankle, or of the waist, move pitch and roll together
    N5020,
    torque_limit=2 * N5020.torque_limit,
    armature=2 * N5020.armature,
    friction_loss=2 * N5020.friction_loss,
    damping=2 * N5020.damping,
)


def _joint(
    name: str, limits: tuple[float, float], position: float, motor: ActuatorSpec, kp: float, kd: float
) -> JointSpec:
    actuator = replace(motor, kp=kp, kd=kd)
    return JointSpec(name=f"{name}_joint", position_limits=limits, default_position=position, actuator=actuator)


def _outward(side: str, low: float, high: float) -> tuple[float, float]:
    """Limits of a roll joint, given on the left."""
    return (low, high) if side == "left" else (-high, -low)


def _leg(side: str) -> tuple[JointSpec, ...]:
    return (
        _joint(f"{side}_hip_pitch", (-2.5307, 2.8798), HIP_PITCH, N7520_14, kp=150.0, kd=2.0),
        _joint(f"{side}_hip_roll", _outward(side, -0.5236, 2.9671), 0.0, N7520_22, kp=150.0, kd=2.0),
        _joint(f"{side}_hip_yaw", (-2.7576, 2.7576), 0.0, N7520_14, kp=150.0, kd=2.0),
        _joint(f"{side}_knee", (-0.087267, 2.8798), KNEE, N7520_22, kp=300.0, kd=4.0),
        _joint(f"{side}_ankle_pitch", (-0.87267, 0.5236), -HIP_PITCH - KNEE, TWO_N5020, kp=250.0, kd=4.0),
        _joint(f"{side}_ankle_roll", (-0.2618, 0.2618), 0.0, TWO_N5020, kp=250.0, kd=4.0),
    )


def _arm(side: str) -> tuple[JointSpec, ...]:
    roll = 0.2 if side == "left" else -0.2
    return (
        _joint(f"{side}_shoulder_pitch", (-3.0892, 2.6704), 0.2, N5020, kp=40.0, kd=1.0),
        _joint(f"{side}_shoulder_roll", _outward(side, -1.5882, 2.2515), roll, N5020, kp=40.0, kd=1.0),
        _joint(f"{side}_shoulder_yaw", (-2.618, 2.618), 0.0, N5020, kp=40.0, kd=1.0),
        _joint(f"{side}_elbow", (-1.0472, 2.0944), 0.6, N5020, kp=40.0, kd=1.0),
        _joint(f"{side}_wrist_roll", (-1.97222, 1.97222), 0.0, N5020, kp=40.0, kd=1.0),
        _joint(f"{side}_wrist_pitch", (-1.61443, 1.61443), 0.0, W4010, kp=40.0, kd=1.0),
        _joint(f"{side}_wrist_yaw", (-1.61443, 1.61443), 0.0, W4010, kp=40.0, kd=1.0),
    )


WAIST = (
    _joint("waist_yaw", (-2.618, 2.618), 0.0, N7520_14, kp=250.0, kd=5.0),
    _joint("waist_roll", (-0.52, 0.52), 0.0, TWO_N5020, kp=250.0, kd=5.0),
    _joint("waist_pitch", (-0.52, 0.52), 0.0, TWO_N5020, kp=250.0, kd=5.0),
)

LEG_MASS = 1.35 + 1.52 + 1.702 + 1.932 + 0.074 + 0.608  # from hip pitch to sole [kg]: URDF, as all masses here
ARM_MASS = 0.718 + 0.643 + 0.734 + 0.6 + 0.085445 + 0.48405 + 0.254576  # from shoulder pitch to hand [kg]

ROBOT = RobotSpec(
    name="g1",
    kind="humanoid",
    mjcf="g1/g1.xml",
    base_body="pelvis",
    joints=_leg("left") + _leg("right") + WAIST + _arm("left") + _arm("right"),
    feet=(FootSpec(name="left_foot", radius=SOLE), FootSpec(name="right_foot", radius=SOLE)),
    imu=assumptions.IMU,
    encoders=assumptions.ENCODERS,
    default_height=HIP_HEIGHT + PELVIS_TO_HIP,
    length=HIP_HEIGHT,
    mass=3.813 + 0.214 + 0.086 + 7.818 + 2 * (LEG_MASS + ARM_MASS),  # pelvis, waist, torso with head, limbs: 33.341 kg
    sources={
        "geometry": "URDF frames; the sole is a box over the four contact points of the MuJoCo Menagerie's unitree_g1 "
        "(BSD-3-Clause): 18 cm long, 6 cm wide",
        "inertias": "URDF links. They carry no hands: 33.3 kg where the data sheet says about 35 kg",
        "joint_limits": "URDF: positions and torques (88, 139, 25 and 5 N·m; 50 N·m where two motors share a linkage)",
        "default_pose": "MuJoCo Playground's pose with bent knees (hip -0.312, knee 0.669, ankle -0.363), the ankle at "
        "-0.357 so that the sole is level",
        "gains": "legs and waist as LeRobot's unitree_g1 (Apache-2.0) drives them, arms as Unitree's; the ankles are a "
        "choice: with the kp 40 that all of them give to ankles the robot tips over unless a policy balances it, since "
        "two ankles must outweigh mgh = 202 N·m/rad (centre of mass 0.62 m above them). With kp 250 it stands",
        "actuator_physics": "armature: rotor and gears of the 7520, 5020 and 4010 motors as Unitree and mjlab state "
        "them; speeds of the knee of the torque curve and without load, Coulomb and viscous friction: Unitree's motor "
        "tests, in which the motors gave 71, 111, 24.8 and 4.8 N·m, up to a fifth less than the URDF's limits",
        "delay": assumptions.DELAY_SOURCE,
        "sensors": assumptions.SENSORS,
    },
)
