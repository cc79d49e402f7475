"""Running mean and deviation of what is observed, one for each quantity and role: bodies never seen have them too."""

from collections.abc import Sequence

import torch
from torch import nn

from policies.collective import ALONE, Collective
from policies.export.numpy_policy import NORMALIZED_CLIP
from policies.normalizer import merged
from policies.tokens.body import Body


class SharedNormalizer(nn.Module):
    """A `Normalizer` of rows [member | raw observation | padding]; the member's number passes as it is.

    Args:
        bodies: The members.
    """

    mean: torch.Tensor
    std: torch.Tensor
    count: torch.Tensor
    """(num_statistics,) numbers taken in."""

    def __init__(self, bodies: Sequence[Body]) -> None:
        super().__init__()
        self.names = bodies[0].known.channels.statistics
        self.register_buffer("mean", torch.zeros(len(self.names)))
        self.register_buffer("std", torch.ones(len(self.names)))
        self.register_buffer("count", torch.zeros(len(self.names), dtype=torch.float64))
        self.embody(bodies)

    def embody(self, bodies: Sequence[Body]) -> None:
        """Read the rows of these members from now on; the statistics, which have no units, stay."""
        self.bodies = tuple(bodies)
        width = max(body.width for body in bodies)
        self._offset, self._scale = (
            torch.stack([_padded(getattr(body, name), width) for body in bodies]) for name in ("offset", "scale")
        )
        self._statistic = torch.stack([_padded(body.known.statistic, width) for body in bodies])

    @property
    def frames(self) -> torch.Tensor:
        """() observations taken in: a quantity of the base counts once in each, one of joints several times."""
        seen = self.count[self.count > 0]
        return seen.min() if len(seen) else self.count.sum()

    def of(self, body: Body) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation of each channel of a body, (width,)."""
        mean, std = self._filled()
        return mean[body.known.statistic], std[body.known.statistic]

    def _filled(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and deviations, where a role that was never seen has those of all roles together."""
        if bool((self.count > 0).all()):
            return self.mean, self.std
        mean, std = self.mean.clone(), self.std.clone()
        for index in (self.count == 0).nonzero()[:, 0].tolist():
            term = self.names[index].partition("/")[0]
            others = [at for at, name in enumerate(self.names) if name.startswith(f"{term}/") and self.count[at] > 0]
            if others:
                mean[index], std[index] = self.mean[others].mean(), self.std[others].square().mean().sqrt()
        return mean, std

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(..., 1 + width) raw rows to normalized; padding stays 0."""
        member = rows[..., 0].long()
        centre = (self._offset + self.mean[self._statistic] / self._scale_or_one())[member]
        factor = (self._scale / self.std[self._statistic])[member]
        normalized = ((rows[..., 1:] - centre) * factor).clamp(-NORMALIZED_CLIP, NORMALIZED_CLIP)
        return torch.cat([rows[..., :1], normalized], -1)

    def _scale_or_one(self) -> torch.Tensor:
        return torch.where(self._scale == 0.0, 1.0, self._scale)  # of padding

    @torch.no_grad()
    def update(self, rows: torch.Tensor, collective: Collective = ALONE) -> None:
        """Take in a batch of raw rows, (n, 1 + width), as of `Normalizer`."""
        member = rows[:, 0].long()
        for index, body in enumerate(self.bodies):
            own = rows[member == index, 1 : 1 + body.width]
            if len(own):
                self._take_in(((own - body.offset) * body.scale).double(), body.known.statistic)

    def _take_in(self, values: torch.Tensor, statistic: torch.Tensor) -> None:
        """Pairwise update of mean and variance (Chan et al. 1979), all channels of a statistic taken as one."""
        size = len(self.names)

        def pooled(channels: torch.Tensor) -> torch.Tensor:
            return torch.zeros(size, dtype=torch.float64).index_add_(0, statistic, channels)

        channels = pooled(torch.ones(len(statistic), dtype=torch.float64))
        here, n = channels > 0, channels * len(values)
        each = values.mean(0)
        mean = pooled(each) / channels.clamp(min=1.0)
        variance = values.var(0, unbiased=False) + (each - mean[statistic]).square()
        variance = pooled(variance) / channels.clamp(min=1.0)
        new_mean, new_std = merged(self.mean, self.std, self.count, mean, variance, n)
        self.std.copy_(torch.where(here, new_std.float(), self.std))
        self.mean.copy_(torch.where(here, new_mean.float(), self.mean))
        self.count.add_(n)


def _padded(values: torch.Tensor, width: int) -> torch.Tensor:
    return nn.functional.pad(values, (0, width - len(values)))
