"""What a physics engine offers the environments: many worlds of one model, as torch tensors.

`envs/physics/cpu.py` implements it on `mujoco.batch.Batch`. State tensors are live views: a write is the world's state
at its next step. Derived fields (`output`) describe the state before the last substep.
"""

from collections.abc import Callable
from typing import Protocol

import mujoco
import torch


class Physics(Protocol):
    """Many worlds stepped together."""

    model: mujoco.MjModel
    num_worlds: int
    device: torch.device
    qpos: torch.Tensor
    """(num_worlds, nq), live."""
    qvel: torch.Tensor
    """(num_worlds, nv), live."""
    ctrl: torch.Tensor
    """(num_worlds, nu), live."""

    def output(self, name: str) -> torch.Tensor:
        """A derived MjData field, (num_worlds, ...), read-only and one substep old."""

    def model_field(self, name: str) -> torch.Tensor:
        """A model field made per-world, (num_worlds, ...), live; `set_const` after writing one that feeds constants."""

    def set_const(self, worlds: torch.Tensor) -> None:
        """Recompute the constants that depend on model fields, in these worlds."""

    def step(self, num_substeps: int, hook: Callable[[], None] | None = None) -> torch.Tensor:
        """Advance every world; returns (num_worlds,) True where a world diverged and was reset by the engine."""

    def restore(self, worlds: torch.Tensor, rows: torch.Tensor) -> None:
        """Write whole saved state rows, (n, num_state), into worlds, (n,); their derived positions are current then."""
