"""EnvPool, every environment at every step."""

import envpool
import numpy as np
from serve import arguments, random_actions, serve

given = arguments()
env = envpool.make("HalfCheetah-v5", env_type="gymnasium", num_envs=given.num_envs, num_threads=given.num_threads)
env.reset()
actions = random_actions(given.num_envs)


def advance() -> int:
    env.step(next(actions).astype(np.float64))
    return given.num_envs


serve(advance)
