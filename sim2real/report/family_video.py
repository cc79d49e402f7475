"""Films of a family: one for each skill, with every robot that it drives side by side."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sim2real.report.family_film import Job
from sim2real.report.family_names import brief
from sim2real.report.film import NO_OPENGL
from sim2real.report.story import PAINTS
from sim2real.report.video import HOW_TO_GET, backends, file_name, in_process, last_line

if TYPE_CHECKING:
    from policies.skill import Skill

TIMEOUT = 150.0
"""Of one robot in a film [s]."""


@dataclass(frozen=True, kw_only=True)
class Cast:
    """One skill and the robots it is filmed on."""

    title: str
    skills: "Mapping[str, Skill]"
    """Name of a robot -> the skill on it, in the order of the picture."""
    task: str


@dataclass(frozen=True, kw_only=True)
class FamilyFilm:
    """One skill on its robots."""

    title: str
    path: Path
    falls: Mapping[str, int]
    """Name of a robot -> how often it fell."""


@dataclass(frozen=True, kw_only=True)
class FamilyFilms:
    """All that could be made."""

    made: tuple[FamilyFilm, ...] = ()
    opengl: bool | None = None
    """Whether there is OpenGL; None if nobody tried."""
    note: str = ""
    """What a reader must know of them."""


def shoot(
    casts: Sequence[Cast],
    folder: Path,
    *,
    paints: Sequence[str],
    cpus: int = 1,
    report: Callable[[float], None] = lambda fraction: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> FamilyFilms:
    """Film every cast into `folder`.

    Args:
        casts: Whom to film.
        folder: For the MP4s.
        paints: Names of all robots; each has the colour of its place.
        cpus: Threads that draw.
        report: Told the share that is done.
        should_stop: Asked before every film.
    """
    films, problems = [], []
    for index, cast in enumerate(casts):
        if should_stop() or not cast.skills:
            continue
        path = folder / f"{index + 1}-{file_name(cast.title)}.mp4"
        code, output = _shoot(cast, path, paints, cpus)
        if code == NO_OPENGL:
            return FamilyFilms(opengl=False, note=f"OpenGL is not available ({output}). {HOW_TO_GET}")
        if code == 0:
            films.append(FamilyFilm(title=cast.title, path=path, falls=json.loads(output)["falls"]))
        else:
            path.unlink(missing_ok=True)
            problems.append(f"{cast.title} could not be filmed: {output}")
        report((index + 1) / len(casts))
    return FamilyFilms(made=tuple(films), opengl=True, note="; ".join(problems))


def _shoot(cast: Cast, path: Path, paints: Sequence[str], cpus: int) -> tuple[int, str]:
    """Exit code and last words of the process that films, with the first OpenGL that works."""
    with tempfile.TemporaryDirectory() as scratch:
        skills = [Path(scratch) / f"{place}.safetensors" for place in range(len(cast.skills))]
        for skill, file in zip(cast.skills.values(), skills, strict=True):
            skill.save(file)
        job = Job(
            skills=[str(file) for file in skills],
            robots=list(cast.skills),
            titles=[brief(robot) for robot in cast.skills],
            paints=[PAINTS[paints.index(robot) % len(PAINTS)] for robot in cast.skills],
            task=cast.task,
            out=str(path),
        )
        for backend in backends():
            done = in_process("sim2real.report.family_film", asdict(job), backend, cpus, TIMEOUT * len(skills))
            if done.returncode != NO_OPENGL:
                break
    return done.returncode, last_line(done.stderr if done.returncode not in (0, NO_OPENGL) else done.stdout)
