"""HalfCheetah, Hopper and Walker2d, version 5: bit-identical to Gymnasium's, start states included.

Runners in the plane: a place along x, positions (without it, by default) and velocities as the observation.
"""

import numpy as np
from numpy.typing import NDArray

from envs.gymnasium_native.engine import Array, Bools, Floats, NativeEngine

SPEED_CLIP = 10.0
"""Of observed velocities of those that can fall."""


class Planar(NativeEngine):
    """What the three share."""

    speed_clip: float | None = None

    def observe(self, worlds: NDArray[np.intp]) -> Floats:
        first = int(self.keywords["exclude_current_positions_from_observation"])
        everyone = len(worlds) == self.num_envs
        qpos, qvel = (self.qpos, self.qvel) if everyone else (self.qpos[worlds], self.qvel[worlds])
        if self.speed_clip is not None:
            qvel = np.clip(qvel, -self.speed_clip, self.speed_clip)
        return np.concatenate((qpos[:, first:], qvel), axis=-1)


class HalfCheetah(Planar):
    """Never falls."""

    gaussian = True

    def judge(self, velocity: Floats, action: Array) -> tuple[Floats, Bools, dict[str, Array]]:
        forward, cost = self.keywords["forward_reward_weight"] * velocity, self.control_cost(action)
        info = {"x_velocity": velocity, "reward_forward": forward, "reward_ctrl": -cost}
        return forward - cost, np.zeros(self.num_envs, dtype=np.bool_), info


class Walker2d(Planar):
    """Is healthy while its height and pitch lie within open ranges."""

    speed_clip = SPEED_CLIP

    def judge(self, velocity: Floats, action: Array) -> tuple[Floats, Bools, dict[str, Array]]:
        keywords, healthy = self.keywords, self.healthy()
        forward, cost = keywords["forward_reward_weight"] * velocity, self.control_cost(action)
        survive = healthy * keywords["healthy_reward"]
        info = {"x_velocity": velocity, "reward_forward": forward, "reward_ctrl": -cost, "reward_survive": survive}
        terminated = ~healthy if keywords["terminate_when_unhealthy"] else np.zeros_like(healthy)
        return (forward + survive) - cost, terminated, info

    def healthy(self) -> Bools:
        """(num_envs,)."""
        height, pitch = self.qpos[:, 1], self.qpos[:, 2]
        return _within(height, self.keywords["healthy_z_range"]) & _within(pitch, self.keywords["healthy_angle_range"])


class Hopper(Walker2d):
    """Wants the rest of its state within a range too."""

    def healthy(self) -> Bools:
        limits = self.keywords["healthy_state_range"]
        inside = _within(self.qpos[:, 2:], limits).all(-1) & _within(self.qvel, limits).all(-1)
        return super().healthy() & inside


def _within(value: Floats, limits: tuple[float, float]) -> Bools:
    return (limits[0] < value) & (value < limits[1])
