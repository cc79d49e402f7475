"""Who drives whom, how well: every skill on every robot, as numbers, as pictures, and side by side in films."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import envs.tasks
import robots
from envs.embodiments.embodiment import Actor
from envs.task import TaskSpec
from policies.attribution import Watched
from policies.evaluation import Evaluation, evaluate, no_op
from policies.skill import Skill
from policies.threads import one_torch_thread
from policies.training import StoppedError
from robots.joint_space import joint_space
from sim2real.campaign.stage import Stage
from sim2real.commands import Family
from sim2real.report import attention, family_map, family_page, family_video
from sim2real.report.family_video import Cast, FamilyFilms
from sim2real.report.video import file_name
from sim2real.stages.attending import attended
from sim2real.stages.bodies import differences
from sim2real.stages.sources import SkillSource, sources, titles

PAGE, PICTURE = "family.html", "family.png"
SCORING, ATTENDING = 0.4, 0.8
"""Shares of the work that are done once all are scored, and once all are asked what they attend to."""


def family(command: Family, stage: Stage) -> dict[str, Any]:
    """Cross all skills with all robots; see `sim2real.commands.Family`."""
    one_torch_thread()
    folders = stage.inputs["runs"]
    found = [source for folder in _several(folders) for source in sources(folder)]
    task = _common_task(found)
    crossing = _Crossing(command=command, stage=stage, sources=found, task=task, robots=robots_of(command, found))
    try:
        result = crossing.measured()
    except StoppedError:
        return {}
    films = _films(command, stage, crossing)
    if stage.should_stop():
        return {}
    result |= {"videos": [film.path.name for film in films.made], "opengl": films.opengl, "note": films.note}
    return result | _pictures(result, stage.out, films)


def _several(folders: Path | tuple[Path, ...]) -> tuple[Path, ...]:
    return (folders,) if isinstance(folders, Path) else folders


def robots_of(command: Family, found: Sequence[SkillSource]) -> tuple[str, ...]:
    """The robots that are asked for, each once; those that the skills learned on if none is."""
    return tuple(dict.fromkeys(command.robots or (robot for source in found for robot in source.learned_on)))


def _common_task(found: Sequence[SkillSource]) -> TaskSpec:
    tasks = list(dict.fromkeys(source.task for source in found))
    if len(tasks) > 1:
        raise ValueError(f"runs must be skills of one task, whose scores compare, got {', '.join(tasks)}")
    return envs.tasks.get(tasks[0])


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """One skill on one robot."""

    skill: Skill
    evaluation: Evaluation
    watched: Watched | None
    """What it saw; None of a skill that keeps a state."""


@dataclass(frozen=True, kw_only=True)
class _Crossing:
    """All skills on all robots; pairs are the index of a skill and the name of a robot."""

    command: Family
    stage: Stage
    sources: Sequence[SkillSource]
    task: TaskSpec
    robots: tuple[str, ...]
    tried: dict[tuple[int, str], _Tried] = field(default_factory=dict)
    refused: dict[tuple[int, str], str] = field(default_factory=dict)
    """Pair -> why it cannot be."""

    def measured(self) -> dict[str, Any]:
        """Scores, bodies and attention, as JSON data."""
        columns = []
        for place, robot in enumerate(self.robots):
            for index in range(len(self.sources)):
                self.go_on(SCORING * (place + index / len(self.sources)) / len(self.robots))
                self.put(index, robot)
            columns.append(self.column(robot))
        return {
            "task": self.task.name,
            "episodes": self.command.episodes,
            "seconds": self.command.seconds or self.task.episode_seconds,
            "sources": self.named_sources(),
            "robots": columns,
            "cells": [[self.cell(index, column) for column in columns] for index in range(len(self.sources))],
            "descriptors": differences([robots.get(robot) for robot in self.robots]),
            "attention": self.attention(),
        }

    def go_on(self, fraction: float) -> None:
        self.stage.report(fraction)
        if self.stage.should_stop():
            raise StoppedError

    def put(self, index: int, robot: str) -> None:
        """Score a skill on a robot, or note why it cannot be there."""
        try:
            skill = self.sources[index].on(robot)
        except ValueError as error:
            self.refused[index, robot] = str(error)
            return
        watched = None if skill.card.memory else Watched(skill)
        evaluation = self.score(robot, watched or skill.player())
        self.tried[index, robot] = _Tried(skill=skill, evaluation=evaluation, watched=watched)

    def score(self, robot: str, actor: Actor) -> Evaluation:
        return evaluate(
            robots.get(robot),
            self.task,
            actor,
            episodes=self.command.episodes,
            seconds=self.command.seconds,
            num_threads=self.stage.cpus,
        )

    def scores(self, robot: str) -> dict[int, float]:
        """Index of each skill that can be on a robot -> its score there."""
        return {index: tried.evaluation.score for (index, other), tried in self.tried.items() if other == robot}

    def named_sources(self) -> list[dict[str, Any]]:
        return [
            {
                "title": title,
                "kind": source.kind,
                "key": source.key,
                "learned_on": list(source.learned_on),
                "privileged": source.privileged,
                "history": source.history,
            }
            for title, source in zip(titles(self.sources), self.sources, strict=True)
        ]

    def column(self, robot: str) -> dict[str, Any]:
        """A robot: what it is, what standing still scores on it, and the best skill that was made for it."""
        spec, scores = robots.get(robot), self.scores(robot)
        own = {index: score for index, score in scores.items() if self.sources[index].is_of(spec)}
        idle = None if self.task.refuses(spec) else self.score(robot, no_op(spec, self.task)).score
        space = joint_space(spec)
        return {
            "name": robot,
            "joints": spec.num_joints,
            "legs": space.num_legs,
            "mass": space.mass,
            "length": space.length,
            "no_op": idle,
            "best": _best(scores),
            "specialist": _best(own),
            "specialist_score": max(own.values(), default=None),
        }

    def cell(self, index: int, column: dict[str, Any]) -> dict[str, Any]:
        """What is to be known of a pair; N is (score − no-op) ÷ (specialist − no-op)."""
        pair = index, column["name"]
        if pair in self.refused:
            return {"refused": True, "reason": self.refused[pair]}
        own, idle, found = column["specialist_score"], column["no_op"], self.tried[pair].evaluation
        normalized = None if own is None or own <= idle else (found.score - idle) / (own - idle)
        return {
            "refused": False,
            "score": found.score,
            "score_ci": found.score_ci,
            "falls": found.falls,
            "normalized": normalized,
        }

    def attention(self) -> list[dict[str, Any]]:
        """What the joints of every robot attend to, under the skill that drives it best."""
        found = []
        for place, robot in enumerate(self.robots):
            self.go_on(SCORING + (ATTENDING - SCORING) * place / len(self.robots))
            best = _best(self.scores(robot))
            if best is not None and (tried := self.tried[best, robot]).watched:
                found.append({"robot": robot, "source": best} | self.attended(robot, tried, tried.watched))
        return found

    def attended(self, robot: str, tried: _Tried, watched: Watched) -> dict[str, Any]:
        score = tried.evaluation.score
        return attended(tried.skill, robots.get(robot), watched, score, lambda actor: self.score(robot, actor).score)


def _best(scores: dict[int, float]) -> int | None:
    return max(scores, key=lambda index: scores[index]) if scores else None


def _films(command: Family, stage: Stage, crossing: _Crossing) -> FamilyFilms:
    """One film of every skill: the robots it learned on, and beside them those that it drives."""
    if not command.video:
        return FamilyFilms(note="videos were turned off")
    return family_video.shoot(
        [_cast(crossing, index, title) for index, title in enumerate(titles(crossing.sources))],
        stage.out,
        paints=crossing.robots,
        cpus=stage.cpus,
        report=lambda share: stage.report(ATTENDING + (1.0 - ATTENDING) * share),
        should_stop=stage.should_stop,
    )


def _cast(crossing: _Crossing, index: int, title: str) -> Cast:
    skills = {robot: tried.skill for (other, robot), tried in crossing.tried.items() if other == index}
    first = [robot for robot in crossing.sources[index].learned_on if robot in skills]
    order = dict.fromkeys([*first, *skills])
    return Cast(title=title, skills={robot: skills[robot] for robot in order}, task=crossing.task.name)


def _pictures(result: dict[str, Any], out: Path, films: FamilyFilms) -> dict[str, Any]:
    """Draw everything and give the names of the files."""
    family_map.save_picture(result, out / PICTURE)
    drawn = {}
    for told in result["attention"]:
        drawn[told["robot"]] = f"attention-{file_name(told['robot'])}.png"
        attention.save_picture(told, out / drawn[told["robot"]])
    (out / PAGE).write_text(family_page.page(result, films), encoding="utf-8")
    return {"picture": PICTURE, "page": PAGE, "attention_pictures": drawn}
