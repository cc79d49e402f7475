"""Random numbers on the device of the generator that they come from."""

import math

import torch


def rand(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Uniform in 0..1."""
    return torch.rand(*shape, generator=generator, device=generator.device)


def uniform(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Uniform in −1..1."""
    return 2.0 * rand(generator, *shape) - 1.0


def happens(generator: torch.Generator, num_worlds: int, dt: float, mean_seconds: float) -> torch.Tensor:
    """Worlds, (k,), in which an event of mean interval `mean_seconds` [s] falls into a control period of `dt` [s]."""
    if math.isinf(mean_seconds):
        return torch.zeros(0, dtype=torch.long, device=generator.device)
    return (rand(generator, num_worlds) < dt / mean_seconds).nonzero()[:, 0]
