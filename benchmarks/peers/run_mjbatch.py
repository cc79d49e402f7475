"""mjbatch under a numpy environment: observation, reward and restarts as HalfCheetah-v5 has them.

The MJCF comes from Gymnasium's folder, whose path is in HALF_CHEETAH_XML: mjbatch itself needs no Gymnasium.
"""

import os

import mujoco
import numpy as np
from mjbatch import Batch
from serve import arguments, random_actions, serve

FRAME_SKIP, EPISODE_STEPS, NOISE = 5, 1000, 0.1
given = arguments()
model = mujoco.MjModel.from_xml_path(os.environ["HALF_CHEETAH_XML"])
batch = Batch(model, num_sims=given.num_envs, num_threads=given.num_threads)
qpos, qvel, ctrl = batch.bind("qpos"), batch.bind("qvel"), batch.bind("ctrl")
rng = np.random.default_rng(0)
actions = random_actions(given.num_envs)
elapsed = np.zeros(given.num_envs, dtype=np.int64)
dt = FRAME_SKIP * model.opt.timestep


def restart(worlds: np.ndarray) -> None:
    batch.reset(worlds)
    qpos[worlds] = model.qpos0 + rng.uniform(-NOISE, NOISE, (len(worlds), model.nq))
    qvel[worlds] = NOISE * rng.standard_normal((len(worlds), model.nv))
    elapsed[worlds] = 0


def step(action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    before = qpos[:, 0].copy()
    ctrl[:] = action
    batch.step(nstep=FRAME_SKIP)
    elapsed[:] += 1
    reward = (qpos[:, 0] - before) / dt - 0.1 * np.square(action).sum(-1)
    truncated = elapsed >= EPISODE_STEPS
    if truncated.any():
        restart(np.flatnonzero(truncated))
    return np.concatenate((qpos[:, 1:], qvel), axis=-1), reward, truncated


def advance() -> int:
    step(next(actions))
    return given.num_envs


restart(np.arange(given.num_envs))
serve(advance)
