"""Run stages in this process, one after the other: the reference, and what tests and debuggers use."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sim2real.campaign.execute import run_stage
from sim2real.campaign.job import Job, Outcome
from sim2real.campaign.resources import Resources, host
from sim2real.campaign.store import Store


class InlineExecutor:
    """See `runner.Executor`. Its stages share this process: a stage that kills it is not retried."""

    name = "inline"

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[Job, Path]] = []

    def capacity(self) -> Resources:
        return host()

    def start(self) -> None:
        """Nothing to start."""

    def has_room(self, running: list[Job], job: Job) -> bool:
        return not running

    def submit(self, job: Job, lease: Path) -> None:
        self._waiting.append((job, lease))

    def wait(self, timeout: float) -> list[tuple[Job, Outcome]]:
        """Run what was submitted; `timeout` [s] does not apply."""
        job, lease = self._waiting.pop(0)
        with _time_limit(job.timeout_s):
            return [(job, run_stage(self._store, job, lease, self.name))]

    def cancel(self, jobs: list[Job]) -> None:
        """Nothing runs while the driver does."""

    def close(self) -> None:
        """Nothing to stop."""


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Raise TimeoutError in the code below after `seconds`; only the main thread can be interrupted so."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def out_of_time(*_: object) -> None:
        raise TimeoutError(f"it took longer than its timeout_s of {seconds:g} s")

    before = signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
