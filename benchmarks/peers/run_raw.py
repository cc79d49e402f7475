"""The engine's limit: bare `mujoco.batch.Batch` on HalfCheetah's model, random controls, no environment around it."""

import os

import mujoco
from mujoco.batch import Batch
from serve import arguments, random_actions, serve

FRAME_SKIP = 5

given = arguments()
batch = Batch(mujoco.MjModel.from_xml_path(os.environ["HALF_CHEETAH_XML"]), given.num_envs, given.num_threads)
control = batch.bind("ctrl")
actions = random_actions(given.num_envs)


def advance() -> int:
    control[:] = next(actions)
    batch.step(nstep=FRAME_SKIP)
    return given.num_envs


serve(advance)
