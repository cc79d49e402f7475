"""What a robot is: joints, default pose, gains, limits, actuator physics, sensors and feet.

SI, on the joint side of the gearbox. `RobotSpec.joints` fixes the canonical joint order of the whole project; MJCF
order and bus order are mapped to it by name. `sources` says where each group of constants comes from.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from robots.records import decode, encode, require_finite, require_not_negative

ASSETS = Path(__file__).parent / "zoo" / "assets"
Sensor = Literal["imu", "encoders", "foot_contacts"]
"""What hardware can measure: tilt and angular rate of the base, joint angles and rates, load on each foot."""


@dataclass(frozen=True, kw_only=True)
class ActuatorSpec:
    """A geared motor, by itself or under a PD position servo, as the joint feels it.

    Of a sliding joint: [N] for [N·m], [m] for [rad], [kg] for [kg·m²].
    """

    control: Literal["position", "torque"] = "position"
    """What is commanded: a joint target that a PD servo follows, or the torque itself."""
    kp: float = 0.0
    """Stiffness of the servo [N·m/rad]; 0 under torque control."""
    kd: float = 0.0
    """Damping of the servo [N·m·s/rad]; 0 under torque control."""
    torque_limit: float
    """Limit of either sign [N·m]."""
    velocity_limit: float
    """No-load speed [rad/s]."""
    knee_speed: float = 0.0
    """Up to here the torque limit holds; beyond, torque falls in a line to 0 at the no-load speed [rad/s]."""
    armature: float = 0.0
    """Rotor inertia reflected through the gearbox, I·N² [kg·m²]."""
    damping: float = 0.0
    """Viscous friction of the joint [N·m·s/rad]."""
    friction_loss: float = 0.0
    """Coulomb friction of the joint [N·m]."""
    delay: float = 0.0
    """Time from command to torque [s]."""

    def __post_init__(self) -> None:
        require_finite(self)
        for name in ("torque_limit", "velocity_limit"):
            if getattr(self, name) <= 0.0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)}")
        if self.control == "position" and self.kp <= 0.0:
            raise ValueError(f"kp must be > 0, got {self.kp}; only control='torque' has none")
        if self.control == "torque" and (self.kp or self.kd):
            raise ValueError(f"kp and kd must be 0 under torque control, got {self.kp} and {self.kd}")
        require_not_negative(self, "kd", "knee_speed", "armature", "damping", "friction_loss", "delay")
        if self.knee_speed >= self.velocity_limit:
            raise ValueError(
                f"knee_speed must lie below velocity_limit = {self.velocity_limit}, got {self.knee_speed}; 0 lets the "
                f"torque fall from rest on"
            )

    @property
    def stall_torque(self) -> float:
        """Where the line between torque and speed meets rest: the torque limit, or more where there is a knee [N·m]."""
        return self.torque_limit * self.velocity_limit / (self.velocity_limit - self.knee_speed)


@dataclass(frozen=True, kw_only=True)
class JointSpec:
    """A driven joint: a hinge, or a slide, whose positions are [m] and forces [N]."""

    name: str
    """Name in the MJCF."""
    position_limits: tuple[float, float]
    """Mechanical range [rad]."""
    default_position: float
    """Position in the nominal pose, around which policies act [rad]."""
    actuator: ActuatorSpec

    def __post_init__(self) -> None:
        require_finite(self, f"joint {self.name}")
        low, high = self.position_limits
        if low > high:
            raise ValueError(
                f"joint {self.name}: position_limits must be (min, max) with min <= max, got ({low}, {high})"
            )
        if not low <= self.default_position <= high:
            raise ValueError(
                f"joint {self.name}: default_position must lie within [{low}, {high}] rad, got {self.default_position}"
            )


@dataclass(frozen=True, kw_only=True)
class PassiveJointSpec:
    """A joint with an encoder and no motor, like the hinge of a pole on a cart."""

    name: str
    """Name in the MJCF, which also gives its range."""
    default_position: float = 0.0
    """Position in the nominal pose [rad]."""
    damping: float = 0.0
    """Viscous friction [N·m·s/rad]."""
    friction_loss: float = 0.0
    """Coulomb friction [N·m]."""

    def __post_init__(self) -> None:
        require_not_negative(self, "damping", "friction_loss")


@dataclass(frozen=True, kw_only=True)
class ImuSpec:
    """An inertial measurement unit fixed to the base; quaternions are (w, x, y, z)."""

    site: str = "imu"
    """Site in the MJCF; its frame is parallel to the base frame."""
    gyro_noise: float = 0.0
    """Standard deviation of a sample [rad/s]."""
    gyro_bias: float = 0.0
    """Largest constant bias of either sign [rad/s]."""
    gravity_noise: float = 0.0
    """Standard deviation of a component of the measured gravity direction [1]."""

    def __post_init__(self) -> None:
        require_not_negative(self, "gyro_noise", "gyro_bias", "gravity_noise")


@dataclass(frozen=True, kw_only=True)
class EncoderSpec:
    """Joint encoders."""

    position_noise: float = 0.0
    """Standard deviation of a sample [rad]."""
    position_bias: float = 0.0
    """Largest constant offset of either sign after calibration [rad]."""
    velocity_noise: float = 0.0
    """Standard deviation of a sample [rad/s]."""

    def __post_init__(self) -> None:
        require_not_negative(self, "position_noise", "position_bias", "velocity_noise")


@dataclass(frozen=True, kw_only=True)
class FootSpec:
    """A point that carries the robot."""

    name: str
    """Geom in the MJCF that touches the ground; also its leg's name."""
    radius: float
    """Of the contact sphere, or half the thickness of a flat sole [m]."""


@dataclass(frozen=True, kw_only=True)
class RobotSpec:
    """A robot: everything that training, export and the real backend must agree on."""

    name: str
    kind: Literal["quadruped", "humanoid", "hexapod", "arm", "machine"]
    """A "machine" is commanded by torque and may have passive joints: cart-pole, pendulum, acrobot."""
    mjcf: str
    """Path of the MJCF: relative to `robots/zoo/assets`, or absolute."""
    base_body: str
    """Body that carries the free joint and the IMU."""
    joints: tuple[JointSpec, ...]
    """In canonical order."""
    feet: tuple[FootSpec, ...] = ()
    """Legs from front to rear, left before right: two, four or six."""
    passive_joints: tuple[PassiveJointSpec, ...] = ()
    """Joints that only encoders know."""
    end_effector: str = ""
    """Site of an arm's tool in the MJCF; empty where there is none."""
    sensors: tuple[Sensor, ...] = ("imu", "encoders")
    """What it can measure; an actor may see nothing else of the world."""
    imu: ImuSpec = field(default_factory=ImuSpec)
    encoders: EncoderSpec = field(default_factory=EncoderSpec)
    default_height: float
    """Height of the base frame in the nominal pose, feet on the ground [m]."""
    length: float
    """Unit of length L: nominal hip height, or the reach of an arm [m]."""
    mass: float
    """Unit of mass m: the whole robot [kg]; agrees with the MJCF within 0.1 %."""
    control_hz: float = 50.0
    physics_dt: float = 0.004
    """Step of the simulated physics [s]; divides the control period."""
    sources: dict[str, str] = field(default_factory=dict, hash=False)
    """Group of constants -> where they come from."""

    def __post_init__(self) -> None:
        require_finite(self, f"robot {self.name}")
        if len(set(self.measured_joints)) != len(self.measured_joints):
            raise ValueError(f"robot {self.name}: joint names must differ, got {self.measured_joints}")
        for name in ("length", "mass", "control_hz", "physics_dt"):
            if getattr(self, name) <= 0.0:
                raise ValueError(f"robot {self.name}: {name} must be > 0, got {getattr(self, name)}")
        if self.passive_joints and self.kind != "machine":
            raise ValueError(
                f"robot {self.name}: passive_joints must be empty on kind {self.kind!r}, got "
                f"{[joint.name for joint in self.passive_joints]}; only a machine's policy sees what it does not drive"
            )
        substeps = 1.0 / (self.control_hz * self.physics_dt)
        if abs(substeps - round(substeps)) > 1e-6:
            raise ValueError(
                f"robot {self.name}: physics_dt must divide the control period {1 / self.control_hz} s, "
                f"got {self.physics_dt} s ({substeps:.3f} substeps)"
            )

    @property
    def joint_names(self) -> tuple[str, ...]:
        return tuple(joint.name for joint in self.joints)

    @property
    def num_joints(self) -> int:
        return len(self.joints)

    @property
    def default_positions(self) -> tuple[float, ...]:
        return tuple(joint.default_position for joint in self.joints)

    @property
    def default_controls(self) -> tuple[float, ...]:
        """`ctrl` that holds the nominal pose: joint targets [rad], or no torque."""
        return tuple(joint.default_position * (joint.actuator.control == "position") for joint in self.joints)

    @property
    def measured_joints(self) -> tuple[str, ...]:
        """Names of all joints with encoders: the driven ones, then the passive ones."""
        return self.joint_names + tuple(joint.name for joint in self.passive_joints)

    @property
    def substeps(self) -> int:
        """Physics steps in one control period."""
        return round(1.0 / (self.control_hz * self.physics_dt))

    @property
    def mjcf_path(self) -> Path:
        path = Path(self.mjcf)
        return path if path.is_absolute() else ASSETS / path

    @property
    def model_hash(self) -> str:
        """sha256 over this specification, its sources apart, and its MJCF."""
        record = encode(replace(self, mjcf=self.mjcf_path.name, sources={}))
        digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
        digest.update(self.mjcf_path.read_bytes())
        return digest.hexdigest()

    def save_folder(self, folder: Path) -> None:
        """Write `robot.json` and a copy of the MJCF, which `load_folder` reads.

        Mesh files are not copied: a robot folder collides with primitives.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / self.mjcf_path.name).write_bytes(self.mjcf_path.read_bytes())
        record = {"schema": 1, **encode(replace(self, mjcf=self.mjcf_path.name))}
        (folder / "robot.json").write_text(json.dumps(record, indent=2))


def load_folder(folder: Path) -> RobotSpec:
    """The robot in a folder with `robot.json` and its MJCF.

    Raises:
        ValueError: a key is unknown or missing, a value is wrong, or the schema is of another major version.
    """
    path = folder / "robot.json"
    try:
        record = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from error
    schema = record.pop("schema", None) if isinstance(record, dict) else None
    if schema != 1:
        raise ValueError(f"{path}: schema must be 1, got {schema!r}; update sim2real to read newer robots")
    spec = decode(RobotSpec, record, where=str(path))
    return replace(spec, mjcf=str((folder / spec.mjcf).resolve()))
