"""Live progress: stage, share done, steps/s, score, time left.

It is read from the `events.jsonl` that stages append to in the store, so it does not matter in which process or on
which host they run.
"""

import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sim2real.campaign.job import Job, Outcome
from sim2real.campaign.stage import EVENTS
from sim2real.campaign.store import Store

PERIOD = 0.5
"""Time between two looks at the events [s]."""


class Tail:
    """Follows an events file from where it ends now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        with suppress(FileNotFoundError):
            self._offset = path.stat().st_size
        self._origin: tuple[float, float] | None = None
        self.attempts = 0
        self.fraction = 0.0
        self.metrics: dict[str, Any] = {}
        self.seconds_left: float | None = None
        """As the pace since the attempt's first report tells [s]."""

    def poll(self) -> None:
        """Take in the lines written since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                lines = file.read().splitlines(keepends=True)
        except FileNotFoundError:  # not begun yet, or committed just now
            return
        for line in lines:
            if line.endswith(b"\n"):
                self._offset += len(line)
                with suppress(json.JSONDecodeError):  # a kill may have cut a line short
                    self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        name, at = event.pop("event"), event.pop("time")
        if name == "start":
            self.attempts, self._origin, self.seconds_left = self.attempts + 1, None, None
        elif name == "progress":
            self.fraction, self.metrics = event.pop("fraction"), event
            self._estimate(at)

    def _estimate(self, at: float) -> None:
        since, fraction = self._origin = self._origin or (at, self.fraction)
        if self.fraction > fraction:
            self.seconds_left = (1.0 - self.fraction) * (at - since) / (self.fraction - fraction)


@dataclass
class Row:
    """A stage as the board shows it."""

    name: str
    kind: str
    status: str = "waiting"
    """waiting, running, or how it ended."""
    tail: Tail | None = None
    seconds: float | None = None
    """What its result took to make [s]."""
    score: float | None = None
    error: str = ""

    @property
    def state(self) -> str:
        """The status, and which attempt it is if an earlier one's process died."""
        again = self.tail is not None and self.status == "running" and self.tail.attempts > 1
        return f"{self.status}, attempt {self.tail.attempts}" if again and self.tail else self.status

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Share done, steps/s, score and time left, as text; empty where unknown."""
        tail = self.tail if self.status == "running" else None
        metrics = tail.metrics if tail else {}
        share = f"{tail.fraction:.0%}" if tail else ""
        score = metrics.get("score") if tail else self.score
        return share, rate(metrics.get("steps_per_s")), number(score), duration(tail.seconds_left if tail else None)


class Display(Protocol):
    """Shows a board."""

    def show(self, board: "Board") -> None:
        """Show it as it is now; called about twice a second from one thread, and once at the end."""

    def close(self) -> None:
        """Give the terminal back."""


@dataclass
class Board:
    """What all stages of a run are doing, kept up to date by a thread; without a display it only keeps count."""

    store: Store
    display: Display | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _closed: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> "Board":
        if self.display:
            self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        if self._thread and self.display:
            self._thread.join()
            self.display.show(self)
            self.display.close()

    def expect(self, jobs: list[Job]) -> None:
        """List all stages, none of which runs yet."""
        self.rows.update({job.name: Row(job.name, job.kind.name) for job in jobs})

    def submitted(self, job: Job) -> None:
        """The stage was handed to the executor."""
        self.rows[job.name] = Row(job.name, job.kind.name, tail=Tail(self.store.checkpoint(job.key) / EVENTS))

    def ended(self, job: Job, outcome: Outcome) -> None:
        """The stage ended."""
        record = outcome.record or {}
        self.rows[job.name] = Row(
            job.name,
            job.kind.name,
            status=outcome.status,
            seconds=record.get("seconds"),
            score=record.get("result", {}).get("score"),
            error=outcome.error,
        )

    def left_out(self, job: Job, status: str) -> None:
        """The stage was not run to its end, as `status` says."""
        self.rows[job.name] = Row(job.name, job.kind.name, status=status)

    def note(self, text: str) -> None:
        """Say something to the user."""
        self.notes.append(text)

    def _follow(self) -> None:
        while not self._closed.wait(PERIOD):
            for row in list(self.rows.values()):
                if row.tail:
                    row.tail.poll()
                    row.status = "running" if row.tail.attempts else "waiting"
            if self.display:
                self.display.show(self)


def rate(steps_per_s: float | None) -> str:
    """Steps per second, short."""
    if steps_per_s is None:
        return ""
    return f"{steps_per_s / 1000:.1f}k" if steps_per_s >= 1000 else f"{steps_per_s:.0f}"


def number(value: Any) -> str:
    """A score, if it is a number."""
    return f"{value:.3f}" if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def duration(seconds: float | None) -> str:
    """Minutes and seconds, or hours and minutes."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
