"""Run a recipe, or a single command, on a store, and keep what came of it.

Raises `CampaignError` when a stage has no result and `CampaignInterrupted` when the user stopped it; both carry the
result so far.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from robots.records import encode
from sim2real.campaign.execute import ERROR
from sim2real.campaign.executor_inline import InlineExecutor
from sim2real.campaign.executor_ray import RayExecutor
from sim2real.campaign.files import copy, explain_full_disk, write_json
from sim2real.campaign.graph import plan, single
from sim2real.campaign.job import Job, Outcome
from sim2real.campaign.progress import Board, Display
from sim2real.campaign.provenance import now, provenance
from sim2real.campaign.recipe import Handling, Recipe, RecipeStage
from sim2real.campaign.resources import Resources, cores
from sim2real.campaign.runner import Executor, Runner
from sim2real.campaign.store import RUN_JSON, SCHEMA, Store
from sim2real.commands import Kind, workers

REPORT = "report.html"


class CampaignError(RuntimeError):
    """At least one stage failed or could not start.

    `result`: what `run` returns otherwise. `details`: the first traceback.
    `bad_input`: a single command failed for what it was given.
    """

    def __init__(self, message: str, result: Any = None, details: str = "", bad_input: bool = False) -> None:
        super().__init__(message)
        self.result = result
        self.details = details
        self.bad_input = bad_input


class CampaignInterrupted(KeyboardInterrupt):
    """The user stopped the campaign; running it again goes on. `result` is as of CampaignError."""

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


def run_recipe(
    recipe: Recipe, store: Store, executor: str, address: str | None = None, display: Display | None = None
) -> dict[str, Any]:
    """Run a campaign and write `STORE/RECIPE/`; see DESIGN's `run` for the keys of the result."""
    began, started = time.monotonic(), now()
    make: Callable[[], Executor] = (
        (lambda: InlineExecutor(store)) if executor == "inline" else (lambda: RayExecutor(store, address))
    )
    with explain_full_disk(store.root):
        jobs = plan(recipe, store)
        runner = _run(jobs, store, make, display)
        folder = store.root / recipe.name
        result = {
            "seconds": round(time.monotonic() - began, 3),
            "report": _publish_report(jobs, store, folder),
            "folder": str(folder),
            "stages": [_stage_result(job, runner) for job in jobs],
        }
        _publish(recipe, jobs, store, result, provenance(executor, started))
    _raise_unless_done(jobs, runner, store, result)
    return result


def run_command(
    kind: Kind, command: Any, store: Store, out: Path | None = None, display: Display | None = None
) -> dict[str, Any]:
    """Run one command in this process, with all its cores, and link `out` to the committed result.

    Returns:
        The command's result with paths made absolute, and `run` (its folder), `key` and `cached`.
    """
    if out and os.path.lexists(out) and not _links_into(out, store):
        raise ValueError(f"--out {out} exists and is no link to a result of {store.root}; name another place")
    handling = Handling(resources=Resources(cpus=max(1, cores() // workers(command))))
    job = single(kind.name, RecipeStage(kind=kind, command=command, handling=handling), store)
    runner = _run([job], store, lambda: InlineExecutor(store), display)
    _raise_unless_done([job], runner, store, None)
    outcome = runner.outcomes[job.name]
    folder = store.out(job.key)
    if out:
        _link(out, folder)
    result = _absolute(outcome.record["result"], folder) if outcome.record else {}
    return {
        **result,
        "run": str(out.absolute() if out else folder),
        "key": job.key,
        "cached": outcome.status == "cached",
    }


def _run(jobs: list[Job], store: Store, make: Callable[[], Executor], display: Display | None) -> Runner:
    with Board(store, display) as board:
        board.expect(jobs)
        runner = Runner(jobs, store, make, board)
        try:
            runner.run()
        except KeyboardInterrupt:
            runner.interrupted = True
        for job in jobs:
            if job.name not in runner.outcomes:
                board.left_out(job, _status(None, runner))
    return runner


def _stage_result(job: Job, runner: Runner) -> dict[str, Any]:
    outcome = runner.outcomes.get(job.name)
    record = (outcome.record if outcome else None) or {}
    result = {
        "name": job.name,
        "kind": job.kind.name,
        "key": job.key,
        "status": _status(outcome, runner),
        "seconds": record.get("seconds"),
        "metrics": record.get("result"),
    }
    return {**result, "error": outcome.error} if outcome and outcome.error else result


def _status(outcome: Outcome | None, runner: Runner) -> str:
    if outcome:
        return outcome.status
    return "stopped" if runner.interrupted else "blocked"


def _raise_unless_done(jobs: list[Job], runner: Runner, store: Store, result: Any) -> None:
    unfinished = [job for job in jobs if job.name not in runner.outcomes or not runner.outcomes[job.name].record]
    if runner.interrupted and unfinished:
        raise CampaignInterrupted("interrupted; run it again to go on from the last checkpoint", result)
    failed = [(job, runner.outcomes[job.name]) for job in jobs if _ended(runner, job) in ("failed", "stopped")]
    if failed:
        sentences = "; ".join(_sentence(job, outcome, store) for job, outcome in failed)
        blocked = [job.name for job in jobs if job.name not in runner.outcomes]
        behind = f"; not run because of that: {', '.join(blocked)}" if blocked else ""
        outcome = failed[0][1]
        raise CampaignError(f"{sentences}{behind}", result, outcome.details, len(jobs) == 1 and outcome.bad_input)
    if unfinished:
        names = ", ".join(job.name for job in unfinished)
        raise CampaignError(f"not run, since there was no room left for what they ask for: {names}", result)


def _sentence(job: Job, outcome: Outcome, store: Store) -> str:
    traceback = store.checkpoint(job.key) / ERROR
    where = f" (traceback: {traceback})" if traceback.is_file() else ""
    return f"{job.name} {outcome.status}: {outcome.error}{where}"


def _ended(runner: Runner, job: Job) -> str:
    return runner.outcomes[job.name].status if job.name in runner.outcomes else "blocked"


def _publish(recipe: Recipe, jobs: list[Job], store: Store, result: dict[str, Any], made: dict[str, Any]) -> None:
    """Write the folder of the campaign: `run.json` and a link to each result that there is."""
    folder = store.root / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_symlink():
            path.unlink()
    for job in jobs:
        if store.has(job.key):
            _link(folder / job.name, store.out(job.key))
    stages = {
        name: {"kind": stage.kind.name, **encode(stage.command), **encode(stage.handling)}
        for name, stage in recipe.stages.items()
    }
    record = {
        "schema": SCHEMA,
        "kind": "run",
        "name": recipe.name,
        "stages": stages,
        "result": result,
        "provenance": made,
    }
    write_json(folder / RUN_JSON, record)


def _publish_report(jobs: list[Job], store: Store, folder: Path) -> str | None:
    """Copy the last report that a stage wrote; its path."""
    reports = [store.out(job.key) / REPORT for job in jobs if (store.out(job.key) / REPORT).is_file()]
    if not reports:
        (folder / REPORT).unlink(missing_ok=True)  # of an earlier run
        return None
    folder.mkdir(parents=True, exist_ok=True)
    copy(reports[-1], folder / REPORT)
    return str(folder / REPORT)


def _links_into(path: Path, store: Store) -> bool:
    """Whether `path` is a link to a result of the store, be it gone."""
    return path.is_symlink() and path.resolve().parent == store.out("").resolve()


def _link(link: Path, target: Path) -> None:
    """Point `link` at `target`, in one step if it is there already."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)


def _absolute(value: Any, folder: Path) -> Any:
    """`value` with the names of files in `folder` made absolute."""
    if isinstance(value, dict):
        return {key: _absolute(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_absolute(item, folder) for item in value]
    is_file = isinstance(value, str) and 0 < len(value) < 256 and "\0" not in value and (folder / value).is_file()
    return str(folder / value) if is_file else value
