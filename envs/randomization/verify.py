"""Proof that a randomization does what it says, on the compiled worlds of a task.

Every term must change what it claims and nothing else, derive its constants, land on the right bodies in the right
units, hold over resets without compounding, and alter what happens. Silent mistakes of this kind are common: mjlab
issue 418 (compounding), pull request 631 (stale constants), Isaac Lab issue 5106 (gains scaled to zero), MuJoCo
Playground issue 71 (feet with different friction), UniLab issue 94 (mass without inertia).
"""

from dataclasses import asdict
from typing import Any

import torch

from envs.make import make_worlds
from envs.physics.cpu import CpuPhysics
from envs.randomization.proofs.delay import prove_delays
from envs.randomization.proofs.disturbances import prove_disturbances
from envs.randomization.proofs.finding import Finding, Problem
from envs.randomization.proofs.model import CHANGED, prove_parameter
from envs.randomization.proofs.provable import Provable
from envs.randomization.proofs.restarts import prove_restarts
from envs.randomization.proofs.sensing import prove_sensing
from envs.randomization.proofs.terrain import prove_terrain
from envs.randomization.ranges import Randomization
from envs.randomization.terms import MODEL_TERMS
from envs.task import TaskSpec
from envs.vector_env import VectorEnv
from robots.spec import RobotSpec


def verify(spec: RobotSpec, task: TaskSpec, randomization: Randomization, seed: int = 0) -> tuple[Finding, ...]:
    """A finding for each term of `randomization`, on worlds of `task` on `spec`.

    Raises:
        ValueError: the robot cannot do the task, or cannot have what was asked for.
    """
    worlds = _worlds(spec, task, randomization, seed)
    findings = [_with_delays(worlds, prove_parameter(worlds, item, randomization)) for item in MODEL_TERMS]
    findings += [prove_restarts(worlds), *(prove_terrain(worlds) if isinstance(worlds, VectorEnv) else ())]
    findings += prove_sensing(spec, worlds.dt, _channels(worlds), randomization)
    return (*findings, *prove_disturbances(worlds, randomization))


def _worlds(spec: RobotSpec, task: TaskSpec, randomization: Randomization, seed: int) -> Provable:
    """One world that stays nominal, and some to change."""
    worlds: Any = make_worlds(
        spec, task, num_envs=1 + len(CHANGED), randomization=randomization, seed=seed, num_threads=1
    )
    if not isinstance(worlds.physics, CpuPhysics):
        raise ValueError(
            f"worlds of {spec.name} are environments of Gymnasium, one by one: only those of the batch engine can be "
            "examined; ids with a native version are listed in envs.registration.NATIVE"
        )
    return worlds


def _channels(worlds: Provable) -> tuple[str, ...]:
    """What sensors measure; nothing in worlds of a Gymnasium id, whose observation is no sensor's reading."""
    if not isinstance(worlds, VectorEnv):
        return ()
    return tuple(worlds.body.sensed(worlds.world(torch.zeros(worlds.num_envs, worlds.spec.num_joints))))


def _with_delays(worlds: Provable, finding: Finding) -> Finding:
    """The finding about delays, with the lags that a restart leads to."""
    if finding.term != "delay" or finding.status in ("absent", "off"):
        return finding
    problems, lags = prove_delays(worlds)
    together = problems + finding.problems
    record = asdict(finding) | {"found": f"{finding.found}; {lags}", "problems": together}
    return Finding(**record | {"status": "FAILED" if together else finding.status})


def report(findings: tuple[Finding, ...]) -> dict[str, Any]:
    """Findings as JSON data, `proved` if nothing failed."""
    rows = [asdict(finding) | {"problems": [asdict(one) for one in finding.problems]} for finding in findings]
    problems = [problem for finding in findings for problem in finding.problems]
    return {"proved": not problems, "terms": rows, "problems": [str(problem) for problem in problems]}


def failures(findings: tuple[Finding, ...]) -> tuple[Problem, ...]:
    """All problems."""
    return tuple(problem for finding in findings for problem in finding.problems)
