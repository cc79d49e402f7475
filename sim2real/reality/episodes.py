"""What a rehearsal asks of a robot: velocity commands, and the note about them that goes with each reset."""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np

COMMAND_HIGH = (0.5, 0.18, 0.1)
"""Largest command of the velocity score, in units of √(gL), √(gL), 1/T; the least is its negative."""
STANDING = 10
"""One command in so many asks to stand still."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """A stretch of walking from a standing start."""

    vx: float
    """[m/s]."""
    vy: float
    """[m/s]."""
    yaw_rate: float
    """[rad/s]."""
    settle: float
    """Time for the soft start, not scored [s]."""
    seconds: float
    """Scored [s]."""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.note())) or self.settle < 0.0 or self.seconds <= 0.0:
            raise ValueError(f"an episode takes finite numbers, settle >= 0 and seconds > 0 [s], got {self}")

    @property
    def command(self) -> tuple[float, float, float]:
        return (self.vx, self.vy, self.yaw_rate)

    def note(self) -> tuple[float, ...]:
        """The numbers of a reset packet."""
        return astuple(self)

    @staticmethod
    def from_note(note: Sequence[float]) -> "Episode":
        """The episode that a reset packet announced.

        Raises:
            ValueError: the numbers are none of an episode.
        """
        if len(note) != len(fields(Episode)):
            raise ValueError(f"an episode's note has {len(fields(Episode))} numbers, got {len(note)}")
        vx, vy, yaw_rate, settle, seconds = note
        return Episode(vx=vx, vy=vy, yaw_rate=yaw_rate, settle=settle, seconds=seconds)


def commands(count: int, *, speed: float, time: float, seed: int) -> list[tuple[float, float, float]]:
    """`count` commands that cover the score's ranges evenly: a Latin hypercube, one in `STANDING` standing still.

    Args:
        count: Number of commands.
        speed: The robot's unit √(gL) [m/s].
        time: The robot's unit √(L/g) [s].
        seed: Of the generator.
    """
    rng = np.random.default_rng([seed, 0x5EED])
    strata = np.stack([rng.permutation(count) for _ in COMMAND_HIGH], -1)
    unit = 2.0 * (strata + rng.random(strata.shape)) / count - 1.0
    values = unit * np.array(COMMAND_HIGH) * np.array([speed, speed, 1.0 / time])
    standing = rng.permutation(count) < count // STANDING
    return [(float(vx), float(vy), float(yaw)) for vx, vy, yaw in values * ~standing[:, None]]
