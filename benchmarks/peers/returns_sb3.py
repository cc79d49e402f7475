"""Stable-Baselines3's PPO on HalfCheetah-v5 for a time, with the hyperparameters published in rl-baselines3-zoo."""

import gymnasium
import numpy as np
import torch
from learn_curve import Curve, arguments
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize


def main() -> None:
    given = arguments()
    torch.set_num_threads(1)
    env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("HalfCheetah-v5", disable_env_checker=True)]), gamma=0.98)
    ppo = PPO(
        "MlpPolicy",
        env,
        n_steps=512,
        batch_size=64,
        n_epochs=20,
        gamma=0.98,
        gae_lambda=0.92,
        learning_rate=2.0633e-05,
        clip_range=0.1,
        ent_coef=0.000401762,
        max_grad_norm=0.8,
        vf_coef=0.58096,
        policy_kwargs={
            "log_std_init": -2,
            "ortho_init": False,
            "activation_fn": torch.nn.ReLU,
            "net_arch": {"pi": [256, 256], "vf": [256, 256]},
        },
        seed=given.seed,
        device="cpu",
    )

    def act(observation: np.ndarray) -> np.ndarray:
        return ppo.predict(env.normalize_obs(observation), deterministic=True)[0]

    ppo.learn(10**12, callback=Curve(given.seconds, act))


if __name__ == "__main__":
    main()
