"""MuJoCo on CPU threads: every world is a row of `mujoco.batch.Batch`.

Bit-identical at any thread count. Restoring whole rows, time and delay buffers included, is what keeps the native
actuator delay exact over resets.
"""

from collections.abc import Callable

import mujoco
import torch
from mujoco.batch import Batch

from robots.model import DEFAULT_KEY


class CpuPhysics:
    """`num_worlds` worlds of `model`, stepped on `num_threads` threads; see `envs.physics.interface.Physics`."""

    def __init__(self, model: mujoco.MjModel, num_worlds: int, num_threads: int = 0) -> None:
        self.model = model
        self.num_worlds = num_worlds
        self.device = torch.device("cpu")
        self.batch = Batch(model, num_worlds, num_threads)
        self.batch.reset(keyframe=model.key(DEFAULT_KEY).id)
        self.state = torch.from_numpy(self.batch.state)
        self.qpos = torch.from_numpy(self.batch.bind("qpos"))
        self.qvel = torch.from_numpy(self.batch.bind("qvel"))
        self.ctrl = torch.from_numpy(self.batch.bind("ctrl"))

    def output(self, name: str) -> torch.Tensor:
        return torch.from_dlpack(self.batch.bind(name))

    def model_field(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.batch.expand(name))

    def set_const(self, worlds: torch.Tensor) -> None:
        self.batch.set_const(worlds.numpy())

    def step(self, num_substeps: int, hook: Callable[[], None] | None = None) -> torch.Tensor:
        self.batch.warning[:] = 0  # the engine's own reset of a diverged world sets its count back to one
        if hook is None:
            self.batch.step(nstep=num_substeps)
        else:
            for _ in range(num_substeps):
                hook()
                self.batch.step()
        return torch.from_numpy(self.batch.warning[:, :, 1].any(axis=-1))  # (world, kind, (last info, count))

    def restore(self, worlds: torch.Tensor, rows: torch.Tensor) -> None:
        self.state[worlds] = rows
        self.batch.forward(worlds.numpy(), stage=mujoco.mjtStage.mjSTAGE_POS.value)
