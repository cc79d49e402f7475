"""MuJoCo on CPU threads: every world is a row of `mujoco.batch.Batch`.

Bit-identical at any thread count. Restoring whole rows, time and delay buffers included, is what keeps the native
actuator delay exact over resets.
"""

from collections.abc import Callable

import mujoco
import torch
from mujoco.batch import Batch, SimulationError

from envs.physics.rows import nominal_row
from envs.physics.timers import switch_off_timers

DIVERGED = [int(kind) for kind in (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL)]
DIVERGED += [int(kind) for kind in (mujoco.mjtWarning.mjWARN_BADQACC, mujoco.mjtWarning.mjWARN_BADCTRL)]
"""Warnings after which MuJoCo has silently reset a world, or zeroed its controls."""


class CpuPhysics:
    """`num_worlds` worlds of `model`, stepped on `num_threads` threads; see `envs.physics.interface.Physics`."""

    def __init__(self, model: mujoco.MjModel, num_worlds: int, num_threads: int = 0) -> None:
        if num_worlds < 1:
            raise ValueError(f"num_worlds must be >= 1, got {num_worlds}; ask for as many worlds as a policy drives")
        switch_off_timers()
        self.model = model
        self.num_worlds = num_worlds
        self.device = torch.device("cpu")
        self.batch = Batch(model, num_worlds, num_threads)
        self.batch.state[:] = nominal_row(model)
        self.state = torch.from_numpy(self.batch.state)
        self.qpos = torch.from_numpy(self.batch.bind("qpos"))
        self.qvel = torch.from_numpy(self.batch.bind("qvel"))
        self.ctrl = torch.from_numpy(self.batch.bind("ctrl"))
        self.xfrc_applied = torch.from_numpy(self.batch.bind("xfrc_applied"))

    def output(self, name: str) -> torch.Tensor:
        return torch.from_dlpack(self.batch.bind(name))

    def model_field(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.batch.expand(name))

    def set_const(self, worlds: torch.Tensor) -> None:
        self.batch.set_const(worlds.numpy())

    def step(self, num_substeps: int, hook: Callable[[], None] | None = None) -> torch.Tensor:
        self.batch.warning[:] = 0  # the engine's own reset of a diverged world sets its count back to one
        failed: set[int] = set()
        if hook is None:
            self._advance(num_substeps, failed)
        else:
            for _ in range(num_substeps):
                hook()
                self._advance(1, failed)
        diverged = torch.from_numpy(self.batch.warning[:, DIVERGED, 1].any(axis=-1))  # (world, kind, (info, count))
        if failed:
            diverged[list(failed)] = True
        return diverged

    def _advance(self, num_substeps: int, failed: set[int]) -> None:
        try:
            self.batch.step(nstep=num_substeps)
        except SimulationError as error:  # these worlds kept their state, all others have stepped
            failed.update(error.ids.tolist())

    def save(self, worlds: torch.Tensor | None = None) -> torch.Tensor:
        return self.state.clone() if worlds is None else self.state[worlds]

    def restore(self, worlds: torch.Tensor, rows: torch.Tensor) -> None:
        self.state[worlds] = rows

    def refresh(self, worlds: torch.Tensor) -> None:
        self.batch.forward(worlds.numpy(), stage=mujoco.mjtStage.mjSTAGE_POS.value)
