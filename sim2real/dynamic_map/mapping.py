"""What to command the target so that it does what the source did, from a recorded motion or tick by tick.

The map is the target's inverse behind the source's loop, r_t = G_t⁻¹ G_s r_s: a dynamic system whose order is that of
the source, and which exists without looking ahead if that is no less than the target's.
"""

import json
import math
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robots.records import decode, encode
from sim2real.dynamic_map.loop import FAR, Loop

Array = NDArray[np.float64]
SCHEMA = 1
QUICK = 0.15
"""Of a step: a source that goes farther within a tick all but jumps from command to command."""


@dataclass(frozen=True, kw_only=True)
class DynamicMap:
    """From the commands, or the motion, of one robot to the commands of another."""

    source: Loop
    target: Loop
    dt: float
    """Between commands [s]."""

    def __post_init__(self) -> None:
        if self.source.terms.num_joints != self.target.terms.num_joints:
            raise ValueError(
                f"robots must have as many joints, got {self.source.terms.num_joints} of the source and "
                f"{self.target.terms.num_joints} of the target; log those that correspond"
            )
        if self.dt <= 0.0:
            raise ValueError(f"dt must be > 0 [s], got {self.dt}")

    @cached_property
    def ramps(self) -> bool:
        """Whether the source is run along ramps from command to command, half a tick late.

        So it is if it has zeros, or is quick: the steps that it would make under held commands are none for the target.
        """
        if self.source.zeros or self.target.terms.order == 1:
            return bool(self.source.zeros)
        state = self.source.rest_state(np.zeros(self.source.terms.num_joints))
        command = self.source.at_rest(state[0]) + 1.0
        gone = self.source.step(state, command, command, self.dt, self.source.steps(self.dt, state[0]))[0]
        return float(gone.max()) > QUICK

    @property
    def lead(self) -> float:
        """How far ahead of the source the target must be commanded, as its delay is longer, or the source ramps [s]."""
        return self.target.delay - self.source.delay + self.ramps * self.dt / 2.0

    @property
    def preview(self) -> int:
        """Ticks of the source's commands that must be known ahead, so that nothing has to be foreseen."""
        return max(0, math.ceil(self.lead / self.dt - 1e-9))

    def follow(self, positions: Array) -> Array:
        """Commands (T, num_joints) under which the target follows a motion that the source has made.

        Args:
            positions: (T, num_joints) of the source, as measured every `dt`.
        """
        wanted = np.asarray(positions, dtype=np.float64)
        joints = self.target.terms.num_joints
        if wanted.ndim != 2 or wanted.shape[1] != joints or len(wanted) < 2 or not np.isfinite(wanted).all():
            raise ValueError(f"positions must be finite and have shape (T, {joints}) [rad], got {wanted.shape}")
        return self.target.inverse(wanted, self.dt)

    def online(self, positions: Array, preview: int = 0) -> "OnlineMap":
        """The map at work, tick by tick.

        Args:
            positions: (num_joints,) where the source is at rest [rad].
            preview: How many ticks ahead of the target's the source's commands are given.
        """
        return OnlineMap(self, np.asarray(positions, dtype=np.float64), preview)

    def commands(self, source_commands: Array, positions: Array) -> Array:
        """Commands (T, num_joints) of the target for those of the source that are known beforehand; see `online`."""
        given = np.asarray(source_commands, dtype=np.float64)
        if given.ndim != 2 or given.shape[1] != self.source.terms.num_joints or not len(given):
            raise ValueError(f"commands must have shape (T, {self.source.terms.num_joints}) [rad], got {given.shape}")
        running = self.online(positions, self.preview)
        ahead = np.concatenate([given, np.repeat(given[-1:], self.preview, axis=0)])
        return np.stack([running.tick(command) for command in ahead])[self.preview :]

    def save(self, path: Path, **facts: Any) -> None:
        """Write the map as JSON, with further facts beside it."""
        record = {
            "schema": SCHEMA,
            **encode(self),
            **facts,
            "source": _readable(self.source),
            "target": _readable(self.target),
        }
        path.write_text(json.dumps(record, indent=2))

    @classmethod
    def load(cls, path: Path) -> "DynamicMap":
        """Read a map.

        Raises:
            ValueError: the file holds something else.
        """
        try:
            record = json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path}: not JSON: {error}") from error
        schema = record.get("schema") if isinstance(record, dict) else None
        if schema != SCHEMA:
            raise ValueError(f"{path}: schema must be {SCHEMA}, got {schema!r}; write the map again with sim2real map")
        map_ = {key: record[key] for key in ("source", "target", "dt") if key in record}
        for loop in (value for value in map_.values() if isinstance(value, dict)):
            for key in READABLE:
                loop.pop(key, None)
        return decode(cls, map_, str(path))


READABLE = ("regressors", "intervals", "relative_degree")
"""What a file says of a loop for people."""
Z95 = 1.96


def _readable(loop: Loop) -> dict[str, Any]:
    theta, errors = np.array(loop.coefficients), np.array(loop.errors)
    intervals = np.stack([theta - Z95 * errors, theta + Z95 * errors], axis=-1).tolist()
    return encode(loop) | {
        "regressors": loop.terms.names,
        "intervals": intervals,
        "relative_degree": loop.relative_degree,
    }


class OnlineMap:
    """Takes the source's command and gives the target's, tick by tick.

    The source's loop runs along without its delay. What the target must do on average while a command is held follows
    from the source's states at both ends of that time: the mean of a derivative is the change of the one below. Where
    an end lies further ahead than commands are given, the state is run on as if the last one stayed.
    """

    def __init__(self, dynamic_map: DynamicMap, positions: Array, preview: int = 0) -> None:
        source, target, dt = dynamic_map.source, dynamic_map.target, dynamic_map.dt
        if positions.shape != (source.terms.num_joints,) or not np.isfinite(positions).all():
            raise ValueError(
                f"positions must be finite and have shape ({source.terms.num_joints},) [rad], got {positions}"
            )
        if source.terms.order < target.terms.order:
            raise ValueError(
                f"the source must have the target's order {target.terms.order} or more, got {source.terms.order}: "
                f"identify it with at_least={target.terms.order}, or map recorded positions"
            )
        self._source, self._target, self._dt, self._ramps = source, target, dt, dynamic_map.ramps
        end = dynamic_map.lead + (1 - preview) * dt  # of the target's tick, behind the start of the one commanded last
        ticks = min(0, math.floor(end / dt + 1e-9))
        self._ahead = max(0.0, end - ticks * dt)
        self._steps = source.steps(self._ahead, positions), source.steps(dt, positions)
        self._state = self._end = source.rest_state(positions)
        self._command = source.at_rest(positions)
        past = (self._state, self._command, self._command)
        self._past = deque([past] * (1 - ticks), maxlen=1 - ticks)
        self._last = target.at_rest(positions)

    def tick(self, command: Array) -> Array:
        """The target's command (num_joints,) for a command of the source.

        Raises:
            ArithmeticError: the source's loop came apart.
            ValueError: the command is not one of each joint.
        """
        source, command = self._source, np.asarray(command, dtype=np.float64)
        if command.shape != self._command.shape:
            raise ValueError(f"command must have shape {self._command.shape} [rad], got {command.shape}")
        before = self._command if self._ramps else command
        self._past.append((self._state, before, command))
        start, self._end = self._end, self._later(*self._past[0])
        self._state = source.step(self._state, before, command, self._dt, self._steps[1])
        self._command = command
        if not np.abs(self._state[0]).max() < FAR:
            raise ArithmeticError(
                f"the source's loop came apart under these commands: its positions left ±{FAR:g} rad; keep commands "
                f"within what it was identified with"
            )
        changes = (self._end - start) / self._dt
        wanted = np.concatenate([(start[:1] + self._end[:1]) / 2.0, changes])[: self._target.terms.order + 1]
        self._last = self._target.commands(wanted[:, None], self._dt, self._last)[0]
        return self._last

    def _later(self, state: Array, before: Array, after: Array) -> Array:
        """The source's state at the end of the target's tick, from one at the start of a tick."""
        if self._ahead == 0.0:
            return state
        reached = before + min(1.0, self._ahead / self._dt) * (after - before)
        return self._source.step(state, before, reached, self._ahead, self._steps[0])
