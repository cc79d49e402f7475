"""From a skill to a bundle: record observations, pass the gate, write; or raise and write nothing."""

from dataclasses import replace
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
from policies.skill import FrameStack, Skill
from robots.joint_space import joint_space
from robots.spec import RobotSpec

CONTROLLED = "legged"
"""Embodiment that `sim2real.deploy` has a control loop for."""
RECORDED_WORLDS, RECORDED_STEPS, KEPT_EVERY = 64, 100, 5
"""Observations for the gate come from randomized worlds that the skill itself drives."""


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
        provenance=provenance,
    )


@torch.no_grad()
def record_observations(skill: Skill, spec: RobotSpec, task: TaskSpec, *, seed: int = 0) -> NDArray[np.float32]:
    """Raw stacked observations, (n, history·frame_width), of the skill driving randomized robots."""
    randomization = skill.card.randomization
    env = make_worlds(spec, task, num_envs=RECORDED_WORLDS, randomization=randomization, seed=seed, num_threads=1)
    stack, kept = FrameStack(skill.card.history), []
    observation, started = env.observation(), None
    for index in range(RECORDED_STEPS):
        frames = stack.push(observation[:, : skill.card.frame_width], started)
        step = env.step(skill(frames))
        observation, started = step.observation, step.terminated | step.truncated
        if index % KEPT_EVERY == 0:
            kept.append(frames)
    return torch.cat(kept).numpy()


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
        scores: Its evaluation, to be carried along.
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
            scores=scores,
        ),
    )
    return parity
