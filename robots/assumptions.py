"""What is assumed of a legged robot until it is identified: noise and biases of its sensors, delay of its commands."""

from math import sqrt

from robots.spec import EncoderSpec, ImuSpec

IMU = ImuSpec(gyro_noise=0.05, gyro_bias=0.02, gravity_noise=0.02)
ENCODERS = EncoderSpec(position_noise=0.01 / sqrt(3), position_bias=0.015, velocity_noise=0.3)
SENSORS = (
    "assumptions until identified: a third to two thirds of the uniform noise that legged_gym trains with (±0.2 rad/s "
    "of the gyro, ±0.05 of gravity, ±1.5 rad/s of joints), all of it for joint angles (±0.01 rad); encoder bias "
    "±0.015 rad of mjlab; gyro bias ±0.02 rad/s"
)
"""Where they come from, for `RobotSpec.sources`."""
DELAY = 0.008
"""From command to torque [s]."""
DELAY_SOURCE = "8 ms (two physics steps), an assumption until identified"
