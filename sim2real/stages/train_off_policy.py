"""Train with SAC or TQC: few steps, each learned from many times; from scratch, or from a skill that is there."""

from typing import Any

import envs.tasks
import robots
from policies.hyperparameters import TUNED
from policies.off_policy.algorithms import ALGORITHMS
from policies.off_policy.training import OffPolicyTraining
from policies.starting import seen_by
from policies.threads import one_torch_thread
from policies.training import StoppedError
from policies.vec_env import Sb3VecEnv
from sim2real.campaign.stage import Stage
from sim2real.commands import Train
from sim2real.stages.results import SAMPLES, finish_skill, keep_samples
from sim2real.stages.train import beginning, widening, worlds

STEPS_PER_WORLD = 1000
"""Each world gets at least as many, so that few steps still show whole episodes; further worlds are left out."""


def train_off_policy(command: Train, stage: Stage) -> dict[str, Any]:
    """Train with `command.algorithm`; see `sim2real.commands.Train`.

    Raises:
        ValueError: hyperparameters of PPO are given, or `--from` does not fit.
    """
    one_torch_thread()
    if command.hyperparameters != TUNED:
        raise ValueError(
            f"hyperparameters must be {TUNED!r} for {command.algorithm}, got {command.hyperparameters!r}: a file of "
            "them is PPO's; those of SAC and TQC are policies.off_policy.algorithms.Settings"
        )
    spec, task = robots.get(command.robot), envs.tasks.get(command.task)
    start = beginning(command, stage, spec, task)
    num_envs = max(1, min(command.num_envs, command.steps // STEPS_PER_WORLD))
    env = seen_by(start, worlds(command, stage, spec, task, num_envs))
    learner = ALGORITHMS[command.algorithm](
        Sb3VecEnv(env), steps=command.steps, start=start, privileged=command.privileged, seed=command.seed
    )
    samples = keep_samples(env, stage, lambda: learner.num_timesteps)
    training = OffPolicyTraining(
        learner,
        command.steps,
        stage.checkpoint / "training.safetensors",
        num_threads=stage.cpus,
        report=stage.report,
        should_stop=stage.should_stop,
        schedule=widening(command, env),
    )
    try:
        training.run()
    except StoppedError:
        return {}
    samples.finish(stage.out / SAMPLES)
    return {
        "robot": command.robot,
        "task": task.name,
        "privileged": command.privileged,
        "algorithm": command.algorithm,
        "worlds": num_envs,
    } | finish_skill(learner.skill(command.robot), training, stage, spec, task)
