"""What a physics engine offers the environments: many worlds of one model, as torch tensors.

`envs/physics/cpu.py` implements it on `mujoco.batch.Batch`, `envs/physics/gpu.py` on MuJoCo Warp. State tensors are
live views: a write is the world's state at its next step. Derived fields (`output`) describe the state before the last
substep.
"""

from collections.abc import Callable
from typing import Protocol

import mujoco
import torch


class Physics(Protocol):
    """Many worlds stepped together; they begin at rest in the nominal pose (`robots.model.default_data`)."""

    model: mujoco.MjModel
    num_worlds: int
    device: torch.device
    qpos: torch.Tensor
    """(num_worlds, nq), live."""
    qvel: torch.Tensor
    """(num_worlds, nv), live."""
    ctrl: torch.Tensor
    """(num_worlds, nu), live."""
    xfrc_applied: torch.Tensor
    """(num_worlds, nbody, 6), live: force [N] and torque [N·m] on each body's centre of mass, world frame."""

    def output(self, name: str) -> torch.Tensor:
        """A derived MjData field, (num_worlds, ...), read-only and one substep old."""

    def model_field(self, name: str) -> torch.Tensor:
        """A model field made per-world, (num_worlds, ...), live; `set_const` after writing one that feeds constants."""

    def set_const(self, worlds: torch.Tensor) -> None:
        """Recompute the constants that depend on model fields, in these worlds."""

    def step(self, num_substeps: int, hook: Callable[[], None] | None = None) -> torch.Tensor:
        """Advance every world; returns (num_worlds,) True where a world diverged: restore it; others go on."""

    def save(self, worlds: torch.Tensor | None = None) -> torch.Tensor:
        """Whole state rows, (n, num_state), of these worlds or of all: time, delay buffers and warm start included."""

    def restore(self, worlds: torch.Tensor, rows: torch.Tensor) -> None:
        """Write whole saved rows, (n, num_state), into worlds, (n,); `refresh` before reading their outputs."""

    def refresh(self, worlds: torch.Tensor) -> None:
        """Make outputs that follow from positions current in these worlds, (n,)."""
