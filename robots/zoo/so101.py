"""SO-101 follower: a 0.6 kg desk arm of five joints and a jaw on Feetech STS3215 servos, by TheRobotStudio.

SI, on the joint side of the gearbox. `URDF` below is Simulation/SO101/so101_new_calib.urdf of TheRobotStudio/SO-ARM100
(Apache-2.0); `BAM` is Rhoban's identification of the 12 V servo (params/feetech_sts3215_12V, Apache-2.0), whose servo
law is: voltage = 12 V · P · `ERROR_GAIN` · error, torque = kt/R · voltage - kt²/R · speed.
"""

from math import hypot, pi, sqrt

from robots.spec import ActuatorSpec, EncoderSpec, JointSpec, RobotSpec

VOLTAGE = 12.0  # [V]: supply of the follower arm
P_COEFFICIENT = 16  # of the servo's position loop: what LeRobot writes for SO-101, half the factory's 32
ERROR_GAIN = 0.166 * 0.97545  # duty cycle per rad and unit of P: BAM, measured with an oscilloscope, times its fit
TORQUE_CONSTANT = 1.44399  # kt after the gearbox [N·m/A]: BAM
RESISTANCE = 2.02956  # R [Ω]: BAM
BACK_EMF = TORQUE_CONSTANT**2 / RESISTANCE  # [N·m·s/rad]
STALL_TORQUE = 30 * 0.0981  # 2.94 N·m: STS3215 12 V data sheet, 30 kg·cm
NO_LOAD_SPEED = pi / 3 / 0.222  # 4.72 rad/s: the same, 0.222 s per 60°
ENCODER_STEP = 2 * pi / 4096  # [rad]: STS3215 data sheet, 12 bits a turn

SERVO = ActuatorSpec(
    kp=P_COEFFICIENT * ERROR_GAIN * VOLTAGE * TORQUE_CONSTANT / RESISTANCE,  # 22.1 N·m/rad
    kd=BACK_EMF,  # 1.03 N·m·s/rad
    torque_limit=STALL_TORQUE,
    velocity_limit=NO_LOAD_SPEED,
    knee_speed=NO_LOAD_SPEED - STALL_TORQUE / BACK_EMF,  # 1.85 rad/s
    armature=0.03246,
    damping=0.0305,
    friction_loss=0.1959,
    delay=0.004,
)

SHOULDER = hypot(0.0303992, 0.0182778, 0.0542)  # [m]: shoulder_pan to shoulder_lift, as all of these from the URDF
UPPER_ARM = hypot(0.11257, 0.028)  # [m]: shoulder_lift to elbow_flex
LOWER_ARM = hypot(0.1349, 0.0052)  # [m]: elbow_flex to wrist_flex
WRIST = hypot(0.0611, 0.0181)  # [m]: wrist_flex to wrist_roll
TOOL = hypot(0.012, 0.000218, 0.098127)  # [m]: wrist_roll to the point between the jaws


def _joint(name: str, low: float, high: float, default: float) -> JointSpec:
    return JointSpec(name=name, position_limits=(low, high), default_position=default, actuator=SERVO)


ROBOT = RobotSpec(
    name="so101",
    kind="arm",
    mjcf="so101/so101.xml",
    base_body="base",
    joints=(
        _joint("shoulder_pan", -1.91986, 1.91986, 0.0),
        _joint("shoulder_lift", -1.74533, 1.74533, -0.7),
        _joint("elbow_flex", -1.69, 1.69, 0.5),
        _joint("wrist_flex", -1.65806, 1.65806, 1.1),
        _joint("wrist_roll", -2.74385, 2.74385, 0.0),
        _joint("gripper", -0.174533, 1.74533, 0.5),
    ),
    end_effector="tool",
    sensors=("encoders",),
    encoders=EncoderSpec(position_noise=ENCODER_STEP / sqrt(12), position_bias=0.02, velocity_noise=0.022),
    default_height=0.0,
    length=SHOULDER + UPPER_ARM + LOWER_ARM + WRIST + TOOL,  # stretched, from shoulder_pan to the tool, 0.478 m
    mass=0.147 + 0.100006 + 0.103 + 0.104 + 0.079 + 0.087 + 0.012,  # base, five links, jaw: 0.632 kg
    sources={
        "geometry": "URDF: joint origins; tool: its gripperframe, between the jaws, z along them",
        "inertias": "URDF: links with their servos, 0.632 kg without a wrist camera",
        "joint_limits": "URDF (wrist_roll to the nearer of its limits, -157°); torque and speed: STS3215 12 V data "
        "sheet; between them the torque falls with the back-EMF",
        "default_pose": "a choice: the jaws 0.26 m ahead and 0.14 m up, pointing down and forward, a third open",
        "gains": "LeRobot's P 16 through the servo law of BAM: kp 22.1 N·m/rad; kd is the motor's back-EMF",
        "actuator_physics": "BAM, model m1: armature, Coulomb and viscous friction. Open loop they follow the logs of "
        "a real arm (isaac-sim2real/sage: step_response, friction_gravity, hold_under_gravity) to 0.02 rad",
        "delay": "4 ms (one physics step): BAM's 1 ms of the 7.4 V servo, and the bus; an assumption until identified",
        "sensors": "4096 counts a turn and a speed unit of 50 counts/s, uniform within a step; calibration bias "
        "±0.02 rad is an assumption",
    },
)
