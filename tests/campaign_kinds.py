"""Small kinds of stages that do real work in the store, for tests of the campaign engine.

    python -m tests.campaign_kinds run RECIPE ...

is `sim2real` with these kinds. Workers import this module by its name.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim2real import commands
from sim2real.campaign.campaign import run_recipe
from sim2real.campaign.recipe import Recipe, parse
from sim2real.campaign.stage import Stage
from sim2real.campaign.store import Store
from sim2real.commands import Kind, NameOrFile, Robot, Run

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, kw_only=True)
class Count:
    """Count slowly from 0, with a checkpoint at each number."""

    to: int = 3
    seconds: float = 0.0
    """For each number [s]."""
    seed: int = 0
    runs: tuple[Run, ...] = ()
    die_at: int = -1
    """Kill the own process at this number, the first time."""
    robot: Robot | None = None
    table: NameOrFile = "default"


@dataclass(frozen=True, kw_only=True)
class Fail:
    """Fail with a message."""

    message: str = "out of luck"
    run: Run | None = None


@dataclass(frozen=True, kw_only=True)
class Fill:
    """Write a file of a given size."""

    megabytes: int = 4


def count(command: Count, stage: Stage) -> dict[str, Any]:
    """Append each number to `numbers.txt`: what the result holds twice was counted twice."""
    path = stage.checkpoint / "numbers.json"
    numbers: list[list[int]] = json.loads(path.read_text()) if path.exists() else []
    while len(numbers) < command.to:
        if stage.should_stop():
            return {}
        time.sleep(command.seconds)
        _die_once(command, stage, len(numbers))
        numbers.append([len(numbers), os.getpid()])
        _save(path, numbers)
        stage.report(len(numbers) / command.to, steps_per_s=1 / max(command.seconds, 1e-3), score=len(numbers))
    (stage.out / "numbers.json").write_text(json.dumps(numbers))
    (stage.out / "report.html").write_text(f"<p>{len(numbers)} numbers</p>")
    return {"score": float(len(numbers)), "bundle": str(stage.out / "numbers.json"), "processes": _processes(numbers)}


def fail(command: Fail, stage: Stage) -> dict[str, Any]:
    """Write half a result, then fail."""
    (stage.out / "half.txt").write_text("half")
    raise RuntimeError(command.message)


def fill(command: Fill, stage: Stage) -> dict[str, Any]:
    """Write a file."""
    (stage.out / "zeros.bin").write_bytes(bytes(command.megabytes * 2**20))
    return {"megabytes": command.megabytes}


def diverge(command: Fill, stage: Stage) -> dict[str, Any]:
    """Return what is not a number."""
    return {"score": float("nan")}


def _die_once(command: Count, stage: Stage, number: int) -> None:
    marker = stage.checkpoint / "died"
    if number == command.die_at and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _save(path: Path, numbers: list[list[int]]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(numbers))
    os.replace(temporary, path)


def _processes(numbers: list[list[int]]) -> int:
    return len({pid for _, pid in numbers})


KINDS = {
    name: Kind(name=name, command=command, function=f"tests.campaign_kinds:{name}")
    for name, command in {"count": Count, "fail": Fail, "fill": Fill, "diverge": Fill}.items()
}


def run(store: Path, executor: str = "inline", name: str = "campaign", **stages: dict[str, Any]) -> dict[str, Any]:
    """Run these stages on the store; raises as `run_recipe` does."""
    return run_recipe(recipe(name, **stages), Store(store), executor)


def recipe(name: str = "campaign", **stages: dict[str, Any]) -> Recipe:
    """A recipe of these kinds."""
    return parse({"name": name, "stages": stages}, "recipe", KINDS)


def statuses(result: dict[str, Any]) -> dict[str, str]:
    """Name of a stage -> how it ended."""
    return {stage["name"]: stage["status"] for stage in result["stages"]}


def command_line(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """`sim2real` with these kinds, in a process group of its own as a terminal gives it."""
    command = [sys.executable, "-m", "tests.campaign_kinds", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True, **options)


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until `condition` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


if __name__ == "__main__":
    from sim2real.cli import main
    from tests.campaign_kinds import KINDS as IMPORTED  # by the name that workers know, not __main__

    commands.KINDS.update(IMPORTED)
    sys.exit(main())
