"""Film one walk as an MP4, in a process of its own: what OpenGL does wrong ends here.

    MUJOCO_GL=egl python -m sim2real.report.film < JOB

JOB is a JSON mapping of `Job`; the last line of output is what was seen, or with exit code 3 why there is no OpenGL.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # importing mujoco fails where MUJOCO_GL names a library that is missing
    from envs.task import TaskSpec
    from policies.skill import Skill
    from robots.spec import RobotSpec
    from sim2real.report.footage import Footage

NO_OPENGL = 3
WIDTH, HEIGHT, FPS = 480, 360, 25


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to film."""

    skill: str
    """Path of a `skill.safetensors`."""
    robot: str
    task: str
    out: str
    """Path of the MP4."""
    paint: tuple[float, float, float]
    """Colour of the robot's body."""


class NoOpenGLError(RuntimeError):
    """MuJoCo cannot render here."""


def main() -> int:
    """Film the job on standard input."""
    job = Job(**json.load(sys.stdin))
    return guarded(lambda: shoot(job))


def guarded(act: Callable[[], Any]) -> int:
    """Print what `act` returns as JSON; where there is no OpenGL, print why. Returns the exit code."""
    try:
        import mujoco  # noqa: F401 -- fails where MUJOCO_GL names a library that is missing or too old
    except Exception as error:
        return _no_opengl(error)
    try:
        print(json.dumps(act()))
    except NoOpenGLError as error:
        return _no_opengl(error)
    return 0


def _no_opengl(error: Exception) -> int:
    print(f"{type(error).__name__}: {error}", flush=True)
    return NO_OPENGL


def open_renderer(model: Any) -> Any:
    """A renderer of as large images as the model has room for.

    Raises:
        NoOpenGLError: MuJoCo cannot render here.
    """
    import mujoco

    try:
        return mujoco.Renderer(model, model.vis.global_.offheight, model.vis.global_.offwidth)
    except Exception as error:  # each OpenGL platform fails in its own way
        raise NoOpenGLError(f"{type(error).__name__}: {error}") from error


def shoot(job: Job) -> dict[str, Any]:
    """Walk the programme, or let a task that has no commands run, render and encode; returns what was seen."""
    import envs.tasks
    import robots
    from envs import embodiments
    from policies.skill import load_skill, terms_of
    from policies.threads import one_torch_thread
    from sim2real.report.encoder import encode
    from sim2real.report.footage import images
    from sim2real.report.scene import build_set

    one_torch_thread()
    spec, task = robots.get(job.robot), envs.tasks.get(job.task)
    ground = embodiments.get(task.embodiment).ground(spec, task)
    renderer = open_renderer(build_set(spec, WIDTH, HEIGHT, job.paint, ground))
    taken, falls = perform(spec, task, load_skill(Path(job.skill), terms_of(job.robot, job.task)))
    encode(Path(job.out), images(renderer, spec, taken, FPS), (WIDTH, HEIGHT), FPS)
    return {"seconds": len(taken.qpos) / taken.control_hz, "falls": falls}


def perform(spec: "RobotSpec", task: "TaskSpec", skill: "Skill") -> tuple["Footage", int]:
    """Footage of one robot in the task's programme of commands, or in an episode of a task that has none, and falls."""
    from envs.randomization import preset
    from sim2real.report.walk import footage, walk
    from sim2real.view.acting import ActingRobots
    from sim2real.view.record import natural_seconds, record

    if any(task.command_high):
        walked = walk(spec, task, skill.player())
        return footage(walked), walked.falls
    acting = ActingRobots(spec, task, skill, 1, preset("none"))
    return record(acting, natural_seconds(acting)), 0


if __name__ == "__main__":
    sys.exit(main())
