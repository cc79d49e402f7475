"""Velocity commands and the gait clock, over arrays: the same lines in training and on the robot."""

import math
from typing import Any

GAIT_FREQUENCY = 0.332
"""Trot frequency in units of 1/T: 2 Hz on a go1."""
STANDING_SPEED = 0.03
"""Commands slower than this, in every component and in units of √(gL) and 1/T, mean: stand still."""

Array = Any


def is_standing(command: Array, *, speed: float, time: float) -> Array:
    """True where a command (vx [m/s], vy [m/s], yaw rate [rad/s]), (..., 3), asks to stand still, (..., 1)."""
    size, slow, slow_turn = abs(command), STANDING_SPEED * speed, STANDING_SPEED / time
    return (size[..., 0:1] < slow) & (size[..., 1:2] < slow) & (size[..., 2:3] < slow_turn)


def advance_phase(phase: Array, *, frequency_hz: float, dt: float) -> Array:
    """The gait phase [rad] one control period `dt` [s] later, within 0..2π."""
    return (phase + 2.0 * math.pi * frequency_hz * dt) % (2.0 * math.pi)


def clock(xp: Any, phase: Array, standing: Array) -> Array:
    """Sine and cosine of the gait phase, (..., 2), zero where standing; `phase` and `standing` are (..., 1)."""
    return xp.concatenate([xp.sin(phase), xp.cos(phase)], -1) * ~standing
