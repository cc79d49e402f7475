"""Gymnasium's AsyncVectorEnv: a process each, observations through shared memory."""

import gymnasium
from gymnasium.vector import AsyncVectorEnv
from serve import arguments, random_actions, serve


def make() -> gymnasium.Env:
    return gymnasium.make("HalfCheetah-v5", disable_env_checker=True)


def main() -> None:
    given = arguments()
    env = AsyncVectorEnv([make] * given.num_envs)
    env.reset(seed=0)
    actions = random_actions(given.num_envs)

    def advance() -> int:
        env.step(next(actions))
        return given.num_envs

    serve(advance, [process.pid for process in env.processes])


if __name__ == "__main__":
    main()
