"""What a run on a robot came to: ticks, their times, and who intervened."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Trip:
    """A guard that stopped the robot."""

    guard: str
    reason: str
    time: float
    """The robot's clock [s]."""
    sequence: int
    """Of the last state that came."""
    reaction_ms: float
    """From the arrival of the last new state to the first damping command."""


@dataclass(kw_only=True)
class Figures:
    """Counted while the robot runs, soft starts included, damping not."""

    ticks: int = 0
    seconds: float = 0.0
    """On this computer's clock."""
    tick_us: list[float] = field(default_factory=list)
    """From a state in hand to its command sent, each tick [µs]."""
    late_ticks: int = 0
    trips: list[Trip] = field(default_factory=list)
    bounded: dict[str, int] = field(default_factory=dict)
    """Guard -> ticks in which it changed the targets."""

    def add(self, tick_us: float, bounded: tuple[str, ...]) -> None:
        """Count a tick."""
        self.ticks += 1
        self.tick_us.append(tick_us)
        for name in bounded:
            self.bounded[name] = self.bounded.get(name, 0) + 1

    def as_dict(self) -> dict[str, Any]:
        """Plain data, with percentiles for the times."""
        return {
            "ticks": self.ticks,
            "seconds": self.seconds,
            "rate_hz": self.ticks / self.seconds if self.seconds else 0.0,
            "tick_us": percentiles(self.tick_us),
            "late_ticks": self.late_ticks,
            "trips": [asdict(trip) for trip in self.trips],
            "bounded": self.bounded,
        }


def percentiles(tick_us: Sequence[float] | NDArray[np.float64]) -> dict[str, float]:
    """Of the ticks' times [µs]: median, 99 % and 99.9 %; zeros where there was no tick."""
    values = tick_us if len(tick_us) else (0.0,)
    p50, p99, p999 = np.percentile(values, (50.0, 99.0, 99.9))
    return {"p50": float(p50), "p99": float(p99), "p999": float(p999)}
