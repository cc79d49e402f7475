"""What following costs on motion that nothing was fitted to: by the dynamic map, by a static gain, by direct commands.

Nothing is assumed to be known but two logs, and no robot has to move again. Sent the commands r of a held-out log,

- the source would have done y* = G_s r, by its identified loop;
- the target did y_t, as logged: what *direct* commands give, with the error y_t − y*;
- under K r + c, a *static gain*, it would have done K y_t + c', with K (a matrix) and c' from the part fitted to;
- the *dynamic map* sends the target r where the source is to do Ĝ_t r: its error is y_t − Ĝ_t r, measured. What the
  source's own loop is wrong by, y_s − Ĝ_s r_s, counts as well, in quadrature.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim2real.dynamic_map.logs import Log
from sim2real.dynamic_map.loop import Loop

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Root mean squares over the held-out time and all joints [rad]."""

    direct: float
    static_gain: float
    dynamic: float
    source_model: float
    """Part of `dynamic`: the source's loop on its own held-out log."""
    target_model: float
    """Part of `dynamic`: the target's."""
    seconds: float
    """Held-out time of the target."""

    @property
    def cut(self) -> float:
        """Share by which the dynamic map undercuts the better of the other two."""
        return 1.0 - self.dynamic / min(self.direct, self.static_gain)


def measure(source: Loop, target: Loop, source_log: Log, target_log: Log, fitted: tuple[float, float]) -> Errors:
    """The errors behind the first `fitted` [s] of the source's and of the target's log."""
    wanted = simulated(source, target_log.command, target_log)
    rows = round(fitted[1] / target_log.dt)
    static = static_gain(target_log.position[:rows], wanted[:rows])
    held = target_log.position[rows:]
    models = [
        rms((log.position - simulated(loop, log.command, log))[round(seconds / log.dt) :])
        for loop, log, seconds in zip((source, target), (source_log, target_log), fitted, strict=True)
    ]
    return Errors(
        direct=rms(held - wanted[rows:]),
        static_gain=rms(static(held) - wanted[rows:]),
        dynamic=math.hypot(*models),
        source_model=models[0],
        target_model=models[1],
        seconds=len(held) * target_log.dt,
    )


def simulated(loop: Loop, commands: Array, log: Log) -> Array:
    """Positions (T, num_joints) of a loop that starts at rest where the log starts."""
    return loop.simulate(commands, log.dt, loop.rest_state(log.position[0]))[0]


def static_gain(given: Array, wanted: Array) -> Callable[[Array], Array]:
    """The best gain, a matrix, and offset from one motion (T, num_joints) to another."""
    gain = np.linalg.lstsq(np.column_stack([given, np.ones(len(given))]), wanted)[0]
    return lambda motion: np.column_stack([motion, np.ones(len(motion))]) @ gain


def rms(errors: Array) -> float:
    """Root mean square of all numbers."""
    return float(np.sqrt(np.mean(errors**2)))
