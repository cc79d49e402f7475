"""Hyperparameters: refusals, files, and that a learner takes them."""

import json

import pytest
from test_policies_ppo import Follow

import envs.tasks
import robots
from policies.hyperparameters import Hyperparameters, chosen, for_task, read
from policies.networks import ActorCritic
from policies.ppo import PPO


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_steps", 0, "num_steps must be a whole number >= 1, got 0"),
        ("learning_rate", 0.0, "learning_rate must be > 0, got 0.0"),
        ("gamma", 1.5, "gamma must be from 0 to 1, got 1.5"),
        ("entropy_coefficient", -0.1, "entropy_coefficient must be >= 0, got -0.1"),
        ("hidden", (64, 0), r"hidden must be widths >= 1, got \(64, 0\)"),
    ],
)
def test_nonsense_is_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        Hyperparameters(**{name: value})


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_a_file_changes_what_it_names_and_nothing_else(tmp_path, suffix):
    file, given = tmp_path / f"h{suffix}", {"gamma": 0.99, "hidden": [64, 64], "activation": "tanh"}
    file.write_text(json.dumps(given))  # JSON is YAML too
    base = Hyperparameters(num_steps=7)
    assert read(file, base) == Hyperparameters(num_steps=7, gamma=0.99, hidden=(64, 64), activation="tanh")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gama: 0.9", "gama"),
        ("gamma: high", "gamma: expected a number"),
        ("gamma: 2", "gamma must be from 0 to 1"),
        ("activation: sine", "one of elu, tanh, relu"),
        ("- 1", "expected a mapping of hyperparameters, got list"),
        ("{", "not readable as YAML or JSON"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path, text, message):
    file = tmp_path / "h.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as raised:
        read(file)
    assert str(file) in str(raised.value)


def test_a_missing_file_and_an_unknown_name_say_what_there_is(tmp_path):
    spec, task = robots.get("go1"), envs.tasks.get("velocity")
    with pytest.raises(FileNotFoundError, match=r"no hyperparameters .*h\.yaml; write a YAML mapping of .*gamma"):
        chosen(str(tmp_path / "h.yaml"), spec, task)
    with pytest.raises(
        LookupError, match=r"no hyperparameters named 'best'; there are 'tuned', and YAML or JSON files"
    ):
        chosen("best", spec, task)
    assert chosen("tuned", spec, task) == for_task(spec, task)


def test_a_learner_takes_them_and_single_ones_over_them():
    wanted = Hyperparameters(num_steps=8, num_minibatches=2, hidden=(4,), activation="tanh", gamma=0.5, num_epochs=3)
    ppo = PPO(ActorCritic, Follow(), hyperparameters=wanted, gamma=0.9, policy_kwargs={"hidden": (6,)})
    assert (ppo.n_steps, ppo.num_minibatches, ppo.n_epochs, ppo.gamma) == (8, 2, 3, 0.9)
    assert ppo.hyperparameters.gamma == 0.9
    assert ppo.hyperparameters.hidden == ppo.policy.hidden == (6,)
    assert ppo.policy.activation == "tanh"


def test_a_gymnasium_id_is_learned_with_returns_of_about_one_where_it_counts_as_solved():
    wanted = for_task(robots.get("gymnasium:HalfCheetah-v5"), envs.tasks.get("gymnasium"))
    assert wanted.reward_scale == pytest.approx(0.01 / 4.8)  # (1 − γ) over 4800 in 1000 steps
    assert (wanted.num_steps, wanted.num_minibatches, wanted.hidden) == (32, 2, (64, 64))  # of 256 worlds: 8192, 4096


def test_without_a_return_that_counts_as_solved_rewards_are_made_a_hundredth():
    for name in ("Humanoid-v5", "Reacher-v5"):  # none, and −3.75
        assert for_task(robots.get(f"gymnasium:{name}"), envs.tasks.get("gymnasium")).reward_scale == 0.01


def test_a_biped_looks_farther_ahead_and_explores_less():
    task = envs.tasks.get("velocity")
    two, four = for_task(robots.get("g1"), task), for_task(robots.get("go1"), task)
    assert four == Hyperparameters()
    assert two.gamma > four.gamma
    assert two.initial_std < four.initial_std


def test_rewards_are_scaled_for_learning_and_told_as_they_are():
    ppo = PPO(ActorCritic, Follow(), num_steps=8, hidden=(4,), reward_scale=0.5, gamma=0.0).learn(8 * 16)
    assert ppo.rollout_buffer.rewards.mean().item() == pytest.approx(0.5 * sum(ppo.env.rewards) / 8, rel=1e-5)
    told = sum(episode["r"] for episode in ppo.ep_info_buffer) / len(ppo.ep_info_buffer)
    assert told == pytest.approx(sum(ppo.env.rewards) / 2, rel=1e-5)  # two episodes of four steps
