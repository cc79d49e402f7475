"""A perceptron whose forward and backward passes run at the speed of the core.

Torch's own products go to MKL, which leaves half of an AVX-512 core of AMD idle, and its `tanh` and `elu` are several
times slower than those of oneDNN and numpy. Batches on a CPU therefore take a pass written by hand: products by
oneDNN, activations in place, nothing computed for inputs that need no gradient. Everything else (other devices, small
batches, double precision, a torch without oneDNN) takes torch's layers; the weights and their names are the same.
"""

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.autograd.function import once_differentiable

ACTIVATIONS: dict[str, type[nn.Module]] = {"elu": nn.ELU, "tanh": nn.Tanh, "relu": nn.ReLU}
LEAST_ROWS = 64
"""Smaller batches take torch's layers."""


def available() -> bool:
    """Whether this torch has oneDNN's product with a fused activation; SIM2REAL_PLAIN_LAYERS=1 says no.

    Only plain layers have second derivatives.
    """
    wanted = os.environ.get("SIM2REAL_PLAIN_LAYERS", "0") in ("", "0")
    return wanted and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


FAST = available()


class Perceptron(nn.Sequential):
    """Linear layers with activations between them.

    Args:
        sizes: Widths from input to output.
        activation: "elu", "tanh" or "relu".

    Raises:
        LookupError: no activation of that name.
    """

    def __init__(self, sizes: list[int], activation: str = "elu") -> None:
        if activation not in ACTIVATIONS:
            raise LookupError(f"no activation named {activation!r}; there are {', '.join(sorted(ACTIVATIONS))}")
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
        super().__init__(*layers[:-1])
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, outputs) for (n, inputs)."""
        return run_layers(x, self.activation, list(self.parameters()))


def suits(x: torch.Tensor) -> bool:
    """Whether the pass written by hand takes these inputs."""
    return FAST and x.device.type == "cpu" and x.dtype == torch.float32 and x.ndim == 2 and len(x) >= LEAST_ROWS


def run_layers(x: torch.Tensor, activation: str, parameters: Sequence[torch.Tensor]) -> torch.Tensor:
    """(n, outputs) for (n, inputs), of the perceptron with these weights and biases in turn."""
    if suits(x):
        return _Pass.apply(x, activation, *parameters)
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))
    for weight, bias in layers[:-1]:
        x = getattr(nn.functional, activation)(nn.functional.linear(x, weight, bias))
    return nn.functional.linear(x, *layers[-1])


class _Pass(torch.autograd.Function):
    """All layers at once; keeps the activations, from which the derivatives of all three follow."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, activation: str, *parameters: torch.Tensor) -> torch.Tensor:
        kept = [x]
        layers = list(zip(parameters[::2], parameters[1::2], strict=True))
        for weight, bias in layers[:-1]:
            kept.append(_activated(kept[-1], weight, bias, activation))
        ctx.activation = activation
        ctx.save_for_backward(*kept, *parameters[::2])
        return _product(kept[-1], *layers[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        depth = len(ctx.saved_tensors) // 2
        kept, weights = ctx.saved_tensors[:depth], ctx.saved_tensors[depth:]
        gradients: list[torch.Tensor | None] = []
        for layer in reversed(range(depth)):
            gradients = [_weight_gradient(gradient, kept[layer]), gradient.sum(0), *gradients]
            if layer > 0:
                gradient = _derived(_product(gradient, weights[layer].T), kept[layer], ctx.activation)
        from_input = _product(gradient, weights[0].T) if ctx.needs_input_grad[0] else None
        return from_input, None, *gradients


def _product(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, activation: str = "none"
) -> torch.Tensor:
    """x·weightᵀ + bias, and an activation of the result."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], "")


def _activated(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, activation: str) -> torch.Tensor:
    if activation == "tanh":
        return _product(x, weight, bias, "tanh")
    z = _product(x, weight, bias)
    if activation == "relu":
        return z.relu_()  # oneDNN's own makes 0 of what is not a number
    negative = z.clamp(max=0.0)
    np.expm1(negative.numpy(), out=negative.numpy())
    return torch.maximum(z, negative, out=z)  # eᶻ − 1 ≥ z, with 0 for positive z


def _derived(gradient: torch.Tensor, activated: torch.Tensor, activation: str) -> torch.Tensor:
    """The gradient in front of an activation, from that behind it and the activation's value."""
    if activation == "elu":
        return torch.ops.aten.elu_backward(gradient, 1.0, 1.0, 1.0, True, activated)
    if activation == "tanh":
        return torch.ops.aten.tanh_backward(gradient, activated)
    return torch.ops.aten.threshold_backward(gradient, activated, 0.0)


def _weight_gradient(gradient: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """gradientᵀ·x, (outputs, inputs); oneDNN is faster with the longer side in front."""
    if x.shape[1] >= gradient.shape[1]:
        return _product(gradient.T, x.T)
    return _product(x.T, gradient.T).T.contiguous()
