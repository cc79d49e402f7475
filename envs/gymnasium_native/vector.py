"""The worlds of an id for Gymnasium's users: a `gymnasium.vector.VectorEnv`, in float64 as Gymnasium's own.

    envs = gymnasium.make_vec("envs.registration:Sim2Real/HalfCheetah-v5", num_envs=256)

A world that ends begins its next episode in the same step (`AutoresetMode.SAME_STEP`).
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.gymnasium_native.engine import make_engine
from envs.gymnasium_native.ids import find

Array = NDArray[Any]


class NativeVectorEnv(gymnasium.vector.VectorEnv[Array, Array, Array]):
    """`num_envs` worlds of a MuJoCo id.

    Args:
        id: `ID`, or `MODULE:ID` where MODULE registers it.
        num_envs: Number of worlds.
        num_threads: Physics threads, 0 for every core; results do not depend on it.
        keywords: Of the id's constructor, over the registered ones; `max_episode_steps` too.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, id: str, num_envs: int = 1, *, num_threads: int = 0, **keywords: Any) -> None:
        registered = find(id, **keywords)
        self.engine = make_engine(registered, num_envs=num_envs, num_threads=num_threads, fixed=True)
        self.num_envs = num_envs
        self.single_observation_space = registered.single.observation_space
        self.single_action_space = registered.single.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.metadata = type(self).metadata | {"render_fps": round(1.0 / registered.single.dt)}
        self._everyone = np.arange(num_envs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begin an episode in every world; world i is Gymnasium's environment of seed + i."""
        unseeded = self._np_random is None
        super().reset(seed=seed)
        if seed is not None or unseeded:
            self.engine.seed(int(self.np_random.integers(2**31)) if seed is None else seed)
        return self.engine.restart(self._everyone), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Advance every world one control period under `actions`, (num_envs, num_actions)."""
        actions = np.asarray(actions)
        if actions.shape != self.action_space.shape:
            raise ValueError(f"actions must have shape {self.action_space.shape}, got {actions.shape}")
        observation, reward, terminated, truncated, info = self.engine.step(actions)
        infos: dict[str, Any] = info | {f"_{name}": np.ones(self.num_envs, dtype=np.bool_) for name in info}
        ended = terminated | truncated
        if ended.any():
            worlds = np.flatnonzero(ended)
            final = np.full(self.num_envs, None, dtype=object)
            for world in worlds:
                final[world] = observation[world].copy()
            infos |= {"final_obs": final, "_final_obs": ended}
            observation[worlds] = self.engine.restart(worlds)
        return observation, reward, terminated, truncated, infos
