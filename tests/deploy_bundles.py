"""Bundles for deployment tests, from weights chosen here."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

import robots
from policies import bundle as bundles
from policies.bundle import Bundle
from policies.contract import PolicyContract, contract_for
from policies.export.onnx import to_onnx
from robots.joint_space import joint_space

Weights = dict[str, np.ndarray]


def contract(name: str = "go1", history: int = 1) -> PolicyContract:
    spec = robots.get(name)
    return contract_for(
        spec,
        joint_space(spec),
        task="velocity",
        command_high=(0.5, 0.18, 0.1),
        delay_range=(0.0, 0.02),
        history=history,
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
