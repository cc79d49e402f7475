"""Train a policy on one robot with PPO: a skill, its learning curve, and a bundle where hardware could run it."""

from typing import Any

import envs.tasks
import robots
from envs.make import make_worlds
from envs.randomization import preset
from envs.randomization.schedules import SCHEDULES
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO
from policies.seeds import part_seed
from policies.threads import one_torch_thread
from policies.training import StoppedError, Training
from policies.vec_env import Sb3VecEnv
from sim2real.campaign.stage import Stage
from sim2real.commands import Train
from sim2real.stages.results import SAMPLES, finish, keep_samples


def train(command: Train, stage: Stage) -> dict[str, Any]:
    """Train from scratch; see `sim2real.commands.Train`."""
    one_torch_thread()
    spec, task = robots.get(command.robot), envs.tasks.get(command.task)
    env = make_worlds(
        spec,
        task,
        num_envs=command.num_envs,
        randomization=preset(command.randomization),
        seed=part_seed(command.seed, "worlds"),
        num_threads=stage.cpus,
    )
    layout = Layout.of(env.terms, privileged=command.privileged)
    ppo = PPO(ActorCritic, Sb3VecEnv(env), seed=command.seed, policy_kwargs={"layout": layout})
    samples = keep_samples(env, stage, lambda: ppo.num_timesteps)
    training = Training(
        ppo,
        command.steps,
        stage.checkpoint / "training.safetensors",
        num_threads=stage.cpus,
        report=stage.report,
        should_stop=stage.should_stop,
        schedule=SCHEDULES[command.schedule](env.randomizer.randomization) if command.schedule != "fixed" else None,
    )
    try:
        training.run()
    except StoppedError:
        return {}
    samples.finish(stage.out / SAMPLES)
    return {"robot": command.robot, "task": task.name, "privileged": command.privileged} | finish(
        training, stage, command.robot, spec, task
    )
