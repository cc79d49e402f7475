"""EnvPool, the half of its environments that is ready first: its fastest mode."""

import envpool
import numpy as np
from serve import arguments, random_actions, serve

given = arguments()
batch = given.num_envs // 2
env = envpool.make(
    "HalfCheetah-v5",
    env_type="gymnasium",
    num_envs=given.num_envs,
    batch_size=batch,
    num_threads=given.num_threads,
)
env.async_reset()
actions = random_actions(batch)


def advance() -> int:
    *_, info = env.recv()
    env.send(next(actions).astype(np.float64), info["env_id"])
    return batch


serve(advance)
