"""Stock Stable-Baselines3 with its defaults: `PEER=dummy` in one process, `PEER=subproc` a process an environment.

Minibatches of 64, ten epochs, two 64×64 tanh networks; a rollout is cut to 256 steps an environment, which changes
nothing of the cost per step.
"""

import os

import gymnasium
import torch
from serve import arguments, serve
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

STEPS = 256


def make() -> gymnasium.Env:
    return gymnasium.make("HalfCheetah-v5", disable_env_checker=True)


def main() -> None:
    given = arguments()
    torch.set_num_threads(1)
    kind = {"dummy": DummyVecEnv, "subproc": SubprocVecEnv}[os.environ["PEER"]]
    env = kind([make] * given.num_envs)
    ppo = PPO("MlpPolicy", env, n_steps=STEPS, seed=0, device="cpu")

    def advance() -> int:
        ppo.learn(STEPS * given.num_envs, reset_num_timesteps=ppo._last_obs is None)
        return STEPS * given.num_envs

    serve(advance, [process.pid for process in getattr(env, "processes", [])])


if __name__ == "__main__":
    main()
