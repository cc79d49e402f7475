"""The bodies of the transfer benchmark: which are learned from, and which are never seen.

All but the real robots are members of `quadruped:` and `arm:`, by the names that `robots.get` takes. What differs is
dimensionless where it can be: proportions (lengths over leg_length), gains (stiffness over mgL), reaction time over
√(L/g), which follows from the size. Masses lie off the cube of the length by up to a third. No unseen body has a
source's proportions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import robots
from robots import families
from robots.spec import RobotSpec


@dataclass(frozen=True, kw_only=True)
class Body:
    """A robot of the benchmark, and what it does."""

    label: str
    """How tables call it."""
    robot: str
    task: str = "velocity"

    @property
    def spec(self) -> RobotSpec:
        return robots.get(self.robot)

    @property
    def member(self) -> str:
        """ROBOT:TASK, as commands call it."""
        return f"{self.robot}:{self.task}"


def _walker(label: str, **parameters: float) -> Body:
    return Body(label=label, robot=families.robot_name(families.Quadruped(**parameters)))  # type: ignore[arg-type]


def _arm(links: int) -> Body:
    return Body(label=f"{links} links", robot=families.robot_name(families.Arm(links=links)), task="reach")


DOG = _walker("12 joints, 12 kg")
"""The family's default: about a go1."""
LEAN = _walker("8 joints, 12 kg", joints_per_leg=2)
"""The same without abduction."""
HEXAPOD = _walker("18 joints, 12 kg", legs=6)
"""The same with a pair of legs more."""
SOURCES: Mapping[int, tuple[Body, ...]] = MappingProxyType(
    {
        1: (DOG,),
        2: (DOG, LEAN),
        4: (
            DOG,
            LEAN,
            _walker("12 joints, 60 kg", leg_length=0.75, mass=60.0, thigh_share=0.47, stance=0.7, kp=1.15),
            _walker(
                "8 joints, 4 kg", joints_per_leg=2, leg_length=0.27, mass=4.0, thigh_share=0.53, stance=0.6, kp=0.87
            ),
        ),
    }
)
"""How many bodies a policy learns from -> which."""

UNSEEN: tuple[Body, ...] = (
    _walker("12 joints, 2 kg", leg_length=0.22, mass=2.0, thigh_share=0.52, body_length=1.0, kp=0.9),
    _walker("12 joints, 30 kg", leg_length=0.52, mass=30.0, stance=0.72, body_length=1.1, body_width=0.26, kp=1.2),
    _walker("12 joints, 120 kg", leg_length=0.95, mass=120.0, thigh_share=0.46, stance=0.62, kp=0.8),
    _walker("8 joints, 3 kg", joints_per_leg=2, leg_length=0.24, mass=3.0, body_length=0.8, kp=1.1),
    _walker("8 joints, 18 kg", joints_per_leg=2, leg_length=0.43, mass=18.0, thigh_share=0.55, stance=0.68, kp=0.8),
    _walker(
        "8 joints, 90 kg",
        joints_per_leg=2,
        leg_length=0.85,
        mass=90.0,
        thigh_share=0.48,
        stance=0.6,
        body_length=1.05,
        kp=1.25,
    ),
)
"""Bodies that no source policy meets."""

GO1 = Body(label="go1", robot="go1")
REAL: tuple[Body, ...] = (
    *(Body(label=name, robot=name) for name in ("go2", "a1", "anymal_c")),
    Body(label="google_barkour_vb", robot="menagerie:google_barkour_vb"),
)
"""Robots that a go1's skill is handed to; the last one has no file in this project."""
TAUGHT: tuple[Body, ...] = REAL[1:3]
"""Robots that a go1 teaches."""

ARM_SOURCE = _arm(3)
ARMS: tuple[Body, ...] = tuple(_arm(links) for links in (2, 4, 5, 6, 7))
REAL_ARMS: tuple[Body, ...] = tuple(Body(label=name, robot=name, task="reach") for name in ("so101", "panda"))
