"""How wide a randomization is while a policy learns: fixed, widening with the budget, or as wide as it can stand.

A schedule changes the ranges of the model's parameters; sensors and disturbances stay as in its target, which is the
`Randomizer.randomization` of the worlds: what their robot has. Every range begins as one point: the nominal value, or
what of the range lies nearest to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np

from envs.randomization.parameter import Range
from envs.randomization.ranges import Randomization
from envs.randomization.terms import MODEL_TERMS

Boundary = tuple[str, Literal["low", "high"]]
"""One end of a parameter's range."""


class Schedule(Protocol):
    """Ranges as a function of progress."""

    needs_score: bool
    """Whether it asks for scores; the others widen without."""

    def ranges(self, progress: float, score: float | None = None) -> Randomization:
        """The ranges from now on.

        Args:
            progress: Share of the budget that is spent, 0..1.
            score: Of the policy under `trial`, 0..1; None where it was not measured.
        """

    @property
    def trial(self) -> Randomization:
        """Ranges under which the policy is to be scored."""

    def state_dict(self) -> dict[str, Any]:
        """What later ranges depend on, as JSON data."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""


@dataclass
class Fixed:
    """The same ranges from beginning to end."""

    target: Randomization
    needs_score = False

    def ranges(self, progress: float, score: float | None = None) -> Randomization:
        return self.target

    @property
    def trial(self) -> Randomization:
        return self.target

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to remember."""


@dataclass
class Curriculum:
    """Ranges that widen evenly, and have their full width when `share` of the budget is spent."""

    target: Randomization
    share: float = 0.5
    needs_score = False
    _width: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0:
            raise ValueError(f"share must lie within 0..1 of the budget, got {self.share}")

    def ranges(self, progress: float, score: float | None = None) -> Randomization:
        self._width = min(1.0, progress / self.share)
        return self.trial

    @property
    def trial(self) -> Randomization:
        return widened(self.target, {(item.name, side): self._width for item in MODEL_TERMS for side in SIDES})

    def state_dict(self) -> dict[str, Any]:
        return {"width": self._width}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._width = state["width"]


@dataclass
class Automatic:
    """Automatic domain randomization (OpenAI et al. 2019, arXiv:1910.07113, section 5).

    One boundary at a time is on trial: its parameter sits there, all others are drawn from their ranges. A score of at
    least `high` moves the boundary outward by `step`, one of at most `low` inward; then another one is drawn. Ranges
    never leave those of `target`.
    """

    target: Randomization
    low: float = 0.5
    """Score at which a boundary moves inward."""
    high: float = 0.7
    """Score at which it moves outward."""
    step: float = 0.1
    """Of a boundary's whole way from its start to the target."""
    seed: int = 0
    """Of the order in which boundaries are tried."""
    needs_score = True
    widths: dict[Boundary, float] = field(default_factory=dict, init=False)
    """How far each boundary is on its way, 0..1."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= self.high:
            raise ValueError(f"low must not exceed high, got {self.low} and {self.high}; both are scores")
        if not 0.0 < self.step <= 1.0:
            raise ValueError(f"step must lie within 0..1 of a boundary's way, got {self.step}")
        self.widths = dict.fromkeys(boundaries(self.target), 0.0)
        if not self.widths:
            raise ValueError("automatic randomization needs a range to widen, and the target has none")
        self._generator = np.random.default_rng(self.seed)
        self._draw()

    def _draw(self) -> None:
        self.tried: Boundary = list(self.widths)[self._generator.integers(len(self.widths))]

    def ranges(self, progress: float, score: float | None = None) -> Randomization:
        if score is not None:
            change = self.step * ((score >= self.high) - (score <= self.low))
            self.widths[self.tried] = float(np.clip(self.widths[self.tried] + change, 0.0, 1.0))
            self._draw()
        return widened(self.target, self.widths)

    @property
    def trial(self) -> Randomization:
        name, side = self.tried
        now = widened(self.target, self.widths)
        end = getattr(now, name)[SIDES.index(side)]
        return replace(now, **{name: (end, end)})  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        widths = {f"{name}.{side}": width for (name, side), width in self.widths.items()}
        return {"widths": widths, "tried": list(self.tried), "generator": self._generator.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.widths = {boundary: state["widths"][".".join(boundary)] for boundary in self.widths}
        name, side = state["tried"]
        self.tried = (name, side)
        self._generator.bit_generator.state = state["generator"]


SIDES: tuple[Literal["low", "high"], Literal["low", "high"]] = ("low", "high")


def start(name: str, target: Range) -> float:
    """Where a range begins: at its parameter's nominal value, or as near to it as the range comes."""
    nominal = next(item.nominal for item in MODEL_TERMS if item.name == name)
    return min(max(nominal, target[0]), target[1])


def boundaries(target: Randomization) -> list[Boundary]:
    """Ends of ranges that differ from where they begin."""
    ends = [(item.name, side, getattr(target, item.name)) for item in MODEL_TERMS for side in SIDES]
    return [(name, side) for name, side, ends_at in ends if ends_at[SIDES.index(side)] != start(name, ends_at)]


def widened(target: Randomization, widths: Mapping[Boundary, float]) -> Randomization:
    """Ranges whose ends are a share of their way from start to target; ends that are not named are at the start."""
    ranges = {}
    for item in MODEL_TERMS:
        ends, begin = getattr(target, item.name), start(item.name, getattr(target, item.name))
        shares = [widths.get((item.name, side), 0.0) for side in SIDES]
        ranges[item.name] = tuple(begin + share * (end - begin) for share, end in zip(shares, ends, strict=True))
    return replace(target, **ranges)  # type: ignore[arg-type]


SCHEDULES: dict[str, type[Fixed] | type[Curriculum] | type[Automatic]] = {
    "fixed": Fixed,
    "curriculum": Curriculum,
    "automatic": Automatic,
}
"""By name, made of their target alone."""
