"""Ant and Humanoid, version 5: states, and all but contact forces, are Gymnasium's bit for bit.

Contact forces (`cfrc_ext`) are those in the state that is observed. Gymnasium's belong to the last of the four stages
of its Runge-Kutta step, a state near that one, which no batch keeps; so they, and with them the contact cost (its
weight is 5e-4 and 5e-7), differ while bodies touch. Keeping every world's whole data would make them equal, but
copies them one after the other: with more than a few cores that alone takes longer than the physics.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from envs.gymnasium_native.engine import Array, Bools, Floats, NativeEngine
from envs.gymnasium_native.ids import Registered


class Spatial(NativeEngine):
    """What both share: a free base, a place in the plane, contact forces."""

    forces = True
    outputs: tuple[str, ...] = ()
    """Derived fields, kept as they are right after the step: Gymnasium reads them there."""

    def __init__(self, registered: Registered, **arguments: Any) -> None:
        super().__init__(registered, **arguments)
        self._external = self.batch.bind("cfrc_ext")
        self._warm_start = self.batch.bind("qacc_warmstart")
        self._live = {name: self.batch.bind(name) for name in self.outputs}
        self.kept = {name: live.copy() for name, live in self._live.items()}
        self.contact_forces = np.zeros_like(self._external)

    def restarted(self, worlds: NDArray[np.intp]) -> None:
        for name, live in self._live.items():
            self.kept[name][worlds] = live[worlds]
        self.contact_forces[worlds] = 0.0  # Gymnasium computes none before the first step

    def place(self) -> Floats:
        return self.whereabouts()

    def velocity(self, before: Floats) -> Floats:
        """(num_envs, 2); derived fields and contact forces are brought up to date on the way."""
        for name, live in self._live.items():
            self.kept[name][:] = live
        warm_start = self._warm_start.copy()
        self.batch.forward()
        self._warm_start[:] = warm_start  # what the next step begins with is not this call's
        self.contact_forces[:] = self._external
        return (self.whereabouts() - before) / self.dt

    def whereabouts(self) -> Floats:
        """(num_envs, 2) [m]."""
        raise NotImplementedError

    def contact_cost(self) -> Floats:
        """(num_envs,)."""
        raise NotImplementedError

    def healthy(self) -> Bools:
        """(num_envs,)."""
        raise NotImplementedError

    def effort(self, action: Array) -> Array:
        """What the control cost is of, (num_envs, num_actions)."""
        return action

    def judge(self, velocity: Floats, action: Array) -> tuple[Floats, Bools, dict[str, Array]]:
        keywords, healthy = self.keywords, self.healthy()
        forward = keywords["forward_reward_weight"] * velocity[:, 0]
        survive = healthy * keywords["healthy_reward"]
        control, contact = self.control_cost(self.effort(action)), self.contact_cost()
        info = {"x_velocity": velocity[:, 0], "y_velocity": velocity[:, 1], "reward_forward": forward}
        info |= {"reward_ctrl": -control, "reward_contact": -contact, "reward_survive": survive}
        terminated = ~healthy if keywords["terminate_when_unhealthy"] else np.zeros_like(healthy)
        return (forward + survive) - (control + contact), terminated, info

    def moving(self, worlds: NDArray[np.intp]) -> list[Floats]:
        """Positions, without the place by default, and velocities of `worlds`."""
        first = 2 * int(self.keywords["exclude_current_positions_from_observation"])
        return [self.qpos[worlds, first:], self.qvel[worlds]]

    def state_dict(self) -> dict[str, torch.Tensor]:
        kept = {f"kept.{name}": torch.from_numpy(value.copy()) for name, value in self.kept.items()}
        return super().state_dict() | kept

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        super().load_state_dict(state)
        for name, value in self.kept.items():
            value[:] = state[f"kept.{name}"].numpy()


class Ant(Spatial):
    """Progress is that of its main body."""

    gaussian = True
    outputs = ("xpos",)

    def __init__(self, registered: Registered, **arguments: Any) -> None:
        super().__init__(registered, **arguments)
        self._main = self.model.body(self.keywords["main_body"]).id

    def whereabouts(self) -> Floats:
        return self.kept["xpos"][:, self._main, :2].copy()

    def _clipped(self) -> Floats:
        return np.clip(self.contact_forces, *self.keywords["contact_force_range"])

    def contact_cost(self) -> Floats:
        squares = np.square(self._clipped()).reshape(self.num_envs, -1)
        return self.keywords["contact_cost_weight"] * np.sum(squares, axis=-1)

    def healthy(self) -> Bools:
        low, high = self.keywords["healthy_z_range"]
        finite = np.isfinite(self.qpos).all(-1) & np.isfinite(self.qvel).all(-1)
        return finite & (low <= self.qpos[:, 2]) & (self.qpos[:, 2] <= high)

    def observe(self, worlds: NDArray[np.intp]) -> Floats:
        parts = self.moving(worlds)
        if self.keywords["include_cfrc_ext_in_observation"]:
            parts.append(self._clipped()[worlds, 1:].reshape(len(worlds), -1))
        return np.concatenate(parts, axis=-1)


class Humanoid(Spatial):
    """Progress is that of its centre of mass."""

    outputs = ("xipos", "cinert", "cvel", "qfrc_actuator")

    def whereabouts(self) -> Floats:
        expanded = self.batch.expanded("body_mass")
        mass = (self.model.body_mass[None] if expanded is None else expanded)[:, :, None]
        return (np.sum(mass * self.kept["xipos"], axis=1) / np.sum(mass, axis=1))[:, :2].copy()

    def effort(self, action: Array) -> Array:
        return self.ctrl

    def contact_cost(self) -> Floats:
        squares = np.square(self.contact_forces).reshape(self.num_envs, -1)
        return np.clip(
            self.keywords["contact_cost_weight"] * np.sum(squares, axis=-1), *self.keywords["contact_cost_range"]
        )

    def healthy(self) -> Bools:
        low, high = self.keywords["healthy_z_range"]
        return (low < self.qpos[:, 2]) & (self.qpos[:, 2] < high)

    def observe(self, worlds: NDArray[np.intp]) -> Floats:
        keywords, rows, parts = self.keywords, len(worlds), self.moving(worlds)
        for name in ("cinert", "cvel"):
            if keywords[f"include_{name}_in_observation"]:
                parts.append(self.kept[name][worlds, 1:].reshape(rows, -1))
        if keywords["include_qfrc_actuator_in_observation"]:
            parts.append(self.kept["qfrc_actuator"][worlds, 6:])
        if keywords["include_cfrc_ext_in_observation"]:
            parts.append(self.contact_forces[worlds, 1:].reshape(rows, -1))
        return np.concatenate(parts, axis=-1)
