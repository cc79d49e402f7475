"""Layers of a bundle's network in plain numpy, read from its weights by name; the names are those of torch.

Arrays are float32 with the batch in front: frames (n, history, width), latent (n, latent), state (n, memory).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from policies.architecture import CONV_STRIDE

Array = NDArray[np.float32]
Weights = Mapping[str, NDArray]


def elu(x: Array) -> Array:
    """Clevert et al. 2016, arXiv:1511.07289, with α = 1."""
    return np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0)))


def relu(x: Array) -> Array:
    """Negative numbers become zero."""
    return np.maximum(x, np.float32(0.0))


def sigmoid(x: Array) -> Array:
    """1/(1 + e⁻ˣ), by a form that never overflows."""
    half = np.float32(0.5)
    return half * (np.tanh(half * x) + np.float32(1.0))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"elu": elu, "relu": relu, "tanh": np.tanh}


@dataclass(frozen=True)
class Linear:
    """x·Wᵀ + b."""

    weight: Array
    """(outputs, inputs)."""
    bias: Array

    @staticmethod
    def named(weights: Weights, name: str) -> "Linear":
        return Linear(weight(weights, f"{name}.weight"), weight(weights, f"{name}.bias"))

    def __call__(self, x: Array) -> Array:
        return x @ self.weight.T + self.bias


@dataclass(frozen=True)
class Convolution:
    """Convolutions along the history, without padding: newest and oldest frame are told apart by their place."""

    embed: Linear
    """Each frame by itself."""
    kernels: tuple[Linear, ...]
    """Weights (outputs, inputs, kernel)."""
    head: Linear
    """Over all that the last convolution gives, channel by channel."""
    activation: str

    @staticmethod
    def read(weights: Weights, activation: str) -> "Convolution":
        kernels = (Linear.named(weights, f"encoder.conv.{i}") for i in range(count(weights, "encoder.conv.")))
        embed, head = Linear.named(weights, "encoder.embed"), Linear.named(weights, "encoder.head")
        return Convolution(embed, tuple(kernels), head, activation)

    def reads(self, history: int) -> int:
        """Numbers that the head gets of `history` frames; 0 where they are too few."""
        for kernel in self.kernels:
            history = (history - kernel.weight.shape[2]) // CONV_STRIDE + 1
        return max(0, history) * len(self.kernels[-1].bias if self.kernels else self.embed.bias)

    def __call__(self, frames: Array, state: Array) -> tuple[Array, Array]:
        """Latent of normalized frames; the state, of no width, is handed on."""
        activate = ACTIVATIONS[self.activation]
        hidden = activate(self.embed(frames))  # (n, time, channels)
        for kernel in self.kernels:
            hidden = activate(_convolve(hidden, kernel))
        return self.head(hidden.swapaxes(1, 2).reshape(len(frames), -1)), state


@dataclass(frozen=True)
class Recurrence:
    """A gated recurrent unit (Cho et al. 2014, arXiv:1406.1078) over frames; gates in torch's order r, z, n."""

    inputs: Linear
    """(3·memory, width)."""
    recurrent: Linear
    """(3·memory, memory)."""
    head: Linear
    """Over the new state."""

    @staticmethod
    def read(weights: Weights) -> "Recurrence":
        inputs, recurrent = (
            Linear(weight(weights, f"encoder.gru.weight_{kind}"), weight(weights, f"encoder.gru.bias_{kind}"))
            for kind in ("ih", "hh")
        )
        return Recurrence(inputs, recurrent, Linear.named(weights, "encoder.head"))

    @property
    def memory(self) -> int:
        return self.recurrent.weight.shape[1]

    def __call__(self, frames: Array, state: Array) -> tuple[Array, Array]:
        """Latent of the newest normalized frame and the state before it, and the state after it."""
        x_r, x_z, x_n = np.split(self.inputs(frames[:, -1]), 3, axis=1)
        h_r, h_z, h_n = np.split(self.recurrent(state), 3, axis=1)
        reset, update = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        proposed = np.tanh(x_n + reset * h_n)
        state = proposed + update * (state - proposed)  # (1 − z)·n + z·h
        return self.head(state), state


def count(weights: Weights, prefix: str) -> int:
    """Number of layers among the weights whose names begin with `prefix`."""
    return sum(name.startswith(prefix) and name.endswith(".weight") for name in weights)


def _convolve(x: Array, kernel: Linear) -> Array:
    """(n, time, inputs) to (n, shorter time, outputs)."""
    outputs, inputs, width = kernel.weight.shape
    windows = sliding_window_view(x, width, axis=1)[:, ::CONV_STRIDE]  # (n, time, inputs, kernel)
    flat = windows.reshape(*windows.shape[:2], inputs * width)
    return flat @ kernel.weight.reshape(outputs, -1).T + kernel.bias


def weight(weights: Weights, name: str) -> Array:
    """A tensor by its name.

    Raises:
        ValueError: there is none.
    """
    if name not in weights:
        raise ValueError(f"the weights hold no {name!r}; they hold {', '.join(sorted(weights))}")
    return weights[name]
