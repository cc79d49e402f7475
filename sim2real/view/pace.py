"""Simulated time beside the wall clock. Times in s."""

from collections import deque

BACKLOG = 0.1
"""Simulated time that is made up for at most; a slower computer simulates slower than asked."""
WINDOW = 1.0
"""Over which the real-time factor is measured."""


class Pace:
    """How many steps are due, and how many times real time they ran.

    Args:
        dt: Time of a step.
        now: Wall clock.
    """

    def __init__(self, dt: float, now: float) -> None:
        self.dt, self.simulated = dt, 0.0
        self._last, self._owed = now, 0.0
        self._marks: deque[tuple[float, float]] = deque([(now, 0.0)])

    def due(self, now: float, speed: float) -> int:
        """Steps to take now to run at `speed` times real time."""
        self._owed = min(self._owed + speed * (now - self._last), max(BACKLOG, self.dt))
        self._last = now
        steps = int(self._owed / self.dt + 1e-9)
        self._owed -= steps * self.dt
        return steps

    def wait(self, now: float) -> None:
        """Let the wall clock run without simulating."""
        self._last, self._owed = now, 0.0

    def took(self, steps: int, now: float) -> None:
        """Steps were taken."""
        self.simulated += steps * self.dt
        self._marks.append((now, self.simulated))
        while len(self._marks) > 2 and self._marks[1][0] <= now - WINDOW:
            self._marks.popleft()

    @property
    def factor(self) -> float:
        """Simulated time over real time, lately."""
        (since, before), (until, after) = self._marks[0], self._marks[-1]
        return (after - before) / (until - since) if until > since else 0.0
