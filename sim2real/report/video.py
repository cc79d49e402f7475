"""Films of the robots, each made in a process of its own, so that a broken OpenGL cannot take a report down.

OpenGL is tried as MUJOCO_GL says, then through EGL, then through OSMesa.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from policies.members.names import shortened
from sim2real.report.film import NO_OPENGL, Job
from sim2real.report.results import Result
from sim2real.report.story import Story
from sim2real.stages.results import SKILL

PREFERENCE = ("fold", "member", "train", "transfer", "distill")
"""Of two skills on a robot the one of the later kind is filmed: what could run on hardware."""
BACKENDS = ("egl", "osmesa")
OFF = ("0", "disable", "disabled", "false", "off")
"""Values of MUJOCO_GL that mean: none."""
TIMEOUT = 120.0
"""Of one film [s]."""
HOW_TO_GET = (
    "On Debian or Ubuntu: apt-get install -y libegl1 libgl1-mesa-dri; without a display driver at all: apt-get install "
    "-y libosmesa6, and set MUJOCO_GL=osmesa. sim2real doctor checks it."
)


@dataclass(frozen=True, kw_only=True)
class Film:
    """One robot walking, or why it cannot be seen."""

    robot: str
    result: Result
    """Whose skill it is."""
    path: Path
    """The MP4; absent where `problem` says why."""
    falls: int = 0
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Films:
    """All films of a report."""

    films: tuple[Film, ...] = ()
    opengl: bool | None = None
    """Whether there is OpenGL; None if nobody tried."""
    note: str = ""
    """What a reader must know of them."""

    @property
    def made(self) -> list[Film]:
        return [film for film in self.films if not film.problem]


def shoot(
    story: Story,
    folder: Path,
    *,
    cpus: int = 1,
    report: Callable[[float], None] = lambda fraction: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Films:
    """Film the best skill of every robot in the story into `folder`; those not begun by `should_stop` are left out."""
    chosen = choose(story)
    if not chosen:
        return Films(note="no result holds a skill to film")
    jobs = [_job(result, story, folder) for result in chosen]
    for backend in backends():
        outcomes = _run(jobs, backend, cpus, report, should_stop)
        if should_stop() or any(outcome.returncode != NO_OPENGL for outcome in outcomes):
            return _collected(chosen, story, jobs, outcomes)
    reason = last_line(outcomes[0].stdout)
    return Films(opengl=False, note=f"OpenGL is not available ({reason}). {HOW_TO_GET}")


def choose(story: Story) -> list[Result]:
    """For each robot the result whose skill is filmed, in order of appearance."""
    best: dict[str, Result] = {}
    for result in story.results:
        robot = story.robot(result)
        if result.kind not in PREFERENCE or not robot or not (result.folder / SKILL).is_file():
            continue
        rival = best.get(robot)
        if rival is None or PREFERENCE.index(result.kind) >= PREFERENCE.index(rival.kind):
            best[robot] = result
    return [best[robot] for robot in story.robots if robot in best]


def _job(result: Result, story: Story, folder: Path) -> Job:
    robot = story.robot(result)
    return Job(
        skill=str(result.folder / SKILL),
        robot=robot,
        task=result.task,
        out=str(folder / f"{file_name(robot)}.mp4"),
        paint=story.paint(robot),
    )


def file_name(name: str) -> str:
    """What a robot, or what stands for it, is called in a folder."""
    return shortened(re.sub(r"[^A-Za-z0-9_-]+", "-", Path(name).name).strip("-")) or "robot"


def backends() -> Sequence[str]:
    """Values of MUJOCO_GL to try, in this order."""
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    if wanted in OFF:
        return (wanted,)
    return tuple(dict.fromkeys(filter(None, (wanted, *BACKENDS))))


def _run(
    jobs: Sequence[Job], backend: str, cpus: int, report: Callable[[float], None], should_stop: Callable[[], bool]
) -> list["subprocess.CompletedProcess[str]"]:
    """All jobs, as many at a time as there are cores."""
    outcomes = []
    with ThreadPoolExecutor(max(1, min(cpus, len(jobs)))) as pool:
        threads = max(1, cpus // len(jobs))
        for outcome in pool.map(lambda job: _film(job, backend, threads, should_stop), jobs):
            outcomes.append(outcome)
            report(len(outcomes) / len(jobs))
    return outcomes


def _film(job: Job, backend: str, threads: int, should_stop: Callable[[], bool]) -> "subprocess.CompletedProcess[str]":
    if should_stop():
        return subprocess.CompletedProcess([], 1, "", "it was not begun: the report was stopped")
    return in_process("sim2real.report.film", asdict(job), backend, threads, TIMEOUT)


def in_process(
    module: str, job: dict[str, Any], backend: str, threads: int, timeout: float | None
) -> "subprocess.CompletedProcess[str]":
    """Run a module that films a job, with an OpenGL backend and so many threads to draw with.

    Args:
        module: Reads the job as JSON from its standard input.
        job: What to film.
        backend: Value of MUJOCO_GL.
        threads: Of OpenGL in software.
        timeout: [s]; None waits for ever.
    """
    command = [sys.executable, "-m", module]
    environment = {**os.environ, "MUJOCO_GL": backend, "LP_NUM_THREADS": str(threads)}
    if backend == "osmesa":
        environment["PYOPENGL_PLATFORM"] = "osmesa"
    given = json.dumps(job)
    try:
        return subprocess.run(command, input=given, capture_output=True, text=True, env=environment, timeout=timeout)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"it took longer than {timeout:g} s")


def _collected(
    chosen: Sequence[Result], story: Story, jobs: Sequence[Job], outcomes: Sequence["subprocess.CompletedProcess[str]"]
) -> Films:
    films = [
        _collect(story.robot(result), result, job, outcome)
        for result, job, outcome in zip(chosen, jobs, outcomes, strict=True)
    ]
    problems = [f"{film.robot} could not be filmed: {film.problem}" for film in films if film.problem]
    return Films(films=tuple(films), opengl=True, note="; ".join(problems))


def _collect(robot: str, result: Result, job: Job, outcome: "subprocess.CompletedProcess[str]") -> Film:
    path = Path(job.out)
    if outcome.returncode == 0 and path.is_file():
        return Film(robot=robot, result=result, path=path, falls=int(json.loads(last_line(outcome.stdout))["falls"]))
    path.unlink(missing_ok=True)
    return Film(robot=robot, result=result, path=path, problem=last_line(outcome.stderr))


def last_line(output: str) -> str:
    """The last line of what a process wrote."""
    return (output.strip().splitlines() or ["it ended without a word"])[-1]
