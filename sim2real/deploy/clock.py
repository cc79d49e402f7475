"""When a control tick begins: at absolute deadlines of the wall clock, or whenever the robot's state arrives."""

import contextlib
import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol

FIFO_PRIORITY = 50
LATE_SHARE = 0.1
"""A tick that begins this share of a period after its deadline is late."""


class Clock(Protocol):
    """Paces the control loop."""

    kind: Literal["lockstep", "real"]
    """What the robot must keep, too."""
    patience: float
    """How long a tick waits for the robot's state [s]."""
    late_ticks: int
    """Ticks that began after their deadline, and those that were skipped because the next deadline had passed, too."""

    def start(self) -> None:
        """The first tick is due now."""

    def wait(self) -> None:
        """Return when the next tick is due."""


class LockstepClock:
    """The robot waits for its command, so a tick begins when its state arrives; nothing is ever late."""

    kind: Literal["lockstep", "real"] = "lockstep"
    late_ticks = 0

    def __init__(self, patience: float = 5.0) -> None:
        self.patience = patience

    def start(self) -> None:
        """Nothing to do: the robot's state starts the tick."""

    def wait(self) -> None:
        """Nothing to wait for: the robot's state starts the tick."""


class RealClock:
    """A tick every `period` [s] of the wall clock, at absolute deadlines, so that errors do not add up."""

    kind: Literal["lockstep", "real"] = "real"
    patience = 0.0

    def __init__(self, period: float) -> None:
        self.period = period
        self.late_ticks = 0
        self.start()

    def start(self) -> None:
        """The first tick is due now."""
        self._deadline = time.monotonic()

    def wait(self) -> None:
        """Sleep until the next deadline; ticks whose whole period is over already are skipped, never caught up."""
        now = time.monotonic()
        skipped = max(0, int((now - self._deadline) / self.period))
        self._deadline += skipped * self.period
        time.sleep(max(0.0, self._deadline - now))
        late = time.monotonic() - self._deadline > LATE_SHARE * self.period
        self.late_ticks += skipped + late
        self._deadline += self.period


@contextlib.contextmanager
def real_time_priority() -> Iterator[str]:
    """Ask to run before all other threads, and Python not to collect garbage; yields what was granted."""
    scheduler, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield _try_fifo()
    finally:
        os.sched_setscheduler(0, scheduler, parameter)
        gc.enable()
        gc.unfreeze()


def stolen_seconds() -> float:
    """Time that a hypervisor has kept this machine's cores from it since it started, all cores together [s].

    Late ticks that come with it are not the program's; 0 where the system does not tell.
    """
    try:
        fields = (
            Path("/proc/stat").read_text().splitlines()[0].split()
        )  # cpu user nice system idle iowait irq softirq steal
        return int(fields[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0


def _try_fifo() -> str:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
    except OSError as error:
        return f"SCHED_OTHER (SCHED_FIFO: {error.strerror}; grant rtprio in /etc/security/limits.conf)"
    return f"SCHED_FIFO {FIFO_PRIORITY}"
