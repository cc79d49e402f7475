"""A bundle's policy in plain numpy: the reference that ONNX Runtime and torch must agree with.

Input: raw SI sensors in contract order, history oldest frame first. Output: joint targets [rad]. Needs neither torch
nor ONNX Runtime, so it also runs where nothing else is installed.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from envs.actions import joint_targets
from policies.contract import PolicyContract

Array = NDArray[np.float32]
NORMALIZED_CLIP = 10.0
"""Normalized observations beyond this many standard deviations are clipped."""


class NumpyPolicy:
    """An ELU perceptron between a contract's sensors and its joint targets."""

    def __init__(self, contract: PolicyContract, weights: Mapping[str, NDArray]) -> None:
        """Take the weights of a bundle: `normalizer.{mean,std}`, `actor.N.{weight,bias}`.

        Raises:
            ValueError: the weights do not fit the contract.
        """
        self.contract = contract
        self.offset = _row([value for term in contract.observations for value in term.offset])
        self.scale = _row([value for term in contract.observations for value in term.scale])
        self.mean, self.std = weights["normalizer.mean"], weights["normalizer.std"]
        self.layers = [(weights[f"actor.{i}.weight"], weights[f"actor.{i}.bias"]) for i in range(count_layers(weights))]
        self._check()
        names = ("default_position", "action_scale", "lift", "leg_sign")
        self.action_map = {name: _row(getattr(contract, name)) for name in names}
        self.action_map |= {"low": _row(contract.position_low), "high": _row(contract.position_high)}
        self.clock = columns(contract, "clock")

    def __call__(self, observation: NDArray) -> Array:
        """Joint targets [rad], (n, num_joints), for raw observations, (n, input_width)."""
        frames = observation.astype(np.float32).reshape(
            len(observation), self.contract.history, self.contract.frame_width
        )
        normalized = ((frames - self.offset) * self.scale - self.mean) / self.std
        hidden = np.clip(normalized, -NORMALIZED_CLIP, NORMALIZED_CLIP).reshape(len(observation), -1)
        for weight, bias in self.layers[:-1]:
            hidden = _elu(hidden @ weight.T + bias)
        action = hidden @ self.layers[-1][0].T + self.layers[-1][1]
        newest = frames[:, -1, self.clock]
        return joint_targets(np, action, newest, action_clip=self.contract.action_clip, **self.action_map)

    def _check(self) -> None:
        expected = (self.contract.input_width, self.contract.num_joints)
        got = (self.layers[0][0].shape[1], self.layers[-1][0].shape[0])
        if got != expected:
            raise ValueError(f"weights must map {expected[0]} inputs to {expected[1]} joints, got {got[0]} to {got[1]}")


def count_layers(weights: Mapping[str, NDArray]) -> int:
    """Number of linear layers among the weights of a bundle."""
    return sum(name.startswith("actor.") and name.endswith(".weight") for name in weights)


def columns(contract: PolicyContract, name: str) -> slice:
    """Where a term's channels lie in a frame."""
    start = 0
    for term in contract.observations:
        if term.name == name:
            return slice(start, start + term.width)
        start += term.width
    raise ValueError(
        f"contract has no observation term {name!r}; it has {[term.name for term in contract.observations]}"
    )


def _row(values: tuple[float, ...] | list[float]) -> Array:
    return np.asarray(values, dtype=np.float32)


def _elu(x: Array) -> Array:
    return np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0)))
