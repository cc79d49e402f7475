"""Running mean and standard deviation of dimensionless observations, inside the policy."""

import torch
from torch import nn

from policies.collective import ALONE, Collective
from policies.export.numpy_policy import NORMALIZED_CLIP

MIN_STD = 0.01


class Normalizer(nn.Module):
    """Raw SI observation to dimensionless, centred and scaled.

    Args:
        offset, scale: The terms' constants, (width,): dimensionless = (raw − offset)·scale.
        mask: (width,) bool, False for channels that stay as they are: constants, one-hots, padding. All learn if left
            out.
    """

    offset: torch.Tensor
    scale: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor
    count: torch.Tensor
    mask: torch.Tensor | None

    def __init__(self, offset: torch.Tensor, scale: torch.Tensor, mask: torch.Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("offset", offset.clone().float(), persistent=False)
        self.register_buffer("scale", scale.clone().float(), persistent=False)
        self.register_buffer("mask", None if mask is None else mask.clone().bool(), persistent=False)
        self.register_buffer("mean", torch.zeros_like(self.offset))
        self.register_buffer("std", torch.ones_like(self.offset))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """(..., width) raw to normalized."""
        normalized = ((observation - self.offset) * self.scale - self.mean) / self.std
        return normalized.clamp(-NORMALIZED_CLIP, NORMALIZED_CLIP)

    @torch.no_grad()
    def update(
        self, observation: torch.Tensor, collective: Collective = ALONE, valid: torch.Tensor | None = None
    ) -> None:
        """Take in a batch of raw observations, (n, width) (Chan et al. 1979, pairwise update of mean and variance).

        Args:
            observation: Of this rank.
            collective: Whose batches are taken in together.
            valid: (n,) bool, False for rows that do not count; all do if left out.
        """
        rows = observation if valid is None else observation[valid]
        n, mean, variance = self._moments(rows, collective)
        if n == 0:
            return
        new_mean, new_std = merged(self.mean, self.std, self.count, mean, variance, n)
        if self.mask is not None:
            new_mean, new_std = torch.where(self.mask, new_mean, 0.0), torch.where(self.mask, new_std, 1.0)
        self.mean.copy_(new_mean)
        self.std.copy_(new_std)
        self.count.add_(n)

    def _moments(self, rows: torch.Tensor, collective: Collective) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Number of rows on all ranks, and mean and variance of their dimensionless channels."""
        batch = ((rows - self.offset) * self.scale).double()
        own_n = torch.tensor(float(len(batch)), dtype=torch.float64, device=batch.device)
        own = batch.mean(0) if len(batch) else batch.sum(0)
        variance = batch.var(0, unbiased=False) if len(batch) else torch.zeros_like(own)
        n = own_n.clone()
        collective.average([n], "control")
        if n == 0:
            return n, own, variance
        weight = own_n / n  # exactly 1 for a single rank
        mean = own * weight
        collective.average([mean], "control")
        variance = (variance + (own - mean).square()) * weight
        collective.average([variance], "control")
        return n * collective.size, mean, variance


def merged(
    mean: torch.Tensor,
    std: torch.Tensor,
    count: torch.Tensor,
    batch_mean: torch.Tensor,
    batch_variance: torch.Tensor,
    n: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of `count` numbers and a batch of `n` more, in double precision; NaN where there are none."""
    total, delta = count + n, batch_mean - mean
    spread = (std.double().square() * count + batch_variance * n + delta.square() * count * n / total) / total
    return mean + delta * n / total, spread.sqrt().clamp(min=MIN_STD)
