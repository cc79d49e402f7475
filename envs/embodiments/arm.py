"""Arms on a fixed base: joint targets that bring the tool to a point, given in the base frame.

The actor is told how far each joint would turn to bring the tool there, from its own encoders and geometry: what to do
with it is alike for every arm, whatever its number of joints.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
import torch

from envs.actions import joint_targets
from envs.embodiments.embodiment import Actor, Episode, Setting, snapshot
from envs.embodiments.legged import action_map
from envs.observations import Term, joint_terms, privileged
from envs.task import TaskSpec, World
from robots.joint_space import JointSpace
from robots.model import build_model, joint_dof_indices, joint_qpos_indices
from robots.serial_chain import SerialChain, serial_chain
from robots.spec import RobotSpec

POINTS = 1024
"""Reachable points from which targets are drawn."""
RANGE = 1.2
"""Farthest a joint is from the nominal pose when a target is made [rad]."""
DAMPING = 0.2
"""Of the step that tells each joint how far to turn [L/rad]."""
CLEARANCE = 0.1
"""Least height of a target above the floor [L]."""


@dataclass(frozen=True, kw_only=True)
class ArmWorld(World):
    """Ground truth of an arm."""

    error: torch.Tensor
    """(n, 3) from the tool to the target, base frame [m]."""


class Arm:
    """See `envs.embodiments.embodiment.Embodiment`."""

    command_meaning = "(x, y, z) [m] of the tool in the base frame"

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        spec, model, device = setting.spec, setting.physics.model, setting.device
        self._qpos_index = setting.columns(joint_qpos_indices(model, spec))
        self._dof_index = setting.columns(joint_dof_indices(model, spec))
        self._torque = setting.physics.output("actuator_force")
        self._action_map = action_map(setting)
        self._still = torch.zeros(setting.num_envs, 2, device=device)
        chain = serial_chain(spec)
        self.points = setting.tensor(reachable_points(spec, chain))
        self.chain = chain.beside(torch, self.points)
        self.begin()

    @staticmethod
    def terms(spec: RobotSpec, space: JointSpace, task: TaskSpec) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
        length, sign = space.length, space.sign
        nothing, per_length = (0.0,) * 3, (1.0 / length,) * 3
        actor = (
            *joint_terms(space, spec.default_positions, sign),
            Term(name="previous_target", unit="rad", frame="joint", offset=spec.default_positions, scale=sign),
            Term(name="target", unit="m", frame="base", offset=nothing, scale=per_length),
            Term(name="target_error", unit="m", frame="base", offset=nothing, scale=per_length, sensor="encoders"),
            Term(
                name="joint_pull",
                unit="rad",
                frame=f"joint, J_jᵀ·(JJᵀ + ({DAMPING} L)²)⁻¹·target_error",
                offset=(0.0,) * spec.num_joints,
                scale=sign,
                sensor="encoders",
            ),
        )
        return actor, (privileged("true_error", "m", "base", 3, 1.0 / length),)

    @staticmethod
    def ground(spec: RobotSpec, task: TaskSpec) -> Callable[[Any], None] | None:
        return None

    @staticmethod
    def no_op(spec: RobotSpec, task: TaskSpec) -> Actor:
        """Hold the nominal pose."""
        return lambda observation: observation.new_zeros(len(observation), spec.num_joints)

    def begin(self) -> None:
        self.episode = Episode(**self.setting.blank_episode(3))

    def restart(self, worlds: torch.Tensor) -> None:
        self._resample(worlds)

    def drive(self, action: torch.Tensor) -> torch.Tensor:
        self.episode.previous_target = joint_targets(torch, action, self._still, **self._action_map)
        return self.episode.previous_target

    def advance(self) -> None:
        if not self.setting.scoring:
            self._resample(self.setting.happens(self.setting.task.resample_seconds))

    def world(self, previous_action: torch.Tensor) -> ArmWorld:
        physics = self.setting.physics
        joint_pos = snapshot(physics.qpos[:, self._qpos_index])
        return ArmWorld(
            error=self.episode.command - self.chain.tip(torch, joint_pos),
            joint_pos=joint_pos,
            joint_vel=snapshot(physics.qvel[:, self._dof_index]),
            torque=snapshot(self._torque),
            action=self.episode.action,
            previous_action=previous_action,
            command=self.episode.command,
        )

    def sensed(self, world: World) -> dict[str, torch.Tensor]:
        return {"joint_pos": world.joint_pos, "joint_vel": world.joint_vel}

    def actor(self, sensed: dict[str, torch.Tensor]) -> torch.Tensor:
        episode, joint_pos = self.episode, sensed["joint_pos"]
        tip, jacobian = self.chain.tip_and_jacobian(torch, joint_pos)
        error = episode.command - tip
        pull = damped_step(jacobian, error, DAMPING * self.setting.spec.length)
        pieces = [joint_pos, sensed["joint_vel"], episode.previous_target, episode.command, error, pull]
        return torch.cat(pieces, -1)

    def privileged(self, world: World) -> list[torch.Tensor]:
        assert isinstance(world, ArmWorld)
        return [world.error]

    def lost(self, world: World) -> torch.Tensor | None:
        return None

    def _resample(self, worlds: torch.Tensor) -> None:
        setting = self.setting
        chosen = torch.randint(POINTS, (len(worlds),), generator=setting.generator, device=setting.device)
        self.episode.command[worlds] = self.points[chosen]


def damped_step(jacobian: torch.Tensor, error: torch.Tensor, damping: float) -> torch.Tensor:
    """(n, num_joints) turns [rad] that bring the tool closer, by damped least squares (Wampler 1986).

    Unlike the gradient Jᵀ·error they are as large on an arm of two joints as on one of seven, which moves its tool with
    all of them, and lead straight to the target.

    Args:
        jacobian: (n, num_joints, 3) [m/rad].
        error: (n, 3) [m].
        damping: Motions of the tool by less than this for a turn of 1 rad are given up [m/rad].
    """
    square = jacobian.mT @ jacobian + damping**2 * torch.eye(3, dtype=error.dtype, device=error.device)
    x, y, z = square.unbind(-1)  # its inverse, symmetric too, has rows y×z, z×x and x×y over the determinant
    rows = torch.stack([torch.linalg.cross(y, z), torch.linalg.cross(z, x), torch.linalg.cross(x, y)], -2)
    determinant = (x * rows[:, 0]).sum(-1, keepdim=True)
    return (jacobian @ (rows @ error[..., None] / determinant[..., None]))[..., 0]


def reachable_points(spec: RobotSpec, chain: SerialChain, seed: int = 0) -> list[list[float]]:
    """(POINTS, 3) places of the tool [m] in poses near the nominal one that touch neither floor nor arm.

    The same for every run, so that all policies of a robot are asked for the same points.
    """
    rng, model = np.random.default_rng(seed), build_model(spec, contacts="full")
    data = mujoco.MjData(model)
    nominal = np.array(spec.default_positions)
    low, high = np.array([joint.position_limits for joint in spec.joints]).T
    low, high = np.maximum(low, nominal - RANGE), np.minimum(high, nominal + RANGE)
    indices = joint_qpos_indices(model, spec)
    found: list[list[float]] = []
    for _ in range(50 * POINTS):
        q = rng.uniform(low, high)
        data.qpos[:], data.qpos[indices] = model.key_qpos[0], q
        mujoco.mj_fwdPosition(model, data)
        if data.ncon == 0 and data.site(spec.end_effector).xpos[2] > CLEARANCE * spec.length:
            found.append(chain.tip(np, q[None])[0].tolist())
        if len(found) == POINTS:
            return found
    raise ValueError(
        f"robot {spec.name}: only {len(found)} of {50 * POINTS} poses within {RANGE} rad of the nominal one are free "
        "of contact; choose a nominal pose in the middle of the workspace"
    )


EMBODIMENT = Arm
