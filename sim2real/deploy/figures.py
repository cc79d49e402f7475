"""What a run on a robot came to: ticks, their times, and who intervened."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


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
        p50, p99, p999 = np.percentile(self.tick_us or [0.0], (50.0, 99.0, 99.9))
        return {
            "ticks": self.ticks,
            "rate_hz": self.ticks / self.seconds if self.seconds else 0.0,
            "tick_us": {"p50": float(p50), "p99": float(p99), "p999": float(p999)},
            "trips": [asdict(trip) for trip in self.trips],
            "bounded": self.bounded,
        }
