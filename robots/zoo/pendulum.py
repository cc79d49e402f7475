"""A pendulum whose motor is too weak to lift it in one go: DFKI's torque-limited simple pendulum.

SI, on the joint side of the gearbox. `DFKI` below is dfki-ric-underactuated-lab/torque_limited_simple_pendulum
(BSD-3-Clause; Wiebe et al. 2022, Journal of Open Source Software 7-74).
"""

from math import pi, sqrt

from robots.spec import ActuatorSpec, EncoderSpec, JointSpec, RobotSpec

LENGTH = 0.5  # axis to weight [m]: DFKI
MASS = 0.57288  # [kg]: DFKI
NO_LOAD_SPEED = 38.2  # AK80-6 at 24 V [rad/s]: DFKI's motor table
STALL_TORQUE = 24.0 / 0.17 * 0.091 * 6.0  # [N·m]: the same, voltage / resistance · torque constant · gear ratio, 77 N·m
TURNS = 4 * pi  # two turns either way [rad]

ROBOT = RobotSpec(
    name="pendulum",
    kind="machine",
    mjcf="pendulum/pendulum.xml",
    base_body="stand",
    joints=(
        JointSpec(
            name="pendulum",
            position_limits=(pi - TURNS, pi + TURNS),
            default_position=pi,
            actuator=ActuatorSpec(
                control="torque",
                torque_limit=2.0,
                velocity_limit=NO_LOAD_SPEED,
                knee_speed=NO_LOAD_SPEED * (1 - 2.0 / STALL_TORQUE),
                armature=6.0719e-5 * 6.0**2,  # rotor inertia [kg·m²] × gear ratio²
                damping=0.1,
                delay=0.006,
            ),
        ),
    ),
    sensors=("encoders",),
    encoders=EncoderSpec(position_noise=2 * pi / 4096 / sqrt(12), position_bias=0.005, velocity_noise=0.05),
    default_height=0.7,
    length=LENGTH,
    mass=MASS,
    physics_dt=0.002,
    sources={
        "geometry": "DFKI: a weight 0.5 m from the axis; the stand's height of 0.7 m is a choice",
        "inertias": "DFKI: a point of 0.57288 kg; the rod weighs nothing",
        "joint_limits": "motor: AK80-6, 12 N·m and 38.2 rad/s; DFKI limits the torque to 2 N·m, less than the 2.81 N·m "
        "that hold the weight level. Two turns either way are a choice",
        "default_pose": "balanced: the weight above the axis, π from where it hangs",
        "gains": "none: commanded by torque",
        "actuator_physics": "DFKI: viscous friction 0.1 N·m·s/rad, no Coulomb friction (0.1 to 0.15 in its examples); "
        "rotor inertia 6.07e-5 kg·m² and gear 6: DFKI's AK80-6 table",
        "delay": "6 ms (three physics steps): as on DFKI's double pendulum, same motor and bus",
        "sensors": "12-bit encoder, uniform within a step; bias and velocity noise are assumptions",
    },
)
