"""What generated weights cost: a training step beside the plain network's, and a decision of the folded policy.

Both learn the default quadruped in 256 worlds, on one physics thread, and take turns in one process; so do the two
exported policies. A ratio is the median over turns of CPU times, which hold on a machine that others use too; above 1
the policy over joints is dearer.

- `training_step_NETWORK`: rollout and update, CPU time an environment step.
- `inference_RUNTIME_NETWORK`: one decision from one observation.
"""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import envs.tasks
from benchmarks.report import Report
from benchmarks.transfer.bodies import DOG
from benchmarks.transfer.effort import Effort
from benchmarks.transfer.specialists import NETWORKS, specialist
from benchmarks.transfer.work import Work
from policies.contract import PolicyContract
from policies.export.gate import Step, onnx_step
from policies.export.numpy_policy import NumpyPolicy, initial_state
from policies.export.onnx import to_onnx
from policies.export.write import contract_of, record_observations
from policies.skill import Skill
from policies.threads import one_torch_thread
from policies.training import Training

ITERATIONS = 3
"""Rollouts and updates of a turn."""
DECISIONS = 2000
"""Of a turn."""
Turn = Callable[[], float]
"""CPU time of one of what is compared [s]."""


def measure(effort: Effort, work: Work, report: Report) -> None:
    """Let both networks take turns, and add rows and ratios."""
    if work.over:
        report.skipped["cost"] = "time was up"
        return
    one_torch_thread()
    pieces = {name: specialist(DOG, name, 0) for name in NETWORKS}
    with TemporaryDirectory() as folder:
        runs = {
            name: NETWORKS[name].training(piece, 10**9, Path(folder, f"{name}.safetensors"), 1)
            for name, piece in pieces.items()
        }
        _compare("training_step", {name: _learning(run) for name, run in runs.items()}, effort, report)
    skills = {name: NETWORKS[name].skill(run, pieces[name]) for name, run in runs.items()}
    for runtime, make in (("onnxruntime", _by_onnx), ("numpy", _by_numpy)):
        deciding = {name: _deciding(make, skill) for name, skill in skills.items()}
        _compare(f"inference_{runtime}", deciding, effort, report)


def _compare(what: str, turns: dict[str, Turn], effort: Effort, report: Report) -> None:
    for turn in turns.values():
        turn()  # warms up
    taken = [{name: 1e6 * turn() for name, turn in turns.items()} for _ in range(effort.turns)]
    times = {name: [each[name] for each in taken] for name in turns}
    for name, own in times.items():
        report.add(f"{what}_{name}", "us of CPU", own)
    report.compare(f"{what}_ratio", times["tokens"], times["mlp"])


def _learning(run: Training) -> Turn:
    ppo = run.ppo
    steps = ITERATIONS * ppo.n_steps * ppo.n_envs

    def turn() -> float:
        since = time.process_time()
        ppo.learn(steps, reset_num_timesteps=ppo._last_obs is None)
        return (time.process_time() - since) / steps

    return turn


def _by_onnx(skill: Skill, contract: PolicyContract) -> Step:
    return onnx_step(contract, to_onnx(contract, skill.export_weights()))


def _by_numpy(skill: Skill, contract: PolicyContract) -> Step:
    return NumpyPolicy(contract, skill.export_weights()).step


def _deciding(make: Callable[[Skill, PolicyContract], Step], skill: Skill) -> Turn:
    """One observation after the other, as a robot sees them."""
    task = envs.tasks.get(DOG.task)
    contract = contract_of(skill, DOG.spec, task, provenance={})
    observations = record_observations(skill, DOG.spec, task)
    rows = observations.reshape(-1, 1, observations.shape[-1])
    step, state = make(skill, contract), initial_state(contract, 1)

    def turn() -> float:
        since = time.process_time()
        for index in range(DECISIONS):
            step(rows[index % len(rows)], state)
        return (time.process_time() - since) / DECISIONS

    return turn
