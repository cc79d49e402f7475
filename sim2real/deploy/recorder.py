"""Every control tick on disk, and at a trip the two seconds before it.

A log is a folder: `ticks-000.npz`, … (columns, one row a tick), `trip-0.npz`, … and `log.json` (what the columns are).
Writing happens in a thread: the control loop only fills memory that was taken beforehand.
"""

import json
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.void]
BLOCK_SECONDS = 60.0
TRIP_SECONDS = 2.0
UNITS = {
    "mode": "0 arm, 1 soft start, 2 run, 3 damp",
    "sequence": "of the state",
    "time": "s, the robot's clock",
    "stale": "ticks without a new state",
    "joint_pos": "rad",
    "joint_vel": "rad/s",
    "joint_torque": "N·m",
    "orientation": "base to world, (w, x, y, z)",
    "gyro": "rad/s, base frame",
    "command": "vx [m/s], vy [m/s], yaw rate [rad/s]",
    "observation": "newest frame, contract order",
    "wanted": "rad, what the policy asked for",
    "target": "rad, what was commanded",
    "kp": "N·m/rad",
    "kd": "N·m·s/rad",
    "tick_us": "µs from the state in hand to the command sent",
}


class Recorder:
    """Columns of a run in `folder`; None keeps nothing."""

    def __init__(self, folder: Path | None, num_joints: int, frame_width: int, control_period: float) -> None:
        self.folder = folder
        self.dtype = _columns(num_joints, frame_width)
        self._size = max(1, round(BLOCK_SECONDS / control_period))
        self._before = max(1, round(TRIP_SECONDS / control_period))
        self._block, self._last = self._empty(), self._empty()[:0]
        self._used = self._blocks = self._trips = 0
        self._jobs: queue.SimpleQueue[tuple[Path, Block] | None] = queue.SimpleQueue()
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)
            self._thread.start()

    def add(self, **values: Any) -> None:
        """Record a tick; a value for each column."""
        row = self._block[self._used]
        for name, value in values.items():
            row[name] = value
        self._used += 1
        if self._used == self._size:
            self._hand_over()

    def trip(self) -> None:
        """Write the seconds up to now to a file of their own."""
        recent = np.concatenate([self._last, self._block[: self._used]])[-self._before :]
        self._put(f"trip-{self._trips}.npz", recent)
        self._trips += 1

    def close(self, **facts: Any) -> None:
        """Write what is left, and `log.json` with `facts` about the run.

        Raises:
            OSError: something could not be written.
        """
        self._hand_over()
        self._jobs.put(None)
        if self._thread is None or self.folder is None:
            return
        self._thread.join()
        if self._error is not None:
            raise self._error
        (self.folder / "log.json").write_text(json.dumps({"schema": 1, "columns": UNITS, **facts}, indent=2))

    def _empty(self) -> Block:
        return np.zeros(self._size, dtype=self.dtype)

    def _hand_over(self) -> None:
        if self._used:
            self._put(f"ticks-{self._blocks:03d}.npz", self._block[: self._used])
            self._last, self._block = self._block[: self._used], self._empty()
            self._used, self._blocks = 0, self._blocks + 1

    def _put(self, name: str, rows: Block) -> None:
        if self.folder is not None:
            self._jobs.put((self.folder / name, rows))

    def _write_all(self) -> None:
        while (job := self._jobs.get()) is not None:
            path, rows = job
            try:
                np.savez(path, allow_pickle=False, **{name: rows[name] for name in self.dtype.names or ()})
            except OSError as error:
                self._error = error


def load(folder: Path) -> Mapping[str, NDArray]:
    """The columns of the log in `folder`, all ticks in order.

    Raises:
        FileNotFoundError: there is no log.
    """
    blocks = [dict(np.load(path)) for path in sorted(folder.glob("ticks-*.npz"))]
    if not blocks:
        raise FileNotFoundError(f"{folder} holds no ticks-*.npz, so it is no log of a run")
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _columns(num_joints: int, frame_width: int) -> np.dtype[np.void]:
    joints = ("joint_pos", "joint_vel", "joint_torque", "wanted", "target", "kp", "kd")
    columns: list[tuple[str, str, tuple[int, ...]]] = [(name, "f8", (num_joints,)) for name in joints]
    columns += [("orientation", "f8", (4,)), ("gyro", "f8", (3,)), ("command", "f8", (3,))]
    columns += [("observation", "f4", (frame_width,)), ("mode", "u1", ()), ("stale", "u2", ())]
    return np.dtype([*columns, ("sequence", "u8", ()), ("time", "f8", ()), ("tick_us", "f8", ())])
