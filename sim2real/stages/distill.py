"""Distil a privileged teacher into a student that has only the sensors of a real robot."""

from typing import Any

import torch

import envs.tasks
from envs.make import make_worlds
from envs.worlds import Worlds
from policies.distillation import Distillation
from policies.evaluation import evaluate
from policies.seeds import part_seed
from policies.skill import Skill, SkillCard, load_skill, robot_of
from policies.threads import one_torch_thread
from policies.training import StoppedError
from sim2real.campaign.stage import Stage
from sim2real.commands import Distill
from sim2real.stages.results import SAMPLES, SKILL, deployable, keep_samples, parent_scores

NUM_ENVS = 256
HIDDEN = (256, 128)


def distill(command: Distill, stage: Stage) -> dict[str, Any]:
    """Teach a student; see `sim2real.commands.Distill`."""
    one_torch_thread()
    teacher = load_skill(stage.input() / SKILL)
    if teacher.card.history > 1:
        raise ValueError(
            f"a teacher acts on the newest frame alone, this skill reads a history of {teacher.card.history} frames: "
            "name the teacher that it was distilled from"
        )
    spec, task = robot_of(teacher.card), envs.tasks.get(teacher.card.task)
    env = make_worlds(
        spec,
        task,
        num_envs=NUM_ENVS,
        randomization=teacher.card.randomization,
        seed=part_seed(command.seed, "worlds"),
        num_threads=stage.cpus,
    )
    distillation = Distillation(
        teacher,
        _fresh_student(command, teacher, env),
        env,
        command.steps,
        stage.checkpoint / "distillation.safetensors",
        seed=command.seed,
        report=stage.report,
        should_stop=stage.should_stop,
    )
    samples = keep_samples(env, stage, lambda: distillation.env_steps)
    try:
        distillation.run()
    except StoppedError:
        return {}
    samples.finish(stage.out / SAMPLES)
    student = distillation.student.requires_grad_(False)
    student.save(stage.out / SKILL)
    evaluation = evaluate(spec, task, student.player(), num_threads=stage.cpus)
    teacher_score = parent_scores(stage)["score"]
    return evaluation.as_dict() | {
        "robot": teacher.card.robot,
        "task": task.name,
        "teacher_score": teacher_score,
        "ratio": evaluation.score / teacher_score,
        "history": command.history,
        "env_steps": distillation.env_steps,
        "seconds": distillation.seconds,
        "losses": distillation.losses,
        "bundle": deployable(student, stage, spec, task, evaluation),
    }


def _fresh_student(command: Distill, teacher: Skill, env: Worlds) -> Skill:
    card = SkillCard(
        robot=teacher.card.robot,
        model_hash=teacher.card.model_hash,
        task=teacher.card.task,
        privileged=False,
        history=command.history,
        frame_width=env.actor_width,
        hidden=HIDDEN,
        num_joints=env.spec.num_joints,
        randomization=env.randomization,
        env_steps=command.steps,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(command.seed)  # torch.nn draws initial weights from the global generator
        return Skill(card, env.terms)
