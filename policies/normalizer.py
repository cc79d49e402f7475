"""Running mean and standard deviation of dimensionless observations, inside the policy."""

import torch
from torch import nn

from policies.export.numpy_policy import NORMALIZED_CLIP

MIN_STD = 0.01


class Normalizer(nn.Module):
    """Raw SI observation to dimensionless, centred and scaled.

    Args:
        offset, scale: The terms' constants, (width,): dimensionless = (raw − offset)·scale.
    """

    offset: torch.Tensor
    scale: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor
    count: torch.Tensor

    def __init__(self, offset: torch.Tensor, scale: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("offset", offset.clone().float(), persistent=False)
        self.register_buffer("scale", scale.clone().float(), persistent=False)
        self.register_buffer("mean", torch.zeros_like(self.offset))
        self.register_buffer("std", torch.ones_like(self.offset))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """(..., width) raw to normalized."""
        normalized = ((observation - self.offset) * self.scale - self.mean) / self.std
        return normalized.clamp(-NORMALIZED_CLIP, NORMALIZED_CLIP)

    @torch.no_grad()
    def update(self, observation: torch.Tensor) -> None:
        """Take in a batch of raw observations, (n, width) (Chan et al. 1979, pairwise update of mean and variance)."""
        batch = ((observation - self.offset) * self.scale).double()
        n, mean, variance = len(batch), batch.mean(0), batch.var(0, unbiased=False)
        total = self.count + n
        delta = mean - self.mean
        old_variance = self.std.double().square()
        merged = (old_variance * self.count + variance * n + delta.square() * self.count * n / total) / total
        self.mean.copy_(self.mean + delta * n / total)
        self.std.copy_(merged.sqrt().clamp(min=MIN_STD))
        self.count.copy_(total)
