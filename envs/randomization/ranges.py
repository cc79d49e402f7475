"""Randomization: the ranges of everything that may differ between a simulated robot and the real one."""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path

from envs.randomization.parameter import Range
from envs.randomization.terms import MODEL_TERMS, PARAMETERS
from robots.records import decode, nearest
from robots.spec import RobotSpec


@dataclass(frozen=True, kw_only=True)
class Randomization:
    """Ranges of hidden parameters; equal ends fix one, and a factor of 1, a shift of 0 leave it as it is."""

    mass: Range = (0.85, 1.15)
    """Factor on mass and inertia of the base; of all links where the base is fixed."""
    com_x: Range = (-0.1, 0.1)
    """Shift of the base's centre of mass, in units of L."""
    com_y: Range = (-0.07, 0.07)
    com_z: Range = (-0.07, 0.07)
    friction: Range = (0.4, 1.25)
    """Sliding friction between feet and ground [1]."""
    kp: Range = (0.8, 1.2)
    """Factor on the servo's stiffness."""
    kd: Range = (0.8, 1.2)
    """Factor on the servo's damping."""
    damping: Range = (0.5, 2.0)
    """Factor on the joints' viscous friction."""
    friction_loss: Range = (0.5, 2.0)
    """Factor on the joints' Coulomb friction."""
    strength: Range = (0.85, 1.05)
    """Factor on all torque a motor can give: its limit, and its line between torque and speed."""
    delay: Range = (0.0, 2.5)
    """Factor on the nominal time from command to torque."""
    armature: Range = (1.0, 1.0)
    """Factor on the rotors' reflected inertia."""
    foot_friction: Range = (1.0, 1.0)
    """Factor on the friction of each foot by itself."""
    surface_friction: Range = (0.6, 1.4)
    """Factor on the sliding friction of all that touches, of a machine without feet."""
    payload: Range = (0.0, 0.0)
    """Point mass on the base, or in an arm's tool, in units of m."""
    slope_x: Range = (0.0, 0.0)
    """Horizontal part of gravity, in units of g: the tangent of a tilted world's angle."""
    slope_y: Range = (0.0, 0.0)
    contact_time: Range = (1.0, 1.0)
    """Factor on the time constant of the feet's contacts."""
    contact_width: Range = (1.0, 1.0)
    """Factor on the depth over which the feet's contacts stiffen."""
    link_length: Range = (1.0, 1.0)
    """Factor on the links of a parametric robot (`robots.families`)."""
    separate: tuple[str, ...] = ()
    """Parameters of joints that are drawn for each joint by itself, as "kp"; the others are one factor for all."""
    noise: float = 1.0
    """Factor on the sensors' noise and bias; 0 switches them off."""
    bias: float = 1.0
    """Factor on the sensors' bias alone."""
    quantization: float = 0.0
    """Step of the joint encoders [rad]."""
    imu_tilt: float = 0.0
    """Largest angle by which the IMU is mounted askew [rad]."""
    dropout: float = 0.0
    """Chance that a sensor's sample is lost and the one before it stays."""
    sensor_delay: Range = (0.0, 0.0)
    """Age of a sensor's sample [s]."""
    sensor_jitter: float = 0.0
    """Largest additional age, drawn anew each control step [s]."""
    delay_jitter: float = 0.0
    """Largest additional time from command to torque, in units of the nominal one, drawn anew each control step."""
    push_speed: float = 0.2
    """Largest sudden change of the base's velocity, in units of √(gL)."""
    push_seconds: float = 5.0
    """Mean time between pushes [s]."""
    force: float = 0.0
    """Largest component of a random force on what carries loads, in units of mg."""
    force_seconds: float = 1.0
    """Mean time that a random force lasts [s]."""

    def __post_init__(self) -> None:
        for name in RANGES:
            _check_range(name, getattr(self, name))
        for name in SCALARS:
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be >= 0 and finite, got {getattr(self, name)}")
        if self.push_seconds == 0.0 or self.force_seconds == 0.0:
            raise ValueError(
                "push_seconds and force_seconds must be > 0 [s]; push_speed=0 or force=0 switches them off"
            )
        if self.dropout > 1.0:
            raise ValueError(f"dropout must be a chance within 0..1, got {self.dropout}")
        for name in self.separate:
            if name not in JOINT_PARAMETERS:
                raise ValueError(
                    f"separate: {name!r} is no parameter of a joint{nearest(name, JOINT_PARAMETERS)}; "
                    f"there are {', '.join(JOINT_PARAMETERS)}"
                )


JOINT_PARAMETERS = tuple(parameter.name for parameter in MODEL_TERMS if parameter.per == "joint")
RANGES = tuple(field.name for field in fields(Randomization) if field.type == Range)
SCALARS = tuple(field.name for field in fields(Randomization) if field.type is float)
_SIGNED = ("com_x", "com_y", "com_z", "slope_x", "slope_y")


def _check_range(name: str, given: Range) -> None:
    low, high = given
    if not low <= high or math.inf in (-low, high):
        raise ValueError(f"{name} must be (low, high) with low <= high, got ({low}, {high})")
    if low < 0.0 and name not in _SIGNED:
        raise ValueError(f"{name} must not be negative, got ({low}, {high})")


_NOMINAL = {parameter.name: (parameter.nominal, parameter.nominal) for parameter in MODEL_TERMS}
PRESETS = {
    "default": Randomization(),
    "none": Randomization(**_NOMINAL, push_speed=0.0),  # type: ignore[arg-type]
    "full": Randomization(
        **{parameter.name: parameter.full for parameter in MODEL_TERMS},  # type: ignore[arg-type]
        separate=JOINT_PARAMETERS,
        quantization=0.0015,  # 12 bits a turn
        imu_tilt=0.02,
        dropout=0.02,
        sensor_delay=(0.0, 0.01),
        sensor_jitter=0.005,
        delay_jitter=0.5,
        force=0.05,
    ),
}
"""Randomization by name; "none" is the nominal model on ground of friction 1, with sensor noise."""


def preset(name: str) -> Randomization:
    """The randomization called `name`, or in the JSON file of that name.

    Raises:
        LookupError: there is neither.
        ValueError: the file has an unknown or mistyped key.
    """
    if name in PRESETS:
        return PRESETS[name]
    if Path(name).suffix == ".json" and Path(name).is_file():
        return decode(Randomization, json.loads(Path(name).read_text()), where=name)
    raise LookupError(f"no randomization named {name!r}; there are {', '.join(PRESETS)}, and JSON files of ranges")


def is_presets_own(name: str, value: object) -> bool:
    """Whether a preset has this value too: then nobody asked for it by itself."""
    return any(getattr(known, name) == value for known in PRESETS.values())


def refuse(name: str, value: object, spec: RobotSpec, reason: str) -> None:
    """Complain about something asked for that a robot cannot have; a preset's own is dropped without a word.

    Raises:
        ValueError: no preset has this value.
    """
    if not is_presets_own(name, value):
        raise ValueError(
            f"randomization {name}={value}: {reason} on robot {spec.name}; leave {name} out, or choose another robot"
        )


def hidden_width(spec: RobotSpec) -> int:
    """How many hidden parameters a teacher sees of a robot: as many of every one."""
    return len(PARAMETERS)


def delay_range(randomization: Randomization, spec: RobotSpec) -> Range:
    """Shortest and longest time from command to torque that a policy meets [s]."""
    delays = [joint.actuator.delay for joint in spec.joints]
    longest = randomization.delay[1] + randomization.delay_jitter
    return min(delays) * randomization.delay[0], max(delays) * longest


def delay_samples(randomization: Randomization, spec: RobotSpec) -> int:
    """Length of the actuators' delay buffers in physics steps; MuJoCo clamps a longer delay silently."""
    return math.ceil(delay_range(randomization, spec)[1] / spec.physics_dt) + 1


def check_delays_fit(longest: float, buffers: float) -> None:
    """Refuse delays that MuJoCo would clamp without a word.

    Args:
        longest: Longest delay that may be asked for [s].
        buffers: What the shortest delay buffer holds [s].

    Raises:
        ValueError: they do not fit.
    """
    if longest > buffers + 1e-9:
        raise ValueError(
            f"delay: actuators' delay buffers hold {1e3 * buffers:.3f} ms, but delays reach {1e3 * longest:.3f} ms, "
            "which MuJoCo would clamp silently; compile with build_model(spec, delay_samples=delay_samples("
            "randomization, spec))"
        )
