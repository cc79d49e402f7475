"""Rehearse a bundle: sealed realities for the score, and a walk against the wall clock for the deadlines.

The score is the mean over realities and episodes, as the simulated score is; a run that was killed goes on with the
realities and the stretches of that walk that it had not finished.
"""

import math
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.bundle import Bundle, read
from sim2real.campaign.files import read_json, write_json
from sim2real.campaign.stage import Stage
from sim2real.campaign.store import read_record
from sim2real.commands import Rehearse
from sim2real.deploy.figures import percentiles
from sim2real.deploy.recorder import load
from sim2real.reality.episodes import commands
from sim2real.reality.rehearse import Trial, TrialStopped, run_trial, write_robot
from sim2real.statistics import iqm

BUNDLE = "policy.s2r"
EPISODES = 4
"""In each reality."""
STEADY = 0.3
"""Speed of the run against the wall clock, in units of √(gL)."""
STRETCH_SECONDS = 10.0
"""Of that run, between two soft starts [s]."""

Record = dict[str, Any]


def rehearse(command: Rehearse, stage: Stage) -> Record:
    """Score a bundle on sealed realities; see `sim2real.commands.Rehearse`.

    Raises:
        FileNotFoundError: the run holds no bundle.
        BundleError: its bundle is not what was signed, or a signature is required and it bears none that is trusted.
    """
    path = stage.input("run") / BUNDLE
    if not path.is_file():
        reason = read_record(stage.input())["result"].get("reason", "export the run first")
        raise FileNotFoundError(f"{stage.input()} holds no {BUNDLE}: {reason}")
    bundle = read(path, require_signature=command.require_signature)
    with tempfile.TemporaryDirectory(prefix="rehearse-") as folder:
        robot = write_robot(bundle, Path(folder))
        try:
            trials = _score(command, stage, _trials(command, bundle, path, robot))
            timed = _time(command, stage, bundle, path, robot)
        except TrialStopped:
            return {}
    result = _summary(bundle, trials, timed)
    write_json(stage.out / "rehearsal.json", {"schema": 1, **result, "realities": trials, "real_time": timed})
    return result


def _trials(command: Rehearse, bundle: Bundle, path: Path, robot: Path) -> list[Trial]:
    contract, count = bundle.contract, command.realities
    asked = commands(count * EPISODES, speed=contract.speed, time=contract.time, seed=command.seed)
    return [
        Trial(
            bundle=path,
            robot=robot,
            seed=command.seed + index,
            clock=command.clock,
            commands=tuple(asked[index::count]),
            seconds=command.seconds,
            require_signature=command.require_signature,
        )
        for index in range(count)
    ]


def _score(command: Rehearse, stage: Stage, trials: list[Trial]) -> list[Record]:
    """Run the trials side by side, those aside that an earlier attempt finished."""
    kept = {trial.seed: stage.checkpoint / f"reality-{trial.seed}.json" for trial in trials}
    done = {seed: read_json(file) for seed, file in kept.items() if file.is_file()}
    workers = 1 if command.clock == "real" else max(1, stage.cpus)  # deadlines want the machine for themselves
    with ThreadPoolExecutor(workers) as pool:
        jobs = [
            pool.submit(_run_and_keep, stage, trial, kept[trial.seed]) for trial in trials if trial.seed not in done
        ]
        try:
            for job in as_completed(jobs):
                done[job.result()["seed"]] = job.result()
                share = _scored_share(command) * len(done) / len(trials)
                stage.report(share, score=_mean(_scores(done.values())))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return [done[trial.seed] for trial in trials]


def _run_and_keep(stage: Stage, trial: Trial, file: Path) -> Record:
    if stage.should_stop():
        raise TrialStopped
    record = run_trial(trial, stage.should_stop)
    write_json(file, record)
    return record


def _scored_share(command: Rehearse) -> float:
    """Rough share of the work that the scored trials are."""
    return 0.5 if command.realtime_seconds else 1.0


def _time(command: Rehearse, stage: Stage, bundle: Bundle, path: Path, robot: Path) -> Record | None:
    """Walk steadily against the wall clock, alone on the machine, in stretches that are kept one by one."""
    if not command.realtime_seconds:
        return None
    count = max(1, round(command.realtime_seconds / STRETCH_SECONDS))
    trial = Trial(
        bundle=path,
        robot=robot,
        seed=command.seed,
        clock="real",
        commands=((STEADY * bundle.contract.speed, 0.0, 0.0),),
        seconds=command.realtime_seconds / count,
        require_signature=command.require_signature,
    )
    stretches = []
    for index in range(count):
        stretches.append(_stretch(stage, trial, f"real_time-{index}"))
        stage.report(_scored_share(command) + (1.0 - _scored_share(command)) * (index + 1) / count)
    logs = [stage.out / f"real_time-{index}" for index in range(count)]
    return _merged(stretches, np.concatenate([load(log)["tick_us"] for log in logs]))


def _stretch(stage: Stage, trial: Trial, name: str) -> Record:
    """Run one stretch, unless an earlier attempt finished it; its log is in `stage.out / name` in either case."""
    kept, log = stage.checkpoint / f"{name}.json", stage.checkpoint / name
    if kept.is_file():
        record = read_json(kept)
    else:
        shutil.rmtree(log, ignore_errors=True)  # what an attempt left that was killed
        record = _run_and_keep(stage, replace(trial, log=log), kept)
    shutil.copytree(log, stage.out / name)
    return record


def _merged(stretches: list[Record], tick_us: NDArray[np.float64]) -> Record:
    """Stretches as if they were one trial; `tick_us` holds the times of all their ticks [µs]."""
    runs = [stretch["runtime"] for stretch in stretches]
    ticks, seconds = sum(run["ticks"] for run in runs), sum(run["seconds"] for run in runs)
    runtime = {
        "ticks": ticks,
        "seconds": seconds,
        "rate_hz": ticks / seconds,
        "tick_us": percentiles(tick_us),
        "late_ticks": sum(run["late_ticks"] for run in runs),
        "trips": [trip for run in runs for trip in run["trips"]],
        "bounded": _total(run["bounded"] for run in runs),
        "dropped": _total(run["dropped"] for run in runs),
        "scheduler": runs[0]["scheduler"],
        "stolen_ms": sum(run["stolen_ms"] for run in runs),
    }
    return {
        "seed": stretches[0]["seed"],
        "episodes": [episode for stretch in stretches for episode in stretch["episodes"]],
        "seconds_real": sum(stretch["seconds_real"] for stretch in stretches),
        "hidden": stretches[0]["hidden"],
        "runtime": runtime,
        "seconds": sum(stretch["seconds"] for stretch in stretches),
    }


def _total(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)


def _summary(bundle: Bundle, trials: list[Record], timed: Record | None) -> Record:
    scores = _scores(trials)
    per_reality = [_mean(_scores([trial])) for trial in trials]
    sim_score = bundle.scores.get("score")
    runtime = (timed or trials[0])["runtime"]
    every = [*trials, timed] if timed else trials
    return {
        "score": _mean(scores),
        "score_kind": f"mean over {len(trials)} realities × {EPISODES} episodes",
        "score_iqm": float(iqm(np.array(scores))),
        "score_per_reality": per_reality,
        "yaw_score": _mean([episode["yaw_score"] for trial in trials for episode in trial["episodes"]]),
        "sim_score": sim_score,
        "retained": _mean(scores) / sim_score if sim_score else None,
        "cvar25": worst_quarter(per_reality),
        "predicted": [min(per_reality), max(per_reality)],
        "predicted_coverage": (len(trials) - 1) / (len(trials) + 1),
        "falls": sum(episode["fell"] for trial in trials for episode in trial["episodes"]),
        "trips": sum(len(trial["runtime"]["trips"]) for trial in trials),
        "episodes": len(scores),
        "late_ticks": runtime["late_ticks"] if timed else None,
        "real_time_trips": len(runtime["trips"]) if timed else None,
        "stolen_ms": runtime["stolen_ms"],
        "ticks": runtime["ticks"],
        "rate_hz": runtime["rate_hz"],
        "tick_us": runtime["tick_us"],
        "scheduler": runtime["scheduler"],
        "seconds_real": sum(trial["seconds_real"] for trial in every),
    }


def worst_quarter(values: list[float]) -> float:
    """Mean of the lowest quarter of the values, at least one (CVaR-25 %)."""
    return _mean(sorted(values)[: math.ceil(len(values) / 4)])


def _scores(trials: Iterable[Record]) -> list[float]:
    return [episode["score"] for trial in trials for episode in trial["episodes"]]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
