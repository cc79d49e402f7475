"""A bundle's policy in plain numpy: the reference that ONNX Runtime and torch must agree with.

Input: raw SI sensors in contract order, history oldest frame first, and the recurrent state where the policy has one.
Output: joint targets [rad] and the next state. Needs neither torch nor ONNX Runtime, so it also runs where nothing
else is installed.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from envs.actions import joint_targets
from policies.contract import PolicyContract
from policies.export.layers import ACTIVATIONS, Array, Convolution, Linear, Recurrence, count, weight

NORMALIZED_CLIP = 10.0
"""Normalized observations beyond this many standard deviations are clipped."""


class NumpyPolicy:
    """The network between a contract's sensors and its joint targets."""

    def __init__(self, contract: PolicyContract, weights: Mapping[str, NDArray]) -> None:
        """Take the weights of a bundle: `normalizer.{mean,std}`, `actor.N.{weight,bias}`, `encoder.…`.

        Raises:
            ValueError: the weights do not fit the contract.
        """
        self.contract = contract
        self.offset = _row([value for term in contract.observations for value in term.offset])
        self.scale = _row([value for term in contract.observations for value in term.scale])
        self.mean, self.std = weight(weights, "normalizer.mean"), weight(weights, "normalizer.std")
        self.layers = [Linear.named(weights, f"actor.{i}") for i in range(max(1, count_layers(weights)))]
        self.encoder = _encoder(contract, weights)
        self._check(weights)
        names = ("default_position", "action_scale", "lift", "leg_sign")
        self.action_map = {name: _row(getattr(contract, name)) for name in names}
        self.action_map |= {"low": _row(contract.position_low), "high": _row(contract.position_high)}
        self.clock = columns(contract, "clock")

    def __call__(self, observation: NDArray) -> Array:
        """Joint targets [rad], (n, num_joints), for raw observations, (n, input_width), of a policy without memory."""
        if self.contract.memory:
            raise ValueError(f"the policy has a memory of {self.contract.memory}: call step(observation, state)")
        return self.step(observation, initial_state(self.contract, len(observation)))[0]

    def step(self, observation: NDArray, state: NDArray) -> tuple[Array, Array]:
        """Joint targets [rad], (n, num_joints), and the next state, (n, memory).

        Args:
            observation: Raw, (n, input_width).
            state: What `step` gave last, zeros at first; (n, 0) for a policy without memory.
        """
        contract = self.contract
        frames = observation.astype(np.float32).reshape(len(observation), contract.history, contract.frame_width)
        normalized = ((frames - self.offset) * self.scale - self.mean) / self.std
        hidden, state = self._encoded(np.clip(normalized, -NORMALIZED_CLIP, NORMALIZED_CLIP), state)
        for layer in self.layers[:-1]:
            hidden = ACTIVATIONS[contract.activation](layer(hidden))
        action, newest = self.layers[-1](hidden), frames[:, -1, self.clock]
        return joint_targets(np, action, newest, action_clip=contract.action_clip, **self.action_map), state

    def _encoded(self, frames: Array, state: Array) -> tuple[Array, Array]:
        """What the actor reads, and the next state."""
        if self.encoder is None:
            return frames.reshape(len(frames), -1), state
        latent, state = self.encoder(frames, state)
        return np.concatenate([frames[:, -1], latent], axis=1), state

    def _check(self, weights: Mapping[str, NDArray]) -> None:
        contract, encoder = self.contract, self.encoder
        unknown = [name for name in weights if not name.startswith(("normalizer.", "actor.", "encoder."))]
        if unknown or (encoder is None and count(weights, "encoder.")):
            raise ValueError(
                f"weights of architecture {contract.architecture!r} are normalizer, actor and its encoder, "
                f"got {', '.join(sorted(weights))}"
            )
        inputs = contract.input_width if encoder is None else contract.frame_width + len(encoder.head.bias)
        expected, got = (inputs, contract.num_joints), (self.layers[0].weight.shape[1], len(self.layers[-1].bias))
        if got != expected:
            raise ValueError(f"weights must map {expected[0]} inputs to {expected[1]} joints, got {got[0]} to {got[1]}")
        if isinstance(encoder, Convolution) and encoder.reads(contract.history) != encoder.head.weight.shape[1]:
            raise ValueError(
                f"a history of {contract.history} gives the encoder's head {encoder.reads(contract.history)} numbers, "
                f"its weights take {encoder.head.weight.shape[1]}"
            )
        if isinstance(encoder, Recurrence) and encoder.memory != contract.memory:
            raise ValueError(f"the contract has a memory of {contract.memory}, the weights one of {encoder.memory}")


def initial_state(contract: PolicyContract, rows: int) -> Array:
    """The state before the first observation, (rows, memory)."""
    return np.zeros((rows, contract.memory), dtype=np.float32)


def count_layers(weights: Mapping[str, NDArray]) -> int:
    """Number of linear layers of the actor among the weights of a bundle."""
    return count(weights, "actor.")


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


def _encoder(contract: PolicyContract, weights: Mapping[str, NDArray]) -> Convolution | Recurrence | None:
    if contract.architecture == "conv":
        return Convolution.read(weights, contract.activation)
    return Recurrence.read(weights) if contract.architecture == "gru" else None


def _row(values: tuple[float, ...] | list[float]) -> Array:
    return np.asarray(values, dtype=np.float32)
