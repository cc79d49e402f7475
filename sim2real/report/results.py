"""Results as a report reads them: whatever a stage wrote, with every key optional and checked before use."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim2real.campaign.store import read_record
from sim2real.statistics import Curve

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Result:
    """One stage's result."""

    folder: Path
    kind: str
    name: str
    """Of the stage."""
    key: str
    params: dict[str, Any]
    inputs: dict[str, Any]
    """Name of a RUN argument -> key, or keys, of what went in."""
    metrics: dict[str, Any]
    """What the stage returned."""
    seconds: float | None
    provenance: dict[str, Any]

    @staticmethod
    def read(folder: Path) -> "Result":
        """The result in a folder with `run.json`."""
        record = read_record(folder)
        return Result(
            folder=folder,
            kind=str(record.get("kind", "result")),
            name=str(record.get("name", folder.name)),
            key=str(record.get("key", "")),
            params=_mapping(record.get("params")),
            inputs=_mapping(record.get("inputs")),
            metrics=_mapping(record.get("result")),
            seconds=_number(record.get("seconds")),
            provenance=_mapping(record.get("provenance")),
        )

    @property
    def robot(self) -> str:
        """As `robots.get` takes it; empty if the result is about none."""
        named = self.params.get("to") if self.kind == "transfer" else self.params.get("robot")
        return str(named or self.metrics.get("robot") or "")

    @property
    def task(self) -> str:
        return str(self.metrics.get("task") or self.params.get("task") or "velocity")

    def number(self, name: str) -> float | None:
        return _number(self.metrics.get(name))

    def numbers(self, name: str) -> list[float]:
        """A list of numbers; empty if there is none."""
        values = self.metrics.get(name)
        found = [_number(value) for value in values] if isinstance(values, (list, tuple)) else []
        return [value for value in found if value is not None]

    def interval(self, name: str) -> Interval | None:
        pair = self.numbers(name)
        return (pair[0], pair[1]) if len(pair) == 2 else None

    def text(self, name: str) -> str:
        value = self.metrics.get(name)
        return value if isinstance(value, str) else ""

    def mapping(self, name: str) -> dict[str, Any]:
        return _mapping(self.metrics.get(name))

    def curve(self, name: str = "curve", within: str = "") -> Curve | None:
        """The learning curve under a key, of `metrics` or of the mapping `within` it."""
        points = (self.mapping(within) if within else self.metrics).get(name)
        return curve_of(points)


def learned(result: Result) -> str:
    """Whether a training got anywhere: its score, all doubt counted, against that of standing still."""
    low = (result.interval("score_ci") or (result.number("score"),))[0]
    no_op = result.number("no_op")
    return "did not learn to walk" if low is not None and no_op is not None and low <= no_op else "learned to walk"


def curve_of(points: Any) -> Curve | None:
    """The curve of a list of points, or of one such list for each seed; None if it is not one, or has one point."""
    if not isinstance(points, Sequence) or not points or isinstance(points, str):
        return None
    seeds = points if isinstance(points[0], (list, tuple)) else [points]
    if len(seeds[0]) < 2:
        return None
    try:
        return Curve.of(*seeds)
    except (ValueError, KeyError, TypeError):
        return None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
