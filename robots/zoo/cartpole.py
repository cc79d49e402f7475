"""The cart-pole of Barto, Sutton and Anderson 1983: a pole balanced by pushing its cart along a track.

SI. `BSA` below is "Neuronlike adaptive elements that can solve difficult learning control problems", IEEE Transactions
on Systems, Man, and Cybernetics 13-5, appendix.
"""

from math import sqrt

from robots.spec import ActuatorSpec, EncoderSpec, JointSpec, PassiveJointSpec, RobotSpec

POLE_LENGTH = 1.0  # [m]: BSA, twice the half-pole length of 0.5 m

ROBOT = RobotSpec(
    name="cartpole",
    kind="machine",
    mjcf="cartpole/cartpole.xml",
    base_body="rail",
    joints=(
        JointSpec(
            name="cart",
            position_limits=(-2.4, 2.4),  # [m]
            default_position=0.0,
            actuator=ActuatorSpec(
                control="torque",
                torque_limit=10.0,  # [N]
                velocity_limit=50.0,  # [m/s]
                knee_speed=49.0,  # [m/s]
                friction_loss=0.0005,  # [N]
            ),
        ),
    ),
    passive_joints=(PassiveJointSpec(name="pole", damping=2e-6),),
    sensors=("encoders",),
    encoders=EncoderSpec(position_noise=0.001 / sqrt(3), velocity_noise=0.01),
    default_height=1.25,
    length=POLE_LENGTH,
    mass=1.0 + 0.1,  # cart + pole
    physics_dt=0.002,
    sources={
        "geometry": "BSA: pole of 1 m, track of ±2.4 m; the track's height of 1.25 m is a choice: the pole can hang",
        "inertias": "BSA: cart 1 kg, pole 0.1 kg; the 4/3 of its equations is a uniform rod, m·l²/12 about its centre",
        "joint_limits": "BSA: track; force of at most 10 N (theirs is ±10 N, nothing between)",
        "default_pose": "balanced: cart in the middle, pole upright",
        "gains": "none: commanded by force",
        "actuator_physics": "BSA: Coulomb friction of the cart 0.0005 N, viscous friction of the pole 2e-6 N·m·s/rad; "
        "an ideal force: 50 m/s is far beyond what 10 N reach on this track",
        "delay": "none in BSA",
        "sensors": "assumptions: none in BSA; two encoders of a millimetre and a milliradian",
    },
)
