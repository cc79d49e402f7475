"""The worlds as a Stable-Baselines3 VecEnv: stock algorithms and tools run with it."""

import numpy as np
import pytest
import stable_baselines3
import torch
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor

import robots
from envs import tasks
from envs.actions import ACTION_CLIP
from envs.randomization import preset
from envs.vector_env import VectorEnv
from policies.vec_env import Sb3VecEnv


def make(num_envs: int = 4, *, seed: int = 0, scoring: bool = False) -> Sb3VecEnv:
    return Sb3VecEnv(
        VectorEnv(
            robots.get("go1"),
            tasks.get("velocity"),
            num_envs=num_envs,
            randomization=preset("none"),
            seed=seed,
            num_threads=1,
            scoring=scoring,
        )
    )


def topple(env: Sb3VecEnv, world: int) -> None:
    env.env.physics.qpos[world, 3:7] = torch.tensor([0.0, 1.0, 0.0, 0.0]).double()


def test_the_stock_ppo_learns_with_it_and_evaluate_policy_works():
    env = make()
    learner = stable_baselines3.PPO("MlpPolicy", env, n_steps=16, batch_size=32, n_epochs=1, device="cpu", seed=0)
    learner.learn(64)
    assert learner.num_timesteps == 64  # 16 steps of 4 worlds
    env.env.episode_steps = 25
    returns, lengths = evaluate_policy(
        learner, VecMonitor(env), n_eval_episodes=4, deterministic=True, return_episode_rewards=True
    )
    assert len(returns) == 4
    assert np.isfinite(returns).all()
    assert max(lengths) <= 25


def test_spaces_are_those_of_the_worlds():
    env = make()
    assert env.observation_space.shape == (env.env.width,)
    assert env.action_space.shape == (12,)
    assert (env.action_space.low == -ACTION_CLIP).all()
    observation = env.reset()
    assert observation.shape == (4, env.env.width)
    assert observation.dtype == np.float32


def test_an_episodes_end_comes_with_its_terminal_observation():
    env = make(3, scoring=True)
    env.reset()
    env.env.episode.steps[2] = env.env.episode_steps - 1
    topple(env, 1)
    observation, reward, done, infos = env.step(np.zeros((3, 12), np.float32))
    assert done.tolist() == [False, True, True]
    assert infos[0] == {}
    assert [info["TimeLimit.truncated"] for info in infos[1:]] == [False, True]
    assert infos[1]["terminal_observation"][2] > 0.9  # gravity of a base on its back
    assert observation[1, 2] < -0.9  # of the next episode
    assert reward[1] < -0.9


def test_step_tensor_and_step_are_the_same():
    by_tensor, by_array = make(seed=1), make(seed=1)
    np.testing.assert_array_equal(by_tensor.reset(), by_array.reset())
    for _ in range(5):
        action = torch.full((4, 12), 0.3)
        observation, reward, terminated, truncated, _ = by_tensor.step_tensor(action)
        expected = by_array.step(action.numpy())
        np.testing.assert_array_equal(observation, expected[0])
        np.testing.assert_array_equal(reward, expected[1])
        np.testing.assert_array_equal(terminated | truncated, expected[2])


def test_a_seed_repeats_what_follows():
    env = make()
    rollouts = []
    for _ in range(2):
        assert env.seed(3) == [3] * 4
        rollouts.append([env.reset(), *[env.step(np.zeros((4, 12), np.float32))[0] for _ in range(3)]])
    np.testing.assert_array_equal(*rollouts)


def test_attributes_are_shared_by_all_worlds():
    env = make()
    assert env.get_attr("num_envs") == [4] * 4
    assert env.get_attr("dt", indices=[0, 2]) == [0.02] * 2
    assert env.env_is_wrapped(VecMonitor) == [False] * 4
    with pytest.raises(AttributeError, match="set 'dt' on the VectorEnv itself"):
        env.set_attr("dt", 0.1)
