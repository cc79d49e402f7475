"""Ids without a native version: Gymnasium's own environments, one after the other, and slower by what was measured.

Everything an id does is kept, its wrappers too. Randomization works through `MirroredPhysics`: per-world fields as
tensors, written into each environment's own model and data before it steps.
"""

import copy
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gymnasium
import mujoco
import numpy as np
import torch
from numpy.typing import NDArray

from envs.gymnasium_native import random_states
from envs.gymnasium_native.ids import Registered
from envs.gymnasium_native.mirrored import MirroredPhysics
from envs.gymnasium_native.model import compile_model

if TYPE_CHECKING:
    from envs.gymnasium_native.engine import Floats, Result

log = logging.getLogger(__name__)
TRIALS, TRIAL_STEPS = 5, 20
_warned: set[str] = set()


class OneByOne:
    """`num_envs` environments of an id, stepped in turn; see `envs.gymnasium_native.engine.Engine`.

    A restored state continues exactly where rewards and observations follow from positions, velocities and numbers kept
    in the environment; derived fields that are one substep old in a running one are current in a restored one.
    """

    def __init__(self, registered: Registered, *, num_envs: int) -> None:
        _warn_once(registered)
        self.registered, self.num_envs = registered, num_envs
        self.envs = [gymnasium.make(registered.spec, disable_env_checker=True) for _ in range(num_envs)]
        self.bare: list[Any] = [env.unwrapped for env in self.envs]
        model = compile_model(registered.single.fullpath, registered.single.init_qpos)
        self.physics = MirroredPhysics(model, [env.model for env in self.bare], [env.data for env in self.bare])
        self.elapsed = np.zeros(num_envs, dtype=np.int64)
        self.lost = np.zeros(num_envs, dtype=np.bool_)
        self.seed(0)

    def seed(self, seed: int) -> None:
        """Start the random numbers of world i at `seed` + i."""
        for env, generator in zip(self.bare, random_states.generators(seed, self.num_envs), strict=True):
            env.np_random = generator

    def restart(self, worlds: NDArray[np.intp]) -> "Floats":
        """Begin episodes in `worlds`, (n,); returns their observations, (n, width)."""
        self.physics.write_fields(torch.from_numpy(worlds))
        observations = np.array([self.envs[world].reset()[0] for world in worlds], dtype=np.float64)
        self.physics.pull(worlds)
        self.elapsed[worlds] = 0
        return observations

    def step(self, action: NDArray[Any]) -> "Result":
        """Advance every world one control period under `action`, (num_envs, num_actions)."""
        from envs.gymnasium_native.engine import Result

        self.physics.push()
        self.physics.forget_warnings()
        steps = [env.step(row) for env, row in zip(self.envs, action, strict=True)]
        self.physics.pull(np.arange(self.num_envs))
        self.elapsed += 1
        observation, reward, terminated, truncated = (np.array(column) for column in list(zip(*steps, strict=True))[:4])
        self.lost = self.physics.diverged()
        terminated |= self.lost
        return Result(observation.astype(np.float64), reward.astype(np.float64), terminated, truncated, {})

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that the next step depends on, model fields apart."""
        state = {
            "physics": self.physics.save(),
            "elapsed": torch.from_numpy(self.elapsed.copy()),
            "generators": torch.from_numpy(random_states.to_rows([env.np_random for env in self.bare])),
        }
        for name in self._numbers(self.bare[0]):
            values = np.array([getattr(env, name) for env in self.bare])
            state[f"attribute.{name}"] = torch.from_numpy(values.copy())
        return state

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue where `state_dict` was taken."""
        self.restart(np.arange(self.num_envs))  # wrappers want a reset before a step
        self.physics.restore(torch.arange(self.num_envs), state["physics"])
        self.elapsed[:] = state["elapsed"].numpy()
        restored = random_states.from_rows(state["generators"].numpy())
        for world, env in enumerate(self.bare):
            env.np_random = restored[world]
            for name in self._numbers(env):
                value = state[f"attribute.{name}"][world].numpy()
                setattr(env, name, value.copy() if value.ndim else value.item())
            self._set_elapsed(self.envs[world], int(self.elapsed[world]))

    @staticmethod
    def _numbers(env: Any) -> list[str]:
        """Names of an environment's own numbers, a goal for example, in a fixed order."""
        kinds = (bool, int, float, np.ndarray, np.number)
        return sorted(
            name
            for name, value in vars(env).items()
            if isinstance(value, kinds) and np.asarray(value).dtype.kind in "bif"
        )

    @staticmethod
    def _set_elapsed(env: Any, elapsed: int) -> None:
        while env is not env.unwrapped:
            if isinstance(env, gymnasium.wrappers.TimeLimit):
                vars(env)["_elapsed_steps"] = elapsed
            env = env.env


def _warn_once(registered: Registered) -> None:
    if registered.name not in _warned:
        _warned.add(registered.name)
        whole, physics = _costs(registered)
        log.warning(
            "%s has no native version and runs one environment after the other: %.0f µs a step here, of which physics "
            "%.0f µs, so about %.1f× slower than a native one even on one core, and no faster on more",
            *(registered.name, 1e6 * whole, 1e6 * physics, whole / physics),
        )


def _costs(registered: Registered) -> tuple[float, float]:
    """Time of a step of one environment, and of its physics alone [s]."""
    env: Any = gymnasium.make(registered.spec, disable_env_checker=True)
    env.action_space.seed(0)
    env.reset(seed=0)
    whole = _seconds(lambda: _step_or_reset(env))
    bare = env.unwrapped
    data = copy.copy(bare.data)
    physics = _seconds(lambda: mujoco.mj_step(bare.model, data, nstep=bare.frame_skip))
    env.close()
    return whole, physics


def _step_or_reset(env: Any) -> None:
    *_, terminated, truncated, _ = env.step(env.action_space.sample())
    if terminated or truncated:
        env.reset()


def _seconds(act: Callable[[], object]) -> float:
    """Of one call, the least of several averages: others may use the machine."""
    averages = []
    for _ in range(TRIALS):
        started = time.perf_counter()
        for _ in range(TRIAL_STEPS):
            act()
        averages.append((time.perf_counter() - started) / TRIAL_STEPS)
    return min(averages)
