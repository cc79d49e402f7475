"""Many worlds of one Gymnasium MuJoCo id, stepped together: the part that every id shares.

An id adds what its constructor's keywords mean: observation, reward, end of episode (`planar`, `spatial`). Everything
is float64 and in Gymnasium's own order of operations, so that results are Gymnasium's, bit for bit, where the engine
allows it; each class says where it does not. World i of seed s draws the start states of Gymnasium's environment of
seed s + i.
"""

import importlib
from typing import Any, NamedTuple, Protocol

import mujoco
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from envs.gymnasium_native import random_states
from envs.gymnasium_native.fallback import OneByOne
from envs.gymnasium_native.ids import Registered
from envs.gymnasium_native.model import compile_model, rest_row
from envs.physics.cpu import CpuPhysics
from envs.physics.interface import Physics

Array = NDArray[Any]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Result(NamedTuple):
    """Of one step, before ended worlds restart."""

    observation: Floats
    """(num_envs, width)."""
    reward: Floats
    """(num_envs,)."""
    terminated: Bools
    """(num_envs,)."""
    truncated: Bools
    """(num_envs,) the id's time limit."""
    info: dict[str, Array]
    """Parts of the reward and what else the id reports, (num_envs,) each."""


class Engine(Protocol):
    """What `make_engine` returns."""

    registered: Registered
    num_envs: int

    @property
    def physics(self) -> Physics:
        """The worlds' states and model fields."""

    elapsed: NDArray[np.int64]
    """(num_envs,) steps of the running episode."""
    lost: Bools
    """(num_envs,) worlds that diverged in the last step, and were terminated."""

    def seed(self, seed: int) -> None:
        """Start the random numbers of world i at `seed` + i."""

    def restart(self, worlds: NDArray[np.intp]) -> Floats:
        """Begin episodes in `worlds`, (n,); returns their observations, (n, width)."""

    def step(self, action: Array) -> Result:
        """Advance every world one control period under `action`, (num_envs, num_actions), in the id's own units."""

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that the next step depends on, model fields apart."""

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue where `state_dict` was taken."""


def make_engine(registered: Registered, *, num_envs: int, num_threads: int = 0, fixed: bool = False) -> Engine:
    """The id on the batch engine where there is a native version, else Gymnasium's environments one after the other.

    Args:
        registered: The id.
        num_envs: Number of worlds.
        num_threads: Physics threads, 0 for every core.
        fixed: Whether all worlds keep the file's parameters, which is faster.

    Raises:
        ValueError: no worlds are asked for.
    """
    if num_envs < 1:
        raise ValueError(f"num_envs must be >= 1, got {num_envs}; ask for as many worlds as a policy drives")
    if not registered.native:
        return OneByOne(registered, num_envs=num_envs)
    module, _, name = registered.native.partition(":")
    return getattr(importlib.import_module(module), name)(
        registered, num_envs=num_envs, num_threads=num_threads, fixed=fixed
    )


class NativeEngine:
    """`num_envs` worlds on `num_threads` threads, 0 for every core; results do not depend on that."""

    forces = False
    """Whether the id reads external forces on bodies."""
    gaussian = False
    """Whether velocities at the start are normal, not uniform."""

    def __init__(self, registered: Registered, *, num_envs: int, num_threads: int = 0, fixed: bool = False) -> None:
        single = registered.single
        self.registered, self.num_envs, self.keywords = registered, num_envs, registered.keywords
        self.model = compile_model(single.fullpath, single.init_qpos, forces=self.forces, fixed=fixed)
        self.physics = CpuPhysics(self.model, num_envs, num_threads)
        self.batch = self.physics.batch
        self.dt, self.frame_skip = single.dt, single.frame_skip
        self.qpos, self.qvel, self.ctrl = (self.batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        assert isinstance(single.observation_space, spaces.Box)
        self.width = single.observation_space.shape[0]
        self.elapsed, self.lost = np.zeros(num_envs, dtype=np.int64), np.zeros(num_envs, dtype=np.bool_)
        self._limit = registered.spec.max_episode_steps
        self._rest = rest_row(self.model)
        self._everyone = np.arange(num_envs)
        self.seed(0)

    def seed(self, seed: int) -> None:
        """Start the random numbers of world i at `seed` + i."""
        self.generators = random_states.generators(seed, self.num_envs)

    def restart(self, worlds: NDArray[np.intp]) -> Floats:
        """Begin episodes in `worlds`, (n,); returns their observations, (n, width)."""
        self.batch.state[worlds] = self._rest
        for world in worlds:
            self.qpos[world], self.qvel[world] = self.start(self.generators[world])
        self.batch.forward(worlds, stage=mujoco.mjtStage.mjSTAGE_ACC.value)
        self.elapsed[worlds] = 0
        self.restarted(worlds)
        return self.observe(worlds)

    def step(self, action: Array) -> Result:
        """Advance every world one control period under `action`, (num_envs, num_actions)."""
        before = self.place()
        self.ctrl[:] = action
        self.lost = self.physics.step(self.frame_skip).numpy()
        self.elapsed += 1
        velocity = self.velocity(before)
        observation = self.observe(self._everyone)
        reward, terminated, info = self.judge(velocity, action)
        truncated = np.zeros_like(terminated) if self._limit is None else self.elapsed >= self._limit
        return Result(observation, reward, terminated | self.lost, truncated, info)

    def start(self, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """A start state, (nq,) and (nv,), around the file's."""
        scale, single = self.keywords["reset_noise_scale"], self.registered.single
        qpos = single.init_qpos + generator.uniform(low=-scale, high=scale, size=self.model.nq)
        if self.gaussian:
            return qpos, single.init_qvel + scale * generator.standard_normal(self.model.nv)
        return qpos, single.init_qvel + generator.uniform(low=-scale, high=scale, size=self.model.nv)

    def restarted(self, worlds: NDArray[np.intp]) -> None:
        """Take note of new start states."""

    def place(self) -> Floats:
        """What progress is measured by, (num_envs,) or (num_envs, 2) [m], before the step."""
        return self.qpos[:, 0].copy()

    def velocity(self, before: Floats) -> Floats:
        """Of that place over the step [m/s]."""
        return (self.qpos[:, 0] - before) / self.dt

    def observe(self, worlds: NDArray[np.intp]) -> Floats:
        """(n, width) of `worlds` as they are."""
        raise NotImplementedError

    def judge(self, velocity: Floats, action: Array) -> tuple[Floats, Bools, dict[str, Array]]:
        """Reward, (num_envs,), end by failure, (num_envs,), and the parts of the reward."""
        raise NotImplementedError

    def control_cost(self, action: Array) -> Array:
        """(num_envs,) in the precision of the action, as in Gymnasium."""
        return self.keywords["ctrl_cost_weight"] * np.sum(np.square(action), axis=-1)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that the next step depends on, model fields apart."""
        return {
            "physics": self.physics.save(),
            "elapsed": torch.from_numpy(self.elapsed.copy()),
            "generators": torch.from_numpy(random_states.to_rows(self.generators)),
        }

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue where `state_dict` was taken."""
        self.physics.restore(torch.from_numpy(self._everyone), state["physics"])
        self.elapsed[:] = state["elapsed"].numpy()
        self.generators = random_states.from_rows(state["generators"].numpy())
