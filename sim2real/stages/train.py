"""Train a policy on one robot: a skill, its learning curve, and a bundle where hardware could run it."""

from pathlib import Path
from typing import Any

import envs.tasks
import robots
from envs import embodiments
from envs.make import make_worlds
from envs.randomization import preset
from envs.randomization.schedules import SCHEDULES, Schedule
from envs.task import TaskSpec
from envs.worlds import Worlds
from policies.collective import ALONE, Collective
from policies.files import checkpoint
from policies.files.sb3_import import convert, skill_of_policy
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO
from policies.seeds import part_seed
from policies.stacked import StackedTraining, one_frame
from policies.starting import Continued, Start, chosen, refuse, seen_by
from policies.threads import one_torch_thread
from policies.training import StoppedError, Training
from policies.vec_env import Sb3VecEnv
from robots.spec import RobotSpec
from sim2real.campaign.keys import ARCHIVE
from sim2real.campaign.stage import Stage
from sim2real.campaign.store import read_record
from sim2real.commands import Train
from sim2real.stages.results import POLICY, SAMPLES, SKILL, finish, keep_samples


def train(command: Train, stage: Stage) -> dict[str, Any]:
    """Train from scratch, or from what is there already; see `sim2real.commands.Train`."""
    if command.algorithm != "ppo":
        from sim2real.stages.train_off_policy import train_off_policy

        return train_off_policy(command, stage)
    if command.workers > 1:
        from sim2real import train_ddp

        return train_ddp.in_ranks(learn, command, stage)
    return learn(command, stage)


def learn(command: Train, stage: Stage, collective: Collective = ALONE) -> dict[str, Any]:
    """Train with PPO in this process, alone or as one of several ranks, each with its share of the worlds.

    Args:
        command: The same for all ranks.
        stage: Of this rank: its cores; the folders are common.
        collective: Keeps the ranks in step.

    Returns:
        The result; nothing from ranks but the first.
    """
    one_torch_thread()
    spec, task = robots.get(command.robot), envs.tasks.get(command.task)
    num_envs = command.num_envs // collective.size
    start = beginning(command, stage, spec, task)
    env = seen_by(start, worlds(command, stage, spec, task, num_envs, collective.rank))
    ppo = _learner(command, env, start, collective)
    samples = keep_samples(
        env, stage, lambda: ppo.num_timesteps, _samples(collective.rank), first_world=collective.rank * num_envs
    )
    training = (StackedTraining if one_frame(env) is not env else Training)(
        ppo,
        command.steps,
        stage.checkpoint / "training.safetensors",
        num_threads=stage.cpus,
        report=stage.report if collective.rank == 0 else lambda fraction, **metrics: None,
        should_stop=stage.should_stop,
        schedule=widening(command, env),
    )
    try:
        training.run()
    except StoppedError:
        return {}
    samples.flush()
    diverged = [int(each["diverged"].sum()) for each in collective.gather({"diverged": env.diverged})]
    if collective.rank:
        return {}
    samples.finish(stage.out / SAMPLES, [stage.checkpoint / _samples(rank) for rank in range(1, collective.size)])
    return (
        {"robot": command.robot, "task": task.name, "privileged": command.privileged, "workers": collective.size}
        | finish(training, stage, command.robot, spec, task)
        | {"diverged": sum(diverged)}
    )


def _samples(rank: int) -> str:
    """Name of the log of a rank's worlds."""
    return f"samples-{rank}" if rank else "samples"


def worlds(command: Train, stage: Stage, spec: RobotSpec, task: TaskSpec, num_envs: int, rank: int = 0) -> Worlds:
    """Where a training takes place; each rank draws worlds of its own."""
    return make_worlds(
        spec,
        task,
        num_envs=num_envs,
        randomization=preset(command.randomization),
        seed=part_seed(command.seed, f"worlds of rank {rank}" if rank else "worlds"),
        num_threads=stage.cpus,
    )


def widening(command: Train, env: Worlds) -> Schedule | None:
    """How the ranges of randomization widen meanwhile; None if they stay."""
    return SCHEDULES[command.schedule](env.randomizer.randomization) if command.schedule != "fixed" else None


def beginning(command: Train, stage: Stage, spec: RobotSpec, task: TaskSpec) -> Start | None:
    """What `--from` names, None where training begins from nothing.

    Raises:
        ValueError: it does not fit the robot, the task or the kind of actor.
    """
    if command.from_ is None:
        return None
    start = _of_archive(command, spec, task) if command.from_.endswith(ARCHIVE) else _of_result(stage.input("from_"))
    refuse(start, spec, task, privileged=command.privileged)
    return start


def _of_result(folder: Path) -> Start:
    record = read_record(folder)
    return Start.load(f"{record['name']} ({record['key'][:8]})", folder / SKILL, folder / POLICY)


def _of_archive(command: Train, spec: RobotSpec, task: TaskSpec) -> Start:
    path = Path(str(command.from_))
    file = convert(path, spec, task, robot=command.robot, unsafe_import=command.unsafe_import)
    skill = skill_of_policy(file, embodiments.terms(spec, task)).requires_grad_(False)
    return Start(name=path.name, skill=skill, policy=checkpoint.load(file)[0])


def _learner(command: Train, env: Worlds, start: Start | None, collective: Collective) -> PPO:
    """Equal on all ranks but for the generator: each explores in its own way."""
    wanted = chosen(command.hyperparameters, env.spec, env.task, start)
    settings: dict[str, Any] = {"hyperparameters": wanted, "seed": command.seed, "collective": collective}
    if start:
        ppo: PPO = Continued(Sb3VecEnv(env), start, command.steps, **settings)
    else:
        layout = Layout.of(env.terms, privileged=command.privileged)
        ppo = PPO(ActorCritic, Sb3VecEnv(env), policy_kwargs={"layout": layout}, **settings)
    if collective.rank:
        ppo.set_random_seed(part_seed(command.seed, f"learner of rank {collective.rank}"))
    return ppo
