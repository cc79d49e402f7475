"""Bundles for deployment tests, from weights chosen here."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import robots
from policies import bundle as bundles
from policies.architecture import CONV_CHANNELS, CONV_KERNEL, conv_lengths
from policies.bundle import Bundle
from policies.contract import PolicyContract, contract_for
from policies.export.onnx import to_onnx
from robots.joint_space import joint_space

Weights = dict[str, np.ndarray]


def contract(name: str = "go1", history: int = 1, **network: Any) -> PolicyContract:
    """The contract of a walker; `network` are architecture, activation and memory."""
    spec = robots.get(name)
    return contract_for(
        spec,
        joint_space(spec),
        task="velocity",
        command_high=(0.5, 0.18, 0.1),
        delay_range=(0.0, 0.02),
        history=history,
        **network,
    )


def standing_weights(agreed: PolicyContract, hidden: int = 128) -> Weights:
    """A perceptron of the usual size whose output is zero: it holds the nominal pose and lifts its feet in the gait."""
    rng = np.random.default_rng(0)
    widths = [agreed.input_width, hidden, hidden, agreed.num_joints]
    weights = {"normalizer.mean": np.zeros(agreed.frame_width), "normalizer.std": np.ones(agreed.frame_width)}
    for i, (columns, rows) in enumerate(pairwise(widths)):
        weights[f"actor.{i}.weight"] = rng.normal(0.0, columns**-0.5, (rows, columns)) * (i < 2)
        weights[f"actor.{i}.bias"] = np.zeros(rows)
    return {name: value.astype(np.float32) for name, value in weights.items()}


def busy_weights(agreed: PolicyContract, size: float = 0.02) -> Weights:
    """Like `standing_weights`, but every sensor moves every joint a little."""
    weights = standing_weights(agreed)
    shape = weights["actor.2.weight"].shape
    weights["actor.2.weight"] = np.random.default_rng(1).normal(0.0, size, shape).astype(np.float32)
    return weights


def encoder_weights(agreed: PolicyContract, latent: int = 8, size: float = 0.1) -> Weights:
    """A conv or gru policy with random weights; `size` scales its actions."""
    rng, width, memory = np.random.default_rng(2), agreed.frame_width, agreed.memory

    def linear(name: str, outputs: int, *inputs: int) -> Weights:
        weight = rng.normal(0.0, np.prod(inputs) ** -0.5, (outputs, *inputs))
        return {f"{name}.weight": weight, f"{name}.bias": rng.normal(0.0, 0.1, outputs)}

    if agreed.architecture == "gru":
        inputs, recurrent = (linear("", 3 * memory, columns) for columns in (width, memory))
        encoder = {f"encoder.gru.{kind}_ih": inputs[f".{kind}"] for kind in ("weight", "bias")}
        encoder |= {f"encoder.gru.{kind}_hh": recurrent[f".{kind}"] for kind in ("weight", "bias")}
        encoder |= linear("encoder.head", latent, memory)
    else:
        *before, last = conv_lengths(agreed.history)
        encoder = linear("encoder.embed", CONV_CHANNELS, width)
        for index in range(len(before)):
            encoder |= linear(f"encoder.conv.{index}", CONV_CHANNELS, CONV_CHANNELS, CONV_KERNEL)
        encoder |= linear("encoder.head", latent, CONV_CHANNELS * last)
    actor = linear("actor.0", 32, width + latent) | linear("actor.1", agreed.num_joints, 32)
    actor["actor.0.weight"][:, width:] *= 3.0  # most of what it does follows from the latent
    actor["actor.1.weight"] *= size
    actor["actor.1.bias"] *= 0.0
    normalizer = {"normalizer.mean": np.zeros(width), "normalizer.std": np.ones(width)}
    return {name: value.astype(np.float32) for name, value in (normalizer | encoder | actor).items()}


def write(path: Path, agreed: PolicyContract, weights: Weights, score: float | None = None) -> Path:
    """Write the bundle of a policy; returns its path."""
    spec = robots.get(agreed.robot)
    scores = {} if score is None else {"score": score}
    bundles.write(
        path,
        Bundle(
            contract=agreed,
            onnx=to_onnx(agreed, weights),
            weights=weights,
            robot=replace(spec, mjcf=spec.mjcf_path.name),
            mjcf_text=spec.mjcf_path.read_text(),
            scores=scores,
        ),
    )
    return path
