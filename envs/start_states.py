"""States in which episodes begin.

Whole state rows are kept, time and delay buffers included, since writing parts of a row collapses MuJoCo's native
actuator delay. Every function takes scratch worlds in the nominal pose and returns their rows, one start state each;
worlds that diverged are left out.
"""

import math

import mujoco
import numpy as np
import torch

from envs.draws import rand, uniform
from envs.physics.interface import Physics
from robots.model import joint_qpos_indices, measured_qpos_indices
from robots.spec import RobotSpec

POOL = 64
"""Start states kept."""
SETTLE_TIME = 2.93
"""Of a fall onto the feet, in units of T: 0.5 s on a go1, and the same motion on every similar robot."""
JOINT_SPREAD = 0.1
"""Largest offset of a joint from the nominal pose before settling [rad], of a slide in units of L."""
DROP_TIME = 8.8
"""Of a fall onto the ground from any attitude, in units of T: 1.5 s on a go1."""


def settled(physics: Physics, spec: RobotSpec, generator: torch.Generator) -> torch.Tensor:
    """Robots that fell a little onto their feet under their own servos, (n, num_state)."""
    indices = _indices(joint_qpos_indices(physics.model, spec), physics)
    physics.qpos[:, indices] += uniform(generator, physics.num_worlds, len(indices)) * JOINT_SPREAD
    if spec.feet:
        physics.qpos[:, 2] += 0.02 * spec.length
    return _after(SETTLE_TIME, physics, spec)


def nearby(physics: Physics, spec: RobotSpec, generator: torch.Generator) -> torch.Tensor:
    """Robots at rest near their nominal pose, every joint a little off, (num_worlds, num_state)."""
    indices = _indices(measured_qpos_indices(physics.model, spec), physics)
    slides = [physics.model.joint(name).type[0] == mujoco.mjtJoint.mjJNT_SLIDE for name in spec.measured_joints]
    unit = torch.tensor([spec.length if slide else 1.0 for slide in slides], device=physics.device)
    physics.qpos[:, indices] += uniform(generator, physics.num_worlds, len(indices)) * JOINT_SPREAD * unit
    return physics.save()


def lying(physics: Physics, spec: RobotSpec, generator: torch.Generator) -> torch.Tensor:
    """Robots that fell to the ground from any attitude with their joints anywhere, (n, num_state)."""
    low, high = torch.tensor([joint.position_limits for joint in spec.joints], device=physics.device).double().T
    share = rand(generator, physics.num_worlds, spec.num_joints)
    nominal = torch.tensor(spec.default_positions, device=physics.device).double()
    low, high = torch.maximum(low, nominal - 1.5), torch.minimum(high, nominal + 1.5)
    targets = low + (high - low) * (0.1 + 0.8 * share)
    attitude = torch.randn(physics.num_worlds, 4, generator=generator, device=physics.device)
    physics.qpos[:, _indices(joint_qpos_indices(physics.model, spec), physics)] = targets.to(physics.qpos.dtype)
    physics.qpos[:, 3:7] = (attitude / attitude.norm(dim=-1, keepdim=True)).to(physics.qpos.dtype)
    physics.qpos[:, 2] = 1.3 * spec.length
    physics.ctrl[:] = targets.to(physics.ctrl.dtype)
    return _after(DROP_TIME, physics, spec)


def _after(time: float, physics: Physics, spec: RobotSpec) -> torch.Tensor:
    """Rows of the worlds that are still finite after a time in units of T = √(L/g)."""
    gravity = float(np.linalg.norm(physics.model.opt.gravity))
    diverged = physics.step(round(time * math.sqrt(spec.length / gravity) / spec.physics_dt))
    if diverged.all():
        raise RuntimeError(
            f"robot {spec.name}: every simulation diverged before its first episode; look for huge gains or tiny "
            f"masses, or shorten physics_dt = {spec.physics_dt} s"
        )
    return physics.save((~diverged).nonzero()[:, 0])


def _indices(indices: np.ndarray, physics: Physics) -> torch.Tensor:
    return torch.from_numpy(indices).to(physics.device)
