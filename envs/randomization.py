"""Domain randomization: what may differ between a simulated robot and the real one, sampled per world.

`Randomizer.apply` writes absolute parameter values into the physics. Factors multiply the nominal model, so a sample
never compounds with the last one. What a teacher sees of them is `Randomizer.hidden`: the values on one fixed scale,
−1..1 over the default ranges, whatever the ranges of the run.
"""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path

import torch

from envs.physics.interface import Physics
from robots.joint_space import JointSpace
from robots.model import foot_geom_ids, joint_dof_indices
from robots.records import decode
from robots.spec import RobotSpec

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Randomization:
    """Ranges of hidden parameters; equal ends switch one off."""

    mass: Range = (0.85, 1.15)
    """Factor on mass and inertia of the base."""
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
    """Factor on the torque limit."""
    delay: Range = (0.0, 2.5)
    """Factor on the nominal time from command to torque."""
    noise: float = 1.0
    """Factor on the sensors' noise and bias; 0 switches them off."""
    push_speed: float = 0.2
    """Largest sudden change of the base's velocity, in units of √(gL)."""
    push_seconds: float = 5.0
    """Mean time between pushes [s]."""

    def __post_init__(self) -> None:
        for name in PARAMETERS:
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must be (low, high) with low <= high, got ({low}, {high})")
            if low < 0.0 and not name.startswith("com_"):
                raise ValueError(f"{name} must not be negative, got ({low}, {high})")
        if self.noise < 0.0 or self.push_speed < 0.0 or self.push_seconds <= 0.0:
            raise ValueError("noise and push_speed must be >= 0 and push_seconds > 0")

    @property
    def ranges(self) -> torch.Tensor:
        """(num_parameters, 2)."""
        return torch.tensor([getattr(self, name) for name in PARAMETERS], dtype=torch.float64)


PARAMETERS = tuple(
    field.name for field in fields(Randomization) if field.name not in ("noise", "push_speed", "push_seconds")
)
"""Names of the sampled parameters, in the order of a sample."""

MODEL_FIELDS = (
    "body_mass",
    "body_inertia",
    "body_ipos",
    "geom_friction",
    "dof_damping",
    "dof_frictionloss",
    "actuator_gainprm",
    "actuator_biasprm",
    "actuator_forcerange",
    "actuator_delay",
)
"""What a sample writes."""

_OFF = dict.fromkeys(PARAMETERS, (1.0, 1.0)) | dict.fromkeys(("com_x", "com_y", "com_z"), (0.0, 0.0))
PRESETS = {
    "default": Randomization(),
    "none": Randomization(**_OFF, push_speed=0.0),  # type: ignore[arg-type]
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


def delay_range(randomization: Randomization, spec: RobotSpec) -> Range:
    """Shortest and longest time from command to torque that a policy meets [s]."""
    delays = [joint.actuator.delay for joint in spec.joints]
    return min(delays) * randomization.delay[0], max(delays) * randomization.delay[1]


def delay_samples(randomization: Randomization, spec: RobotSpec) -> int:
    """Length of the actuators' delay buffers in physics steps; MuJoCo clamps a longer delay silently."""
    return math.ceil(delay_range(randomization, spec)[1] / spec.physics_dt) + 1


class Randomizer:
    """Writes samples of a `Randomization` into the worlds of a physics engine."""

    def __init__(self, randomization: Randomization, physics: Physics, spec: RobotSpec, space: JointSpace) -> None:
        self.ranges = randomization.ranges
        self.physics = physics
        self.length = space.length
        model = physics.model
        self.base = model.body(spec.base_body).id
        self.feet = torch.from_numpy(foot_geom_ids(model, spec))
        self.dofs = torch.from_numpy(joint_dof_indices(model, spec))
        self.fields = {name: physics.model_field(name) for name in MODEL_FIELDS}
        self.nominal = {name: field[0].clone() for name, field in self.fields.items()}
        self.values = torch.zeros(physics.num_worlds, len(PARAMETERS), dtype=torch.float64)
        """(num_worlds, num_parameters), what each world runs with, in the order of `PARAMETERS`."""
        self._reference = PRESETS["default"].ranges

    @property
    def hidden(self) -> torch.Tensor:
        """(num_worlds, num_parameters), −1..1 over the default ranges."""
        low, high = self._reference[:, 0], self._reference[:, 1]
        return (2.0 * (self.values - low) / (high - low) - 1.0).float()

    def resample(self, worlds: torch.Tensor, generator: torch.Generator) -> None:
        """Draw new parameters for `worlds`, (n,), and write them."""
        low, high = self.ranges[:, 0], self.ranges[:, 1]
        self.apply(worlds, low + (high - low) * torch.rand(len(worlds), len(PARAMETERS), generator=generator).double())

    def apply(self, worlds: torch.Tensor, values: torch.Tensor) -> None:
        """Write parameter values, (n, num_parameters), into `worlds`, (n,)."""
        self.values[worlds] = values
        value = dict(zip(PARAMETERS, values.unbind(-1), strict=True))
        self._write_base(worlds, value)
        self._write_joints(worlds, value)
        self.fields["geom_friction"][worlds[:, None], self.feet, 0] = (
            value["friction"][:, None] * torch.ones(len(self.feet)).double()
        )
        self.physics.set_const(worlds)

    def _write_base(self, worlds: torch.Tensor, value: dict[str, torch.Tensor]) -> None:
        nominal, base = self.nominal, self.base
        shift = torch.stack([value["com_x"], value["com_y"], value["com_z"]], -1) * self.length
        self.fields["body_mass"][worlds, base] = nominal["body_mass"][base] * value["mass"]
        self.fields["body_inertia"][worlds, base] = nominal["body_inertia"][base] * value["mass"][:, None]
        self.fields["body_ipos"][worlds, base] = nominal["body_ipos"][base] + shift

    def _write_joints(self, worlds: torch.Tensor, value: dict[str, torch.Tensor]) -> None:
        nominal, fields = self.nominal, self.fields
        rows, dofs = worlds[:, None], self.dofs
        fields["dof_damping"][rows, dofs] = nominal["dof_damping"][dofs] * value["damping"][:, None]
        fields["dof_frictionloss"][rows, dofs] = nominal["dof_frictionloss"][dofs] * value["friction_loss"][:, None]
        fields["actuator_gainprm"][worlds, :, 0] = nominal["actuator_gainprm"][:, 0] * value["kp"][:, None]
        fields["actuator_biasprm"][worlds, :, 1] = nominal["actuator_biasprm"][:, 1] * value["kp"][:, None]
        fields["actuator_biasprm"][worlds, :, 2] = nominal["actuator_biasprm"][:, 2] * value["kd"][:, None]
        fields["actuator_forcerange"][worlds] = nominal["actuator_forcerange"] * value["strength"][:, None, None]
        fields["actuator_delay"][worlds] = nominal["actuator_delay"] * value["delay"][:, None]
