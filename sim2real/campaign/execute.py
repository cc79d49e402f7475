"""Run one stage: the same function in this process and on a cluster.

A stage that is in the store is not run. Otherwise one attempt at a time fills a folder of its own and commits it by a
rename; what it checkpoints survives it, so a further attempt goes on from there.
"""

import importlib
import json
import math
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sim2real.campaign.files import explain_full_disk, plain
from sim2real.campaign.job import Job, Outcome, is_bad_input
from sim2real.campaign.keys import params
from sim2real.campaign.lease import LeaseView, exclusive
from sim2real.campaign.provenance import now, provenance
from sim2real.campaign.stage import EVENTS, Stage
from sim2real.campaign.store import SCHEMA, Store, verify

ERROR = "error.txt"
"""The traceback of a failed stage, in its checkpoint folder."""
BUGS = (KeyError, IndexError, RecursionError, NotImplementedError)
"""Errors whose text says little without their type."""


def run_stage(store: Store, job: Job, lease: Path, executor: str) -> Outcome:
    """Run `job` unless its result exists; failures come back as an outcome, interrupts are raised.

    The stage is asked to stop when the driver's `lease` file is gone; `executor` is a name for the provenance.
    """
    view = LeaseView(lease)
    try:
        if store.has(job.key):
            return Outcome(status="cached", record=store.record(job.key))
        with explain_full_disk(store.root), exclusive(_lock_path(store, job.key), view.lost) as mine:
            if store.has(job.key):
                return Outcome(status="cached", record=store.record(job.key))
            return _attempt(store, job, view.lost, executor) if mine else Outcome(status="stopped")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return _failure(store, job, error)


def _attempt(store: Store, job: Job, lost: Callable[[], bool], executor: str) -> Outcome:
    store.sweep(job.key)
    attempt = store.begin(job.key)
    try:
        return _run_in(attempt, store, job, lost, executor)
    finally:
        shutil.rmtree(attempt, ignore_errors=True)


def _run_in(attempt: Path, store: Store, job: Job, lost: Callable[[], bool], executor: str) -> Outcome:
    _limit_threads(job.resources.cpus)
    _verify_inputs(job)
    checkpoint = store.checkpoint(job.key)
    stage = Stage(
        out=attempt,
        checkpoint=checkpoint,
        inputs=job.input_folders,
        cpus=job.resources.cpus,
        gpus=job.resources.gpus,
        memory_gb=job.resources.memory_gb,
        lost=lost,
    )
    started, clock, before = now(), time.monotonic(), _seconds_of_attempts(checkpoint / EVENTS)
    stage.event("start")
    result = _function(job.kind.function)(job.command, stage)
    if stage.was_told_to_stop:
        return Outcome(status="stopped")
    record = {
        "schema": SCHEMA,
        "kind": job.kind.name,
        "name": job.name,
        "key": job.key,
        "params": params(job.command),
        "inputs": job.input_keys,
        "result": _checked_result(result, attempt, job.kind.function),
        "seconds": round(before + time.monotonic() - clock, 3),
        "provenance": provenance(executor, started),
    }
    shutil.copyfile(checkpoint / EVENTS, attempt / EVENTS)
    won = store.commit(attempt, job.key, plain(record))
    shutil.rmtree(checkpoint, ignore_errors=True)
    _lock_path(store, job.key).unlink(missing_ok=True)
    return Outcome(status="done" if won else "cached", record=store.record(job.key))


def _seconds_of_attempts(events: Path) -> float:
    """Time that earlier attempts took, from their start to the last they reported [s]."""
    total, start, last = 0.0, 0.0, 0.0
    for line in events.read_text().splitlines() if events.exists() else []:
        with suppress(json.JSONDecodeError):  # a kill may have cut a line short
            event = json.loads(line)
            if event["event"] == "start":
                total, start = total + last - start, event["time"]
            last = event["time"]
    return total + last - start


def _function(path: str) -> Callable[[Any, Stage], Any]:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _lock_path(store: Store, key: str) -> Path:
    return store.checkpoint(key).with_suffix(".lock")


def _limit_threads(cpus: int) -> None:
    """Give torch and BLAS as many threads as the stage has cores, whether they are loaded yet or not."""
    os.environ["OMP_NUM_THREADS"] = str(cpus)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(cpus)


def _verify_inputs(job: Job) -> None:
    for folders in job.input_folders.values():
        for folder in folders if isinstance(folders, tuple) else (folders,):
            verify(folder)


def _checked_result(result: Any, attempt: Path, function: str) -> dict[str, Any]:
    """The result with paths relative to its folder.

    Raises:
        TypeError: it is not a mapping of JSON data.
        RuntimeError: a number in it is not finite: a diverged stage has no result.
    """
    if not isinstance(result, dict):
        raise TypeError(f"{function} must return a dict of JSON data, got {type(result).__name__}")
    return {name: _finite(value, name, f"{attempt}{os.sep}") for name, value in result.items()}


def _finite(value: Any, name: str, prefix: str) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item, f"{name}.{key}", prefix) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item, name, prefix) for item in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist(), name, prefix)
    if isinstance(value, float) and not math.isfinite(value):
        raise RuntimeError(f"its result {name} is {value}: the stage diverged, nothing was kept")
    return str(value).removeprefix(prefix) if isinstance(value, (str, Path)) else value


def _failure(store: Store, job: Job, error: BaseException) -> Outcome:
    details = "".join(traceback.format_exception(error))
    with suppress(OSError):
        path = store.checkpoint(job.key) / ERROR
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(details)
    speaks = isinstance(error, (ValueError, LookupError, RuntimeError, OSError)) and not isinstance(error, BUGS)
    cause = str(error) if speaks else f"{type(error).__name__}: {error}"
    sentence = " ".join(cause.split()) or type(error).__name__
    return Outcome(status="failed", error=sentence, details=details, bad_input=is_bad_input(error))
