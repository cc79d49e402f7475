"""States in which episodes begin: the robot at rest on its feet, near its nominal pose.

Whole state rows are kept, time and delay buffers included, since writing parts of a row collapses MuJoCo's native
actuator delay.
"""

import math

import mujoco
import numpy as np
import torch

from envs.physics.cpu import CpuPhysics
from robots.model import default_data, joint_qpos_indices
from robots.spec import RobotSpec

POOL = 64
"""Start states kept."""
SETTLE_TIME = 2.93
"""Of a fall onto the feet, in units of T: 0.5 s on a go1, and the same motion on every similar robot."""
JOINT_SPREAD = 0.1
"""Largest offset of a joint from the nominal pose before settling [rad]."""


def settled_rows(model: mujoco.MjModel, spec: RobotSpec, generator: torch.Generator) -> torch.Tensor:
    """(POOL, num_state) rows of robots that fell a little onto their feet under their own servos."""
    physics = CpuPhysics(model, POOL, 1)
    row = np.empty(physics.state.shape[1])
    mujoco.mj_getState(model, default_data(model), row, mujoco.mjtState.mjSTATE_INTEGRATION)
    physics.state[:] = torch.from_numpy(row)
    indices = torch.from_numpy(joint_qpos_indices(model, spec))
    offsets = (2.0 * torch.rand(POOL, spec.num_joints, generator=generator) - 1.0) * JOINT_SPREAD
    physics.qpos[:, indices] += offsets
    physics.qpos[:, 2] += 0.02 * spec.length
    time = math.sqrt(spec.length / float(np.linalg.norm(model.opt.gravity)))
    physics.step(round(SETTLE_TIME * time / spec.physics_dt))
    return physics.state.clone()
