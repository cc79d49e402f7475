"""What a stage's function is given: where to write, what to read, and whom to tell.

    def train(command: Train, stage: Stage) -> dict[str, Any]: ...

The function writes its files into `stage.out` and returns its result as JSON data. To survive a kill it saves its
progress in `stage.checkpoint` (a file beside the old one, then `os.replace`) and looks there when it starts.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim2real.campaign.files import plain

EVENTS = "events.jsonl"
REPORT_PERIOD = 0.5
"""Least time between two progress events [s]."""


def _never() -> bool:
    return False


@dataclass(kw_only=True)
class Stage:
    """One attempt at a stage."""

    out: Path
    """Empty folder for the result's files; it becomes the result when the function returns."""
    checkpoint: Path
    """Folder that survives kills and is dropped once the result is committed; `events.jsonl` in it is taken."""
    inputs: dict[str, Path | tuple[Path, ...]] = field(default_factory=dict)
    """Name of a RUN argument -> its result folder, or folders."""
    cpus: int = 1
    """Cores this stage may keep busy."""
    gpus: float = 0.0
    memory_gb: float = 0.0
    """What is kept for it [GB]; 0 if nothing is."""
    lost: Callable[[], bool] = _never
    """Whether the campaign wants this stage to stop, or is gone."""
    was_told_to_stop: bool = field(default=False, init=False)
    """Whether `should_stop` ever said so: what the function returns then is not committed."""
    _last_report: float = field(default=-math.inf, init=False)

    def input(self, name: str = "run") -> Path:
        """The result folder of the argument `name`, where that is a single RUN."""
        folder = self.inputs[name]
        if isinstance(folder, tuple):
            raise TypeError(f"{name} is a list of {len(folder)} results; use inputs[{name!r}]")
        return folder

    def report(self, fraction: float, **metrics: Any) -> None:
        """Tell how far the stage is; at most twice a second is written, and always at 1.

        Args:
            fraction: Of the work that is done, 0 to 1.
            metrics: Plain numbers or text; `steps_per_s` and `score` appear in the live table.
        """
        now = time.monotonic()
        if now - self._last_report >= REPORT_PERIOD or fraction >= 1.0:
            self._last_report = now
            self.event("progress", fraction=float(fraction), **metrics)

    def should_stop(self) -> bool:
        """Whether to save a checkpoint and return now (Ctrl-C, or the campaign's driver is gone).

        After it said so once the returned value is ignored; a later run goes on from the checkpoint.
        """
        self.was_told_to_stop = self.was_told_to_stop or self.lost()
        return self.was_told_to_stop

    def event(self, name: str, **data: Any) -> None:
        """Append a line to `events.jsonl`, which `watch`-like readers and the live table follow."""
        line = json.dumps(plain({"time": time.time(), "event": name, **data}))
        with (self.checkpoint / EVENTS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
