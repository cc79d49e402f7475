"""Film what the viewer would show, in a process of its own: what OpenGL does wrong ends here.

    MUJOCO_GL=egl python -m sim2real.view.film < JOB

JOB is a JSON mapping of `Job`; the last line of output is what was seen, with exit code 2 what is wrong with the job,
with exit code 3 why there is no OpenGL.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim2real.campaign.job import is_bad_input
from sim2real.report.film import FPS, guarded, open_renderer

if TYPE_CHECKING:  # importing mujoco fails where MUJOCO_GL names a library that is missing
    from sim2real.report.footage import Footage
    from sim2real.view.acting import ActingRobots
    from sim2real.view.bare import BareRobot

BAD_INPUT = 2
SIZE = (640, 480)
"""Width and height [pixel]."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to film; the first fields are those of `sim2real.view.target.Target`."""

    robot: str
    skill: str
    task: str | None
    worlds: int
    randomization: str
    seconds: float | None
    """Length; None for the time in which everything is to be seen."""
    out: str
    """An .mp4, .webp or .gif."""


def main() -> int:
    """Film the job on standard input."""
    job = Job(**json.load(sys.stdin))
    try:
        return guarded(lambda: shoot(job))
    except Exception as error:
        if not is_bad_input(error):
            raise
        print(" ".join(str(error).split()))
        return BAD_INPUT


def shoot(job: Job) -> dict[str, Any]:
    """Simulate, render and encode; returns what was seen."""
    from sim2real.report.encoder import encode
    from sim2real.report.footage import images
    from sim2real.report.scene import build_set
    from sim2real.report.story import PAINTS
    from sim2real.view.stage import simulate
    from sim2real.view.target import Target

    shown = simulate(Target(robot=job.robot, skill=job.skill), job.task, job.worlds, job.randomization)
    renderer = open_renderer(build_set(shown.spec, *SIZE, PAINTS[0], shown.ground))
    footage = _record(shown, job.seconds)
    frames = encode(Path(job.out), images(renderer, shown.spec, footage, FPS), SIZE, FPS)
    return {"seconds": len(footage.qpos) / footage.control_hz, "frames": frames}


def _record(shown: "BareRobot | ActingRobots", seconds: float | None) -> "Footage":
    from sim2real.view.bare import BareRobot

    if isinstance(shown, BareRobot):
        from sim2real.view import tour

        return tour.tour(shown, seconds or tour.natural_seconds(shown))
    from sim2real.view import record

    return record.record(shown, seconds or record.natural_seconds(shown))


if __name__ == "__main__":
    sys.exit(main())
