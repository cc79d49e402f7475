"""A run of worlds of a larger engine, offered as an engine of their own.

Bodies of one topology live side by side in one batch; each member of a `RobotGroup` sees only its own worlds, whose
model fields hold its own body. The group steps the whole engine once.
"""

from collections.abc import Callable

import mujoco
import torch

from envs.physics.interface import Physics


class PhysicsSlice:
    """Worlds `start` to `start + num_worlds` of `whole`, which compile to `model`."""

    def __init__(self, whole: Physics, model: mujoco.MjModel, start: int, num_worlds: int) -> None:
        self.whole, self.model, self.num_worlds, self.device = whole, model, num_worlds, whole.device
        self._rows = slice(start, start + num_worlds)
        self._start = start
        self.qpos, self.qvel, self.ctrl = (field[self._rows] for field in (whole.qpos, whole.qvel, whole.ctrl))
        self.xfrc_applied = whole.xfrc_applied[self._rows]

    def output(self, name: str) -> torch.Tensor:
        return self.whole.output(name)[self._rows]

    def model_field(self, name: str) -> torch.Tensor:
        return self.whole.model_field(name)[self._rows]

    def set_const(self, worlds: torch.Tensor) -> None:
        self.whole.set_const(worlds + self._start)

    def step(self, num_substeps: int, hook: Callable[[], None] | None = None) -> torch.Tensor:
        raise RuntimeError("a slice of worlds cannot step alone; step the RobotGroup that it belongs to")

    def save(self, worlds: torch.Tensor | None = None) -> torch.Tensor:
        chosen = torch.arange(self.num_worlds, device=self.device) if worlds is None else worlds
        return self.whole.save(chosen + self._start)

    def restore(self, worlds: torch.Tensor, rows: torch.Tensor) -> None:
        self.whole.restore(worlds + self._start, rows)

    def refresh(self, worlds: torch.Tensor) -> None:
        self.whole.refresh(worlds + self._start)
