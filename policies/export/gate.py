"""The export gate: a bundle is written only where torch, ONNX Runtime and numpy give the same joint targets.

Compared on recorded observations of the robot in its environment, not on random numbers: saturation, clipping and the
gait's lift all occur there. A policy with memory is compared over whole sequences, each runtime fed with its own state,
so that a difference that adds up shows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from envs.actions import joint_targets
from policies.contract import PolicyContract
from policies.export.numpy_policy import NumpyPolicy, columns, initial_state
from policies.export.onnx_policy import OnnxPolicy
from policies.skill import Skill

TOLERANCE = 1e-5
"""Largest difference between two runtimes [rad]."""

Step = Callable[[NDArray, NDArray], tuple[NDArray, NDArray]]
"""Raw observations, (n, input_width), and states, (n, memory), to joint targets [rad] and the next states."""


class GateError(ValueError):
    """A policy that must not be exported; the message says what disagrees."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Largest differences of joint targets over the recorded observations [rad]."""

    onnx_vs_torch: float
    numpy_vs_torch: float
    observations: int
    recurrent_steps: int
    """Steps through which each runtime was fed with its own state; 0 for a policy without memory."""


def check(contract: PolicyContract, skill: Skill, onnx: bytes, observations: NDArray[np.float32]) -> Parity:
    """Compare the runtimes on raw observations, (num_steps, num_worlds, input_width).

    Raises:
        GateError: the contract asks for what no hardware measures, the graph does not fit it, the policy gives no
            finite targets, or two runtimes differ by more than `TOLERANCE`.
    """
    if contract.unmeasurable:
        raise GateError(
            f"the policy reads {', '.join(contract.unmeasurable)}, which no hardware measures; "
            "distill it into a student first: sim2real distill RUN --student proprio"
        )
    reference = play(torch_step(contract, skill), contract, observations)
    if not np.isfinite(reference).all():
        raise GateError(
            "the policy gives joint targets that are not finite: its training diverged; nothing was written"
        )
    parity = Parity(
        onnx_vs_torch=_worst(play(onnx_step(contract, onnx), contract, observations), reference),
        numpy_vs_torch=_worst(
            play(NumpyPolicy(contract, skill.export_weights()).step, contract, observations), reference
        ),
        observations=observations.shape[0] * observations.shape[1],
        recurrent_steps=len(observations) if contract.memory else 0,
    )
    for name in ("onnx_vs_torch", "numpy_vs_torch"):
        difference = getattr(parity, name)
        if not difference <= TOLERANCE:
            raise GateError(
                f"{name.replace('_', ' ')}: joint targets differ by {difference:.3g} rad, more than {TOLERANCE:g}; "
                "the graph and the weights do not belong together, nothing was written"
            )
    return parity


def play(step: Step, contract: PolicyContract, observations: NDArray[np.float32]) -> NDArray[np.float32]:
    """Joint targets [rad], (num_steps, num_worlds, num_joints), of a runtime fed with its own state from zeros on."""
    state, targets = initial_state(contract, observations.shape[1]), []
    for observation in observations:
        target, state = step(observation, state)
        targets.append(target)
    return np.stack(targets)


def onnx_step(contract: PolicyContract, onnx: bytes) -> Step:
    """ONNX Runtime.

    Raises:
        GateError: the graph's inputs or outputs are not those of the contract.
    """
    try:
        return OnnxPolicy(contract, onnx).step
    except ValueError as error:
        raise GateError(f"{error}; nothing was written") from error


def torch_step(contract: PolicyContract, skill: Skill) -> Step:
    """The trained torch module and training's own action map."""
    rows = {
        name: torch.tensor(getattr(contract, name)) for name in ("default_position", "action_scale", "lift", "leg_sign")
    }
    rows |= {"low": torch.tensor(contract.position_low), "high": torch.tensor(contract.position_high)}
    clock = columns(contract, "clock")

    @torch.no_grad()
    def step(observation: NDArray, state: NDArray) -> tuple[NDArray, NDArray]:
        frames = torch.from_numpy(observation)
        action, _, following = skill.decide(frames, torch.from_numpy(state))
        newest = frames[:, -contract.frame_width :]
        targets = joint_targets(torch, action, newest[:, clock], **rows).numpy()
        return targets, state if following is None else following.numpy()

    return step


def _worst(one: NDArray, other: NDArray) -> float:
    """Largest absolute difference; NaN anywhere is infinite."""
    difference = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")
