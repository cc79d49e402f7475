"""A small training as each of several ranks runs it, and ranks as plain processes of this machine, without Ray.

    python -m tests.ranks train --robot go1 ...

is `sim2real` whose stage `train` is that small training. Workers import this module by its name.
"""

import functools
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing

import envs.tasks
import policies.ppo
import policies.training
import robots
from envs.make import make_worlds
from envs.randomization import preset
from policies.collective import ALONE, Collective
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO
from policies.seeds import part_seed
from policies.threads import one_torch_thread
from policies.training import StoppedError, Training
from policies.vec_env import Sb3VecEnv
from sim2real import commands, train_ddp
from sim2real.campaign.stage import Stage
from sim2real.commands import Train

NUM_ENVS = 8
"""All ranks together."""
ITERATION = 24 * NUM_ENVS
"""Environment steps of a rollout."""
CHECKPOINT = "training.safetensors"
PATIENCE = 300.0
"""Of `in_processes` with its ranks [s]: one that waits for a peer in vain is killed, and returns None."""


def a_training(file: Path, steps: int, collective: Collective = ALONE, **others: Any) -> Training:
    """A walker that learns in the rank's share of `NUM_ENVS` worlds, saved after every rollout."""
    one_torch_thread()
    policies.training.CURVE_EPISODES, policies.training.CURVE_SECONDS = 2, 0.1
    policies.training.CHECKPOINT_SECONDS = 0.0
    rank = collective.rank
    env = make_worlds(
        robots.get("go1"),
        envs.tasks.get("velocity"),
        num_envs=NUM_ENVS // collective.size,
        randomization=preset("default"),
        seed=part_seed(5, f"worlds of rank {rank}" if rank else "worlds"),
        num_threads=1,
    )
    kwargs = {"layout": Layout.of(env.terms, privileged=False), "hidden": (16, 16)}
    ppo = PPO(ActorCritic, Sb3VecEnv(env), seed=5, collective=collective, policy_kwargs=kwargs)
    if rank:
        ppo.set_random_seed(part_seed(5, f"learner of rank {rank}"))
    return Training(ppo, steps, file, num_threads=1, curve_points=1, **others)


def learn(command: Train, stage: Stage, collective: Collective = ALONE) -> dict[str, Any]:
    """`sim2real.stages.train.learn`, small; what it did lies in the result's folder.

    A rank whose number is in the file `kill` of the checkpoint folder kills itself once it has learned something.
    """
    (stage.checkpoint / f"pid-{collective.rank}").write_text(str(os.getpid()))
    training = a_training(stage.checkpoint / CHECKPOINT, command.steps, collective)
    training.report = stage.report
    training.should_stop = lambda: _die_if_told(training, stage, collective) or stage.should_stop()
    try:
        training.run()
    except StoppedError:
        return {}
    if collective.rank:
        return {}
    (stage.out / CHECKPOINT).write_bytes(training.file.read_bytes())
    return {"env_steps": training.ppo.num_timesteps, "workers": collective.size}


def _die_if_told(training: Training, stage: Stage, collective: Collective) -> bool:
    order = stage.checkpoint / "kill"
    learned = training.ppo.num_timesteps >= 2 * ITERATION
    if learned and order.exists() and order.read_text() == str(collective.rank):
        order.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return False


def train(command: Train, stage: Stage) -> dict[str, Any]:
    """The stage; the rank that the seed names is killed, once."""
    died = stage.checkpoint / "died"
    if command.seed and not died.exists():
        died.touch()
        (stage.checkpoint / "kill").write_text(str(command.seed))
    return train_ddp.in_ranks(learn, command, stage)


def in_processes(function: Callable[..., Any], size: int, folder: Path, *arguments: Any) -> list[Any]:
    """What `function(collective, *arguments)` returns at each of `size` ranks, or the text of the error it raises."""
    folder.mkdir(parents=True, exist_ok=True)
    context = torch.multiprocessing.get_context("spawn")
    task = functools.partial(_rank, function, size, folder, arguments)
    processes = [context.Process(target=task, args=(rank,)) for rank in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
        process.kill()  # nothing to do for one that ended
    files = [folder / f"returned-{rank}" for rank in range(size)]
    return [torch.load(file) if file.exists() else None for file in files]


def _rank(function: Callable[..., Any], size: int, folder: Path, arguments: tuple[Any, ...], rank: int) -> None:
    from sim2real.collective import Together

    one_torch_thread()
    store = f"file://{folder.absolute()}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size, timeout=timedelta(seconds=60))
    try:
        returned = function(Together(), *arguments)
    except Exception as error:
        returned = "".join(traceback.format_exception_only(error))
    torch.save(returned, folder / f"returned-{rank}")
    dist.destroy_process_group()


KIND = replace(commands.KINDS["train"], function="tests.ranks:train")


if __name__ == "__main__":
    from sim2real.cli import main

    commands.KINDS["train"] = KIND
    sys.exit(main())
