"""HalfCheetah-v5 at equal wall-clock: what our PPO and Stable-Baselines3's reach in the same minutes.

    python -m benchmarks.training --part returns [--tier full]

Stable-Baselines3 runs PPO with the hyperparameters that its zoo publishes for HalfCheetah (one environment, 256×256
ReLU); ours is the configuration of the speed rows. Both run side by side, so that whatever else the machine does
befalls both alike: with two cores they compete, three busy threads in all. A curve's return is that of deterministic
actions over ten episodes of Gymnasium's own environment, always the same; judging does not count as time.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.peers.process import HERE
from benchmarks.report import Report, Tier
from sim2real.campaign.resources import cores
from sim2real.statistics import iqm

GOOD = 2000.0
"""Return whose first time is compared."""
CONTESTANTS = {"sim2real": "returns_sim2real.py", "sb3_zoo": "returns_sb3.py"}
CONFIGURATIONS = {
    "halfcheetah_return_sim2real": "policies.ppo.PPO, 256 worlds, two 64x64 tanh nets, rollout 8192, minibatch 4096",
    "halfcheetah_return_sb3_zoo": "SB3 PPO with rl-baselines3-zoo's HalfCheetah hyperparameters, one environment",
}


@dataclass(frozen=True)
class Effort:
    """How long a learner learns, and how often."""

    seconds: float
    seeds: tuple[int, ...]


EFFORTS: dict[Tier, Effort] = {
    "smoke": Effort(seconds=1.0, seeds=(0,)),
    "ci": Effort(seconds=30.0, seeds=(0,)),
    "full": Effort(seconds=600.0, seeds=(0, 1, 2)),
}


@dataclass(frozen=True)
class Point:
    """One judgement of a policy in the making."""

    seconds: float
    env_steps: int
    value: float


def measure(tier: Tier, report: Report) -> None:
    """Add the returns at the end, the times to a good return, and their ratios."""
    effort = EFFORTS[tier]
    curves: dict[str, list[list[Point]]] = {name: [] for name in CONTESTANTS}
    for seed in effort.seeds:
        for name, curve in _race(effort.seconds, seed).items():
            curves[name].append(curve)
    compare(curves, effort, report)


def compare(curves: dict[str, list[list[Point]]], effort: Effort, report: Report) -> None:
    """Rows and ratios of the curves, one a seed, of each contestant.

    Where the peer never was good its budget counts, so the ratio of times is a lower bound; where ours never was, there
    is none.
    """
    for name, own in curves.items():
        report.add(f"halfcheetah_return_{name}", "return", [curve[-1].value for curve in own], effort.seeds)
        report.add(f"halfcheetah_steps_{name}", "env steps", [float(curve[-1].env_steps) for curve in own])
        report.add(f"halfcheetah_seconds_to_2000_{name}", "s", [time_to(curve, effort.seconds) for curve in own])
        report.add(f"halfcheetah_reached_2000_{name}", f"of {len(own)} seeds", [float(sum(map(is_good, own)))])
    report.configurations |= CONFIGURATIONS
    ours, theirs = curves["sim2real"], curves["sb3_zoo"]
    end = {name: float(iqm(np.array([curve[-1].value for curve in own]))) for name, own in curves.items()}
    if end["sb3_zoo"] > 0.0:
        report.compare("halfcheetah_return_ratio", [end["sim2real"]], [end["sb3_zoo"]], effort.seeds)
    if not all(map(is_good, ours)):
        report.skipped["halfcheetah_time_to_2000_ratio"] = f"ours was not at {GOOD:.0f} within {effort.seconds:.0f} s"
        return
    soon, late = ([time_to(curve, effort.seconds) for curve in own] for own in (ours, theirs))
    report.compare("halfcheetah_time_to_2000_ratio", late, soon, effort.seeds)


def is_good(curve: Sequence[Point]) -> bool:
    """Whether the return ever was good."""
    return any(point.value >= GOOD for point in curve)


def time_to(curve: Sequence[Point], budget: float) -> float:
    """When the return first was good [s]; the whole budget, a lower bound, where it never was."""
    return next((max(point.seconds, 1e-3) for point in curve if point.value >= GOOD), budget)


def _race(seconds: float, seed: int) -> dict[str, list[Point]]:
    racing = {name: _start(script, seconds, seed) for name, script in CONTESTANTS.items()}
    try:
        return {name: _curve(process) for name, process in racing.items()}
    finally:
        for process in racing.values():
            process.kill()  # where the other one failed; nothing to do for those that ended


def _start(script: str, seconds: float, seed: int) -> subprocess.Popen:
    command = [sys.executable, str(HERE / script), "--seconds", str(seconds), "--seed", str(seed)]
    return subprocess.Popen([*command, "--num-threads", str(cores())], stdout=subprocess.PIPE, text=True)


def _curve(process: subprocess.Popen) -> list[Point]:
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}; its complaint stands above")
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [Point(line["seconds"], line["env_steps"], line["return"]) for line in lines]
