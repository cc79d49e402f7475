"""Statistics of scores and learning curves: robust means, bootstrap intervals, and what a transfer is worth.

Scores are those of fixed evaluation episodes, 0 at worst, 1 at best; steps are environment steps. The five measures are
those of Taylor & Stone 2009 (JMLR 10, section 2.1); interquartile mean and stratified bootstrap follow Agarwal et al.
2021 (arXiv:2108.13264). Every interval is a 95 % percentile interval; its resamples come from a generator passed in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Reduces the last axis."""

RESAMPLES = 2000
QUANTILES = (0.025, 0.975)
PLATEAU = 0.2
"""The share of the budget at its end over which a curve counts as finished."""
FLAT = 0.05
"""A curve has flattened if it rises less than this share of its range over the plateau."""
SPECIALIST_SHARE = 0.9
"""Of a specialist's score above doing nothing: the threshold of a task that is learned."""
LEAST = 1e-6
"""Mean score below which a resampled control counts as this much, so that ratios stay finite."""

Bound = Literal["=", "≥", "≤", "?"]


@dataclass(frozen=True)
class Estimate:
    """A number and the interval that holds it."""

    value: float
    lo: float
    hi: float
    bound: Bound = "="
    """≥ or ≤ where the truth lies beyond `value`, because a curve ended or began first; ? where nothing is known."""


def mean(values: Array) -> Array:
    """Over the last axis."""
    return np.mean(values, axis=-1)


def iqm(values: Array) -> Array:
    """Mean of the middle half over the last axis; values at its edges count in part."""
    ordered = np.sort(values, axis=-1)
    count = ordered.shape[-1]
    index = np.arange(count)
    weights = np.clip(np.minimum(index + 1, 0.75 * count) - np.maximum(index, 0.25 * count), 0.0, None)
    return ordered @ (weights / weights.sum())


def bootstrap(
    *strata: Sequence[float] | Array,
    rng: np.random.Generator,
    statistic: Statistic = mean,
    resamples: int = RESAMPLES,
) -> Estimate:
    """A statistic of all values, its interval from resampling each stratum (robot, task, …) within itself."""
    groups = [np.asarray(stratum, dtype=np.float64) for stratum in strata]
    if not groups or any(group.ndim != 1 or group.size == 0 for group in groups):
        raise ValueError(f"each stratum needs values, (n,), got shapes {[group.shape for group in groups]}")
    drawn = [group[rng.integers(group.size, size=(resamples, group.size))] for group in groups]
    replicates = statistic(np.concatenate(drawn, axis=-1))
    return _estimate(float(statistic(np.concatenate(groups))), replicates)


@dataclass(frozen=True)
class Curve:
    """Scores of the same fixed episodes at increasing numbers of steps, for one training seed or several."""

    env_steps: Array
    """(points,), increasing."""
    scores: Array
    """(seeds, points, episodes)."""

    def __post_init__(self) -> None:
        if self.scores.ndim != 3 or self.scores.shape[1] != self.env_steps.size or not self.scores.size:
            raise ValueError(
                f"scores must have shape (seeds, {self.env_steps.size} points, episodes), got {self.scores.shape}"
            )
        if (np.diff(self.env_steps) <= 0).any():
            raise ValueError(f"env_steps must increase, got {self.env_steps.tolist()}")

    @staticmethod
    def of(*seeds: Sequence[Mapping[str, Any]]) -> "Curve":
        """The curve of points `{"env_steps", "score", "episode_scores"}`, one list of them for each training seed.

        Without `episode_scores` of one length everywhere, `score` counts as the only episode.
        """
        if len({tuple(point["env_steps"] for point in points) for points in seeds}) != 1:
            raise ValueError("every seed must be evaluated at the same env_steps")
        sizes = {len(point.get("episode_scores") or ()) for points in seeds for point in points}
        whole = len(sizes) == 1 and sizes != {0}
        scores = [[point["episode_scores"] if whole else [point["score"]] for point in points] for points in seeds]
        env_steps = [point["env_steps"] for point in seeds[0]]
        return Curve(np.array(env_steps, dtype=np.float64), np.array(scores, dtype=np.float64))

    @property
    def mean(self) -> Array:
        """(points,) over seeds and episodes."""
        return self.scores.mean(axis=(0, 2))

    @property
    def num_seeds(self) -> int:
        return self.scores.shape[0]

    @property
    def num_episodes(self) -> int:
        return self.scores.shape[2]

    def on(self, env_steps: Array) -> "Curve":
        """The same curve at other steps within its range, straight lines between its points."""
        right = np.clip(np.searchsorted(self.env_steps, env_steps), 1, self.env_steps.size - 1)
        left = right - 1
        share = (env_steps - self.env_steps[left]) / (self.env_steps[right] - self.env_steps[left])
        share = share[None, :, None]
        return Curve(env_steps, (1.0 - share) * self.scores[:, left] + share * self.scores[:, right])

    def replicates(self, episode_weights: Array, rng: np.random.Generator) -> Array:
        """(resamples, points): means over resampled seeds and over episodes weighted by (resamples, episodes)."""
        seed_weights = _weights(self.num_seeds, len(episode_weights), rng)
        weighted = np.tensordot(episode_weights, self.scores, axes=(1, 2))  # (resamples, seeds, points)
        return np.einsum("rsp,rs->rp", weighted, seed_weights)

    def band(self, rng: np.random.Generator, resamples: int = RESAMPLES) -> tuple[Array, Array]:
        """(points,) each: the interval of the mean at every point."""
        low, high = np.quantile(self.replicates(_weights(self.num_episodes, resamples, rng), rng), QUANTILES, axis=0)
        return low, high


def area_under_curve(env_steps: Array, scores: Array) -> Array:
    """∫ score d(steps) by the trapezoid rule, over the last axis."""
    return np.asarray(np.trapezoid(scores, env_steps, axis=-1))


def steps_to_threshold(env_steps: Array, scores: Array, threshold: float) -> tuple[Array, NDArray[np.bool_]]:
    """Where curves (…, points) first reach `threshold`, straight lines between points, and whether they never do.

    A curve that never does is right-censored: its steps are those of its last point, the truth lies beyond.
    """
    reached = scores >= threshold
    censored = np.asarray(~reached.any(axis=-1))
    first = reached.argmax(axis=-1)
    before = np.maximum(first - 1, 0)
    high = np.take_along_axis(scores, first[..., None], -1)[..., 0]
    low = np.take_along_axis(scores, before[..., None], -1)[..., 0]
    rise = np.where(high > low, high - low, 1.0)
    share = np.where(first > 0, (threshold - low) / rise, 0.0)
    steps = env_steps[before] + share * (env_steps[first] - env_steps[before])
    return np.where(censored, env_steps[-1], steps), censored


def plateau(env_steps: Array, scores: Array) -> Array:
    """Mean height of curves (…, points) over the last `PLATEAU` of their range."""
    start = env_steps[-1] - PLATEAU * (env_steps[-1] - env_steps[0])
    grid = np.append(start, env_steps[env_steps > start])
    at_start = np.apply_along_axis(lambda row: np.interp(start, env_steps, row), -1, scores)
    heights = np.concatenate([at_start[..., None], scores[..., env_steps > start]], axis=-1)
    return area_under_curve(grid, heights) / (grid[-1] - start)


def has_flattened(curve: Curve) -> bool:
    """Whether the mean rises less than `FLAT` of its range over the plateau; a control cut off earlier flatters."""
    start = curve.env_steps[-1] - PLATEAU * (curve.env_steps[-1] - curve.env_steps[0])
    rise = curve.mean[-1] - np.interp(start, curve.env_steps, curve.mean)
    return bool(rise < FLAT * np.ptp(curve.mean) or np.ptp(curve.mean) == 0.0)


def learned_threshold(specialist: float, no_op: float) -> float:
    """The score at which a task counts as learned: 0.9 of what a specialist has above doing nothing."""
    return no_op + SPECIALIST_SHARE * (specialist - no_op)


@dataclass(frozen=True, kw_only=True)
class TransferMeasures:
    """What a transfer gained over learning from scratch, on the steps that both curves cover."""

    jumpstart: Estimate
    """Gap of the scores at the start."""
    asymptotic_gain: Estimate
    """Gap of the mean scores over the last fifth."""
    total_reward: Estimate
    """Gap of the areas under the curves, per step: the mean gap of the scores."""
    transfer_ratio: Estimate
    """(AUC_t − AUC_s) / AUC_s."""
    step_saving_ratio: Estimate
    """Steps to the threshold from scratch over those with transfer."""
    steps_transfer: Estimate
    """To the threshold; ≥ where it was never reached, ≤ where it was before the second evaluation."""
    steps_scratch: Estimate
    threshold: float
    budget: float
    """The last step that both curves cover."""
    num_seeds: int
    """Training seeds of the arm that has fewer: with one, intervals hold the luck of episodes, not of training."""
    scratch_flattened: bool

    def as_result(self) -> dict[str, Any]:
        """The keys of the `transfer` command's result: each measure, `NAME_ci`, and `NAME_bound` where it is one."""
        estimates = {name: value for name, value in vars(self).items() if isinstance(value, Estimate)}
        plain: dict[str, Any] = {"threshold": self.threshold, "scratch_flattened": self.scratch_flattened}
        for name, estimate in estimates.items():
            plain |= {name: estimate.value, f"{name}_ci": [estimate.lo, estimate.hi]}
            plain |= {f"{name}_bound": estimate.bound} if estimate.bound != "=" else {}
        return plain


def transfer_measures(
    transfer: Curve, scratch: Curve, *, threshold: float, rng: np.random.Generator, resamples: int = RESAMPLES
) -> TransferMeasures:
    """The five measures, intervals by resampling episodes (the same ones in both arms) and training seeds.

    Raises:
        ValueError: the curves share no range of steps, or scratch scored nothing at all.
    """
    grid = _common_steps(transfer, scratch)
    arms = [transfer.on(grid), scratch.on(grid)]
    means = [arm.mean for arm in arms]
    if area_under_curve(grid, means[1]) <= 0.0:
        raise ValueError("the control scored nothing at all: a ratio to it has no meaning")
    weights = [_weights(arm.num_episodes, resamples, rng) for arm in arms]
    if arms[0].num_episodes == arms[1].num_episodes:
        weights[1] = weights[0]  # the same fixed episodes: paired
    drawn = [arm.replicates(weight, rng) for arm, weight in zip(arms, weights, strict=True)]
    values, replicates = _measure(grid, means, threshold), _measure(grid, drawn, threshold)
    soon, late = (_steps_bound(grid, scores, threshold) for scores in means)
    bounds = {"steps_transfer": soon, "steps_scratch": late, "step_saving_ratio": _ratio_bound(late, soon)}
    estimates = {name: _estimate(values[name], replicates[name], bounds.get(name, "=")) for name in values}
    return TransferMeasures(
        **estimates,
        threshold=threshold,
        budget=float(grid[-1]),
        num_seeds=min(transfer.num_seeds, scratch.num_seeds),
        scratch_flattened=has_flattened(arms[1]),
    )


def _common_steps(transfer: Curve, scratch: Curve) -> Array:
    start = max(transfer.env_steps[0], scratch.env_steps[0])
    end = min(transfer.env_steps[-1], scratch.env_steps[-1])
    if start >= end:
        raise ValueError(
            f"the curves share no range of steps: they meet from {start:g} to {end:g}; evaluate both often"
        )
    steps = np.union1d(transfer.env_steps, scratch.env_steps)
    return steps[(steps >= start) & (steps <= end)]


def _measure(grid: Array, arms: Sequence[Array], threshold: float) -> dict[str, Array]:
    """Each measure of the curves (…, points) of transfer and scratch."""
    transfer, scratch = arms
    area, control = area_under_curve(grid, transfer), area_under_curve(grid, scratch)
    first = _resolution(grid)
    steps, control_steps = (
        np.maximum(steps_to_threshold(grid, scores, threshold)[0], first) for scores in (transfer, scratch)
    )
    return {
        "jumpstart": transfer[..., 0] - scratch[..., 0],
        "asymptotic_gain": plateau(grid, transfer) - plateau(grid, scratch),
        "total_reward": (area - control) / (grid[-1] - grid[0]),
        "transfer_ratio": (area - control) / np.maximum(control, LEAST * np.ptp(grid)),
        "step_saving_ratio": control_steps / steps,
        "steps_transfer": steps,
        "steps_scratch": control_steps,
    }


def _resolution(grid: Array) -> float:
    """The first evaluation after the start: what was reached earlier was reached in fewer steps than can be told."""
    return float(grid[grid > 0.0][0])


def _steps_bound(grid: Array, scores: Array, threshold: float) -> Bound:
    steps, censored = steps_to_threshold(grid, scores, threshold)
    if censored:
        return "≥"
    return "≤" if steps == grid[0] or steps < _resolution(grid) else "="


def _ratio_bound(numerator: Bound, denominator: Bound) -> Bound:
    turned: dict[Bound, Bound] = {"≥": "≤", "≤": "≥"}
    known = {numerator, turned.get(denominator, denominator)} - {"="}
    return "=" if not known else known.pop() if len(known) == 1 else "?"


def _weights(count: int, resamples: int, rng: np.random.Generator) -> Array:
    """(resamples, count) shares of each of `count` things in resamples with replacement."""
    return rng.multinomial(count, np.full(count, 1.0 / count), size=resamples) / count


def _estimate(value: Any, replicates: Array, bound: Bound = "=") -> Estimate:
    lo, hi = np.quantile(replicates, QUANTILES)
    return Estimate(float(value), float(lo), float(hi), bound)
