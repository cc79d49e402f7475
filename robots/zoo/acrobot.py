"""Acrobot: two links, a motor at the elbow and none at the shoulder; DFKI's double pendulum, design C.1.

SI, on the joint side of the gearbox. `DFKI` below is dfki-ric-underactuated-lab/double_pendulum (BSD-3-Clause),
identified parameters design_C.1/model_1.0: m1 0.5235 kg, m2 0.6256 kg, r1 0.2 m, r2 0.2557 m, I1 0.03189 kg·m²,
I2 0.05087 kg·m².
"""

from math import pi, sqrt

from robots.spec import ActuatorSpec, EncoderSpec, JointSpec, PassiveJointSpec, RobotSpec

LINKS = (0.2, 0.3)  # [m]: DFKI, l1 and l2
NO_LOAD_SPEED = 38.2  # AK80-6 at 24 V [rad/s]: DFKI's motor table
STALL_TORQUE = 24.0 / 0.17 * 0.091 * 6.0  # [N·m]: the same, voltage / resistance · torque constant · gear ratio, 77 N·m
TURNS = 4 * pi  # two turns either way [rad]

ROBOT = RobotSpec(
    name="acrobot",
    kind="machine",
    mjcf="acrobot/acrobot.xml",
    base_body="stand",
    joints=(
        JointSpec(
            name="elbow",
            position_limits=(-TURNS, TURNS),
            default_position=0.0,
            actuator=ActuatorSpec(
                control="torque",
                torque_limit=6.0,
                velocity_limit=NO_LOAD_SPEED,
                knee_speed=NO_LOAD_SPEED * (1 - 6.0 / STALL_TORQUE),
                armature=6.2872e-5 * 6.0**2,  # rotor inertia [kg·m²] × gear ratio²
                damping=0.001,
                friction_loss=0.12,
                delay=0.006,
            ),
        ),
    ),
    passive_joints=(PassiveJointSpec(name="shoulder", default_position=pi, damping=0.001, friction_loss=0.16),),
    sensors=("encoders",),
    encoders=EncoderSpec(position_noise=2 * pi / 4096 / sqrt(12), position_bias=0.005, velocity_noise=0.05),
    default_height=0.7,
    length=sum(LINKS),
    mass=0.52346023 + 0.62556772,  # m1 + m2, 1.149 kg
    physics_dt=0.002,
    sources={
        "geometry": "DFKI: l1, l2; the stand's height of 0.7 m is a choice",
        "inertias": "DFKI: masses, centres and inertias about the joints; the rotors' coupling of the joints (1 %) is "
        "left out",
        "joint_limits": "AK80-6: rated torque 6 N·m (peak 12), 38.2 rad/s; two turns either way are a choice",
        "default_pose": "balanced: both links upright, shoulder π from where they hang",
        "gains": "none: commanded by torque",
        "actuator_physics": "DFKI: viscous and Coulomb friction of both joints, rotor inertia 6.287e-5 kg·m² and gear "
        "6, also on the idle shoulder motor",
        "delay": "6 ms (three physics steps): the lag that explains DFKI's identification runs best",
        "sensors": "12-bit encoders, uniform within a step; bias and velocity noise are assumptions",
    },
)
