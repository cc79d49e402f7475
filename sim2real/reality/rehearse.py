"""One trial: a bundle's driver and a sealed reality, each in a process of its own, joined by a loopback port.

This process starts both and waits. It never holds what the reality hides until the reality itself tells, after the run.
"""

import contextlib
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

from policies.bundle import Bundle
from robots.records import encode
from sim2real.reality.episodes import Episode

SOFT_START = 1.0
"""Time from a standing start to the policy [s]."""
REAL_MARGIN = 0.1
"""Arming takes a moment in real time; the referee waits so much longer [s]."""
START_SECONDS = 30.0
"""How long a reality may take to appear [s]."""
POLL_SECONDS = 0.05
REALITY = "sim2real.reality.realities"
"""Module that holds a reality; it is run, never imported."""
TAIL = 2000
"""Characters of a failed process's errors that are shown."""
QUIT_SECONDS = 10.0
"""How long a process may take to end when it was asked to [s]."""


class TrialError(RuntimeError):
    """A trial that could not be finished; the message holds what its processes said."""


class TrialStopped(Exception):  # noqa: N818
    """A trial that was ended because somebody asked for it."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One reality and what is asked of the robot in it."""

    bundle: Path
    robot: Path
    """Folder with `robot.json` and its MJCF."""
    seed: int
    """Of the reality."""
    clock: Literal["lockstep", "real"]
    commands: tuple[tuple[float, float, float], ...]
    """One for each episode: vx [m/s], vy [m/s], yaw rate [rad/s]."""
    seconds: float
    """Length of an episode [s]."""
    log: Path | None = None
    """Folder for the recording."""
    require_signature: bool = False
    """Run only what a trusted key has signed."""

    @property
    def episodes(self) -> tuple[Episode, ...]:
        settle = SOFT_START + (REAL_MARGIN if self.clock == "real" else 0.0)
        return tuple(
            Episode(vx=vx, vy=vy, yaw_rate=yaw_rate, settle=settle, seconds=self.seconds)
            for vx, vy, yaw_rate in self.commands
        )


def write_robot(bundle: Bundle, folder: Path) -> Path:
    """Write the robot that a bundle carries as a folder; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    mjcf = folder / bundle.robot.mjcf
    mjcf.write_text(bundle.mjcf_text)
    replace(bundle.robot, mjcf=str(mjcf.resolve())).save_folder(folder)
    return folder


def run_trial(trial: Trial, should_stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Run `trial`: the reality's judgement, with the driver's report under "runtime".

    Raises:
        TrialError: a process failed.
        TrialStopped: `should_stop` said so.
    """
    began = time.monotonic()
    with _reality(trial) as reality:
        port = _read_port(reality)
        with _process(["sim2real.reality.driver"], stdin=subprocess.PIPE) as driver:
            _hand_over(driver, _job(trial, port))
            try:
                report = _last_line(driver, should_stop)
            except TrialError as error:
                raise TrialError(f"{error}{_last_words(reality)}") from None
        judgement = _last_line(reality, should_stop)
    return {**judgement, "runtime": report, "seconds": time.monotonic() - began}


def _job(trial: Trial, port: int) -> dict[str, Any]:
    return {
        "bundle": str(trial.bundle),
        "port": port,
        "clock": trial.clock,
        "soft_start": SOFT_START,
        "episodes": encode(trial.episodes),
        "log": None if trial.log is None else str(trial.log),
        "require_signature": trial.require_signature,
    }


def _reality(trial: Trial) -> contextlib.AbstractContextManager["subprocess.Popen[str]"]:
    return _process([REALITY, str(trial.robot), "--seed", str(trial.seed), "--clock", trial.clock])


@contextlib.contextmanager
def _process(module: Sequence[str], stdin: int = subprocess.DEVNULL) -> Iterator["subprocess.Popen[str]"]:
    """`python -m MODULE`, ended with the block whatever happens; an interrupt of the terminal reaches only us."""
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(QUIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _hand_over(process: "subprocess.Popen[str]", job: dict[str, Any]) -> None:
    stdin: IO[str] = process.stdin  # type: ignore[assignment]
    stdin.write(json.dumps(job))
    stdin.close()
    process.stdin = None


def _read_port(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], START_SECONDS)[0]:
        raise TrialError(f"the reality did not start within {START_SECONDS} s")
    line = process.stdout.readline()
    if not line.startswith("port "):
        raise TrialError(f"the reality did not start: {process.communicate()[1].strip()[-TAIL:] or line!r}")
    return int(line.removeprefix("port "))


def _last_words(reality: "subprocess.Popen[str]") -> str:
    """What a reality complained about, if it did; ends it."""
    reality.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        if errors := reality.communicate(timeout=QUIT_SECONDS)[1].strip():
            return f"\nthe reality said: {errors[-TAIL:]}"
    return ""


def _last_line(process: "subprocess.Popen[str]", should_stop: Callable[[], bool]) -> dict[str, Any]:
    """The JSON data in the last line that a process prints before it ends."""
    while True:
        try:
            output, errors = process.communicate(timeout=POLL_SECONDS)
            break
        except subprocess.TimeoutExpired:
            if should_stop():
                raise TrialStopped from None
    if process.returncode != 0:
        raise TrialError(f"{' '.join(map(str, process.args[1:3]))} failed: {errors.strip()[-TAIL:]}")  # type: ignore[index]
    return json.loads(output.strip().splitlines()[-1])
