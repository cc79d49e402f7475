"""What can drive robots: every skill in a result, and the skill that it becomes on a given robot."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import envs.tasks
import robots
from envs.vector_env import refuse
from policies.members.names import folder as member_folder
from policies.skill import Skill, load_skill, robot_of
from policies.starting import moved
from policies.tokens.generalist import Generalist, load_generalist
from robots.spec import RobotSpec
from sim2real.campaign.store import read_record
from sim2real.report.family_names import short
from sim2real.stages.results import SKILL, TOKENS

OF_ONE = ("train", "distill", "transfer", "bundle")
"""Kinds of results whose skill was made for one robot: on that robot others are compared with it."""

MADE = {
    "train": "trained",
    "distill": "student",
    "transfer": "transferred",
    "multitask": "member of several",
    "member": "member of several",
    "fold": "folded for it",
}
"""Kind of a result -> what its skill is called."""


@dataclass(frozen=True, kw_only=True)
class SkillSource:
    """One skill, wherever it may be put."""

    kind: str
    """Of the result that holds it."""
    key: str
    """Of that result."""
    learned_on: tuple[str, ...]
    """Robots, as `robots.get` finds them."""
    task: str
    privileged: bool
    """Whether it reads what hardware cannot measure."""
    history: int = 1
    """Control ticks that it sees."""
    any_body: bool = False
    """Whether it reads a body's description, and so drives joints it never saw."""
    move: Callable[[str], Skill]
    """From a robot's name to the skill there; raises ValueError where it cannot be."""

    def on(self, robot: str) -> Skill:
        """The skill on a robot.

        Raises:
            ValueError: it cannot drive that robot; the message says why.
        """
        refuse(robots.get(robot), envs.tasks.get(self.task))
        return self.move(robot)

    def is_of(self, spec: RobotSpec) -> bool:
        """Whether it was made for this robot alone."""
        return self.kind in OF_ONE and robots.get(self.learned_on[0]).model_hash == spec.model_hash


def sources(folder: Path) -> list[SkillSource]:
    """The skills in a result: one, one for each member, or one for any body.

    Raises:
        FileNotFoundError: there is none.
        ValueError: its robot has changed since.
    """
    record = read_record(folder)
    kind, key = str(record["kind"]), str(record.get("key", folder.name))
    if (folder / TOKENS).is_file():
        return [_generalist(load_generalist(folder / TOKENS), kind, key)]
    members = record["result"].get("members")
    paths = [folder / member_folder(member) / SKILL for member in members] if members else [folder / SKILL]
    return [_plain(path, kind, key) for path in paths]


def titles(found: Sequence[SkillSource]) -> list[str]:
    """What the skills are called, each by a name of its own: whom it knows, a colon, what it is."""
    plain = [_title(source) for source in found]
    named = [
        title if plain.count(title) == 1 else f"{title}, {source.key[:6]}"
        for title, source in zip(plain, found, strict=True)
    ]
    return [
        title if named.count(title) == 1 else f"{title} {named[:place].count(title) + 1}"
        for place, title in enumerate(named)
    ]


def _title(source: SkillSource) -> str:
    """Such as `go1: trained, sees the truth` or `go1, a1: any body`."""
    what = "any body" if source.any_body else MADE.get(source.kind, source.kind)
    sees = ["sees the truth"] if source.privileged else []
    sees += [f"{source.history} ticks"] if source.history > 1 else []
    return f"{', '.join(map(short, source.learned_on))}: {', '.join([what, *sees])}"


def _plain(path: Path, kind: str, key: str) -> SkillSource:
    card = load_skill(path).card
    robot_of(card)  # refuses one that has changed since
    return SkillSource(
        kind=kind,
        key=key,
        learned_on=(card.robot,),
        task=card.task,
        privileged=card.privileged,
        history=card.history,
        move=partial(moved, path),
    )


def _generalist(generalist: Generalist, kind: str, key: str) -> SkillSource:
    card = generalist.card
    return SkillSource(
        kind=kind,
        key=key,
        learned_on=card.members,
        task=card.task,
        privileged=card.privileged,
        any_body=True,
        move=generalist.skill_on,
    )
