"""PPO: advantages, time limits, ownership of randomness, and that it learns."""

import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

import policies.ppo
from policies.networks import ActorCritic, Layout, kl_divergence
from policies.ppo import PPO, DivergedError
from policies.rollout import Episodes, TorchRolloutBuffer
from policies.threads import one_torch_thread
from policies.vec_env import TensorStep

one_torch_thread()
HIDDEN = (16, 16)


class Follow(DummyVecEnv):
    """Reward −(a − x)² for a random x in view; episodes of four steps end by a time limit. For `step_tensor` only."""

    def __init__(self, num_envs: int = 16, observe=lambda x: x) -> None:
        self.num_envs, self.observe = num_envs, observe
        self.observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.action_space = spaces.Box(-4.0, 4.0, (1,), np.float32)
        self.render_mode = None
        self.generator = torch.Generator().manual_seed(0)
        self.rewards: list[float] = []

    def reset(self) -> np.ndarray:
        self.steps, self.x = 0, self._draw()
        return self.observe(self.x).numpy()

    def step_tensor(self, action: torch.Tensor) -> tuple[torch.Tensor, ...]:
        reward = -(action - self.x).square()[:, 0]
        self.rewards.append(reward.mean().item())
        self.steps, self.x = self.steps + 1, self._draw()
        truncated = torch.full((self.num_envs,), self.steps % 4 == 0)
        return self.observe(self.x), reward, torch.zeros_like(truncated), truncated, self.x.clone()

    def _draw(self) -> torch.Tensor:
        return 2.0 * torch.rand(self.num_envs, 1, generator=self.generator) - 1.0


class Immediately:
    """A pool that runs a job when it is handed in."""

    def __init__(self, workers: int) -> None: ...

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future

    def shutdown(self, wait: bool) -> None: ...


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """Networks this small spend most of their time handing the interpreter from thread to thread."""
    monkeypatch.setattr(policies.ppo, "ThreadPoolExecutor", Immediately)


def a_learner(env=None, seed=0, **arguments) -> PPO:
    return PPO(ActorCritic, env or Follow(), seed=seed, policy_kwargs={"hidden": HIDDEN}, **arguments)


def weights(ppo: PPO) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in ppo.policy.parameters()])


def iterations(ppo: PPO, number: int) -> PPO:
    return ppo.learn(number * ppo.n_steps * ppo.env.num_envs)


def a_buffer(rewards, values, ended, gamma=0.5, gae_lambda=0.5) -> TorchRolloutBuffer:
    space = spaces.Box(-1.0, 1.0, (1,))
    buffer = TorchRolloutBuffer(len(rewards), space, space, gamma=gamma, gae_lambda=gae_lambda, n_envs=1)
    buffer.rewards[:, 0], buffer.values[:, 0] = torch.tensor(rewards), torch.tensor(values)
    buffer.ended[:, 0] = torch.tensor(ended)
    buffer.compute_advantages()
    return buffer


def test_advantages_of_three_steps_of_one_episode():
    buffer = a_buffer(rewards=[1.0, 2.0, 3.0], values=[4.0, 3.0, 2.0, 1.0], ended=[0.0, 0.0, 0.0])
    # δ = r + γV' − V: 1 + 1.5 − 4 = −1.5;  2 + 1 − 3 = 0;  3 + 0.5 − 2 = 1.5.  γλ = 0.25
    # A₂ = 1.5;  A₁ = 0 + 0.25·1.5 = 0.375;  A₀ = −1.5 + 0.25·0.375 = −1.40625
    assert buffer.advantages[:, 0].tolist() == [-1.40625, 0.375, 1.5]
    assert buffer.returns[:, 0].tolist() == [4.0 - 1.40625, 3.375, 3.5]


def test_nothing_flows_back_over_the_end_of_an_episode():
    # The second step is a fall, the third hits the time limit: its reward 3 has γV(final) = 0.5·8 added already.
    buffer = a_buffer(rewards=[1.0, 2.0, 3.0 + 4.0], values=[4.0, 3.0, 2.0, 1.0], ended=[0.0, 1.0, 1.0])
    # A₂ = 7 − 2 = 5 (not the next episode's V = 1);  A₁ = 2 − 3 = −1 (no V, no A₂);  A₀ = −1.5 + 0.25·(−1) = −1.75
    assert buffer.advantages[:, 0].tolist() == [-1.75, -1.0, 5.0]


def test_a_time_limit_is_worth_the_value_of_what_it_cut_off():
    ppo = a_learner(Follow(3), gamma=0.5, num_steps=2)
    with torch.no_grad():
        ppo.policy.critic[-1].weight.zero_()
        ppo.policy.critic[-1].bias.fill_(8.0)  # V = 8 everywhere
    buffer, nobody = ppo.rollout_buffer, torch.zeros(3, dtype=torch.bool)
    buffer.reset()
    cut, fell = torch.tensor([True, False, False]), torch.tensor([False, True, False])
    buffer.add_outcome(0, torch.ones(3), fell, cut, torch.zeros(3, 1))  # the third goes on
    buffer.add_outcome(1, torch.ones(3), nobody, nobody, None)
    buffer.value_time_limits(ppo.policy)
    assert buffer.rewards.tolist() == [[5.0, 1.0, 1.0], [1.0, 1.0, 1.0]]  # 1 + 0.5·8
    assert buffer.ended.tolist() == [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]


def test_a_rollout_marks_time_limits_as_ends_and_keeps_their_value():
    ppo = a_learner(gamma=0.5, num_steps=4, num_minibatches=4)
    with torch.no_grad():
        ppo.policy.critic[-1].weight.zero_()
        ppo.policy.critic[-1].bias.fill_(8.0)
    _, callback = ppo._setup_learn(64)
    ppo.collect_rollouts(ppo.env, callback, ppo.rollout_buffer, 4)
    buffer, rewards = ppo.rollout_buffer, ppo.env.rewards
    assert buffer.ended.mean(1).tolist() == [0.0, 0.0, 0.0, 1.0]
    assert buffer.rewards.mean(1).tolist() == pytest.approx([*rewards[:3], rewards[3] + 4.0])
    # At the time limit: δ = r + γV(final) − V = r + 4 − 8, and nothing from the next episode.
    assert buffer.advantages[3].mean().item() == pytest.approx(rewards[3] - 4.0)


def test_two_threads_give_the_numbers_of_one(monkeypatch):
    alone = weights(iterations(a_learner(), 2))
    monkeypatch.setattr(policies.ppo, "ThreadPoolExecutor", ThreadPoolExecutor)
    assert torch.equal(weights(iterations(a_learner(), 2)), alone)


def test_a_critic_that_goes_on_during_the_next_rollout_gives_the_same_numbers(monkeypatch):
    monkeypatch.setattr(policies.ppo, "ThreadPoolExecutor", ThreadPoolExecutor)
    waiting = a_learner()
    waiting.overlaps = False
    overlapping = a_learner()
    assert overlapping.overlaps
    assert torch.equal(weights(iterations(waiting, 3)), weights(iterations(overlapping, 3)))
    assert waiting.last_update == overlapping.last_update


def test_the_critic_learns_until_the_next_rollout_is_over_and_that_changes_no_number(monkeypatch):
    waiting = weights(iterations(a_learner(), 2))
    monkeypatch.setattr(policies.ppo, "ThreadPoolExecutor", ThreadPoolExecutor)
    ppo, over, steps = a_learner(), threading.Event(), []
    train_critic, step = ppo._train_critic, ppo.env.step_tensor

    def late(*batch):
        assert over.wait(10.0)
        return train_critic(*batch)

    def counted(action):
        outcome = step(action)
        steps.append(ppo._critic_update is not None)
        if len(steps) == 2 * ppo.n_steps:
            over.set()
        return outcome

    ppo._train_critic, ppo.env.step_tensor = late, counted
    assert torch.equal(weights(iterations(ppo, 2)), waiting)
    assert steps == [False] * ppo.n_steps + [True] * ppo.n_steps


def test_every_update_is_done_when_learn_returns(monkeypatch):
    monkeypatch.setattr(policies.ppo, "ThreadPoolExecutor", ThreadPoolExecutor)
    ppo = iterations(a_learner(), 1)
    before = weights(ppo)
    ppo.settle()
    assert torch.equal(before, weights(ppo))
    assert "value_loss" in ppo.last_update


def test_who_interrupted_the_wait_for_the_critic_can_wait_again(monkeypatch):
    ppo = iterations(a_learner(), 1)
    ppo._critic_update = update = Future()

    def interrupted(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(policies.ppo, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ppo.settle()
    update.set_result({"value_loss": 1.5})
    ppo.settle()
    assert ppo.last_update["value_loss"] == 1.5


def test_an_error_on_the_critics_thread_is_raised(monkeypatch):
    monkeypatch.setattr(policies.ppo, "ThreadPoolExecutor", ThreadPoolExecutor)
    ppo = a_learner()
    monkeypatch.setattr(ppo, "_train_critic", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        iterations(ppo, 1)


def test_equal_seeds_give_equal_weights_and_others_do_not():
    one, again, other = (weights(iterations(a_learner(seed=seed), 2)) for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_training_leaves_global_generators_alone():
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    iterations(a_learner(), 2)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1][1], np.random.get_state()[1])
    assert before[2] == random.getstate()


def test_global_generators_do_not_reach_training():
    torch.manual_seed(1)
    one = weights(iterations(a_learner(), 2))
    torch.manual_seed(2)
    assert torch.equal(one, weights(iterations(a_learner(), 2)))


def test_it_learns_to_follow():
    ppo = iterations(a_learner(num_steps=16, num_minibatches=2, learning_rate=3e-3, gamma=0.0), 40)
    begin, end = np.mean(ppo.env.rewards[:16]), np.mean(ppo.env.rewards[-64:])
    # A still hand around 0 has −(1/3 + 0.7²) ≈ −0.82; with x followed only the exploration's variance is left.
    assert begin < -0.7
    assert end > -0.15
    seen = torch.tensor([[-0.8], [0.0], [0.8]])
    assert ppo.policy._predict(seen, deterministic=True)[:, 0].tolist() == pytest.approx([-0.8, 0.0, 0.8], abs=0.15)


def test_an_ordinary_sb3_environment_works_too():
    env = DummyVecEnv([lambda: gymnasium.make("Pendulum-v1", max_episode_steps=20)] * 2)
    env.seed(0)
    ppo = a_learner(env, num_steps=32, num_minibatches=2)
    before = weights(ppo)
    iterations(ppo, 2)
    assert ppo.num_timesteps == 128
    assert not torch.equal(before, weights(ppo))
    ended = ppo.rollout_buffer.ended
    assert ended.sum() == 2 * 2  # steps 40 and 60 of both worlds lie in the second rollout
    action, _ = ppo.predict(env.reset(), deterministic=True)
    assert action.shape == (2, 1)


def test_an_ordinary_environments_time_limit_is_no_fall():
    env = DummyVecEnv([lambda: gymnasium.make("Pendulum-v1", max_episode_steps=3)])
    step = TensorStep(env)
    env.seed(0)
    env.reset()
    results = [step(torch.zeros(1, 1)) for _ in range(3)]
    ends = [(terminated.item(), truncated.item()) for _, _, terminated, truncated, _ in results]
    assert ends == [(False, False), (False, False), (False, True)]
    following, *_, final = results[-1]
    assert not torch.equal(following, final)  # the episode's last observation, not the next one's first


def test_not_a_number_stops_training_with_advice():
    ppo = a_learner(Follow(observe=lambda x: x * float("nan")))
    with pytest.raises(
        DivergedError, match=r"non-finite observation .* in 16 of 16 worlds .* before 384 steps; look at"
    ):
        iterations(ppo, 1)


def test_a_reward_that_is_not_finite_is_told_with_its_worlds():
    ppo = a_learner(num_steps=8)
    step, calls = ppo.env.step_tensor, []

    def spoiled(action):
        observation, reward, *others = step(action)
        calls.append(action)
        if len(calls) >= 6:
            reward[3:5] = float("inf")
        return observation, reward, *others

    ppo.env.step_tensor = spoiled
    with pytest.raises(DivergedError, match=r"non-finite reward in 2 of 16 worlds \(the first: 3, 4\).* divisions"):
        iterations(ppo, 1)


def test_weights_that_are_not_finite_are_told_with_the_learning_rate():
    advice = r"weights are not finite after \d+ steps at learning rate .*; lower target_divergence"
    actors, critics = a_learner(), a_learner()
    actors.extra_loss = lambda observations, mean: mean.sum() * float("nan")
    with pytest.raises(DivergedError, match=advice):
        iterations(actors, 1)
    critics.vf_coef = float("nan")
    with pytest.raises(DivergedError, match=advice):
        iterations(critics, 1)


def test_a_fixed_rate_stays():
    ppo = a_learner(adaptive=False, learning_rate=1e-3)
    ppo._adapt_rate(10.0)
    assert ppo.adaptive_rate == 1e-3
    assert ppo.policy.optimizer.param_groups[0]["lr"] == 1e-3


def test_an_entropy_bonus_keeps_exploration_up():
    std = [iterations(a_learner(entropy_coefficient=c), 3).policy.log_std.exp().item() for c in (0.0, 0.3)]
    assert std[1] > std[0]


def test_an_update_tells_its_figures():
    ppo = iterations(a_learner(), 1)
    expected = {"divergence", "clip_fraction", "policy_loss", "std", "entropy", "learning_rate", "explained_variance"}
    assert set(ppo.last_update) == expected | {"value_loss", "actor_grad_norm", "critic_grad_norm"}
    assert all(np.isfinite(value) for value in ppo.last_update.values())
    assert ppo.last_update["learning_rate"] == ppo.adaptive_rate
    assert ppo.last_update["std"] == pytest.approx(ppo.policy.log_std.exp().mean().item())


def test_episodes_that_span_rollouts_are_counted_whole():
    episodes = Episodes(2)
    rewards = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    ends = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    assert episodes.take_in(rewards, ends) == [{"r": 3.0, "l": 2}]  # 1 + 2
    ends = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = episodes.take_in(rewards, ends)
    # World 0: 3 of before and 1; then 2 alone. World 1: 60 of before and 60.
    assert found == [{"r": 4.0, "l": 2}, {"r": 2.0, "l": 1}, {"r": 120.0, "l": 6}]
    restored = Episodes(2)
    restored.load_state_dict(episodes.state_dict())
    assert restored.returns.tolist() == [3.0, 0.0]
    assert restored.lengths.tolist() == [1, 0]


def test_far_from_the_target_divergence_the_learning_rate_follows():
    ppo = a_learner(target_divergence=0.01, learning_rate=1e-3)
    ppo._adapt_rate(0.1)
    assert ppo.adaptive_rate == pytest.approx(1e-3 / 1.3)
    ppo._adapt_rate(0.001)
    ppo._adapt_rate(0.01)  # on target: stays
    assert ppo.adaptive_rate == pytest.approx(1e-3)
    assert {group["lr"] for group in ppo.policy.optimizer.param_groups} == {ppo.adaptive_rate}


def test_the_actor_reads_the_leading_channels_only():
    layout = Layout(offset=(0.0,) * 3, scale=(1.0,) * 3, actor_width=2)
    space = spaces.Box(-1.0, 1.0, (3,)), spaces.Box(-1.0, 1.0, (1,))
    policy = ActorCritic(*space, lambda _: 1e-3, layout=layout, hidden=HIDDEN)
    one, other = torch.tensor([[0.1, 0.2, 0.3]]), torch.tensor([[0.1, 0.2, 9.0]])
    assert torch.equal(policy._predict(one, True), policy._predict(other, True))
    assert not torch.equal(policy.predict_values(one), policy.predict_values(other))


def test_probabilities_are_those_of_a_diagonal_gaussian():
    space = spaces.Box(-1.0, 1.0, (3,)), spaces.Box(-1.0, 1.0, (2,))
    policy = ActorCritic(*space, lambda _: 1e-3, hidden=HIDDEN, initial_std=0.5)
    mean = torch.tensor([[0.0, 1.0]])
    # −½(x/σ)² − log σ − ½ log 2π = −½·(0.5/0.5)² + 0.69315 − 0.91894 = −0.72579, and at the mean −0.22579
    assert policy.log_prob(torch.tensor([[0.5, 1.0]]), mean).item() == pytest.approx(-0.72579 - 0.22579, abs=1e-4)
    _, _, entropy = policy.evaluate_actions(torch.zeros(1, 3), mean)
    assert entropy.item() == pytest.approx(2 * (0.5 * np.log(2 * np.pi * np.e) + np.log(0.5)), abs=1e-5)


def test_divergence_of_two_gaussians():
    old, new = torch.tensor([[0.0]]), torch.tensor([[1.0]])
    # KL(N(0, 1) ‖ N(1, 2²)) = log 2 + (1 + 1)/(2·4) − ½ = 0.44315
    divergence = kl_divergence(old, torch.zeros(1), new, torch.tensor([2.0]).log())
    assert divergence == pytest.approx(0.44315, abs=1e-5)
