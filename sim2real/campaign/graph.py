"""From a recipe to jobs: references resolved, cycles refused, keys known before anything runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from robots.records import nearest
from sim2real.campaign.job import Job
from sim2real.campaign.keys import checked, runs, stage_key
from sim2real.campaign.recipe import Recipe, RecipeStage
from sim2real.campaign.store import Found, Store
from sim2real.commands import workers


def plan(recipe: Recipe, store: Store) -> list[Job]:
    """The jobs of a recipe, each after those it waits for.

    Raises:
        LookupError: a stage, result, robot or task that is referred to does not exist.
        ValueError: stages wait for each other in a circle.
    """
    jobs: dict[str, Job] = {}
    for name in _in_order(recipe):
        try:
            jobs[name] = _job(name, recipe.stages[name], jobs, store, list(recipe.stages))
        except (LookupError, ValueError, FileNotFoundError) as error:
            raise type(error)(f"{recipe.name}: stages.{name}: {error}") from error
    return list(jobs.values())


def single(name: str, stage: RecipeStage, store: Store) -> Job:
    """The job of one stage whose inputs are in the store; see `plan`."""
    return _job(name, stage, {}, store, [])


def chain_lengths(jobs: list[Job]) -> dict[str, int]:
    """Name -> number of stages on the longest chain of waiting stages that begins with it; starts first if longest."""
    lengths: dict[str, int] = {}
    for job in reversed(jobs):
        followers = [lengths[other.name] for other in jobs if job.name in other.after]
        lengths[job.name] = 1 + max(followers, default=0)
    return lengths


def references(stage: RecipeStage, stages: list[str]) -> list[str]:
    """Names of the stages whose results a stage uses."""
    return [run for given in runs(stage.command).values() for run in _tuple(given) if run in stages]


def _in_order(recipe: Recipe) -> list[str]:
    """Names of the stages, each after those it refers to; otherwise in the order of the file."""
    order: list[str] = []
    stages = list(recipe.stages)

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join((*path[path.index(name) :], name))
            raise ValueError(f"{recipe.name}: stages wait for each other in a circle: {circle}")
        if name not in order:
            for other in references(recipe.stages[name], stages):
                visit(other, (*path, name))
            order.append(name)

    for name in stages:
        visit(name, ())
    return order


def _job(name: str, stage: RecipeStage, jobs: dict[str, Job], store: Store, stages: list[str]) -> Job:
    command = checked(stage.command)
    keys: dict[str, str | tuple[str, ...]] = {}
    folders: dict[str, Path | tuple[Path, ...]] = {}
    for argument, given in runs(command).items():
        found = [_resolve(run, jobs, store, stages) for run in _tuple(given)]
        keys[argument] = tuple(item.key for item in found) if isinstance(given, tuple) else found[0].key
        folders[argument] = tuple(item.folder for item in found) if isinstance(given, tuple) else found[0].folder
    return Job(
        name=name,
        kind=stage.kind,
        command=_with_folders(command, folders),
        key=stage_key(stage.kind, command, keys),
        input_keys=keys,
        input_folders=folders,
        after=frozenset(references(stage, stages)),
        resources=stage.handling.resources.times(workers(command)),
        retries=stage.handling.retries,
        timeout_s=stage.handling.timeout_s,
    )


def _resolve(run: str, jobs: dict[str, Job], store: Store, stages: list[str]) -> Found:
    if run in jobs:
        return Found(jobs[run].key, store.out(jobs[run].key))
    try:
        return store.find(run)
    except LookupError as error:
        if not stages:
            raise
        raise LookupError(
            f"no stage {run!r}{nearest(run, stages)}; stages are {', '.join(stages)}; and {error}"
        ) from error


def _tuple(given: str | tuple[str, ...]) -> tuple[str, ...]:
    return given if isinstance(given, tuple) else (given,)


def _with_folders(command: Any, folders: dict[str, Path | tuple[Path, ...]]) -> Any:
    """The command whose RUN arguments are the result folders, as its stage's function may read them."""
    texts = {
        name: tuple(map(str, value)) if isinstance(value, tuple) else str(value) for name, value in folders.items()
    }
    return replace(command, **texts)
