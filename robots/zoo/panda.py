"""Franka Emika Panda: an 18 kg research arm of seven joints with strain-wave gears, carrying the Franka Hand.

SI, on the joint side of the gearbox. The fingers are held open. `FCI` below is the manufacturer's documentation of its
control interface (Denavit-Hartenberg table, joint limits, libfranka's defaults).
"""

from math import hypot, pi

from robots.spec import ActuatorSpec, EncoderSpec, JointSpec, RobotSpec

COULOMB = (0.273, 0.436, 0.320, 0.640, 0.420, 0.152, 0.282)  # [N·m]: half of φ1, Gaz et al. 2019, friction model
STIFFNESS = (3000.0, 3000.0, 3000.0, 2500.0, 2500.0, 2000.0, 2000.0)  # [N·m/rad]: FCI, setDefaultBehavior
LIMITS = (  # [rad]: FCI
    (-2.8973, 2.8973),
    (-1.7628, 1.7628),
    (-2.8973, 2.8973),
    (-3.0718, -0.0698),
    (-2.8973, 2.8973),
    (-0.0175, 3.7525),
    (-2.8973, 2.8973),
)
READY = (0.0, -pi / 4, 0.0, -3 * pi / 4, 0.0, pi / 2, pi / 4)  # [rad]: FCI, the examples' start pose


def _joint(index: int) -> JointSpec:
    large = index < 4
    actuator = ActuatorSpec(
        kp=STIFFNESS[index],
        kd=150.0 if large else 40.0,
        torque_limit=87.0 if large else 12.0,
        velocity_limit=2.175 if large else 2.61,
        knee_speed=1.96 if large else 2.35,
        armature=0.1,
        damping=1.0,
        friction_loss=COULOMB[index],
        delay=0.004,
    )
    return JointSpec(
        name=f"joint{index + 1}", position_limits=LIMITS[index], default_position=READY[index], actuator=actuator
    )


ROBOT = RobotSpec(
    name="panda",
    kind="arm",
    mjcf="panda/panda.xml",
    base_body="link0",
    joints=tuple(_joint(index) for index in range(7)),
    end_effector="tool",
    sensors=("encoders",),
    encoders=EncoderSpec(position_noise=2e-4, position_bias=1e-3, velocity_noise=0.01),
    default_height=0.0,
    length=0.316
    + 0.0825
    + hypot(0.0825, 0.384)
    + 0.088
    + 0.107
    + 0.1034,  # d3, a4, a5 and d5, a7, flange, tool: 1.090 m
    mass=0.629769 + 4.970684 + 0.646926 + 3.228604 + 3.587895 + 1.225946 + 1.666555 + 0.735522 + 0.76,  # 17.452 kg
    sources={
        "geometry": "FCI: Denavit-Hartenberg table; tool: the hand's centre point, 103.4 mm beyond the flange",
        "inertias": "franka_description (franka_ros, Apache-2.0), inertial.yaml, identified by Gaz et al. 2019 (IEEE "
        "RA-L 4-4): they predict torques; single masses are feasible, not weighed. Hand 0.73 kg, fingers 2 × 15 g",
        "joint_limits": "FCI: position, torque and velocity limits; the drives are stronger, their controller stops "
        "them: the torque ends over the last tenth of the speed, an assumption",
        "default_pose": "FCI: the start pose of libfranka's examples, hand over the middle of the table pointing down",
        "gains": "kp: FCI, libfranka's joint impedance; kd near critical damping in the nominal pose. The real "
        "controller also compensates gravity: here the arm sags by at most 0.01 rad",
        "actuator_physics": "Coulomb friction: Gaz et al. 2019. Armature 0.1 kg·m² and 1 N·m·s/rad: MuJoCo Menagerie's "
        "estimates; assumptions until identified",
        "delay": "4 ms (one physics step) for the 1 kHz loop and its network, an assumption until identified",
        "sensors": "assumptions until identified: link-side encoders far finer than any arm error that matters here",
    },
)
