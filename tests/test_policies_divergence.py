"""A run that came apart stops in time, says why, and leaves a post-mortem."""

import json
from dataclasses import replace

import gymnasium
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv
from test_policies_ppo import Follow, Immediately, a_learner, iterations
from test_policies_training import a_distillation

import envs.tasks
import policies.ppo
import policies.training
import robots
from envs.randomization import preset
from envs.vector_env import VectorEnv
from policies.divergence import POST_MORTEM, DivergenceWatch, Limits
from policies.files import checkpoint
from policies.finite import rollout_reason
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO, DivergedError
from policies.threads import one_torch_thread
from policies.training import Training
from policies.vec_env import Sb3VecEnv

one_torch_thread()
GO1, VELOCITY = robots.get("go1"), envs.tasks.get("velocity")
NUM_ENVS, ITERATION = 8, 24 * 8


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(policies.training, "CURVE_EPISODES", 2)
    monkeypatch.setattr(policies.training, "CURVE_SECONDS", 0.1)
    monkeypatch.setattr(policies.training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(policies.ppo, "ThreadPoolExecutor", Immediately)


def a_training(file, num_iterations: int, task=VELOCITY, **settings) -> Training:
    env = VectorEnv(GO1, task, num_envs=NUM_ENVS, randomization=preset("none"), seed=5, num_threads=1)
    kwargs = {"layout": Layout.of(env.terms, privileged=False), "hidden": (16, 16)}
    ppo = PPO(ActorCritic, Sb3VecEnv(env), seed=5, policy_kwargs=kwargs, **settings)
    return Training(ppo, num_iterations * ITERATION, file, num_threads=1, curve_points=1)


def post_mortem(file) -> dict:
    return json.loads(file.with_name(POST_MORTEM).read_text())


def watched(ppo: PPO, number: int, **arguments) -> None:
    ppo.learn(number * ppo.n_steps * ppo.env.num_envs, callback=DivergenceWatch(**arguments))


EVALUATED = 5
"""Control steps of the evaluation before the first rollout: 0.1 s at 50 Hz."""
BEGUN = 2 * 24 + 5
"""Control steps of training before rewards go bad: two rollouts and a bit."""


def bad_from(step: int, value: float):
    """The velocity task whose reward is `value` in world 3 from its `step`-th step of training on."""
    count = iter(range(1_000_000))

    def reward(world, *others):
        given = VELOCITY.reward(world, *others)
        if next(count) >= EVALUATED + step:
            given[3] = value
        return given

    return replace(VELOCITY, reward=reward)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_reward_that_is_not_finite_stops_the_run_and_names_the_world(tmp_path, value):
    file = tmp_path / "training.safetensors"
    run = a_training(file, 6, bad_from(BEGUN, value))
    with pytest.raises(
        DivergedError, match=r"non-finite reward in 1 of 8 worlds \(the first: 3\) before 576 steps; look"
    ):
        run.run()
    found = post_mortem(file)
    assert found["reason"].startswith("non-finite reward in 1 of 8 worlds")
    assert found["env_steps"] == 3 * ITERATION
    assert found["rollout"]["rewards"]["worlds"] == [3]
    assert found["rollout"]["rewards"]["nonfinite"] == 24 - 5
    assert found["checkpoint"] == {"file": str(file), "env_steps": 2 * ITERATION}
    assert [update["env_steps"] for update in found["updates"]] == [ITERATION, 2 * ITERATION]
    assert found["updates"][0].keys() >= {"divergence", "learning_rate", "std"}
    assert found["hyperparameters"]["gamma"] == run.ppo.gamma


def test_the_checkpoint_from_before_is_whole_and_finite(tmp_path):
    file = tmp_path / "training.safetensors"
    with pytest.raises(DivergedError):
        a_training(file, 6, bad_from(BEGUN, float("nan"))).run()
    tensors, _ = checkpoint.load(file)
    assert all(value.isfinite().all() for name, value in tensors.items() if name.startswith("learner.policy."))
    mended = a_training(file, 6)
    mended.run()  # with a task that was mended the run goes on
    assert mended.ppo.num_timesteps == 6 * ITERATION


def test_an_observation_that_is_not_finite_is_named_by_its_term(tmp_path):
    file = tmp_path / "training.safetensors"
    run = a_training(file, 4)
    env = run.env.env
    observe, names = env.observe, [term.name for term in env.terms for _ in range(term.width)]

    def with_a_broken_gyro(*arguments, **others):
        observation = observe(*arguments, **others)
        observation[5, names.index("gyro")] = float("nan")
        return observation

    env.observe = with_a_broken_gyro
    with pytest.raises(DivergedError, match=r"non-finite observation of gyro in 1 of 8 worlds \(the first: 5\)"):
        run.run()
    assert post_mortem(file)["nonfinite_terms"] == {"gyro": 24}
    assert post_mortem(file)["checkpoint"]["env_steps"] == 0


def test_a_learning_rate_of_a_million_is_stopped(tmp_path):
    file = tmp_path / "training.safetensors"
    with pytest.raises(DivergedError, match=rf"steps.*; post-mortem: {file.with_name(POST_MORTEM)}"):
        a_training(file, 40, learning_rate=1e6, adaptive=False).run()
    assert post_mortem(file)["env_steps"] <= 10 * ITERATION
    assert checkpoint.load(file)[1]["env_steps"] < post_mortem(file)["env_steps"]


def test_updates_that_jump_several_times_running_are_an_explosion(tmp_path):
    ppo = a_learner(learning_rate=0.5, adaptive=False, target_divergence=1e-4)
    with pytest.raises(DivergedError, match=r"3 updates running moved the policy by more than 50 times target_div"):
        watched(ppo, 30, limits=Limits(updates=3, greatest_std=1e30, least_std=0.0))


def test_one_jump_is_no_explosion():
    ppo = a_learner()
    watch = DivergenceWatch()
    watch.model = ppo
    for divergence, updates in ((9.0, 5), (9.0, 10), (0.01, 15), (9.0, 20)):  # far, far, near, far
        ppo.last_update, ppo._n_updates = {"divergence": divergence}, updates
        watch._look_at_update()
        watch._look_at_update()  # the same update is not counted twice
    assert watch.far == 1
    assert len(watch.updates) == 4


@pytest.mark.parametrize(("log_std", "word"), [(-8.0, "collapsed"), (6.0, "exploded")])
def test_exploration_that_died_out_or_swamps_the_action_is_named(log_std, word):
    ppo = a_learner()
    with torch.no_grad():
        ppo.policy.log_std.fill_(log_std)  # e⁻⁸ = 3.4·10⁻⁴ < 10⁻³, e⁶ = 403 > 10²
    with pytest.raises(DivergedError, match=f"exploration {word} after 0 steps.*entropy_coefficient"):
        watched(ppo, 1)


def test_weights_that_are_not_finite_are_named(tmp_path):
    ppo = a_learner()
    with torch.no_grad():
        ppo.policy.actor[0].bias[2] = float("inf")
    with pytest.raises(DivergedError, match=r"weights are not finite after 0 steps \(actor\.0\.bias\)"):
        watched(ppo, 1, file=tmp_path / "run.safetensors")
    found = post_mortem(tmp_path / "run.safetensors")
    assert found["nonfinite_weights"] == ["actor.0.bias"]
    assert found["checkpoint"] is None


def test_what_the_learner_notices_itself_has_a_post_mortem_too(tmp_path, monkeypatch):
    file = tmp_path / "training.safetensors"
    run = a_training(file, 4)

    def fails():
        raise DivergedError("the update left the finite numbers")

    monkeypatch.setattr(run.ppo, "train", fails)
    with pytest.raises(DivergedError, match=r"the update left the finite numbers; post-mortem: .*post_mortem\.json"):
        run.run()
    assert post_mortem(file)["reason"] == "the update left the finite numbers"


def test_numbers_that_json_does_not_have_are_text(tmp_path):
    ppo = iterations(a_learner(), 1)
    ppo.last_update["value_loss"] = float("inf")
    with pytest.raises(DivergedError, match="value_loss of the last update is not finite"):
        watched(ppo, 1, file=tmp_path / "run.safetensors")
    assert post_mortem(tmp_path / "run.safetensors")["last_update"]["value_loss"] == "inf"


def test_channels_without_names_are_counted():
    ppo = iterations(a_learner(Follow()), 1)
    ppo.rollout_buffer.observations[3, 2] = float("nan")
    expected = "non-finite observation of channel 0 in 1 of 16 worlds (the first: 2) before 384 steps"
    assert expected in rollout_reason(ppo.rollout_buffer, ppo.num_timesteps)


def test_a_healthy_run_is_left_alone(tmp_path):
    run = a_training(tmp_path / "training.safetensors", 3)
    run.run()
    assert not (tmp_path / POST_MORTEM).exists()


def test_the_watch_is_a_callback_for_any_environment():
    env = DummyVecEnv([lambda: gymnasium.make("Pendulum-v1", max_episode_steps=20)] * 2)
    ppo = a_learner(env, num_steps=32, num_minibatches=2)
    watched(ppo, 2)
    assert ppo.num_timesteps == 128


def test_a_distillation_that_comes_apart_has_a_post_mortem(tmp_path):
    run = a_distillation(tmp_path / "run.safetensors", 4)
    with torch.no_grad():
        run.teacher.actor[0].weight[0, 0] = float("nan")
    with pytest.raises(DivergedError, match=r"the loss is nan after 192 steps.*; post-mortem: .*post_mortem\.json"):
        run.run()
    found = post_mortem(run.file)
    assert (found["env_steps"], found["checkpoint"]) == (ITERATION, None)
    assert found["nonfinite_weights"] == ["normalizer.mean", "normalizer.std"]  # they took in what the actions led to
    assert set(found["nonfinite_terms"]) == {"previous_target"}
