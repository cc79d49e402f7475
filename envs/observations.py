"""What a policy may see, in raw SI units and contract order; the same lines run in training and on the robot.

Every function takes the array namespace `xp` first (torch in training, numpy on the robot) and works over leading
batch axes. A term's constants turn raw SI into the dimensionless numbers of `robots.joint_space`:
`(raw − offset)·scale`. That affine step lives inside the exported policy, so a robot feeds plain sensor readings.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robots.joint_space import JointSpace

Array = Any
"""A torch tensor or a numpy array."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """One named piece of an observation."""

    name: str
    unit: str
    frame: str
    """Frame or convention the numbers are in."""
    offset: tuple[float, ...]
    """Raw value that means zero, one per channel, in `unit`."""
    scale: tuple[float, ...]
    """Dimensionless per raw unit, one per channel; carries the sign of the semantic axis."""
    measurable: bool = True
    """Whether hardware can measure it: only such terms reach a deployed actor."""
    sensor: str = ""
    """Which of `RobotSpec.sensors` measures it; empty for what a controller knows by itself, like its last command."""

    def __post_init__(self) -> None:
        if not self.unit or not self.frame:
            raise ValueError(
                f"term {self.name}: unit and frame must be stated, got {self.unit!r}, {self.frame!r}; a pure number's "
                "unit is '1'"
            )
        if len(self.offset) != len(self.scale):
            raise ValueError(
                f"term {self.name}: {len(self.offset)} offsets but {len(self.scale)} scales; give one of each a channel"
            )

    @property
    def width(self) -> int:
        return len(self.scale)


def joint_terms(space: "JointSpace", default_position: tuple[float, ...], signs: tuple[float, ...]) -> tuple[Term, ...]:
    """Angles and rates of joints with encoders, in the order of `signs`."""
    rates = tuple(sign * space.time for sign in signs)
    zeros = (0.0,) * len(signs)
    return (
        Term(name="joint_pos", unit="rad", frame="joint", offset=default_position, scale=signs, sensor="encoders"),
        Term(name="joint_vel", unit="rad/s", frame="joint", offset=zeros, scale=rates, sensor="encoders"),
    )


def actor_terms(space: "JointSpace", default_position: tuple[float, ...]) -> tuple[Term, ...]:
    """What a legged robot measures, in the order of `actor_observation`."""
    signs, time = space.sign, space.time
    return (
        Term(name="gravity", unit="1", frame="base, unit vector", offset=(0.0,) * 3, scale=(1.0,) * 3, sensor="imu"),
        Term(name="gyro", unit="rad/s", frame="base", offset=(0.0,) * 3, scale=(time,) * 3, sensor="imu"),
        Term(
            name="command",
            unit="m/s, m/s, rad/s",
            frame="base yaw",
            offset=(0.0,) * 3,
            scale=(1.0 / space.speed, 1.0 / space.speed, time),
        ),
        *joint_terms(space, default_position, signs),
        Term(name="previous_target", unit="rad", frame="joint", offset=default_position, scale=signs),
        Term(
            name="clock",
            unit="1",
            frame="sine and cosine of the gait phase; zero when standing",
            offset=(0.0,) * 2,
            scale=(1.0,) * 2,
        ),
    )


def privileged_terms(space: "JointSpace", num_feet: int) -> tuple[Term, ...]:
    """What only a simulator knows of a legged robot; critics and teachers may see it."""
    return (
        privileged("base_velocity", "m/s", "base", 3, 1.0 / space.speed),
        privileged("base_height", "m", "world z, above the ground", 1, 1.0 / space.length),
        privileged("foot_heights", "m", "world z, above the ground", num_feet, 1.0 / space.length),
        privileged("foot_contacts", "1", "1 where a foot is on the ground", num_feet, 1.0),
    )


def hidden_term(num_hidden: int) -> tuple[Term, ...]:
    """The randomized parameters that a teacher sees, behind everything else."""
    frame = "−1..1 over the default ranges of randomization"
    return (privileged("hidden_parameters", "1", frame, num_hidden, 1.0),)


def privileged(name: str, unit: str, frame: str, width: int, scale: float) -> Term:
    """A term that no hardware measures, all channels scaled alike."""
    return Term(name=name, unit=unit, frame=frame, offset=(0.0,) * width, scale=(scale,) * width, measurable=False)


def projected_gravity(xp: Any, orientation: Array) -> Array:
    """Direction of gravity in the base frame, (..., 3), from the base orientation (w, x, y, z), (..., 4)."""
    w, x, y, z = orientation[..., 0], orientation[..., 1], orientation[..., 2], orientation[..., 3]
    return xp.stack([2.0 * (w * y - x * z), -2.0 * (y * z + w * x), 2.0 * (x * x + y * y) - 1.0], -1)


def actor_observation(
    xp: Any,
    *,
    gravity: Array,
    gyro: Array,
    command: Array,
    joint_pos: Array,
    joint_vel: Array,
    previous_target: Array,
    clock: Array,
) -> Array:
    """The measurable observation, (..., 9 + 3·num_joints + 2), raw SI, in the order of `actor_terms`."""
    return xp.concatenate([gravity, gyro, command, joint_pos, joint_vel, previous_target, clock], -1)
