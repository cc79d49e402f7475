"""What every backend speaks: the state a robot reports and the command it obeys.

Joint arrays are in the canonical order of the RobotSpec; SI throughout; quaternions are (w, x, y, z).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class RobotState:
    """One report of a robot's sensors."""

    sequence: int
    """Counts the robot's control ticks; a repeated number is a frozen robot."""
    time: float
    """The robot's own clock [s]."""
    joint_pos: Array
    """(num_joints,) [rad]."""
    joint_vel: Array
    """(num_joints,) [rad/s]."""
    joint_torque: Array
    """(num_joints,) [N·m], as estimated by the drives."""
    orientation: Array
    """(4,) base to world, (w, x, y, z)."""
    gyro: Array
    """(3,) angular rate in the base frame [rad/s]."""


@dataclass(frozen=True, kw_only=True)
class RobotCommand:
    """One command to all joints: tau = kp·(joint_pos − q) − kd·dq, saturated by the drive."""

    sequence: int
    """The state this command answers."""
    joint_pos: Array
    """(num_joints,) target [rad]."""
    kp: Array
    """(num_joints,) [N·m/rad]; zero lets the joint go."""
    kd: Array
    """(num_joints,) [N·m·s/rad]."""


class Backend(Protocol):
    """A robot that can be reached: real, emulated, or simulated in another process."""

    joint_names: tuple[str, ...]

    def receive(self, timeout: float) -> RobotState | None:
        """The newest state, or None when none came within `timeout` [s]."""

    def send(self, command: RobotCommand) -> None:
        """Hand a command to the robot."""

    def close(self) -> None:
        """Release the connection; the robot's own timeout then damps it."""
