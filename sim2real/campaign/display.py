"""Shows a `Board`: a table that renews itself on a terminal, plain lines anywhere else."""

import sys
import time
from typing import Any, TextIO

from sim2real.campaign.progress import Board, Display, Row, duration, number

LINE_PERIOD = 10.0
"""Time between two lines about a running stage [s]."""
STYLES = {"done": "green", "cached": "cyan", "failed": "bold red", "stopped": "yellow", "running": "bold"}


def best(stream: TextIO | None = None) -> Display:
    """The display that suits `stream`, standard error if None."""
    stream = stream or sys.stderr
    return LiveTable(stream) if stream.isatty() else PlainLines(stream)


class PlainLines:
    """A line at each change of a stage's state, and about every ten seconds while it runs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._began = time.monotonic()
        self._shown: dict[str, str] = {}
        self._next: dict[str, float] = {}
        self._notes = 0

    def show(self, board: Board) -> None:
        for note in board.notes[self._notes :]:
            self._print(note)
        self._notes = len(board.notes)
        for row in list(board.rows.values()):
            self._row(row)

    def close(self) -> None:
        """Nothing to give back."""

    def _row(self, row: Row) -> None:
        now = time.monotonic()
        if row.state != self._shown.get(row.name, "waiting"):
            self._shown[row.name] = row.state
            self._next[row.name] = now + LINE_PERIOD
            self._print(f"{row.name}: {ending(row)}")
        elif row.status == "running" and now >= self._next[row.name]:
            self._next[row.name] = now + LINE_PERIOD
            self._print(f"{row.name}: {pace(row)}")

    def _print(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", file=self._stream, flush=True)


class LiveTable:
    """A table of all stages."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(file=stream), auto_refresh=False)
        self._live.start()

    def show(self, board: Board) -> None:
        self._live.update(table(board), refresh=True)

    def close(self) -> None:
        """Leave the last table on the screen and give the terminal back."""
        self._live.stop()


def table(board: Board) -> Any:
    """The board as a rich table."""
    from rich.markup import escape
    from rich.table import Table

    result = Table(box=None, pad_edge=False, caption=board.notes[-1] if board.notes else None)
    for name in ("stage", "state", "done", "steps/s", "score", "left", ""):
        result.add_column(name, justify="right" if name in ("done", "steps/s", "score", "left") else "left")
    for row in list(board.rows.values()):
        remark = row.error or (f"{row.seconds:.1f} s" if row.seconds is not None else "")
        result.add_row(row.name, f"[{STYLES.get(row.status, 'dim')}]{row.state}[/]", *row.cells, escape(remark))
    return result


def ending(row: Row) -> str:
    """The state of a stage in words."""
    if row.status == "failed":
        return f"failed: {row.error}"
    took = f" in {row.seconds:.1f} s" if row.status == "done" and row.seconds is not None else ""
    score = f", score {number(row.score)}" if number(row.score) else ""
    return f"{row.state}{took}{score}"


def pace(row: Row) -> str:
    """What a running stage is at, in words."""
    share, steps, score, _ = row.cells
    left = duration(row.tail.seconds_left if row.tail else None)
    parts = (share, steps and f"{steps} steps/s", score and f"score {score}", left and f"{left} left")
    return ", ".join(part for part in parts if part)
