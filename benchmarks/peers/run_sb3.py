"""Stable-Baselines3's vectorized environments: `PEER=dummy` in one process, `PEER=subproc` a process each."""

import os

import gymnasium
from serve import arguments, random_actions, serve
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv


def make() -> gymnasium.Env:
    return gymnasium.make("HalfCheetah-v5", disable_env_checker=True)


def main() -> None:
    given = arguments()
    kind = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}[os.environ["PEER"]]
    env = kind([make] * given.num_envs)
    env.reset()
    actions = random_actions(given.num_envs)

    def advance() -> int:
        env.step(next(actions))
        return given.num_envs

    serve(advance, [process.pid for process in getattr(env, "processes", [])])


if __name__ == "__main__":
    main()
