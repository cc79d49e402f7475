"""From scores to what the transfer benchmark claims: N, its mean over bodies, the worst body, steps saved.

N = (R − R_noop) / (R_spec − R_noop): 0 is doing nothing, 1 a specialist. R_spec is the interquartile mean over training
seeds of the specialists of the better network. Intervals resample the policies' training seeds within each body.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim2real.statistics import Array, Curve, Estimate, bootstrap, iqm, learned_threshold, transfer_measures

SEED = 0
"""Of resampling."""
Cells = Mapping[str, Sequence[float]]
"""Body -> N of each training seed, the same seeds everywhere."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What counts as 0 and as 1 on a body."""

    no_op: float
    specialist: float
    network: str
    """Of the specialists that are better."""
    seeds: int
    """How many of those there are."""

    def normalized(self, score: float) -> float:
        """N of a score."""
        return (score - self.no_op) / (self.specialist - self.no_op)


def reference(no_op: float, specialists: Mapping[str, Sequence[float]]) -> Reference:
    """The reference of a body, from what doing nothing scores and the specialists of each network, one a seed.

    Raises:
        ValueError: there is no specialist, or none does better than nothing.
    """
    means = {name: float(iqm(np.array(scores))) for name, scores in specialists.items() if len(scores)}
    if not means:
        raise ValueError("N needs a specialist's score; train one, or record some")
    best = max(means, key=lambda name: means[name])
    if means[best] <= no_op:
        raise ValueError(f"specialists score {means[best]:.3f}, doing nothing {no_op:.3f}: N has no meaning")
    return Reference(no_op=no_op, specialist=means[best], network=best, seeds=len(specialists[best]))


def over_bodies(cells: Cells) -> Estimate:
    """Interquartile mean of N over bodies and seeds."""
    return bootstrap(*_strata(cells), rng=np.random.default_rng(SEED), statistic=iqm)


def worst(cells: Cells) -> tuple[str, Estimate]:
    """The body with the least mean N over seeds, and the least mean: resamples choose their own worst body."""
    strata = _strata(cells)
    each = (len(strata), len(strata[0]))

    def least(values: Array) -> Array:
        return values.reshape(*values.shape[:-1], *each).mean(-1).min(-1)

    label = min(cells, key=lambda name: float(np.mean(cells[name])))
    return label, bootstrap(*strata, rng=np.random.default_rng(SEED), statistic=least)


def _strata(cells: Cells) -> list[Sequence[float]]:
    sizes = {label: len(values) for label, values in cells.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"every body needs N of the same seeds, got {sizes or 'no body'}")
    return list(cells.values())


def step_saving(results: Sequence[Mapping[str, Any]]) -> Estimate:
    """Steps to learn a body from scratch over those with transfer, from results of `transfer`, one a seed.

    Learned is what has 0.9 of the better arm's end above doing nothing. An arm that never gets there counts with all
    its steps, and the ratio says on which side of it the truth lies.

    Args:
        results: With `curves`, and `idle`, the score of doing nothing over the episodes of the curves.
    """
    arms = [Curve.of(*(result["curves"][arm] for result in results)) for arm in ("transfer", "scratch")]
    idle = float(np.mean([result["idle"] for result in results]))
    threshold = learned_threshold(max(float(arm.mean[-1]) for arm in arms), idle)
    found = transfer_measures(*arms, threshold=threshold, rng=np.random.default_rng(SEED))
    return found.step_saving_ratio
