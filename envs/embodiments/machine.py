"""Torque-controlled machines: cart-pole, pendulum, acrobot. An action is a share of each motor's torque limit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import torch

from envs.embodiments.embodiment import Actor, Episode, Setting, snapshot
from envs.observations import Term, privileged
from envs.task import TaskSpec, World
from robots.joint_space import JointSpace
from robots.model import default_data, measured_dof_indices, measured_qpos_indices
from robots.spec import RobotSpec


@dataclass(frozen=True, kw_only=True)
class MachineWorld(World):
    """Ground truth of a machine."""

    deviation: torch.Tensor
    """(n, num_measured) of every joint from the nominal pose: hinges within ±π [rad], slides in units of L."""
    rate: torch.Tensor
    """(n, num_measured) of every joint, rad or L per T."""
    com_height: torch.Tensor
    """(n,) centre of mass of what moves above that of the nominal pose, one physics step old [m]."""


class Machine:
    """See `envs.embodiments.embodiment.Embodiment`."""

    command_meaning = ""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        spec, model, device = setting.spec, setting.physics.model, setting.device
        self._qpos_index = setting.columns(measured_qpos_indices(model, spec))
        self._dof_index = setting.columns(measured_dof_indices(model, spec))
        self._nominal = setting.tensor(nominal(spec))
        hinges = hinged(spec)
        self._is_hinge = torch.tensor(hinges, device=device)
        self._unit = setting.tensor([1.0 if hinge else setting.space.length for hinge in hinges])
        self._limit = setting.tensor([joint.actuator.torque_limit for joint in spec.joints])
        self._mass = torch.from_numpy(model.body_mass).to(device).float()
        self._xipos, self._torque = setting.physics.output("xipos"), setting.physics.output("actuator_force")
        self._nominal_com = nominal_com_height(model)
        self.begin()

    @staticmethod
    def terms(spec: RobotSpec, space: JointSpace, task: TaskSpec) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
        hinges, time = hinged(spec), space.time
        unit = ", ".join("rad" if hinge else "m" for hinge in dict.fromkeys(hinges))
        scale = tuple(1.0 if hinge else 1.0 / space.length for hinge in hinges)
        position = Term(
            name="joint_pos", unit=unit, frame="joint", offset=nominal(spec), scale=scale, sensor="encoders"
        )
        velocity = Term(
            name="joint_vel",
            unit=", ".join(f"{one}/s" for one in unit.split(", ")),
            frame="joint",
            offset=(0.0,) * len(hinges),
            scale=tuple(one * time for one in scale),
            sensor="encoders",
        )
        limits = tuple(1.0 / joint.actuator.torque_limit for joint in spec.joints)
        torque = Term(name="previous_torque", unit="N·m", frame="joint", offset=(0.0,) * spec.num_joints, scale=limits)
        height = privileged("com_height", "m", "world z, above that of the nominal pose", 1, 1.0 / space.length)
        return (position, velocity, torque), (height,)

    @staticmethod
    def ground(spec: RobotSpec, task: TaskSpec) -> Callable[[Any], None] | None:
        return None

    @staticmethod
    def no_op(spec: RobotSpec, task: TaskSpec) -> Actor:
        """No torque."""
        return lambda observation: observation.new_zeros(len(observation), spec.num_joints)

    def begin(self) -> None:
        self.episode = Episode(**self.setting.blank_episode(0))

    def restart(self, worlds: torch.Tensor) -> None:
        """Nothing is asked of a machine but its task."""

    def drive(self, action: torch.Tensor) -> torch.Tensor:
        self.episode.previous_target = action.clamp(-1.0, 1.0) * self._limit
        return self.episode.previous_target

    def advance(self) -> None:
        """No clock runs."""

    def world(self, previous_action: torch.Tensor) -> MachineWorld:
        physics = self.setting.physics
        position, velocity = snapshot(physics.qpos[:, self._qpos_index]), snapshot(physics.qvel[:, self._dof_index])
        deviation = position - self._nominal
        turned = torch.remainder(deviation + torch.pi, 2.0 * torch.pi) - torch.pi
        height = (self._xipos[:, :, 2].float() * self._mass).sum(-1) / self._mass.sum()
        return MachineWorld(
            deviation=torch.where(self._is_hinge, turned, deviation) / self._unit,
            rate=velocity * (self.setting.space.time / self._unit),
            com_height=height - self._nominal_com,
            joint_pos=position,
            joint_vel=velocity,
            torque=snapshot(self._torque),
            action=self.episode.action,
            previous_action=previous_action,
            command=self.episode.command,
        )

    def sensed(self, world: World) -> dict[str, torch.Tensor]:
        assert isinstance(world, MachineWorld)
        return {"joint_pos": world.deviation * self._unit + self._nominal, "joint_vel": world.joint_vel}

    def actor(self, sensed: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.cat([sensed["joint_pos"], sensed["joint_vel"], self.episode.previous_target], -1)

    def privileged(self, world: World) -> list[torch.Tensor]:
        assert isinstance(world, MachineWorld)
        return [world.com_height[:, None]]

    def lost(self, world: World) -> torch.Tensor | None:
        return None


def nominal(spec: RobotSpec) -> tuple[float, ...]:
    """Nominal positions of all joints with encoders."""
    return spec.default_positions + tuple(joint.default_position for joint in spec.passive_joints)


def hinged(spec: RobotSpec) -> tuple[bool, ...]:
    """Which of the joints with encoders turn; the others slide."""
    kinds = {joint.name: joint.type for joint in mujoco.MjSpec.from_file(str(spec.mjcf_path)).joints}
    return tuple(kinds[name] == mujoco.mjtJoint.mjJNT_HINGE for name in spec.measured_joints)


def nominal_com_height(model: Any) -> float:
    """Height of the centre of mass in the nominal pose [m]."""
    data = default_data(model)
    return float(data.xipos[:, 2] @ model.body_mass / model.body_mass.sum())


EMBODIMENT = Machine
