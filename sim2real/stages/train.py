"""Train a policy on one robot with PPO: a skill, its learning curve, and a bundle where hardware could run it."""

from dataclasses import asdict
from typing import Any

import envs.tasks
import robots
from envs.randomization import preset
from envs.task import TaskSpec
from envs.vector_env import VectorEnv
from policies import checkpoint
from policies.evaluation import Evaluation, evaluate, standing_still
from policies.export.write import write_bundle
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO
from policies.skill import Skill, skill_of
from policies.threads import one_torch_thread
from policies.training import StoppedError, Training
from policies.vec_env import Sb3VecEnv
from robots.spec import RobotSpec
from sim2real.campaign.stage import Stage
from sim2real.commands import Train

SKILL, POLICY, BUNDLE = "skill.safetensors", "policy.safetensors", "policy.s2r"


def train(command: Train, stage: Stage) -> dict[str, Any]:
    """Train from scratch; see `sim2real.commands.Train`."""
    one_torch_thread()
    spec, task = robots.get(command.robot), envs.tasks.get(command.task)
    env = VectorEnv(
        spec,
        task,
        num_envs=command.num_envs,
        randomization=preset(command.randomization),
        seed=command.seed,
        num_threads=stage.cpus,
    )
    layout = Layout.of(env.terms, privileged=command.privileged)
    ppo = PPO(ActorCritic, Sb3VecEnv(env), seed=command.seed, policy_kwargs={"layout": layout})
    training = Training(
        ppo,
        command.steps,
        stage.checkpoint / "training.safetensors",
        num_threads=stage.cpus,
        report=stage.report,
        should_stop=stage.should_stop,
    )
    try:
        training.run()
    except StoppedError:
        return {}
    return {"robot": command.robot, "task": task.name, "privileged": command.privileged} | finish(
        training, stage, spec, task
    )


def finish(training: Training, stage: Stage, spec: RobotSpec, task: TaskSpec) -> dict[str, Any]:
    """Write a trained policy's files and give what is to be known of it."""
    policy, env = training.ppo.policy, training.env.env
    skill = skill_of(policy, env, env_steps=training.ppo.num_timesteps)
    evaluation = evaluate(spec, task, skill.player(), num_threads=stage.cpus)
    skill.save(stage.out / SKILL)
    checkpoint.save(
        stage.out / POLICY,
        dict(policy.state_dict()),
        {"hidden": list(policy.hidden), "privileged": skill.card.privileged},
    )
    return {
        "env_steps": training.ppo.num_timesteps,
        "seconds": training.seconds,
        "env_steps_per_s": training.env_steps_per_s,
        "bundle": deployable(skill, stage, spec, task, evaluation),
        "curve": [asdict(point) for point in training.curve],
    } | scores(evaluation, spec, task, stage.cpus)


def scores(evaluation: Evaluation, spec: RobotSpec, task: TaskSpec, num_threads: int) -> dict[str, Any]:
    """An evaluation beside that of standing still."""
    no_op = evaluate(spec, task, standing_still(spec), num_threads=num_threads)
    return evaluation.as_dict() | {"no_op": no_op.score, "yaw_no_op": no_op.yaw_score}


def deployable(skill: Skill, stage: Stage, spec: RobotSpec, task: TaskSpec, evaluation: Evaluation) -> str | None:
    """Write the bundle of a skill that hardware could run; None for a privileged one."""
    if skill.card.privileged:
        return None
    provenance = {"stage": stage.checkpoint.name, "env_steps": skill.card.env_steps}
    write_bundle(stage.out / BUNDLE, skill, spec, task, scores=evaluation.as_dict(), provenance=provenance)
    return BUNDLE
