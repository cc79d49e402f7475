"""What the viewer asks of whatever it shows: worlds of one robot, stepped together, with knobs to turn. SI."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from robots.model import Ground
from robots.spec import RobotSpec

Values = Mapping[str, float]
"""Label of a knob -> what it is set to."""


@dataclass(frozen=True, kw_only=True)
class Knob:
    """A number that whoever watches may change."""

    label: str
    """With its unit."""
    low: float = 0.0
    high: float = 1.0
    value: float
    """At first."""
    switch: bool = False
    """Only off, 0, and on, 1."""


@dataclass(frozen=True, kw_only=True)
class State:
    """All worlds at one moment, a row each."""

    qpos: NDArray[np.float64]
    """(num_worlds, nq)."""
    qvel: NDArray[np.float64]
    """(num_worlds, nv)."""
    ctrl: NDArray[np.float64]
    """(num_worlds, nu)."""
    goals: NDArray[np.float64] | None = None
    """(num_worlds, 3) points to be reached, world frame [m]; None where the task has none."""


class Simulation(Protocol):
    """Worlds of one robot."""

    spec: RobotSpec
    model: mujoco.MjModel
    """That of every world."""
    ground: Ground | None
    """What it stands on; None for the flat floor."""
    title: str
    """What is to be seen."""
    num_worlds: int
    dt: float
    """Time of one step [s]."""
    knobs: tuple[Knob, ...]

    def reset(self) -> None:
        """Start every world anew."""

    def step(self, values: Values) -> NDArray[np.bool_]:
        """Advance one control period; returns (num_worlds,) True where a world had to start anew."""

    def state(self) -> State:
        """Every world as it is now."""


def initial(knobs: tuple[Knob, ...]) -> dict[str, float]:
    """What all knobs are set to at first."""
    return {knob.label: knob.value for knob in knobs}
