"""The velocity score and what counts as a fall, over arrays: one definition for training, evaluation and rehearsal.

Dimensionless throughout, so that dynamically similar robots score alike; numpy and torch arrays, batch axes first.
"""

from typing import Any

SPEED_TOLERANCE = 0.038
"""σ² of the velocity score in units of g·L: 0.1 m²/s² at L = 0.27 m."""
YAW_TOLERANCE = 0.00275
"""σ² of the yaw score in units of 1/T²: 0.1 rad²/s² at L = 0.27 m."""
UPRIGHT = -0.75
"""A base whose gravity z component rises above this has fallen: 41° of tilt."""
SUNK = 0.5
"""A base lower than this has fallen, in units of its nominal height."""

Array = Any


def speed_error(command: Array, velocity: Array, *, speed: float) -> Array:
    """Squared error of the horizontal velocity in units of g·L, (...).

    Args:
        command: (..., 3) vx [m/s], vy [m/s], yaw rate [rad/s].
        velocity: (..., 3) of the base in its yaw frame [m/s].
        speed: √(gL) [m/s].
    """
    error = (command[..., :2] - velocity[..., :2]) / speed
    return (error * error).sum(-1)


def yaw_error(command: Array, gyro: Array, *, time: float) -> Array:
    """Squared error of the yaw rate in units of 1/T², (...), with `gyro` in the base frame [rad/s], (..., 3)."""
    error = (command[..., 2] - gyro[..., 2]) * time
    return error * error


def velocity_score(xp: Any, command: Array, velocity: Array, *, speed: float) -> Array:
    """exp(−‖v_cmd − v‖²/(0.038·g·L)), (...)."""
    return xp.exp(-speed_error(command, velocity, speed=speed) / SPEED_TOLERANCE)


def yaw_score(xp: Any, command: Array, gyro: Array, *, time: float) -> Array:
    """exp(−(ω_cmd − ω)²·T²/0.00275), (...)."""
    return xp.exp(-yaw_error(command, gyro, time=time) / YAW_TOLERANCE)


def has_fallen(gravity: Array, height: Array, *, default_height: float) -> Array:
    """True where the base tips over or sinks, (...), by the direction of gravity in its frame, (..., 3)."""
    return (gravity[..., 2] > UPRIGHT) | (height < SUNK * default_height)
