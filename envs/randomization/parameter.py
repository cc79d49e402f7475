"""What a randomized parameter of the model is: a value that says which fields it touches, and writes them.

A claim names rows of a model field by what they are on the robot (its trunk, its feet, its servos), so that the same
parameter acts on any robot and can be checked against any compiled model. Writing starts from the compiled values:
samples never compound.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from envs.randomization.anatomy import Anatomy, Group

if TYPE_CHECKING:
    from envs.randomization.plan import Sheet

Range = tuple[float, float]
Operation = Literal["scale", "divide", "add", "set"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Entries of one model field that a parameter changes, and how."""

    field: str
    """Of `mujoco.MjModel`; options are named "opt.gravity"."""
    rows: Group
    """Which rows, by what they are on the robot."""
    columns: tuple[int, ...] = (0,)
    operation: Operation = "scale"
    """Of the compiled value with the sampled one."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A hidden property of the simulated robot, drawn anew at each restart."""

    name: str
    """Field of `Randomization` that holds its range."""
    unit: str
    """"1", "rad", or a unit of the robot: "L" length, "m" mass, "g" gravity."""
    nominal: float
    """Value that leaves the compiled model as it is (friction apart, which is set)."""
    full: Range
    """Range in the preset "full"."""
    claims: tuple[Claim, ...]
    """None if it chooses the whole body."""
    constants: tuple[str, ...] = ()
    """Model fields that MuJoCo derives from the claimed ones: recomputed in the worlds that were written."""
    per: Literal["world", "foot", "joint"] = "world"
    """How many values: one, one for each foot, or one for each row if `Randomization.separate` names it."""
    write: "Callable[[Parameter, Sheet, torch.Tensor, Anatomy], None] | None" = None
    """Changes the claimed entries by values, (n, 1), in a way of its own; None does to each what its claim says."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Model fields it writes."""
        return tuple(dict.fromkeys(claim.field for claim in self.claims))

    def width(self, anatomy: Anatomy, separate: tuple[str, ...]) -> int:
        """Values it takes in a world."""
        own = self.per == "foot" or (self.per == "joint" and self.name in separate)
        return len(anatomy.rows[self.claims[0].rows]) if own else 1
