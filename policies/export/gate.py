"""The export gate: a bundle is written only where torch, ONNX Runtime and numpy give the same joint targets.

Compared on recorded observations of the robot in its environment, not on random numbers: saturation, clipping and the
gait's lift all occur there.
"""

from dataclasses import dataclass

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from envs.actions import joint_targets
from policies.contract import PolicyContract
from policies.export.numpy_policy import NumpyPolicy, columns
from policies.skill import Skill

TOLERANCE = 1e-5
"""Largest difference between two runtimes [rad]."""


class GateError(ValueError):
    """A policy that must not be exported; the message says what disagrees."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Largest differences of joint targets over the recorded observations [rad]."""

    onnx_vs_torch: float
    numpy_vs_torch: float
    observations: int


def check(contract: PolicyContract, skill: Skill, onnx: bytes, observations: NDArray[np.float32]) -> Parity:
    """Compare the runtimes on raw observations, (n, input_width).

    Raises:
        GateError: the contract asks for what no hardware measures, the policy gives no finite targets, or two runtimes
            differ by more than `TOLERANCE`.
    """
    if contract.unmeasurable:
        raise GateError(
            f"the policy reads {', '.join(contract.unmeasurable)}, which no hardware measures; "
            "distill it into a student first: sim2real distill RUN --student proprio"
        )
    reference = torch_targets(contract, skill, torch.from_numpy(observations)).numpy()
    if not np.isfinite(reference).all():
        raise GateError(
            "the policy gives joint targets that are not finite: its training diverged; nothing was written"
        )
    parity = Parity(
        onnx_vs_torch=_worst(run_onnx(onnx, observations), reference),
        numpy_vs_torch=_worst(NumpyPolicy(contract, skill.export_weights())(observations), reference),
        observations=len(observations),
    )
    for name in ("onnx_vs_torch", "numpy_vs_torch"):
        difference = getattr(parity, name)
        if not difference <= TOLERANCE:
            raise GateError(
                f"{name.replace('_', ' ')}: joint targets differ by {difference:.3g} rad, more than {TOLERANCE:g}; "
                "the graph and the weights do not belong together, nothing was written"
            )
    return parity


def run_onnx(onnx: bytes, observations: NDArray[np.float32]) -> NDArray[np.float32]:
    """Joint targets [rad] by ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: observations})[0]


@torch.no_grad()
def torch_targets(contract: PolicyContract, skill: Skill, observations: torch.Tensor) -> torch.Tensor:
    """Joint targets [rad] by the trained torch module and training's own action map."""
    rows = {
        name: torch.tensor(getattr(contract, name)) for name in ("default_position", "action_scale", "lift", "leg_sign")
    }
    rows |= {"low": torch.tensor(contract.position_low), "high": torch.tensor(contract.position_high)}
    newest = observations[:, -contract.frame_width :]
    return joint_targets(torch, skill(observations), newest[:, columns(contract, "clock")], **rows)


def _worst(one: NDArray, other: NDArray) -> float:
    """Largest absolute difference; NaN anywhere is infinite."""
    difference = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return float(difference.max()) if np.isfinite(difference).all() else float("inf")
