"""The one agreement between trainer, exporter, rehearsal and robot.

Written by the trainer, read by everyone else, re-derived by nobody. It imports neither torch nor MuJoCo, so that a
robot's computer can read it. Arrays are tuples in the canonical joint order of the RobotSpec; SI throughout.
"""

import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from envs.actions import ACTION_CLIP, ACTION_SCALE
from envs.commands import GAIT_FREQUENCY
from envs.observations import Term, actor_terms
from policies.architecture import Architecture
from robots.records import decode, encode, require_finite
from robots.spec import RobotSpec

if TYPE_CHECKING:
    from robots.joint_space import JointSpace

SCHEMA = 1
Vector = tuple[float, ...]
PER_JOINT = (
    "default_position",
    "action_scale",
    "lift",
    "leg_sign",
    "position_low",
    "position_high",
    "velocity_limit",
    "torque_limit",
    "kp",
    "kd",
)
"""Fields with one value a joint."""
ACTIVATIONS = ("elu", "relu", "tanh")


class ContractError(ValueError):
    """Two sides of a policy disagree; the message names the field."""


@dataclass(frozen=True, kw_only=True)
class PolicyContract:
    """Everything a controller must agree on with the training run."""

    schema: int = SCHEMA
    robot: str
    model_hash: str
    """`RobotSpec.model_hash` of the robot that the policy was trained on."""
    task: str
    joint_names: tuple[str, ...]
    default_position: Vector
    """Nominal pose [rad]."""
    action_scale: Vector
    """Signed joint travel of one unit of action [rad]."""
    action_clip: float = ACTION_CLIP
    lift: Vector
    """Open-loop joint offsets at the height of the swing [rad]."""
    leg_sign: Vector
    """+1 for joints of legs that swing while sin(phase) > 0, else −1."""
    position_low: Vector
    """Lower limit of joint targets [rad]."""
    position_high: Vector
    velocity_limit: Vector
    """[rad/s]."""
    torque_limit: Vector
    """[N·m]."""
    kp: Vector
    """[N·m/rad]."""
    kd: Vector
    """[N·m·s/rad]."""
    control_period: float
    """[s]."""
    delay_range: tuple[float, float]
    """Command delays seen in training [s]."""
    gait_frequency: float
    """[Hz]."""
    length: float
    """Unit of length L [m]."""
    mass: float
    """Unit of mass m [kg]."""
    speed: float
    """Unit of speed √(gL) [m/s]."""
    time: float
    """Unit of time √(L/g) [s]."""
    quaternion_order: str = "wxyz"
    observations: tuple[Term, ...]
    """Terms of one frame, in order."""
    history: int = 1
    """Frames stacked by the control loop, oldest first."""
    architecture: Architecture = "mlp"
    """Shape of the network; see `policies.architecture`."""
    activation: str = "elu"
    """Between its layers."""
    memory: int = 0
    """Width of the recurrent state that the control loop keeps, zeros at the start; 0 for a policy without one."""
    command_low: tuple[float, float, float]
    """Least command trained: vx [m/s], vy [m/s], yaw rate [rad/s]."""
    command_high: tuple[float, float, float]
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            require_finite(self)
        except ValueError as error:
            raise ContractError(f"contract field {error}") from error
        for name in PER_JOINT:
            if len(getattr(self, name)) != len(self.joint_names):
                raise ContractError(
                    f"contract field {name} must have one value a joint, {len(self.joint_names)}, "
                    f"got {len(getattr(self, name))}"
                )
        if self.quaternion_order != "wxyz":
            raise ContractError(f"contract field quaternion_order must be 'wxyz', got {self.quaternion_order!r}")
        for name in ("control_period", "gait_frequency", "length", "mass", "speed", "time", "history", "action_clip"):
            if getattr(self, name) <= 0:
                raise ContractError(f"contract field {name} must be > 0, got {getattr(self, name)}")
        self._check_network()

    def _check_network(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ContractError(
                f"contract field activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}"
            )
        if (self.architecture == "gru") != (self.memory > 0) or self.memory < 0:
            raise ContractError(
                f"contract field memory must be > 0 for architecture 'gru' and 0 for any other, got {self.memory} "
                f"for {self.architecture!r}"
            )
        if self.memory and self.history != 1:
            raise ContractError(
                f"contract field history must be 1 for a policy with memory, which remembers by itself, "
                f"got {self.history}"
            )

    @property
    def num_joints(self) -> int:
        return len(self.joint_names)

    @property
    def frame_width(self) -> int:
        """Channels of one observation frame."""
        return sum(term.width for term in self.observations)

    @property
    def input_width(self) -> int:
        """Channels the policy takes: all frames of the history."""
        return self.frame_width * self.history

    @property
    def unmeasurable(self) -> tuple[str, ...]:
        """Names of the terms that no hardware measures; a deployable policy has none."""
        return tuple(term.name for term in self.observations if not term.measurable)

    def to_json(self) -> str:
        return json.dumps(encode(self), indent=2, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "PolicyContract":
        """Read a contract.

        Raises:
            ContractError: no JSON mapping, of another major version, or with unknown, missing or mistyped fields.
        """
        try:
            record = json.loads(text)
        except ValueError as error:
            raise ContractError(f"contract: expected JSON, {error}") from error
        if not isinstance(record, dict):
            raise ContractError(f"contract: expected a mapping, got {type(record).__name__}")
        if record.get("schema") != SCHEMA:
            raise ContractError(
                f"contract schema must be {SCHEMA}, got {record.get('schema')!r}; update sim2real to read it"
            )
        try:
            return decode(PolicyContract, record, where="contract")
        except ValueError as error:
            raise ContractError(str(error)) from error

    def check_robot(self, spec: RobotSpec) -> None:
        """Refuse a robot that differs from the one trained on.

        Raises:
            ContractError: naming the first field that disagrees.
        """
        actuators = [joint.actuator for joint in spec.joints]
        theirs = {
            "robot": spec.name,
            "joint_names": spec.joint_names,
            "default_position": spec.default_positions,
            "control_period": 1.0 / spec.control_hz,
            "kp": tuple(actuator.kp for actuator in actuators),
            "kd": tuple(actuator.kd for actuator in actuators),
            "torque_limit": tuple(actuator.torque_limit for actuator in actuators),
            "model_hash": spec.model_hash,
        }
        for name, value in theirs.items():
            if getattr(self, name) != value:
                raise ContractError(
                    f"contract field {name} disagrees: the policy was trained for {getattr(self, name)!r}, "
                    f"this robot has {value!r}; deploy a bundle made for {spec.name!r}, or transfer the skill to it "
                    "first"
                )

    def differences(self, other: "PolicyContract") -> list[str]:
        """Names of the fields in which two contracts differ, provenance apart."""
        return [
            f.name for f in fields(self) if f.name != "provenance" and getattr(self, f.name) != getattr(other, f.name)
        ]


def contract_for(
    spec: RobotSpec,
    space: "JointSpace",
    *,
    task: str,
    command_high: tuple[float, float, float],
    delay_range: tuple[float, float],
    extra_terms: tuple[Term, ...] = (),
    history: int = 1,
    architecture: Architecture = "mlp",
    activation: str = "elu",
    memory: int = 0,
    provenance: dict[str, Any] | None = None,
) -> PolicyContract:
    """The contract of a legged policy on `spec`.

    Args:
        spec: The robot.
        space: Its dimensionless units.
        task: Name of the task.
        command_high: Largest command trained, in units of √(gL), √(gL), 1/T; the least is its negative.
        delay_range: Command delays seen in training [s].
        extra_terms: Privileged terms behind the measurable ones, for teachers.
        history: Frames stacked, oldest first.
        architecture: Shape of the network.
        activation: Between its layers.
        memory: Width of its recurrent state, 0 for none.
        provenance: Recipe hash, code commit, parents, seeds.
    """
    actuators = [joint.actuator for joint in spec.joints]
    high = (command_high[0] * space.speed, command_high[1] * space.speed, command_high[2] / space.time)
    return PolicyContract(
        robot=spec.name,
        model_hash=spec.model_hash,
        task=task,
        joint_names=spec.joint_names,
        default_position=spec.default_positions,
        action_scale=tuple(ACTION_SCALE * sign for sign in space.sign),
        lift=space.lift,
        leg_sign=space.leg_sign,
        position_low=tuple(joint.position_limits[0] for joint in spec.joints),
        position_high=tuple(joint.position_limits[1] for joint in spec.joints),
        velocity_limit=tuple(actuator.velocity_limit for actuator in actuators),
        torque_limit=tuple(actuator.torque_limit for actuator in actuators),
        kp=tuple(actuator.kp for actuator in actuators),
        kd=tuple(actuator.kd for actuator in actuators),
        control_period=1.0 / spec.control_hz,
        delay_range=delay_range,
        gait_frequency=GAIT_FREQUENCY / space.time,
        length=space.length,
        mass=space.mass,
        speed=space.speed,
        time=space.time,
        observations=actor_terms(space, spec.default_positions) + extra_terms,
        history=history,
        architecture=architecture,
        activation=activation,
        memory=memory,
        command_low=(-high[0], -high[1], -high[2]),
        command_high=high,
        provenance=provenance or {},
    )
