"""Physics of environments that hold their own models and data: per-world fields as tensors, mirrored into each of them.

Worlds are written before their environment steps and read afterwards (`envs.gymnasium_native.fallback`).
"""

from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

from envs.physics.cpu import DIVERGED
from envs.physics.rows import STATE, state_row


class MirroredPhysics:
    """Separate models and data as one `envs.physics.interface.Physics`; it is stepped by its environments."""

    def __init__(self, model: mujoco.MjModel, models: list[mujoco.MjModel], data: list[mujoco.MjData]) -> None:
        self._models, self._data = models, data
        self.model, self.num_worlds, self.device = model, len(models), torch.device("cpu")
        for each in models:
            each.actuator_forcelimited[:], each.actuator_forcerange[:] = (
                model.actuator_forcelimited,
                model.actuator_forcerange,
            )
        self._fields: dict[str, torch.Tensor] = {}
        for name in ("qpos", "qvel", "ctrl", "xfrc_applied"):
            setattr(self, name, torch.from_numpy(np.array([getattr(each, name) for each in data])))

    qpos: torch.Tensor
    qvel: torch.Tensor
    ctrl: torch.Tensor
    xfrc_applied: torch.Tensor

    def pull(self, worlds: NDArray[np.intp]) -> None:
        """Read states of `worlds`, (n,), from their data."""
        for world in worlds:
            self.qpos[world] = torch.from_numpy(self._data[world].qpos)
            self.qvel[world] = torch.from_numpy(self._data[world].qvel)

    def push(self) -> None:
        """Write what a learner may have changed since `pull`: velocities and forces on bodies."""
        for world, data in enumerate(self._data):
            data.qvel[:] = self.qvel[world].numpy()
            data.xfrc_applied[:] = self.xfrc_applied[world].numpy()

    def forget_warnings(self) -> None:
        """Before a step, after which `diverged` is asked."""
        for data in self._data:
            data.warning.number[:] = 0

    def diverged(self) -> NDArray[np.bool_]:
        """(num_worlds,) where MuJoCo has reset a world that left the finite numbers."""
        return np.array([data.warning.number[DIVERGED].any() for data in self._data])

    def output(self, name: str) -> torch.Tensor:
        return torch.from_numpy(np.array([getattr(data, name) for data in self._data]))

    def model_field(self, name: str) -> torch.Tensor:
        if name not in self._fields:
            self._fields[name] = torch.from_numpy(np.array([_field(model, name) for model in self._models]))
        return self._fields[name]

    def set_const(self, worlds: torch.Tensor) -> None:
        self.write_fields(worlds)
        for world in worlds.tolist():
            model = self._models[world]
            mujoco.mj_setConst(model, mujoco.MjData(model))
            for name, values in self._fields.items():
                values[world] = torch.from_numpy(np.array(_field(model, name)))

    def write_fields(self, worlds: torch.Tensor) -> None:
        """Put per-world model fields of `worlds`, (n,), into their models."""
        for world in worlds.tolist():
            for name, values in self._fields.items():
                if name.startswith("opt."):
                    setattr(self._models[world].opt, name.removeprefix("opt."), values[world].numpy())
                else:
                    getattr(self._models[world], name)[...] = values[world].numpy()

    def step(self, num_substeps: int, hook: Callable[[], None] | None = None) -> torch.Tensor:
        raise RuntimeError("environments of a Gymnasium id step themselves; step their worlds")

    def save(self, worlds: torch.Tensor | None = None) -> torch.Tensor:
        chosen = range(self.num_worlds) if worlds is None else worlds.tolist()
        return torch.from_numpy(np.array([state_row(self._models[world], self._data[world]) for world in chosen]))

    def restore(self, worlds: torch.Tensor, rows: torch.Tensor) -> None:
        for world, row in zip(worlds.tolist(), rows.numpy(), strict=True):
            model, data = self._models[world], self._data[world]
            mujoco.mj_setState(model, data, row, STATE)
            mujoco.mj_forward(model, data)
            mujoco.mj_setState(model, data, row, STATE)  # the warm start as it was
        self.pull(worlds.numpy())

    def refresh(self, worlds: torch.Tensor) -> None:
        for world in worlds.tolist():
            mujoco.mj_kinematics(self._models[world], self._data[world])


def _field(model: mujoco.MjModel, name: str) -> Any:
    """The array of a model field, "opt." fields among them."""
    return getattr(model.opt, name.removeprefix("opt.")) if name.startswith("opt.") else getattr(model, name)
