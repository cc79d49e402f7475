"""From a skill to a bundle: record observations, pass the gate, write; or raise and write nothing."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from envs import embodiments
from envs.make import make_worlds
from envs.randomization import delay_range
from envs.task import TaskSpec
from policies import bundle
from policies.contract import PolicyContract, contract_for
from policies.export import gate
from policies.export.gate import GateError
from policies.export.onnx import to_onnx
from policies.skill import Skill
from robots.joint_space import joint_space
from robots.records import encode
from robots.spec import RobotSpec

CONTROLLED = "legged"
"""Embodiment that `sim2real.deploy` has a control loop for."""
RECORDED_WORLDS, RECORDED_STEPS, KEPT_EVERY = 64, 100, 5
"""Observations for the gate come from randomized worlds that the skill itself drives."""
RECURRENT_WORLDS, RECURRENT_STEPS = 16, 250
"""Of a policy with memory every step is kept: its runtimes are compared over sequences of so many."""


def contract_of(skill: Skill, spec: RobotSpec, task: TaskSpec, *, provenance: dict[str, Any]) -> PolicyContract:
    """The contract of a skill on the robot it drives; a privileged skill's names what no hardware measures."""
    space = joint_space(spec)
    unmeasurable = tuple(term for term in embodiments.terms(spec, task) if not term.measurable)
    return contract_for(
        spec,
        space,
        task=task.name,
        command_high=task.command_high,
        delay_range=delay_range(skill.card.randomization, spec),
        extra_terms=unmeasurable if skill.card.privileged else (),
        history=skill.card.history,
        architecture=skill.card.architecture,
        activation=skill.card.activation,
        memory=skill.card.memory,
        provenance={"randomization": encode(skill.card.randomization), **provenance},
    )


def record_observations(skill: Skill, spec: RobotSpec, task: TaskSpec, *, seed: int = 0) -> NDArray[np.float32]:
    """Raw stacked observations, (num_steps, num_worlds, history·frame_width), of the skill driving randomized robots.

    Consecutive ones for a skill with memory. A world whose robot falls begins a new episode, as the skill is told.
    """
    randomization, recurrent = skill.card.randomization, skill.card.memory > 0
    worlds, steps = (RECURRENT_WORLDS, RECURRENT_STEPS) if recurrent else (RECORDED_WORLDS, RECORDED_STEPS)
    env = make_worlds(spec, task, num_envs=worlds, randomization=randomization, seed=seed, num_threads=1)
    player, kept = skill.player(), []
    observation, started = env.observation(), None
    for index in range(steps):
        step = env.step(player(observation, started))
        if recurrent or index % KEPT_EVERY == 0:
            kept.append(player.state_dict()["frames"].flatten(1))
        observation, started = step.observation, step.terminated | step.truncated
    return torch.stack(kept).numpy()


def write_bundle(
    path: Path,
    skill: Skill,
    spec: RobotSpec,
    task: TaskSpec,
    *,
    scores: dict[str, Any],
    provenance: dict[str, Any],
) -> gate.Parity:
    """Write `path` where torch, ONNX Runtime and numpy agree on recorded observations.

    Args:
        path: The bundle.
        skill: What to freeze.
        spec: The robot it drives.
        task: What it does.
        scores: Its evaluation, to be carried along; what the gate found is added as "parity".
        provenance: Where it comes from.

    Raises:
        GateError: they do not, or the skill reads what no hardware measures, or its task is not a walker's; nothing is
            written.
    """
    if task.embodiment != CONTROLLED:
        raise GateError(
            f"the control loop runs policies of embodiment {CONTROLLED!r}, task {task.name!r} is of "
            f"{task.embodiment!r}: keep the skill, evaluate it, transfer it; no loop could run its bundle yet"
        )
    contract = contract_of(skill, spec, task, provenance=provenance)
    weights = skill.export_weights()
    onnx = to_onnx(contract, weights)
    parity = gate.check(contract, skill, onnx, record_observations(skill, spec, task))
    mjcf = spec.mjcf_path
    bundle.write(
        path,
        bundle.Bundle(
            contract=contract,
            onnx=onnx,
            weights=weights,
            robot=replace(spec, mjcf=mjcf.name),
            mjcf_text=mjcf.read_text(),
            scores=scores | {"parity": asdict(parity)},
        ),
    )
    return parity
