"""Film one skill on several robots side by side, each at its own scale, all asked the same in their own units.

    MUJOCO_GL=egl python -m sim2real.report.family_film < JOB

As `sim2real.report.film`; JOB is a JSON mapping of `Job`.
"""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim2real.report.film import FPS, HEIGHT, WIDTH, guarded, open_renderer, perform

if TYPE_CHECKING:
    from PIL import Image

EMPTY = (15, 23, 42)
"""Colour of a place in the picture that no robot takes."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to film; the lists go together, a place for each robot."""

    skills: list[str]
    """Paths of skills, each already on its robot or able to be put there."""
    robots: list[str]
    titles: list[str]
    """What the robots are called in the picture."""
    paints: list[tuple[float, float, float]]
    task: str
    out: str
    """Path of the MP4."""


def main() -> int:
    """Film the job on standard input."""
    job = Job(**json.load(sys.stdin))
    return guarded(lambda: shoot(job))


def shoot(job: Job) -> dict[str, Any]:
    """Let every robot act, render and encode; returns what was seen."""
    from policies.threads import one_torch_thread
    from sim2real.report.encoder import encode

    one_torch_thread()
    played = [_play(job, place) for place in range(len(job.robots))]
    columns, rows = grid(len(played))
    size = (columns * WIDTH, rows * HEIGHT)
    encode(Path(job.out), side_by_side([images for images, _ in played], size), size, FPS)
    return {"falls": {robot: falls for robot, (_, falls) in zip(job.robots, played, strict=True)}}


def _play(job: Job, place: int) -> "tuple[Iterator[Image.Image], int]":
    """Images of one robot, and how often it fell."""
    import envs.tasks
    import robots
    from envs import embodiments
    from policies.skill import load_skill, terms_of
    from sim2real.report.footage import images
    from sim2real.report.scene import build_set

    robot = job.robots[place]
    spec, task = robots.get(robot), envs.tasks.get(job.task)
    ground = embodiments.get(task.embodiment).ground(spec, task)
    renderer = open_renderer(build_set(spec, WIDTH, HEIGHT, job.paints[place], ground))
    taken, falls = perform(spec, task, load_skill(Path(job.skills[place]), terms_of(robot, job.task)))
    captions = tuple(replace(caption, label=f"{job.titles[place]}: {caption.label}") for caption in taken.captions)
    return images(renderer, spec, replace(taken, captions=captions), FPS), falls


def grid(count: int) -> tuple[int, int]:
    """Columns and rows of a picture of so many robots: wider than high, as screens are."""
    columns = count if count <= 3 else math.ceil(math.sqrt(count))
    return columns, math.ceil(count / columns)


def side_by_side(films: "Sequence[Iterator[Image.Image]]", size: tuple[int, int]) -> "Iterator[Image.Image]":
    """Images of (width, height) [pixel] that show one of each film; a film that is over keeps its last image."""
    from PIL import Image

    columns, last = size[0] // WIDTH, [Image.new("RGB", (WIDTH, HEIGHT), EMPTY) for _ in films]
    while True:
        following = [next(film, None) for film in films]
        if not any(following):
            return
        last = [new or old for new, old in zip(following, last, strict=True)]
        whole = Image.new("RGB", size, EMPTY)
        for place, image in enumerate(last):
            whole.paste(image, (place % columns * WIDTH, place // columns * HEIGHT))
        yield whole


if __name__ == "__main__":
    sys.exit(main())
