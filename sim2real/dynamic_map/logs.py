"""Logs of a robot under commands: what was sent, where the joints went, on an even grid of time.

A file is an npz with `time` [s], shape (T,), and `command` and `position` [rad], shape (T, num_joints) or (T,).
"""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
KEYS = ("time", "command", "position")
SHORTEST = 1.0
"""Least duration that tells anything [s]."""
FEWEST = 50
"""Least number of samples."""
LARGEST_GAP = 5.0
"""Between two samples; more is a hole in the log [median time between samples]."""
FINE = 0.01
"""Samples closer than this are averaged: joints follow no faster [s]."""
FARTHEST = 100.0
"""An angle beyond this was not measured in radians [rad]: sixteen turns."""
STILL = 1e-9
"""Standard deviation below which nothing moved [rad]."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """Commands and positions, evenly spaced."""

    dt: float
    """[s]"""
    command: Array
    """(T, num_joints) sent at each sample and held until the next [rad]."""
    position: Array
    """(T, num_joints) measured as it was sent [rad]."""

    @property
    def num_joints(self) -> int:
        """Joints."""
        return self.command.shape[1]

    @property
    def seconds(self) -> float:
        """Duration [s]."""
        return self.dt * len(self.command)

    def between(self, start: float, stop: float) -> "Log":
        """From `start` to `stop` [s] of the log."""
        rows = slice(round(start / self.dt), round(stop / self.dt))
        return replace(self, command=self.command[rows], position=self.position[rows])


def load_log(path: Path) -> Log:
    """Read a log.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it is not such a log; the message says what is wrong.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no log {str(path)!r}; name an npz file with {', '.join(KEYS)}")
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in KEYS if key not in file.files]
            if missing:
                raise ValueError(f"no {' and no '.join(missing)}; it has {', '.join(file.files)}")
            arrays = [np.asarray(file[key], dtype=np.float64) for key in KEYS]
        return make_log(*arrays)
    except (ValueError, TypeError, OSError, zipfile.BadZipFile, AttributeError) as error:
        raise ValueError(
            f"{path}: expected an npz with time (T,) [s], command and position (T, num_joints) [rad]: {error}"
        ) from error


def make_log(time: Array, command: Array, position: Array) -> Log:
    """A log from samples at uneven times: commands are held between them, positions interpolated.

    Raises:
        ValueError: shapes disagree, numbers are not finite, time does not rise, there is a hole, it is too short, or a
            joint stood still.
    """
    command, position = (array[:, None] if array.ndim == 1 else array for array in (command, position))
    _check(time, command, position)
    dt = float(np.median(np.diff(time)))
    grid = time[0] + dt * np.arange(int((time[-1] - time[0]) / dt + 1e-6) + 1)
    held = command[np.searchsorted(time, grid + 1e-9, side="right") - 1]
    moved = np.stack([np.interp(grid, time, joint) for joint in position.T], axis=1)
    return _averaged(Log(dt=dt, command=held, position=moved))


def _averaged(log: Log) -> Log:
    """Means of neighbours where samples lie closer than `FINE`.

    A mean position is that in the middle of its samples; there the commands begin whose mean is held.
    """
    count = int(np.ceil(FINE / log.dt - 1e-6))
    if count <= 1:
        return log
    middle = count // 2
    rows = (len(log.command) - middle) // count
    arrays = log.command[middle:], log.position
    means = [array[: rows * count].reshape(rows, count, -1).mean(axis=1) for array in arrays]
    return Log(dt=count * log.dt, command=means[0], position=means[1])


def _check(time: Array, command: Array, position: Array) -> None:
    alike = command.shape == position.shape and time.shape == command.shape[:1]
    if not alike or command.ndim != 2 or not command.shape[1]:
        raise ValueError(f"shapes are time {time.shape}, command {command.shape}, position {position.shape}")
    if not all(np.isfinite(array).all() for array in (time, command, position)):
        raise ValueError("some numbers are not finite; cut those samples out of the log")
    farthest = max(np.abs(command).max(initial=0.0), np.abs(position).max(initial=0.0))
    if farthest > FARTHEST:
        raise ValueError(f"angles must be in rad, within ±{FARTHEST:g}, got {farthest:g}; divide degrees by 180/π")
    steps = np.diff(time)
    if len(steps) and steps.min() <= 0.0:
        raise ValueError(f"time must rise from sample to sample, it does not at sample {int(np.argmin(steps)) + 1}")
    if len(time) < FEWEST or time[-1] - time[0] < SHORTEST:
        length = steps.sum()
        raise ValueError(
            f"too short: {len(time)} samples over {length:.2f} s; record at least {FEWEST} over {SHORTEST} s"
        )
    if steps.max() > LARGEST_GAP * np.median(steps):
        raise ValueError(
            f"a hole of {steps.max():.3f} s at {time[np.argmax(steps)]:.2f} s, where samples are "
            f"{np.median(steps):.4f} s apart; cut the log there"
        )
    check_moves(command, position)


def check_moves(command: Array, position: Array) -> None:
    """Refuse joints that were not commanded, or did not move.

    Raises:
        ValueError: there are some; the message names them.
    """
    for name, array in (("command", command), ("position", position)):
        idle = [str(joint) for joint in range(array.shape[1]) if array[:, joint].std() < STILL]
        if idle:
            raise ValueError(
                f"no excitation: {name} of joint {', '.join(idle)} (counted from 0) never changes; move every joint"
            )
