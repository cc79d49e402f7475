"""ANYbotics ANYmal C: a quadruped with twelve geared, series-elastic ANYdrives.

SI, on the joint side of the gearbox. `URDF` below is anymal_c_simple_description of ANYbotics (BSD-3-Clause).
"""

from math import atan, cos, sin

from robots import assumptions
from robots.spec import ActuatorSpec, FootSpec, JointSpec, RobotSpec

THIGH_LENGTH = 0.285  # HFE to KFE, in the plane of the leg [m]: URDF LF_thigh_fixed_LF_KFE
SHANK = (
    0.08795,
    0.31547,
)  # foot sphere ahead of and below the KFE axis [m]: URDF LF_shank_fixed_LF_FOOT and its collision
FOOT_RADIUS = 0.03  # [m]: URDF LF_FOOT collision
HFE, KFE = 0.857, -1.3  # nominal pose of the front legs [rad]: feet under the hips, knees bent as far as a go1's
REAR_KFE = KFE - 2.0 * atan(SHANK[0] / SHANK[1])  # rear shanks are mirrored: the same line from knee to foot

SHANK_ANGLE = HFE + KFE
HIP_HEIGHT = (  # HFE axis above ground in the nominal pose, 0.464 m
    THIGH_LENGTH * cos(HFE) + SHANK[0] * sin(SHANK_ANGLE) + SHANK[1] * cos(SHANK_ANGLE) + FOOT_RADIUS
)

ANYDRIVE = ActuatorSpec(
    kp=200.0,
    kd=7.0,
    torque_limit=80.0,
    velocity_limit=7.5,
    knee_speed=7.5 * (1.0 - 80.0 / 120.0),  # on the line from 120 N·m at rest to 0 at 7.5 rad/s: 2.5 rad/s
    armature=0.15,
    damping=0.5,
    friction_loss=1.0,
    delay=assumptions.DELAY,
)


def _leg(leg: str) -> tuple[JointSpec, ...]:
    abduction = (-0.72, 0.49) if leg[0] == "L" else (-0.49, 0.72)
    knee = KFE if leg[1] == "F" else REAR_KFE
    turn = (-9.42478, 9.42478)  # one and a half turns either way
    return (
        JointSpec(name=f"{leg}_HAA", position_limits=abduction, default_position=0.0, actuator=ANYDRIVE),
        JointSpec(name=f"{leg}_HFE", position_limits=turn, default_position=HFE, actuator=ANYDRIVE),
        JointSpec(name=f"{leg}_KFE", position_limits=turn, default_position=knee, actuator=ANYDRIVE),
    )


LEGS = ("LF", "RF", "LH", "RH")

ROBOT = RobotSpec(
    name="anymal_c",
    kind="quadruped",
    mjcf="anymal_c/anymal_c.xml",
    base_body="base",
    joints=tuple(joint for leg in LEGS for joint in _leg(leg)),
    feet=tuple(FootSpec(name=leg, radius=FOOT_RADIUS) for leg in LEGS),
    imu=assumptions.IMU,
    encoders=assumptions.ENCODERS,
    default_height=HIP_HEIGHT,
    length=HIP_HEIGHT,
    mass=19.2035 + 4 * (2.781 + 3.071 + 0.58842),  # base + 4 · (hip + thigh + shank), 44.965 kg
    sources={
        "geometry": "URDF: base_LF_HAA, LF_hip_fixed_LF_HFE, LF_thigh_fixed_LF_KFE, LF_shank_fixed_LF_FOOT",
        "inertias": "legs: URDF links with the drives fixed to them. Base: MuJoCo Menagerie's anymal_c, 19.2 kg; "
        "the URDF's base parts and four hip drives sum to 26.2 kg, the robot then to 52.0 kg",
        "joint_limits": "URDF: HAA -0.72..0.49 rad outward-inward, HFE and KFE ±9.42 rad; 80 N·m, 7.5 rad/s",
        "default_pose": "a choice: all knees backward, as the joints' unlimited turns allow (Hutter et al. 2016, IROS: "
        "ANYmal), so that swing and extend mean on every leg what they mean on a go1; legged_gym stands in X: "
        "HFE ±0.4, KFE ∓0.8",
        "gains": "a choice: go1's stiffness and damping in units of mgL and mgL·T (0.98 and 0.16); legged_gym's "
        "kp 80, kd 2 is a third of that, and skills from stiffer robots fail on it",
        "actuator_physics": "assumptions until identified: armature 0.15 kg·m² (the estimate others simulate for a "
        "harmonic drive of this size), viscous 0.5 N·m·s/rad, Coulomb 1 N·m (Menagerie: 1, D gain included, and 0.1). "
        "Knee of the torque curve: Isaac Lab's ANYdrive 3 (BSD-3-Clause), a motor of 120 N·m at rest",
        "delay": assumptions.DELAY_SOURCE,
        "sensors": assumptions.SENSORS,
    },
)
