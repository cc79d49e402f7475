"""Distil teachers into a student that has only the sensors of a real robot, and measure what it kept and can stand.

The student has the first teacher's robot, or one of its own (`robot:R`): its worlds, its scores and its bundle are then
of R.
"""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from envs.make import make_worlds
from envs.worlds import Worlds
from policies.seeds import part_seed
from policies.skill import Skill, SkillCard, load_skill
from policies.students.adaptation import adaptation
from policies.students.distillation import Distillation
from policies.students.finetuning import ABROAD, HYPERPARAMETERS, fine_tuning
from policies.students.lessons import Lesson
from policies.students.robot_teacher import across_bodies, any_body, in_body_of
from policies.students.schooling import Teacher, fresh, hull, marks, refuse, shape, under_randomization
from policies.threads import one_torch_thread
from policies.training import StoppedError
from sim2real.campaign.stage import Stage
from sim2real.campaign.store import read_record
from sim2real.commands import Distill, body
from sim2real.stages.results import POLICY, SAMPLES, SKILL, TOKENS, deployable, keep_samples

NUM_ENVS = 256
HIDDEN, SMALL = (256, 128), (32, 32)
LATENT = 16
"""Width of what an encoder tells where no teacher is told more than the student."""


def distill(command: Distill, stage: Stage) -> dict[str, Any]:
    """Teach a student; see `sim2real.commands.Distill`."""
    one_torch_thread()
    teachers = _teachers(command, stage)
    refuse(teachers, remembering=command.student != "proprio")
    least = HYPERPARAMETERS.num_steps * NUM_ENVS
    if 0 < command.fine_tune < least:  # said here, not when the student is taught
        raise ValueError(f"fine_tune must be 0 or at least one rollout, {least} steps, got {command.fine_tune}")
    worlds = [_worlds(command, stage, teacher, index, len(teachers)) for index, teacher in enumerate(teachers)]
    distillation = _distillation(command, stage, teachers, worlds)
    samples = [
        keep_samples(env, stage, lambda: distillation.env_steps, _numbered("samples", index))
        for index, env in enumerate(worlds)
    ]
    try:
        distillation.run()
        distillation.student.card = replace(distillation.student.card, env_steps=distillation.env_steps)
        student, tuned = _fine_tuned(command, stage, distillation.student, teachers[0])
    except StoppedError:
        return {}
    for index, log in enumerate(samples):
        log.finish(stage.out / _numbered(SAMPLES, index))
    student.requires_grad_(False).save(stage.out / SKILL)
    return (
        _result(student, teachers, stage)
        | tuned
        | {
            "env_steps": student.card.env_steps,
            "seconds": distillation.seconds,
            "losses": distillation.losses,
        }
    )


def _teachers(command: Distill, stage: Stage) -> list[Teacher]:
    more = stage.inputs.get("more", ())
    assert isinstance(more, tuple)
    return [_teacher(folder, body(command.student), stage.cpus) for folder in (stage.input(), *more)]


def _teacher(folder: Path, robot: str, num_threads: int) -> Teacher:
    """Of a result, in the body of `robot` unless that is empty."""
    result = read_record(folder)["result"]
    if robot and (folder / TOKENS).is_file():
        return any_body(robot, folder / TOKENS, list(result["members"].values()))
    if robot:
        return in_body_of(robot, folder / SKILL, folder / POLICY, result["score"], result.get("no_op"), num_threads)
    return Teacher.of(load_skill(folder / SKILL), result["score"])


def _numbered(name: str, index: int) -> str:
    """A file's name; that of every teacher but the first has its number."""
    stem, dot, suffix = name.partition(".")
    return f"{stem}-{index}{dot}{suffix}" if index else name


def _worlds(command: Distill, stage: Stage, teacher: Teacher, index: int, num_teachers: int) -> Worlds:
    """A teacher's share of the worlds."""
    return make_worlds(
        teacher.spec,
        teacher.task,
        num_envs=NUM_ENVS // num_teachers,
        randomization=teacher.skill.card.randomization,
        seed=part_seed(command.seed, f"worlds of teacher {index}" if index else "worlds"),
        num_threads=stage.cpus,
    )


def _distillation(command: Distill, stage: Stage, teachers: list[Teacher], worlds: list[Worlds]) -> Distillation:
    skills = [teacher.skill for teacher in teachers]
    share = command.steps / (command.steps + command.fine_tune)
    return Distillation(
        skills[0],
        fresh(_card(command, skills, worlds[0]), worlds[0], command.seed),
        worlds[0],
        command.steps,
        stage.checkpoint / "distillation.safetensors",
        seed=command.seed,
        more=tuple(Lesson(skill, env) for skill, env in zip(skills[1:], worlds[1:], strict=True)),
        teacher_share=command.mixing,
        lead=command.lead,
        redraw_seconds=command.redraw,
        report=lambda fraction, **metrics: stage.report(share * fraction, **metrics),
        should_stop=stage.should_stop,
    )


def _card(command: Distill, teachers: list[Skill], env: Worlds) -> SkillCard:
    first, encoder = teachers[0].card, command.encoder
    told = min(skill.card.frame_width - env.actor_width for skill in teachers)
    heard = min(told, sum(skill.card.hidden[0] for skill in teachers))
    hidden = HIDDEN if encoder == "mlp" else first.hidden
    return SkillCard(
        robot=first.robot,
        model_hash=first.model_hash,
        task=first.task,
        privileged=False,
        history=1 if encoder == "gru" else command.history,
        frame_width=env.actor_width,
        hidden=command.hidden or (SMALL if command.student == "small" else hidden),
        num_joints=env.spec.num_joints,
        randomization=hull([skill.card.randomization for skill in teachers]),
        architecture=encoder,
        memory=command.memory if encoder == "gru" else 0,
        latent=0 if encoder == "mlp" else command.latent or heard or LATENT,
        activation=first.activation,
    )


def _fine_tuned(command: Distill, stage: Stage, student: Skill, teacher: Teacher) -> tuple[Skill, dict[str, Any]]:
    """The better of the student as it is and after PPO, and what both scored under the teacher's randomization."""
    if command.fine_tune == 0:
        return student, {}
    before, share = copy.deepcopy(student), command.steps / (command.steps + command.fine_tune)
    run = fine_tuning(
        student,
        make_worlds(
            teacher.spec,
            teacher.task,
            num_envs=NUM_ENVS,
            randomization=teacher.skill.card.randomization,
            seed=part_seed(command.seed, "worlds of fine-tuning"),
            num_threads=stage.cpus,
        ),
        command.fine_tune,
        seed=part_seed(command.seed, "fine-tuning"),
        **_beginning(teacher),
        file=stage.checkpoint / "fine_tuning.safetensors",
        num_threads=stage.cpus,
        report=lambda fraction, **metrics: stage.report(share + (1.0 - share) * fraction, **metrics),
        should_stop=stage.should_stop,
    )
    run.run()
    scores = [under_randomization(skill, teacher, stage.cpus).score for skill in (before, student)]
    student.card = replace(student.card, env_steps=student.card.env_steps + run.ppo.num_timesteps)
    kept = "after" if scores[1] > scores[0] else "before"
    told = {"kept": kept, "before": scores[0], "after": scores[1], "env_steps": run.ppo.num_timesteps}
    curve = [{"env_steps": point.env_steps, "score": point.score} for point in run.curve]
    return (student if kept == "after" else before), {"fine_tuning": told | {"seconds": run.seconds, "curve": curve}}


def _beginning(teacher: Teacher) -> dict[str, Any]:
    """What fine-tuning in another robot's body begins with: longer steps, and the values that the teacher knew."""
    if teacher.origin is None:
        return {}
    card, values = teacher.skill.card, teacher.origin.values
    own = replace(ABROAD, hidden=card.hidden, activation=card.activation) if values else ABROAD  # type: ignore[arg-type]
    return {"hyperparameters": own, "values": values}


def _result(student: Skill, teachers: list[Teacher], stage: Stage) -> dict[str, Any]:
    """What the student kept of every teacher; the first's robot has the bundle."""
    reports = [marks(student, teacher, stage.cpus) for teacher in teachers]
    evaluations = [report.pop("evaluation") for report in reports]
    first, robot = evaluations[0], teachers[0]
    members = [report | evaluation.as_dict() for report, evaluation in zip(reports, evaluations, strict=True)]
    for member, evaluation, teacher in zip(members, evaluations, teachers, strict=True):
        if teacher.origin:
            member |= across_bodies(evaluation, teacher, stage.cpus)
    result = members[0] | shape(student, robot.skill)
    if len(teachers) > 1:
        result |= {"members": members, "least_ratio": min(report["ratio"] for report in reports)}
    return result | {
        "adaptation": adaptation(robot.spec, robot.task, student.player, num_threads=stage.cpus),
        "bundle": deployable(student, stage, robot.spec, robot.task, first),
    }
