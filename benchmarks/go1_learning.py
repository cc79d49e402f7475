"""go1's velocity task, learning included: ours beside stock Stable-Baselines3 on the same task, in one run.

- `go1`: our PPO on 256 worlds of go1's velocity task, two physics threads, as `sim2real train` runs it.
- `sb3_subproc`, `sb3_dummy`: `stable_baselines3.PPO("MlpPolicy")` with its defaults on eight Gymnasium environments
  `Sim2Real/Velocity-Go1-v0`, in eight processes or in one.
- `raw`: the physics of that model alone: 256 worlds, two threads, new joint targets each control period.
- `gym`: one of those Gymnasium environments alone, zero actions: what SB3 has to work with.

Everyone takes turns (A B C … A B C …), so that whatever else the machine does befalls all alike. A ratio is the median
over turns. Beside the wall clock, CPU time is measured (`…_per_cpu_s`): it holds on a machine that others use too.
Torch runs on one thread everywhere: with two, SB3 is slower as well.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
import torch
from mujoco.batch import Batch
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

import robots
from benchmarks import walkers
from benchmarks.machine import cpu_seconds
from benchmarks.report import Report, Tier
from benchmarks.walkers import ROBOT, TASK
from envs.physics.cpu import CpuPhysics
from envs.randomization import delay_samples, preset
from envs.registration import env_id
from envs.start_states import POOL, settled
from policies.threads import one_torch_thread
from robots.model import build_model

NUM_WORLDS, NUM_THREADS = 256, 2
NUM_SB3_ENVS = 8
SEED = 0
RAW_SPREAD = 0.1
"""Largest offset of a random joint target from the nominal pose [rad]: the robots stay on their feet."""


@dataclass(frozen=True)
class Effort:
    """How long each contestant's turn is."""

    turns: int
    iterations: int
    """Of our PPO, 24 control steps of every world each."""
    sb3_steps: int
    """Steps of an environment in a rollout of SB3; its cost per step does not depend on it."""
    raw_steps: int
    """Control periods of physics alone."""


EFFORTS: dict[Tier, Effort] = {
    "smoke": Effort(turns=1, iterations=1, sb3_steps=32, raw_steps=20),
    "ci": Effort(turns=3, iterations=4, sb3_steps=256, raw_steps=100),
    "full": Effort(turns=3, iterations=16, sb3_steps=2048, raw_steps=500),
}


@dataclass
class Contestant:
    """Something that takes environment steps, and what it took for them."""

    name: str
    advance: Callable[[], int]
    """Take one turn; returns the environment steps of it."""
    processes: tuple[int, ...] = ()
    """Beside this one."""
    close: Callable[[], None] = lambda: None
    per_s: list[float] = field(default_factory=list)
    """Environment steps per second, one figure a turn."""
    per_cpu_s: list[float] = field(default_factory=list)

    def take_turn(self) -> None:
        processes = (os.getpid(), *self.processes)
        cpu, clock = cpu_seconds(processes), time.perf_counter()
        steps = self.advance()
        clock, cpu = time.perf_counter() - clock, cpu_seconds(processes) - cpu
        self.per_s.append(steps / clock)
        self.per_cpu_s.append(steps / max(cpu, 1e-2))

    def warm_up(self) -> None:
        self.advance()


def measure(tier: Tier, report: Report) -> None:
    """Let everyone take turns, and add the rows and ratios."""
    one_torch_thread()
    effort = EFFORTS[tier]
    contestants = [ours(effort), sb3_subproc(effort), sb3_dummy(effort), raw(effort), gym()]
    try:
        for contestant in contestants:
            contestant.warm_up()
        for _ in range(effort.turns):
            for contestant in contestants:
                contestant.take_turn()
    finally:
        for contestant in contestants:
            contestant.close()
    compare(report, *contestants)


def compare(
    figures: Report, ours: Contestant, subproc: Contestant, dummy: Contestant, raw: Contestant, gym: Contestant
) -> None:
    """Rows and ratios."""
    for contestant in (ours, subproc, dummy, raw, gym):
        figures.add(f"{contestant.name}_steps_per_s", "env steps/s", contestant.per_s, (SEED,))
        figures.add(f"{contestant.name}_steps_per_cpu_s", "env steps/CPU s", contestant.per_cpu_s, (SEED,))
    for peer in (subproc, dummy, raw):
        name = f"go1_vs_{peer.name.removeprefix('go1_')}"
        figures.compare(name, ours.per_s, peer.per_s, (SEED,))
        figures.compare(f"{name}_cpu", ours.per_cpu_s, peer.per_cpu_s, (SEED,))
    figures.configurations |= {
        "go1": "policies.ppo.PPO, 256 worlds, 2 threads, two 128x128 ELU nets, rollout 6144, minibatch 1024, 5 epochs",
        "go1_sb3": "PPO('MlpPolicy') as it comes on 8 environments: two 64x64 tanh nets, minibatch 64, 10 epochs",
        "go1_raw": "mujoco.batch.Batch, 256 worlds, random joint targets, no learning",
    }


def ours(effort: Effort) -> Contestant:
    """`sim2real train` without evaluations."""
    ppo = walkers.learner(NUM_WORLDS, num_threads=NUM_THREADS, seed=SEED, world_seed=SEED)
    return learner("go1", ppo, effort.iterations * ppo.n_steps * NUM_WORLDS)


def sb3_subproc(effort: Effort) -> Contestant:
    """Stock SB3, a process an environment."""
    env = SubprocVecEnv([gym_env] * NUM_SB3_ENVS)
    return sb3("go1_sb3_subproc", env, effort, tuple(process.pid for process in env.processes))


def sb3_dummy(effort: Effort) -> Contestant:
    """Stock SB3, one environment after the other."""
    return sb3("go1_sb3_dummy", DummyVecEnv([gym_env] * NUM_SB3_ENVS), effort)


def sb3(name: str, env: VecEnv, effort: Effort, processes: tuple[int, ...] = ()) -> Contestant:
    """Stock SB3: minibatches of 64, ten epochs, two 64×64 tanh networks."""
    ppo = stable_baselines3.PPO("MlpPolicy", env, n_steps=effort.sb3_steps, seed=SEED, device="cpu")
    return learner(name, ppo, effort.sb3_steps * NUM_SB3_ENVS, processes, env.close)


def learner(name: str, ppo: Any, steps: int, processes: tuple[int, ...] = (), close: Any = lambda: None) -> Contestant:
    """Whole iterations, rollout and update, of an SB3 algorithm."""

    def advance() -> int:
        before = ppo.num_timesteps
        ppo.learn(steps, reset_num_timesteps=ppo._last_obs is None)
        return ppo.num_timesteps - before

    return Contestant(name, advance, processes, close)


def gym_env() -> gymnasium.Env:
    """The task as an ordinary Gymnasium environment; the checker, which costs time, is left out."""
    one_torch_thread()
    import envs.registration  # noqa: F401  -- in a fresh process: names the id

    return gymnasium.make(env_id(TASK, ROBOT), disable_env_checker=True)


def raw(effort: Effort) -> Contestant:
    """MuJoCo's own stepping of the same model; each turn begins with robots on their feet."""
    spec = robots.get(ROBOT)
    model = build_model(spec, delay_samples=delay_samples(preset("default"), spec))
    batch = Batch(model, NUM_WORLDS, NUM_THREADS)
    start = settled(CpuPhysics(model, POOL, 1), spec, torch.Generator().manual_seed(SEED)).numpy()
    control, rng = batch.bind("ctrl"), np.random.default_rng(SEED)
    offsets = rng.uniform(-RAW_SPREAD, RAW_SPREAD, (effort.raw_steps, NUM_WORLDS, spec.num_joints))
    targets = np.array(spec.default_positions) + offsets

    def advance() -> int:
        batch.state[:] = start[np.arange(NUM_WORLDS) % len(start)]
        for target in targets:
            control[:] = target
            batch.step(nstep=spec.substeps)
        return len(targets) * NUM_WORLDS

    return Contestant("go1_raw", advance)


def gym(steps: int = 1000) -> Contestant:
    """One Gymnasium environment without a learner."""
    env = gym_env()
    still = np.zeros(env.action_space.shape or (), dtype=np.float32)
    env.reset(seed=SEED)

    def advance() -> int:
        for _ in range(steps):
            *_, terminated, truncated, _ = env.step(still)
            if terminated or truncated:
                env.reset()
        return steps

    return Contestant("go1_gym", advance, close=env.close)
