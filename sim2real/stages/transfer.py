"""Hand a skill to another robot: zero-shot probe, the strategy, a control from scratch at equal budget, a verdict."""

from dataclasses import asdict
from typing import Any

import numpy as np

import envs.tasks
import robots
from envs.randomization import preset
from envs.task import TaskSpec
from envs.vector_env import VectorEnv
from policies.evaluation import Evaluation, evaluate, standing_still
from policies.skill import load_skill, skill_of
from policies.threads import one_torch_thread
from policies.training import StoppedError, Training
from policies.vec_env import Sb3VecEnv
from robots.spec import RobotSpec
from sim2real.campaign.stage import Stage
from sim2real.commands import Transfer
from sim2real.stages.results import POLICY, SKILL, finish
from sim2real.statistics import Curve, TransferMeasures, learned_threshold, transfer_measures
from sim2real.transfer import strategies
from sim2real.transfer.strategy import Source, Strategy
from sim2real.verdict import RULE, judge

NUM_ENVS = 256
CONTROL = "scratch"
MEASURED = (
    "verdict",
    "zero_shot",
    "jumpstart",
    "step_saving_ratio",
    "step_saving_ratio_ci",
    "transfer_ratio",
    "bundle",
)
"""Keys of a result that a refused transfer has no value for."""


def transfer(command: Transfer, stage: Stage) -> dict[str, Any]:
    """Transfer and judge; see `sim2real.commands.Transfer`."""
    one_torch_thread()
    card = load_skill(stage.input() / SKILL).card
    if not (stage.input() / POLICY).is_file():
        raise FileNotFoundError(
            f"{stage.input()} holds no {POLICY}: transfer starts from a result of train or transfer, "
            "whose critic is needed; name the teacher instead of its student"
        )
    source = Source.load(stage.input() / POLICY)
    spec, task = robots.get(command.to), envs.tasks.get(command.task or card.task)
    head = {"source_robot": card.robot, "robot": command.to, "task": task.name, "strategy": command.strategy}
    if not source.fits(_environment(spec, task, command.seed, stage)):
        reason = (
            f"{card.robot} drives {card.num_joints} joints with {card.frame_width} inputs, {command.to} has "
            f"{spec.num_joints} joints: a plain network cannot follow; choose a robot with as many joints"
        )
        return head | dict.fromkeys(MEASURED) | {"refused": True, "reason": reason, "seconds": 0.0}
    try:
        return head | _transfer(command, stage, source, spec, task)
    except StoppedError:
        return {}


def _transfer(command: Transfer, stage: Stage, source: Source, spec: RobotSpec, task: TaskSpec) -> dict[str, Any]:
    strategy = strategies.get(command.strategy)
    arm = _training(strategy, 0.0, command, stage, source, spec, task)
    probe = _probe(arm, stage, spec, task)
    no_op = evaluate(spec, task, standing_still(spec), num_threads=stage.cpus)
    if strategy.trains:
        arm.run()
    control = _training(strategies.get(CONTROL), 0.5, command, stage, source, spec, task)
    control.run()
    scratch = _probe(control, stage, spec, task)
    result = finish(arm, stage, spec, task)
    curve = result.pop("curve") or _flat(probe, command.budget)
    control_curve = [asdict(point) for point in control.curve]
    threshold = learned_threshold(max(result["score"], scratch.score), no_op.score)
    measures = transfer_measures(
        Curve.of(curve), Curve.of(control_curve), threshold=threshold, rng=np.random.default_rng(command.seed)
    )
    return (
        result
        | {
            "zero_shot": probe.score,
            "zero_shot_ci": probe.score_ci,
            "scratch_score": scratch.score,
            "curves": {"transfer": curve, "scratch": control_curve},
            "scratch_seconds": control.seconds,
            "refused": False,
        }
        | _judged(measures)
    )


def _judged(measures: TransferMeasures) -> dict[str, Any]:
    verdict = judge(measures)
    return {"verdict": verdict.word, "reason": verdict.reason, "rule": RULE} | measures.as_result()


def _environment(spec: RobotSpec, task: TaskSpec, seed: int, stage: Stage) -> Sb3VecEnv:
    return Sb3VecEnv(
        VectorEnv(spec, task, num_envs=NUM_ENVS, randomization=preset("default"), seed=seed, num_threads=stage.cpus)
    )


def _training(
    strategy: Strategy, begin: float, command: Transfer, stage: Stage, source: Source, spec: RobotSpec, task: TaskSpec
) -> Training:
    """An arm whose progress counts from `begin`, 0 or 0.5, of the stage."""
    env = _environment(spec, task, command.seed, stage)
    return Training(
        strategy.learner(source, env, command.budget, command.seed),
        command.budget,
        stage.checkpoint / f"{strategy.name}.safetensors",
        num_threads=stage.cpus,
        report=lambda fraction, **metrics: stage.report(begin + fraction / 2.0, arm=strategy.name, **metrics),
        should_stop=stage.should_stop,
    )


def _probe(arm: Training, stage: Stage, spec: RobotSpec, task: TaskSpec) -> Evaluation:
    """The arm's policy as it is now, on all fixed episodes."""
    skill = skill_of(arm.ppo.policy, arm.env.env, env_steps=arm.ppo.num_timesteps)
    return evaluate(spec, task, skill.player(), num_threads=stage.cpus)


def _flat(probe: Evaluation, budget: int) -> list[dict[str, Any]]:
    """The curve of a skill that is not trained."""
    return [{"env_steps": steps, "score": probe.score, "episode_scores": ()} for steps in (0, budget)]
