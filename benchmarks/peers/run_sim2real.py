"""Our native worlds, through Gymnasium's vector interface."""

from serve import arguments, random_actions, serve

from envs.gymnasium_native.vector import NativeVectorEnv

given = arguments()
env = NativeVectorEnv("HalfCheetah-v5", given.num_envs, num_threads=given.num_threads)
env.reset(seed=0)
actions = random_actions(given.num_envs)


def advance() -> int:
    env.step(next(actions))
    return given.num_envs


serve(advance)
