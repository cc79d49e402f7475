"""Who learns from whom: teachers with their robots and tasks, the student they can have, and how well it then does."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch

import envs.tasks
from envs.randomization import Randomization
from envs.randomization.ranges import RANGES, SCALARS
from envs.state_dicts import Tensors
from envs.task import TaskSpec
from envs.worlds import Worlds
from policies.evaluation import Evaluation, evaluate
from policies.skill import Skill, SkillCard, robot_of, terms_of
from policies.starting import joint_mismatch
from robots.spec import RobotSpec

VARIED_EPISODES = 64
"""Of a score under a teacher's randomization, the same episodes for teacher and student."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a teacher learned that now teaches in another robot's body."""

    robot: str
    no_op: float
    """What doing nothing scores there."""
    values: Tensors | None = None
    """Its critic and statistics, where a training left them, if its rows are as long as those of the other robot."""


@dataclass(frozen=True, kw_only=True)
class Teacher:
    """A skill with the robot and the task that it knows."""

    skill: Skill
    spec: RobotSpec
    """The robot whose worlds its student practises in."""
    task: TaskSpec
    score: float
    """On the nominal robot where it learned, as its own result has it."""
    origin: Origin | None = None
    """None of a teacher whose student has its own body."""

    @staticmethod
    def of(skill: Skill, score: float) -> "Teacher":
        """Of a loaded skill."""
        return Teacher(skill=skill, spec=robot_of(skill.card), task=envs.tasks.get(skill.card.task), score=score)


def refuse(teachers: Sequence[Teacher], *, remembering: bool) -> None:
    """Check that these teachers can have a student together.

    Args:
        teachers: The first's robot will be the student's.
        remembering: Whether a teacher may read the past, as students do: one that is to teach what it does to a smaller
            student, or in another body, not to one that sees less.

    Raises:
        ValueError: they cannot; the message says why.
    """
    for teacher in teachers:
        card = teacher.skill.card
        if not remembering and (card.history > 1 or card.memory):
            reads = f"a history of {card.history} frames" if card.history > 1 else "a recurrent state"
            raise ValueError(
                f"a teacher acts on the newest frame alone, this skill reads {reads}: name the teacher that it was "
                "distilled from, or ask for a small student, or for one in another body (robot:R)"
            )
    first = teachers[0]
    for other in teachers[1:]:
        reason = joint_mismatch(first.spec, other.spec)
        ours, theirs = (_sensors(teacher) for teacher in (first, other))
        if reason or ours != theirs:
            raise ValueError(
                reason
                or f"a student is told its task only by what it senses, and {first.task.name} is sensed as {ours}, "
                f"{other.task.name} as {theirs}; distill them apart"
            )


def _sensors(teacher: Teacher) -> list[tuple[str, int]]:
    terms = terms_of(teacher.skill.card.robot, teacher.task.name)
    return [(term.name, term.width) for term in terms if term.measurable]


def hull(all_ranges: Sequence[Randomization]) -> Randomization:
    """The least ranges that hold all of these."""
    values: dict[str, Any] = {field.name: getattr(all_ranges[0], field.name) for field in fields(Randomization)}
    for name in RANGES:
        lows, highs = zip(*(getattr(ranges, name) for ranges in all_ranges), strict=True)
        values[name] = (min(lows), max(highs))
    for name in SCALARS:
        most = min if name.endswith("_seconds") else max  # what happens more often has the shorter mean time
        values[name] = most(getattr(ranges, name) for ranges in all_ranges)
    values["separate"] = tuple(dict.fromkeys(name for ranges in all_ranges for name in ranges.separate))
    return Randomization(**values)


def fresh(card: SkillCard, worlds: Worlds, seed: int) -> Skill:
    """A student with weights of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.nn draws initial weights from it; GPUs' stay alone
        return Skill(card, worlds.terms)


def on_robot_of(skill: Skill, teacher: Teacher) -> Skill:
    """The same weights with the units of a teacher's robot."""
    moved = Skill.blank(skill.card, terms_of(teacher.skill.card.robot, teacher.task.name))
    moved.load_state_dict(skill.state_dict())
    return moved.requires_grad_(False)


def under_randomization(skill: Skill, teacher: Teacher, num_threads: int) -> Evaluation:
    """Scores of a skill on the robot of a teacher, randomized as that trained."""
    return evaluate(
        teacher.spec,
        teacher.task,
        skill.player(),
        episodes=VARIED_EPISODES,
        randomization=teacher.skill.card.randomization,
        num_threads=num_threads,
    )


def marks(student: Skill, teacher: Teacher, num_threads: int) -> dict[str, Any]:
    """Scores of the student in a teacher's robot and task beside the teacher's, nominal and as the teacher trained."""
    own, card = on_robot_of(student, teacher), teacher.skill.card
    nominal = evaluate(teacher.spec, teacher.task, own.player(), num_threads=num_threads)
    varied, theirs = (under_randomization(skill, teacher, num_threads) for skill in (own, teacher.skill))
    return {
        "robot": card.robot,
        "task": teacher.task.name,
        "evaluation": nominal,
        "teacher_score": teacher.score,
        "ratio": nominal.score / teacher.score,
        "randomized": {
            "score": varied.score,
            "score_ci": varied.score_ci,
            "falls": varied.falls,
            "episodes": varied.episodes,
            "teacher_score": theirs.score,
            "teacher_falls": theirs.falls,
            "ratio": varied.score / theirs.score,
        },
    }


def shape(student: Skill, teacher: Skill) -> dict[str, Any]:
    """What a student reads, and how small it is."""
    own, theirs = student.num_parameters, teacher.num_parameters
    kept = ("architecture", "history", "hidden", "latent", "memory")
    card = {name: value for name, value in asdict(student.card).items() if name in kept}
    return card | {"parameters": own, "teacher_parameters": theirs, "parameters_ratio": own / theirs}
