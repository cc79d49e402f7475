"""Data-parallel training: one training in several processes, which Ray Train starts, watches and starts again.

Each rank is the stage itself, with its share of the worlds and `Together` for a collective. All state that matters is
in the stage's checkpoint, which rank 0 writes for everyone in one file: when a process dies, all ranks begin again from
there and come to the result of an undisturbed run.

    stage's process ── a task that runs TorchTrainer.fit ── Ray Train's controller ── N ranks

The stage's process waits in `ray.get`, so that Ctrl-C stays its own, and killing the task ends everything behind it.
"""

import importlib.util
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from policies.collective import Collective
from sim2real.campaign.executor_ray import connect
from sim2real.campaign.interruption import keeping_handlers
from sim2real.campaign.stage import Stage

RESTARTS = 3
"""Attempts in a row that may die without a new checkpoint."""
SETTINGS = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths of a command may be relative
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a checkpoint is seldom older than 12 s
}
"""Of Ray Train; the user's own stay."""


@dataclass(frozen=True)
class Ended:
    """How an attempt ended."""

    result: dict[str, Any] | None = None
    """What rank 0 returned; None if a process died, or the stage was told to stop."""
    stopped: bool = False
    error: Exception | None = None
    """What a rank raised that a further attempt would raise again."""
    death: str = ""
    """How a process died, if one did."""


Learn = Callable[[Any, Stage, Collective], dict[str, Any]]
"""Of a rank: command, its stage, its collective -> the stage's result, which counts at rank 0."""


def in_ranks(learn: Learn, command: Any, stage: Stage) -> dict[str, Any]:
    """Run `learn` in `command.workers` processes; returns what it returned at rank 0.

    Args:
        learn: A function of a module; each rank is given its share of the stage's cores and GPUs, and the same folders.
        command: Of the stage.
        stage: Of all ranks together.

    Raises:
        ImportError: Ray Train is not installed.
        ValueError: the cluster has too few CPUs or GPUs.
        RuntimeError: processes died again and again.
        Exception: what a rank raised.
    """
    _check_installed()
    with cluster():
        share = _share(command, stage)
        deaths = 0
        while True:
            before = _progress(stage)
            ended = _attempt(learn, command, share)
            if ended.error:
                raise ended.error
            if ended.stopped or (ended.result is None and stage.should_stop()):
                stage.was_told_to_stop = True
                return {}
            if ended.result is not None:
                return ended.result
            deaths = deaths + 1 if _progress(stage) == before else 1
            stage.event("restart", reason=ended.death)
            if deaths == RESTARTS:
                raise RuntimeError(
                    f"{ended.death}; {deaths} attempts in a row came to no new checkpoint: if memory ran out, start "
                    "fewer workers or simulate fewer worlds; the same command goes on from the last checkpoint"
                )


@contextmanager
def cluster() -> Iterator[None]:
    """The cluster that this process is part of, or a private one for the time being."""
    with keeping_handlers():  # ray.init takes SIGTERM
        mine = connect("local")
    try:
        yield
    finally:
        if mine:
            import ray

            ray.shutdown()


def _check_installed() -> None:
    for package in ("ray", "pandas", "pydantic"):  # what Ray Train imports and bare Ray does not bring
        if importlib.util.find_spec(package) is None:
            raise ImportError(f"several workers need Ray Train ({package} is missing): pip install 'sim2real[ddp]'")


def _share(command: Any, stage: Stage) -> Stage:
    """What each rank is given of the stage.

    Raises:
        ValueError: the cluster has too little for all of them, and would let them wait for ever.
    """
    import ray

    share = replace(
        stage,
        cpus=stage.cpus // command.workers,
        gpus=stage.gpus / command.workers,
        memory_gb=stage.memory_gb / command.workers,
    )
    have = ray.cluster_resources()
    for name, need in (("CPU", share.cpus * command.workers), ("GPU", share.gpus * command.workers)):
        if need > have.get(name, 0.0):
            raise ValueError(
                f"{command.workers} workers need {need:g} {name}s, {need / command.workers:g} each, and the cluster "
                f"has {have.get(name, 0.0):g}; start fewer, or run it where there is more"
            )
    return share


def _attempt(learn: Learn, command: Any, share: Stage) -> Ended:
    """Run all ranks once, to the end or until one dies."""
    import ray

    fit = ray.remote(num_cpus=0, max_retries=0)(_fit).remote(learn, command, share)
    try:
        return ray.get(fit)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError) as error:
        return Ended(death=f"the process that led the workers died: {type(error).__name__}")
    except BaseException:
        ray.cancel(fit, force=True)
        raise


def _fit(learn: Learn, command: Any, share: Stage) -> Ended:
    """Run all ranks; in a Ray task, whose death ends them."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError, WorkerGroupError
    from ray.train.torch import TorchConfig, TorchTrainer

    trainer = TorchTrainer(
        _rank,
        train_loop_config={"learn": learn, "command": command, "stage": share},
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if share.gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=command.workers,
            use_gpu=bool(share.gpus),
            resources_per_worker=_resources(share),
        ),
        run_config=RunConfig(
            name=secrets.token_hex(4),
            storage_path=str(share.checkpoint.absolute() / "ray"),
            failure_config=FailureConfig(max_failures=0),  # `train` decides: an exception would come again
        ),
    )
    try:
        return trainer.fit().return_value
    except WorkerGroupError as error:
        return _ended(error.worker_failures)
    except TrainingFailedError as error:
        return Ended(error=RuntimeError(f"Ray Train gave up: {' '.join(str(error).split())[:500]}"))


def _resources(share: Stage) -> dict[str, float]:
    """What Ray is to keep for one rank."""
    kept = {"CPU": share.cpus, "GPU": share.gpus, "memory": int(share.memory_gb * 1e9)}
    return {name: amount for name, amount in kept.items() if amount}


def _ended(failures: dict[int, Exception]) -> Ended:
    """Ranks that died, and those that miss them, can begin again; what another raised counts."""
    from sim2real.collective import PeerLostError

    died, lost = [], ""
    for rank, failure in sorted(failures.items()):
        if type(failure).__module__.startswith("ray."):
            died.append(rank)
        elif isinstance(failure, PeerLostError):
            lost = str(failure)
        else:
            return Ended(error=failure)
    return Ended(death=f"the process of worker {', '.join(map(str, died))} died" if died else lost)


def _rank(config: dict[str, Any]) -> Ended:
    """One rank, in a process of its own."""
    from sim2real.collective import Together

    stage: Stage = config["stage"]
    result = config["learn"](config["command"], stage, Together())
    return Ended(result=None if stage.was_told_to_stop else result, stopped=stage.was_told_to_stop)


def _progress(stage: Stage) -> list[tuple[Path, int]]:
    """Changes with every checkpoint."""
    files = sorted(stage.checkpoint.glob("*.safetensors"))
    return [(file, file.stat().st_mtime_ns) for file in files]
