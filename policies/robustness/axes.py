"""What can be disturbed of a robot, and which values are tried: the axes of robustness."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from envs.randomization import Randomization
from envs.worlds import Worlds
from policies.robustness.conditions import LONGEST_DELAY, PUSH, SENSORS, Condition, condition
from robots.model import has_free_base
from robots.records import nearest


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A property that is disturbed; values are in the unit of its field, `size` turns them into what people know."""

    name: str
    """Field of `Randomization`."""
    title: str
    unit: str
    """That people know."""
    size: float = 1.0
    """Of one unit of the field, in `unit`."""
    nominal: float
    values: tuple[float, ...]
    """Ascending, the nominal one among them."""

    def __post_init__(self) -> None:
        if self.nominal not in self.values or list(self.values) != sorted(set(self.values)):
            raise ValueError(
                f"values must ascend and hold the nominal {self.nominal}, got {self.values} of {self.name}"
            )

    def shown(self, value: float) -> float:
        """A value in the unit that people know."""
        return value * self.size

    def trained(self, randomization: Randomization) -> tuple[float, float]:
        """Least and greatest value in training, in the unit that people know."""
        given = getattr(randomization, self.name)
        low, high = (0.0, given) if self.name == PUSH else given if isinstance(given, tuple) else (given, given)
        return self.shown(low), self.shown(high)


CATALOGUE = (
    Axis(name="delay", title="command delay", unit="ms", nominal=1.0, values=(0, 1, 2, 3, 4, 6, 8, LONGEST_DELAY)),
    Axis(
        name="friction",
        title="friction of the feet",
        unit="1",
        nominal=1.0,
        values=(0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 1.0, 1.5),
    ),
    Axis(
        name="surface_friction",
        title="friction of its surfaces",
        unit="×",
        nominal=1.0,
        values=(0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0),
    ),
    Axis(name="payload", title="payload", unit="kg", nominal=0.0, values=(0.0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0)),
    Axis(name=PUSH, title="push", unit="m/s", nominal=0.0, values=(0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.2)),
    Axis(
        name="strength",
        title="motor strength",
        unit="×",
        nominal=1.0,
        values=(0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 1.0, 1.25),
    ),
    Axis(
        name="slope_x",
        title="slope, downhill ahead",
        unit="%",
        size=100.0,
        nominal=0.0,
        values=(-0.4, -0.25, -0.1, 0.0, 0.1, 0.25, 0.4),
    ),
    Axis(
        name="noise", title="sensor noise and bias", unit="×", nominal=1.0, values=(0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    ),
    Axis(
        name="sensor_delay",
        title="sensor delay",
        unit="ms",
        size=1e3,
        nominal=0.0,
        values=(0.0, 0.02, 0.04, 0.06, 0.09, 0.12),
    ),
)
"""Everything that some robot has; sizes in units of a robot are filled in by `axes_of`."""
PAIR = ("friction", "payload")
"""Axes of the map of pairs where nothing is said and the robot has them."""


def axes_of(env: Worlds) -> dict[str, Axis]:
    """What can be disturbed in these worlds, by name."""
    sizes = {
        "delay": 1e3 * max(joint.actuator.delay for joint in env.spec.joints),
        "payload": env.space.mass,
        PUSH: env.space.speed,
    }
    there = set(env.randomizer.columns)
    if has_free_base(env.randomizer.physics.model, env.spec):
        there.add(PUSH)
    if hasattr(env, "sensing"):
        there.update(SENSORS)
    return {axis.name: replace(axis, size=sizes.get(axis.name, axis.size)) for axis in CATALOGUE if axis.name in there}


def choose_pair(known: dict[str, Axis], names: Sequence[str] = ()) -> tuple[Axis, Axis]:
    """Two axes: those called `names`, else `PAIR`, as far as they are known.

    Raises:
        ValueError: a name is unknown, or they are not two.
    """
    for name in names:
        if name not in known:
            raise ValueError(f"axes: no axis {name!r}{nearest(name, known)}; this robot has {', '.join(known)}")
    usual = [name for name in PAIR if name in known] + [name for name in known if name not in PAIR]
    chosen = list(names) or usual[:2]
    if len(set(chosen)) != 2:
        raise ValueError(f"axes: a map of pairs needs two different axes, got {' '.join(chosen)}")
    first, second = (known[name] for name in chosen)
    return first, second


def at(*places: tuple[Axis, float]) -> Condition:
    """The condition in which some axes have these values, in units of their fields."""
    return condition(**{axis.name: value for axis, value in places if value != axis.nominal})
