"""What users of Stable-Baselines3 know: its own callbacks, logger and helpers around our PPO."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CheckpointCallback,
    EvalCallback,
    StopTrainingOnMaxEpisodes,
)
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize
from test_policies_ppo import HIDDEN, Follow
from test_policies_vec_env import make

from policies.networks import ActorCritic
from policies.ppo import PPO
from policies.threads import one_torch_thread

one_torch_thread()


def a_learner(env=None, **others) -> PPO:
    return PPO(ActorCritic, env or make(), num_steps=8, num_minibatches=2, hidden=HIDDEN, **others)


@pytest.fixture(scope="module")
def learner() -> PPO:
    return a_learner().learn(32)


def test_predict_takes_and_gives_arrays(learner):
    rows = np.zeros((3, learner.observation_space.shape[0]), np.float32)
    action, state = learner.predict(rows, deterministic=True)
    assert isinstance(action, np.ndarray)
    assert action.shape == (3, 12)
    assert state is None
    assert np.array_equal(action, learner.predict(rows, deterministic=True)[0])
    assert not np.array_equal(action, learner.predict(rows, deterministic=False)[0])
    assert learner.predict(rows[0], deterministic=True)[0].shape == (12,)


def test_predicted_actions_stay_within_the_action_space():
    ppo = PPO(ActorCritic, Follow(), hidden=HIDDEN)
    with torch.no_grad():
        ppo.policy.actor[-1].bias.fill_(99.0)
    assert isinstance(ppo.action_space, spaces.Box)
    assert ppo.predict(np.zeros((2, 1), np.float32), deterministic=True)[0].tolist() == [[4.0], [4.0]]


def test_evaluate_policy_plays_whole_episodes(learner):
    env = make()
    env.env.episode_steps = 20
    returns, lengths = evaluate_policy(learner, VecMonitor(env), n_eval_episodes=4, return_episode_rewards=True)
    assert len(returns) == 4
    assert max(lengths) <= 20


def test_an_eval_callback_keeps_the_best_policy(tmp_path):
    judge = make()
    judge.env.episode_steps = 10
    callback = EvalCallback(
        VecMonitor(judge), n_eval_episodes=2, eval_freq=8, best_model_save_path=str(tmp_path), verbose=0
    )
    a_learner().learn(64, callback=callback)
    assert np.isfinite(callback.best_mean_reward)
    assert len(list(tmp_path.glob("best_model*"))) == 1


def test_a_checkpoint_callback_saves_what_load_reads(tmp_path):
    ppo = a_learner()
    ppo.learn(64, callback=CheckpointCallback(save_freq=16, save_path=str(tmp_path), name_prefix="walk"))
    (last,) = tmp_path.glob("walk_64_steps*")
    loaded, rows = PPO.load(last), np.zeros((2, ppo.observation_space.shape[0]), np.float32)
    assert loaded.num_timesteps == 64
    assert loaded.predict(rows, deterministic=True)[0].shape == (2, 12)


def test_callbacks_see_the_step_under_sb3s_names():
    seen = []

    class Look(BaseCallback):
        def _on_step(self) -> bool:
            seen.append({name: np.shape(self.locals[name]) for name in ("rewards", "dones", "actions", "new_obs")})
            return len(seen) < 3

    ppo = a_learner(Follow()).learn(1000, callback=Look())
    assert seen == [{"rewards": (16,), "dones": (16,), "actions": (16, 1), "new_obs": (16, 1)}] * 3
    assert ppo.num_timesteps == 48  # a callback that says no ends the training


def test_training_stops_after_as_many_episodes_as_asked_for():
    ppo = a_learner(Follow())  # sixteen worlds, whose episodes all end every four steps
    ppo.learn(10_000, callback=StopTrainingOnMaxEpisodes(max_episodes=3))
    assert ppo.num_timesteps == 16 * 4 * 3


def test_what_a_wrapper_does_reaches_the_learner():
    env = VecNormalize(make(), norm_obs=False, norm_reward=True, clip_reward=1e-3)
    ppo = a_learner(env).learn(32)
    assert ppo.rollout_buffer.rewards.abs().max() <= 1e-3 + 1e-6
    with pytest.raises(ValueError, match=r"mirror: true needs the worlds .*, got VecNormalize"):
        a_learner(env, mirror=True)


def test_episodes_begin_anew_with_the_worlds():
    ppo = PPO(ActorCritic, Follow(), num_steps=6, num_minibatches=2, hidden=HIDDEN)
    for _ in range(2):  # each ends in the middle of an episode of four steps, and `learn` begins with new ones
        ppo.learn(6 * 16)
    assert {episode["l"] for episode in ppo.ep_info_buffer} == {4}


def test_the_log_has_sb3s_names(tmp_path):
    ppo = a_learner(Follow())
    ppo.set_logger(configure(str(tmp_path), ["csv"]))
    ppo.learn(3 * 8 * 16)
    names, *rows = (tmp_path / "progress.csv").read_text().splitlines()
    logged = set(names.split(","))
    assert {"rollout/ep_rew_mean", "rollout/ep_len_mean", "time/total_timesteps", "time/fps"} <= logged
    figures = ("approx_kl", "clip_fraction", "value_loss", "explained_variance", "std", "learning_rate", "n_updates")
    assert {f"train/{name}" for name in figures} <= logged
    lengths = [dict(zip(names.split(","), row.split(","), strict=True))["rollout/ep_len_mean"] for row in rows]
    assert [float(length) for length in lengths] == [4.0] * 3


def test_tensorboard_gets_the_curves(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    a_learner(Follow(), tensorboard_log=str(tmp_path)).learn(3 * 8 * 16, tb_log_name="run")
    (folder,) = tmp_path.glob("run_1")
    events = reader.EventAccumulator(str(folder))
    events.Reload()
    assert [event.step for event in events.Scalars("rollout/ep_rew_mean")] == [128, 256, 384]
    assert len(events.Scalars("train/approx_kl")) == 2


def test_another_environment_can_be_set_and_learned_in():
    ppo = a_learner(Follow()).learn(128)
    ppo.set_env(Follow(16, observe=lambda x: -x))
    ppo.learn(128, reset_num_timesteps=False)
    assert ppo.num_timesteps == 256


def test_parameters_go_from_learner_to_learner_with_both_optimizers():
    one, other = a_learner(Follow(), seed=1).learn(128), a_learner(Follow(), seed=2)
    given = one.get_parameters()
    assert set(given) == {"policy", "policy.optimizer", "policy.critic_optimizer"}
    other.set_parameters(given)
    for name, value in one.policy.state_dict().items():
        assert torch.equal(value, other.policy.state_dict()[name])
    moments = [ppo.policy.critic_optimizer.state_dict()["state"][0]["exp_avg"] for ppo in (one, other)]
    assert torch.equal(*moments)


def test_learn_can_show_a_progress_bar_or_none():
    pytest.importorskip("tqdm")
    a_learner(Follow()).learn(128, progress_bar=True)
    a_learner(Follow()).learn(128, progress_bar=False)
