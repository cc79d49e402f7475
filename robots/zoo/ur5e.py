"""Universal Robots UR5e: a 20.6 kg industrial arm of six joints with strain-wave gears and a bare flange.

SI, on the joint side of the gearbox. `DH` below is the manufacturer's article "DH parameters for calculations of
kinematics and dynamics", `ROS` its Universal_Robots_ROS2_Description (BSD-3-Clause), which repeats it.
"""

from math import hypot, pi

from robots.spec import ActuatorSpec, EncoderSpec, JointSpec, RobotSpec

UPPER_ARM, FOREARM = 0.425, 0.3922  # [m]: DH, -a2 and -a3
WRIST_1, WRIST_2, FLANGE = 0.1333, 0.0997, 0.0996  # [m]: DH, d4, d5 and d6

LARGE = ActuatorSpec(
    kp=2000.0,
    kd=150.0,
    torque_limit=150.0,
    velocity_limit=pi,
    knee_speed=0.9 * pi,
    armature=0.1,
    damping=5.0,
    friction_loss=5.0,
    delay=0.008,
)
SMALL = ActuatorSpec(
    kp=500.0,
    kd=16.0,
    torque_limit=28.0,
    velocity_limit=pi,
    knee_speed=0.9 * pi,
    armature=0.1,
    damping=1.0,
    friction_loss=1.0,
    delay=0.008,
)


def _joint(name: str, turn: float, default: float, actuator: ActuatorSpec) -> JointSpec:
    return JointSpec(name=name, position_limits=(-turn, turn), default_position=default, actuator=actuator)


ROBOT = RobotSpec(
    name="ur5e",
    kind="arm",
    mjcf="ur5e/ur5e.xml",
    base_body="base",
    joints=(
        _joint("shoulder_pan_joint", 2 * pi, 0.0, LARGE),
        _joint("shoulder_lift_joint", 2 * pi, -pi / 2, LARGE),
        _joint("elbow_joint", pi, pi / 2, LARGE),
        _joint("wrist_1_joint", 2 * pi, -pi / 2, SMALL),
        _joint("wrist_2_joint", 2 * pi, -pi / 2, SMALL),
        _joint("wrist_3_joint", 2 * pi, 0.0, SMALL),
    ),
    end_effector="tool",
    sensors=("encoders",),
    encoders=EncoderSpec(position_noise=2e-4, position_bias=1e-3, velocity_noise=0.01),
    default_height=0.0,
    length=UPPER_ARM
    + hypot(FOREARM, WRIST_1)
    + WRIST_2
    + FLANGE,  # stretched, from the shoulder to the flange, 1.039 m
    mass=20.6,
    sources={
        "geometry": "DH; housings beside the joint axes: ROS (shoulder_offset 0.138 m, elbow_offset 0.007 m)",
        "inertias": "DH, as ROS states them per link: 17.7 kg; base: the data sheet's 20.6 kg less the links. MuJoCo "
        "Menagerie's ur5e has the lighter wrists and forearm of the older URDF, and 21.0 kg",
        "joint_limits": "ROS: ±360°, elbow ±180° (the shoulder is in its way), 150 and 28 N·m, 180°/s; the "
        "controller's speed limit: the torque ends over the last tenth, an assumption",
        "default_pose": "a choice: upper arm up, forearm forward, flange down; MuJoCo Menagerie's home with the pan "
        "at 0",
        "gains": "kp: MuJoCo Menagerie; kd near critical damping in the nominal pose",
        "actuator_physics": "armature: MuJoCo Menagerie; friction: assumptions until identified, about 3 % of the "
        "torque limit",
        "delay": "8 ms (two physics steps, four cycles of the 500 Hz interface), an assumption until identified",
        "sensors": "assumptions until identified: encoders far finer than any arm error that matters here",
    },
)
