"""Where does a policy break? Its score over one disturbed property at a time, and over a pair of them.

Everything else stays nominal, and the episodes stay the same (`conditions`). A policy breaks where its score
falls below `BREAKS` of the undisturbed one, by straight lines between the tested values. A privileged policy is told
of the disturbance, as in its training.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.embodiments.embodiment import Actor
from envs.randomization import Randomization
from envs.task import TaskSpec
from policies.breakdown import bootstrap_interval
from policies.robustness.axes import Axis, at, axes_of, choose_pair
from policies.robustness.conditions import NOMINAL, Condition, Outcome, play_conditions, worlds_for
from robots.spec import RobotSpec

Floats = NDArray[np.float64]
Outcomes = Mapping[Condition, Outcome]
BREAKS = 0.7
"""Share of the undisturbed score below which a policy counts as broken."""
EPISODES, SECONDS = 24, 5.0
"""Of the episodes under each condition."""
RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Point:
    """Score under one condition."""

    value: float
    """Of the disturbed property, in the unit that people know."""
    relative: float
    """The same in the unit of the field of `Randomization`."""
    score: float
    lo: float
    """95 % bootstrap interval over episodes."""
    hi: float
    falls: int


@dataclass(frozen=True, kw_only=True)
class Break:
    """Where a score falls below `BREAKS` of the undisturbed one, in the unit that people know."""

    value: float | None
    """None: not within the tested range."""
    lo: float | None
    """95 % bootstrap interval over the episodes, which all values share; None: beyond the tested range."""
    hi: float | None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Scores along one axis."""

    title: str
    unit: str
    nominal: float
    trained: tuple[float, float]
    """What the policy was trained under."""
    points: tuple[Point, ...]
    breaks_below: Break | None
    """On the way down from the nominal value; None where nothing lower was tested, or nothing was scored there."""
    breaks_above: Break | None
    """On the way up."""


@dataclass(frozen=True, kw_only=True)
class PairMap:
    """Scores over two axes: a row for each value of the second, a column for each of the first."""

    axes: tuple[str, str]
    titles: tuple[str, str]
    units: tuple[str, str]
    x: tuple[float, ...]
    y: tuple[float, ...]
    points: tuple[tuple[dict[str, float], ...], ...]
    """Each with score, lo, hi and falls."""


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """Where a policy breaks, and how it scores until then."""

    score: float
    """Undisturbed, over these episodes."""
    threshold: float | None
    """Score below which it counts as broken; None where the undisturbed score is not positive."""
    episodes: int
    """Under each condition."""
    seconds: float
    """Of an episode."""
    axes: dict[str, Sweep]
    pair: PairMap

    def as_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def measure(
    spec: RobotSpec,
    task: TaskSpec,
    player: Callable[[], Actor],
    *,
    trained: Randomization,
    pair: Sequence[str] = (),
    episodes: int = EPISODES,
    seconds: float = SECONDS,
    num_threads: int = 0,
    report: Callable[[float], None] = lambda fraction: None,
) -> tuple[Robustness, dict[Condition, Outcome]]:
    """The robustness of a policy, and what every single episode came to.

    Args:
        spec: Who acts.
        task: What it must do.
        player: Makes an actor for episodes that all start together.
        trained: Ranges the policy was trained under, to be shown beside.
        pair: Names of the two axes of the map of pairs; friction and payload if empty.
        episodes: Under each condition.
        seconds: Length of each [s].
        num_threads: Physics threads, 0 for every core; the result does not depend on it.
        report: Told the share that is done.

    Raises:
        ValueError: an axis is unknown, or not of this robot.
    """
    known = axes_of(worlds_for(spec, task, 1, 1))
    first, second = choose_pair(known, pair)
    wanted = [NOMINAL, *(at((axis, value)) for axis in known.values() for value in axis.values)]
    wanted += [at((first, x), (second, y)) for y in second.values for x in first.values]
    played = play_conditions(
        spec, task, player, wanted, episodes=episodes, seconds=seconds, num_threads=num_threads, report=report
    )
    undisturbed = float(played[NOMINAL].scores.mean())
    robustness = Robustness(
        score=undisturbed,
        threshold=BREAKS * undisturbed if undisturbed > 0.0 else None,
        episodes=episodes,
        seconds=seconds,
        axes={axis.name: sweep(axis, played, trained) for axis in known.values()},
        pair=pair_map(first, second, played),
    )
    return robustness, played


def sweep(axis: Axis, played: Outcomes, trained: Randomization) -> Sweep:
    """Scores along an axis, and where they break."""
    outcomes = [played[at((axis, value))] for value in axis.values]
    scores, shown = np.array([outcome.scores for outcome in outcomes]), [axis.shown(value) for value in axis.values]
    middle = axis.values.index(axis.nominal)
    return Sweep(
        title=axis.title,
        unit=axis.unit,
        nominal=axis.shown(axis.nominal),
        trained=axis.trained(trained),
        points=tuple(
            Point(value=value, relative=float(relative), **_summary(outcome))
            for value, relative, outcome in zip(shown, axis.values, outcomes, strict=True)
        ),
        breaks_below=breaking(shown[middle::-1], scores[middle::-1]),
        breaks_above=breaking(shown[middle:], scores[middle:]),
    )


def pair_map(first: Axis, second: Axis, played: Outcomes) -> PairMap:
    """Scores over two axes."""
    return PairMap(
        axes=(first.name, second.name),
        titles=(first.title, second.title),
        units=(first.unit, second.unit),
        x=tuple(first.shown(value) for value in first.values),
        y=tuple(second.shown(value) for value in second.values),
        points=tuple(tuple(_summary(played[at((first, x), (second, y))]) for x in first.values) for y in second.values),
    )


def breaking(values: Sequence[float], scores: Floats) -> Break | None:
    """Where the mean of scores, (values, episodes), breaks on the way from the first value, the nominal one.

    The interval comes from resampled episodes, the same at all values. None where nothing but the nominal value was
    tested, or where the score is not positive there.
    """
    if len(values) < 2 or scores[0].mean() <= 0.0:
        return None
    chosen = np.random.default_rng(0).integers(scores.shape[1], size=(RESAMPLES, scores.shape[1]))
    beyond = math.copysign(math.inf, values[1] - values[0])
    places = [crossing(values, means, beyond) for means in scores[:, chosen].mean(-1).T]
    low, high = np.quantile(places, [0.025, 0.975], method="inverted_cdf")
    value = crossing(values, scores.mean(-1), beyond)
    known = [float(place) if math.isfinite(place) else None for place in (value, low, high)]
    return Break(value=known[0], lo=known[1], hi=known[2])


def crossing(values: Sequence[float], means: Floats, beyond: float) -> float:
    """Where means first fall below `BREAKS` of the first one, by straight lines between values; else `beyond`."""
    threshold = BREAKS * means[0]
    below = np.flatnonzero(means < threshold)
    if not len(below):
        return beyond
    after = int(below[0])
    share = (means[after - 1] - threshold) / (means[after - 1] - means[after]) if after else 0.0
    start = values[max(0, after - 1)]
    return float(start + share * (values[after] - start))


def _summary(outcome: Outcome) -> dict[str, Any]:
    low, high = bootstrap_interval(outcome.scores)
    return {"score": float(outcome.scores.mean()), "lo": low, "hi": high, "falls": int(outcome.fell.sum())}
