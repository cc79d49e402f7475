"""What stages leave behind and read of each other: skills, policies, bundles and scores."""

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from envs.randomization.sample_log import SampleLog
from envs.task import TaskSpec
from envs.worlds import Worlds
from policies.evaluation import Evaluation, evaluate, no_op
from policies.export.gate import GateError
from policies.export.write import write_bundle
from policies.files.policy_file import save_policy
from policies.skill import Skill
from policies.stacked import trained_skill
from policies.training import Training
from robots.spec import RobotSpec
from sim2real.campaign.stage import Stage
from sim2real.campaign.store import read_record

SKILL = "skill.safetensors"
"""The acting half of a policy."""
POLICY = "policy.safetensors"
"""Actor and critic, from which training goes on."""
TOKENS = "tokens.safetensors"
"""A policy for any joints, which folds into the policy of one robot."""
SAMPLES = "randomization.parquet"
"""What every restart of every world drew."""
BUNDLE = "policy.s2r"
"""The frozen policy of one robot."""


def keep_samples(
    worlds: Worlds, stage: Stage, env_steps: Callable[[], int], name: str = "samples", first_world: int = 0
) -> SampleLog:
    """Log what every restart of every world draws; `finish` of the log writes the file."""
    log = SampleLog(stage.checkpoint / name, worlds.randomizer.column_names, worlds.num_envs, env_steps, first_world)
    worlds.randomizer.keep_samples(log)
    return log


def parent_scores(stage: Stage) -> dict[str, Any]:
    """The evaluation in the result that a stage starts from; fixed episodes need no second run."""
    result = read_record(stage.input())["result"]
    return {field.name: result[field.name] for field in fields(Evaluation) if field.name in result}


def finish(training: Training, stage: Stage, robot: str, spec: RobotSpec, task: TaskSpec) -> dict[str, Any]:
    """Write a trained policy's files and give what is to be known of it."""
    policy, env = training.ppo.policy, training.env.env
    skill = trained_skill(policy, env, robot=robot, env_steps=training.ppo.num_timesteps)
    save_policy(stage.out / POLICY, policy, skill.card)
    return finish_skill(skill, training, stage, spec, task)


def finish_skill(skill: Skill, training: Training, stage: Stage, spec: RobotSpec, task: TaskSpec) -> dict[str, Any]:
    """Write a trained skill, and a bundle where hardware could run it, and give what is to be known of it."""
    evaluation = evaluate(spec, task, skill.player(), num_threads=stage.cpus)
    skill.save(stage.out / SKILL)
    return {
        "env_steps": training.ppo.num_timesteps,
        "seconds": training.seconds,
        "env_steps_per_s": training.env_steps_per_s,
        "diverged": int(training.env.env.diverged.sum()),
        "bundle": deployable(skill, stage, spec, task, evaluation),
        "curve": [asdict(point) for point in training.curve],
    } | scores(evaluation, spec, task, stage.cpus)


def scores(evaluation: Evaluation, spec: RobotSpec, task: TaskSpec, num_threads: int) -> dict[str, Any]:
    """An evaluation beside that of doing nothing."""
    idle = evaluate(spec, task, no_op(spec, task), num_threads=num_threads)
    return evaluation.as_dict() | {"no_op": idle.score, "yaw_no_op": idle.yaw_score}


def deployable(skill: Skill, stage: Stage, spec: RobotSpec, task: TaskSpec, evaluation: Evaluation) -> str | None:
    """Write the bundle of a skill that hardware could run; None for a privileged one, or where the gate says no."""
    if skill.card.privileged:
        return None
    provenance = {"stage": stage.checkpoint.name, "env_steps": skill.card.env_steps}
    try:
        write_bundle(stage.out / BUNDLE, skill, spec, task, scores=evaluation.as_dict(), provenance=provenance)
    except GateError as error:  # the skill is worth keeping: `export` says again why it may not leave
        stage.event("refused", reason=str(error))
        return None
    return BUNDLE
