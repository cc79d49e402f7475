"""A teacher robot and its student robot: the teacher's policy says what another body should do, in that body's worlds.

`JointSpace` is what carries it over: frames are divided by the robot's own length, mass and time, actions turn joints
along semantic axes. So the same weights between the units of the student's robot label every state that the student
meets, privileged channels included. A policy over joints does so for any joints. Where that is not the best that the
body can do, fine-tuning goes on from there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import envs.tasks
import robots
from envs.state_dicts import Tensors
from envs.task import TaskSpec
from policies.evaluation import Evaluation, evaluate, no_op
from policies.files.policy_file import load_policy
from policies.skill import load_skill, robot_of, terms_of
from policies.starting import moved
from policies.students.schooling import Origin, Teacher
from policies.tokens.generalist import load_generalist
from robots.spec import RobotSpec


def in_body_of(robot: str, skill: Path, policy: Path, score: float, idle: float | None, num_threads: int) -> Teacher:
    """A trained skill with the body of `robot`.

    Args:
        robot: What `robots.get` finds the student's robot by.
        skill: File that `load_skill` reads.
        policy: File with its critic, as `load_policy` reads it; need not exist.
        score: Of the skill on its own robot.
        idle: What doing nothing scores there; measured if None.
        num_threads: Physics threads.

    Raises:
        ValueError: one robot's policy cannot tell the other what to do; the message names both.
    """
    card = load_skill(skill).card
    source, target, task = robot_of(card), robots.get(robot), envs.tasks.get(card.task)
    try:
        there = moved(skill, robot)
    except ValueError as error:
        raise ValueError(f"{source.name} cannot teach {target.name}: {error}") from error
    there.card = replace(card, robot=robot, model_hash=target.model_hash)
    if idle is None:
        idle = doing_nothing(source, task, num_threads).score
    origin = Origin(
        robot=card.robot, no_op=idle, values=_values(policy, sum(term.width for term in terms_of(robot, card.task)))
    )
    return Teacher(skill=there.requires_grad_(False), spec=target, task=task, score=score, origin=origin)


def _values(policy: Path, width: int) -> Tensors | None:
    """Critic and statistics that read rows of this width; None where there are none."""
    if not policy.is_file():
        return None
    weights = load_policy(policy).weights
    return weights if len(weights["normalizer.mean"]) == width else None


def any_body(robot: str, file: Path, members: Sequence[Mapping[str, Any]]) -> Teacher:
    """The teacher that a policy over joints, in `file`, is in the body of `robot`, whatever its joints.

    Args:
        robot: What `robots.get` finds the student's robot by.
        file: As `load_generalist` reads it.
        members: Results of the robots that it learned on: `score` and `no_op`, whose means stand for its own robot's.

    Raises:
        ValueError: it cannot drive this robot; the message says why.
    """
    generalist = load_generalist(file)
    skill, task = generalist.skill_on(robot), envs.tasks.get(generalist.card.task)
    score, idle = (mean(member[name] for member in members) for name in ("score", "no_op"))
    origin = Origin(robot=", ".join(generalist.card.members), no_op=idle)
    return Teacher(skill=skill.requires_grad_(False), spec=robots.get(robot), task=task, score=score, origin=origin)


def doing_nothing(spec: RobotSpec, task: TaskSpec, num_threads: int) -> Evaluation:
    """What is to be beaten on a robot."""
    return evaluate(spec, task, no_op(spec, task), num_threads=num_threads)


def across_bodies(student: Evaluation, teacher: Teacher, num_threads: int) -> dict[str, Any]:
    """A student on its robot, beside its teacher's policy there as it is, and beside the teacher on its own robot."""
    assert teacher.origin is not None
    untaught = evaluate(teacher.spec, teacher.task, teacher.skill.player(), num_threads=num_threads)
    idle = doing_nothing(teacher.spec, teacher.task, num_threads)
    return {
        "teacher_robot": teacher.origin.robot,
        "teacher_no_op": teacher.origin.no_op,
        "no_op": idle.score,
        "yaw_no_op": idle.yaw_score,
        "zero_shot": untaught.score,
        "zero_shot_ci": untaught.score_ci,
        "zero_shot_falls": untaught.falls,
        "normalized_ratio": normalized_ratio(student.score - idle.score, teacher.score - teacher.origin.no_op),
    }


def normalized_ratio(student: float, teacher: float) -> float | None:
    """A student's gain over doing nothing by its teacher's; None where the teacher gains nothing itself."""
    return student / teacher if teacher > 0.0 else None
