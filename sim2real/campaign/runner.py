"""The loop that runs a campaign: submit what is ready, wait, mark; a driver that can be killed at any moment.

What is in the store is not run, so running again is how a campaign goes on. A failed stage blocks only those that
need its result.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from sim2real.campaign.graph import chain_lengths
from sim2real.campaign.interruption import stop_on_signals
from sim2real.campaign.job import Job, Outcome
from sim2real.campaign.lease import Lease
from sim2real.campaign.progress import Board
from sim2real.campaign.resources import Resources
from sim2real.campaign.store import Store, verify

WAIT = 0.25
"""Longest time between two looks at what ended [s]."""
MAX_RESUBMISSIONS = 3
"""How often a stage is started again that stopped though nobody asked, as after the driver was suspended."""


class Executor(Protocol):
    """Where stages run."""

    name: str

    def capacity(self) -> Resources:
        """All there is; may be called before `start`."""

    def start(self) -> None:
        """Get ready for `submit`."""

    def has_room(self, running: list[Job], job: Job) -> bool:
        """Whether `job` can run beside those that are running."""

    def submit(self, job: Job, lease: Path) -> None:
        """Run `job` while the driver's lease lasts."""

    def wait(self, timeout: float) -> list[tuple[Job, Outcome]]:
        """What ended within `timeout` [s]."""

    def cancel(self, jobs: list[Job]) -> None:
        """Stop these at once."""

    def close(self) -> None:
        """Give back what `start` took."""


class Runner:
    """One run of a campaign.

    Args:
        jobs: In an order in which each comes after those it waits for.
        make_executor: Called only if a stage has to be run.
    """

    def __init__(self, jobs: list[Job], store: Store, make_executor: Callable[[], Executor], board: Board) -> None:
        self._store = store
        self._make_executor = make_executor
        self._board = board
        lengths = chain_lengths(jobs)
        self._todo = sorted((job for job in jobs if not store.has(job.key)), key=lambda job: -lengths[job.name])
        self._running: list[Job] = []
        self._resubmissions: dict[str, int] = {}
        self.outcomes: dict[str, Outcome] = {}
        """Name of a stage -> how it ended; stages that were not run are absent."""
        self.interrupted = False
        for job in jobs:
            if job not in self._todo:
                self._end(job, _answer(store, job))

    def run(self) -> None:
        """Run all that is not in the store.

        Raises:
            ValueError: a stage asks for more than there is; nothing was run.
            KeyboardInterrupt: the user interrupted twice; what was running is lost back to its checkpoints.
        """
        if not self._todo:
            return
        executor = self._make_executor()
        with ExitStack() as stack:
            stack.callback(self._sweep)
            stack.callback(executor.close)
            refuse_infeasible(self._todo, executor.capacity())
            executor.start()
            lease = stack.enter_context(Lease(self._store.tmp))
            stack.enter_context(stop_on_signals(lambda: self._interrupt(lease)))
            try:
                self._loop(executor, lease)
            except KeyboardInterrupt:
                executor.cancel(self._running)
                raise

    def _loop(self, executor: Executor, lease: Lease) -> None:
        while True:
            if not lease.revoked:
                self._submit_ready(executor, lease)
            if not self._running:
                return
            for job, outcome in executor.wait(WAIT):
                self._running.remove(job)
                self._take(job, outcome, lease)

    def _submit_ready(self, executor: Executor, lease: Lease) -> None:
        for job in [job for job in self._todo if self._is_ready(job)]:
            if executor.has_room(self._running, job):
                self._todo.remove(job)
                self._running.append(job)
                self._board.submitted(job)
                executor.submit(job, lease.path)

    def _is_ready(self, job: Job) -> bool:
        return all(name in self.outcomes and self.outcomes[name].record is not None for name in job.after)

    def _take(self, job: Job, outcome: Outcome, lease: Lease) -> None:
        resubmissions = self._resubmissions.get(job.name, 0)
        if outcome.status == "stopped" and not lease.revoked and resubmissions < MAX_RESUBMISSIONS:
            self._resubmissions[job.name] = resubmissions + 1
            self._todo.insert(0, job)
        else:
            self._end(job, outcome)

    def _end(self, job: Job, outcome: Outcome) -> None:
        self.outcomes[job.name] = outcome
        self._board.ended(job, outcome)

    def _sweep(self) -> None:
        """Remove what stages left that were stopped at once."""
        for job in self._running:
            self._store.sweep(job.key)

    def _interrupt(self, lease: Lease) -> None:
        self.interrupted = True
        lease.revoke()
        self._board.note("stopping at the next checkpoint; press Ctrl-C again to stop at once")


def _answer(store: Store, job: Job) -> Outcome:
    """The result that is in the store, unless it is damaged."""
    try:
        verify(store.out(job.key))
        return Outcome(status="cached", record=store.record(job.key))
    except ValueError as error:
        return Outcome(status="failed", error=str(error))


def refuse_infeasible(jobs: list[Job], capacity: Resources) -> None:
    """Refuse stages that could never start, which a cluster would let wait for ever.

    Raises:
        ValueError: naming the stage, what it asks for and what there is.
    """
    for job in jobs:
        lacking = capacity.lacking(job.resources)
        if lacking:
            raise ValueError(f"stage {job.name} asks for {lacking}: lower its resources, or run it where there is more")
