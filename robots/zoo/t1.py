"""Booster T1: a 32 kg humanoid with 23 geared joints.

SI, on the joint side of the gearbox. `URDF` below is T1_serial.urdf of Booster Robotics' booster_gym (Apache-2.0),
`Menagerie` the MuJoCo Menagerie's booster_t1 (Apache-2.0), which was made from it.
"""

from math import cos, sin

from robots import assumptions
from robots.spec import ActuatorSpec, FootSpec, JointSpec, RobotSpec

HIP_PITCH, KNEE = -0.2, 0.4  # nominal pose [rad]; the ankle keeps the sole level
THIGH, SHANK = 0.235854, 0.28  # hip pitch to knee to ankle pitch axis, straight down at zero angles [m]: URDF
KNEE_SETBACK = 0.014  # knee behind the hip [m]: URDF
ANKLE_TO_GROUND = 0.012 + 0.03  # [m]: URDF, ankle roll below ankle pitch, sole below that
TRUNK_TO_HIP = 0.1155  # trunk frame above the hip pitch axis [m]: URDF
HIP_HEIGHT = (  # hip pitch axis above ground in the nominal pose, 0.5504 m
    THIGH * cos(HIP_PITCH) - KNEE_SETBACK * sin(HIP_PITCH) + SHANK * cos(HIP_PITCH + KNEE) + ANKLE_TO_GROUND
)
SOLE = 0.015  # half thickness of the sole [m]: URDF, left_foot_link collision


def _motor(
    rotor_inertia: float,
    gear_ratio: float,
    peak_torque: float,
    torque_limit: float,
    velocity_limit: float,
    *,
    kp: float,
    kd: float,
    friction_loss: float,
    motors: int = 1,
) -> ActuatorSpec:
    """A geared motor that gives less than its peak torque, and so keeps its limit up to some speed.

    Args:
        rotor_inertia: [kg·m²].
        gear_ratio: Motor turns per joint turn.
        peak_torque: At rest [N·m]; from there torque falls in a line to 0 at `velocity_limit`.
        torque_limit: What the robot allows of it [N·m].
        velocity_limit: [rad/s].
        kp: Stiffness of the servo [N·m/rad].
        kd: Damping of the servo [N·m·s/rad].
        friction_loss: Coulomb friction [N·m].
        motors: That move the joint together.
    """
    return ActuatorSpec(
        kp=kp,
        kd=kd,
        torque_limit=torque_limit,
        knee_speed=velocity_limit * (1.0 - torque_limit / (motors * peak_torque)),
        velocity_limit=velocity_limit,
        armature=motors * rotor_inertia * gear_ratio**2,
        damping=0.1 * friction_loss,
        friction_loss=friction_loss,
        delay=assumptions.DELAY,
    )


NECK = _motor(18.0e-6, 10.0, 7.0, 7.0, 12.56, kp=20.0, kd=0.2, friction_loss=0.1)
ARM = _motor(18.2e-6, 36.0, 36.0, 18.0, 18.84, kp=20.0, kd=0.5, friction_loss=0.3)
HIP_PITCH_MOTOR = _motor(146.69e-6, 18.0, 90.0, 45.0, 12.5, kp=200.0, kd=5.0, friction_loss=1.0)
HIP_MOTOR = _motor(51.457e-6, 25.0, 60.0, 30.0, 10.9, kp=200.0, kd=5.0, friction_loss=1.0)
KNEE_MOTOR = _motor(184.053e-6, 18.0, 130.0, 60.0, 11.7, kp=200.0, kd=5.0, friction_loss=1.0)
ANKLE_PITCH_MOTOR = _motor(25.5e-6, 36.0, 75.0, 20.0, 18.8, kp=200.0, kd=3.0, friction_loss=1.0, motors=2)
ANKLE_ROLL_MOTOR = _motor(25.5e-6, 36.0, 75.0, 15.0, 12.4, kp=200.0, kd=3.0, friction_loss=1.0, motors=2)


def _joint(name: str, limits: tuple[float, float], position: float, actuator: ActuatorSpec) -> JointSpec:
    return JointSpec(name=name, position_limits=limits, default_position=position, actuator=actuator)


def _mirrored(side: str, low: float, high: float) -> tuple[float, float]:
    """Limits of a roll or yaw joint, given on the left."""
    return (low, high) if side == "Left" else (-high, -low)


def _arm(side: str) -> tuple[JointSpec, ...]:
    mirror = 1.0 if side == "Left" else -1.0
    return (
        _joint(f"{side}_Shoulder_Pitch", (-3.31, 1.22), 0.0, ARM),
        _joint(f"{side}_Shoulder_Roll", _mirrored(side, -1.74, 1.57), -1.4 * mirror, ARM),
        _joint(f"{side}_Elbow_Pitch", (-2.27, 2.27), 0.0, ARM),
        _joint(f"{side}_Elbow_Yaw", _mirrored(side, -2.44, 0.0), -0.4 * mirror, ARM),
    )


def _leg(side: str) -> tuple[JointSpec, ...]:
    return (
        _joint(f"{side}_Hip_Pitch", (-1.8, 1.57), HIP_PITCH, HIP_PITCH_MOTOR),
        _joint(f"{side}_Hip_Roll", _mirrored(side, -0.2, 1.57), 0.0, HIP_MOTOR),
        _joint(f"{side}_Hip_Yaw", (-1.0, 1.0), 0.0, HIP_MOTOR),
        _joint(f"{side}_Knee_Pitch", (0.0, 2.34), KNEE, KNEE_MOTOR),
        _joint(f"{side}_Ankle_Pitch", (-0.87, 0.35), -HIP_PITCH - KNEE, ANKLE_PITCH_MOTOR),
        _joint(f"{side}_Ankle_Roll", (-0.44, 0.44), 0.0, ANKLE_ROLL_MOTOR),
    )


HEAD = (_joint("AAHead_yaw", (-1.57, 1.57), 0.0, NECK), _joint("Head_pitch", (-0.35, 1.22), 0.0, NECK))
WAIST = (_joint("Waist", (-1.57, 1.57), 0.0, HIP_MOTOR),)

ARM_MASS = 0.53 + 0.16 + 1.02 + 0.327214  # [kg]: URDF, as all masses here
LEFT_LEG_MASS = 1.021 + 0.385 + 2.166 + 1.73 + 0.073 + 0.685
RIGHT_LEG_MASS = 1.021 + 0.385 + 2.17 + 1.79 + 0.073 + 0.685

ROBOT = RobotSpec(
    name="t1",
    kind="humanoid",
    mjcf="t1/t1.xml",
    base_body="Trunk",
    joints=HEAD + _arm("Left") + _arm("Right") + WAIST + _leg("Left") + _leg("Right"),
    feet=(FootSpec(name="left_foot", radius=SOLE), FootSpec(name="right_foot", radius=SOLE)),
    imu=assumptions.IMU,
    encoders=assumptions.ENCODERS,
    default_height=HIP_HEIGHT + TRUNK_TO_HIP,
    length=HIP_HEIGHT,
    mass=11.7 + 0.44391 + 0.631019 + 2.581 + 2 * ARM_MASS + LEFT_LEG_MASS + RIGHT_LEG_MASS,  # 31.614 kg
    sources={
        "geometry": "URDF frames and sole: a box 22.3 cm long and 10 cm wide",
        "inertias": "URDF links; left and right leg differ by 64 g, as there",
        "joint_limits": "Menagerie: positions and torques; velocities: URDF",
        "default_pose": "the Menagerie's home pose: hip -0.2, knee 0.4, ankle -0.2, arms hanging",
        "gains": "as booster_gym deploys its walking policy: kp 200, kd 5 for waist, hips and knees, 20 and 0.5 for "
        "arms, 20 and 0.2 for the head, kd 3 for ankles; their kp 200 is a choice between the 50 of that policy, with "
        "which the robot tips over unless the policy balances it, and the 450 of Booster's own standing mode",
        "actuator_physics": "rotor inertias, gear ratios and peak torques: mjlab's booster_t1 (Apache-2.0); torque "
        "falls in a line from the peak at rest to 0 at the velocity limit. Coulomb friction is an assumption: 1 N·m, "
        "the middle of the 0..2 N·m that booster_gym randomizes, less in arms and neck; viscous a tenth of it",
        "delay": assumptions.DELAY_SOURCE,
        "sensors": assumptions.SENSORS,
    },
)
