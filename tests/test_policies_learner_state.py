"""A learner's state: saved and loaded in a safe format, it learns on as if nothing had been."""

import io
import subprocess
import sys
import zipfile

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import CheckpointCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv
from test_policies_ppo import Follow, Immediately, a_learner, iterations, weights

import policies.ppo
from envs.state_dicts import prefixed
from policies.files import checkpoint, generators
from policies.files.learner_state import COUNTERS, learner_state, restore_learner
from policies.files.run_state import load_run, save_run, versions
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO
from policies.threads import one_torch_thread

one_torch_thread()
ITERATION = 24 * 16
"""Environment steps of a rollout of `Follow`."""


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setattr(policies.ppo, "ThreadPoolExecutor", Immediately)


def learn_on(ppo: PPO, number: int) -> PPO:
    return ppo.learn(number * ITERATION, reset_num_timesteps=False)


def worlds_like(env: Follow) -> Follow:
    """Worlds in the same state."""
    other = Follow()
    other.steps, other.x = env.steps, env.x.clone()
    other.generator.set_state(env.generator.get_state())
    return other


def assert_equal_states(one: PPO, other: PPO) -> None:
    (tensors, record), (others, other_record) = learner_state(one), learner_state(other)
    assert tensors.keys() == others.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []
    assert record == other_record


def test_what_is_loaded_learns_on_exactly_as_what_was_saved(tmp_path):
    ppo = iterations(a_learner(), 2)
    ppo.save(tmp_path / "learner")
    env = worlds_like(ppo.env)
    loaded = PPO.load(tmp_path / "learner", env=env, force_reset=False)
    assert_equal_states(ppo, loaded)
    learn_on(ppo, 2)
    learn_on(loaded, 2)
    assert_equal_states(ppo, loaded)
    assert loaded.num_timesteps == 4 * ITERATION


def test_the_state_covers_whatever_stable_baselines3_counts():
    ppo, other = iterations(a_learner(), 2), a_learner(seed=9)
    restore_learner(other, *learner_state(ppo))
    assert {name: getattr(other, name) for name in COUNTERS} == {name: getattr(ppo, name) for name in COUNTERS}
    assert (ppo.num_timesteps, ppo._n_updates, ppo._current_progress_remaining) == (2 * ITERATION, 10, 0.0)
    assert list(other.ep_info_buffer) == list(ppo.ep_info_buffer)
    assert len(ppo.ep_info_buffer) == 100  # 2·24 steps in episodes of 4 of 16 worlds end 192 times; SB3 keeps 100
    assert other.ep_info_buffer.maxlen == ppo.ep_info_buffer.maxlen
    assert np.array_equal(other.episodes.returns, ppo.episodes.returns)


FRESH = """
import sys
import numpy as np
from policies.ppo import PPO
def audit(event, _):
    if event == "pickle.find_class":
        raise RuntimeError("unpickled")
sys.addaudithook(audit)
ppo = PPO.load(sys.argv[1])
print(*ppo.predict(np.float32([[-0.5], [0.25]]), deterministic=True)[0][:, 0].tolist())
"""


def test_a_fresh_process_predicts_the_same_without_worlds(tmp_path):
    ppo = iterations(a_learner(), 2)
    ppo.save(tmp_path / "learner.safetensors")
    ran = subprocess.run(
        [sys.executable, "-c", FRESH, tmp_path / "learner"], capture_output=True, text=True, check=True
    )
    expected = ppo.predict(np.float32([[-0.5], [0.25]]), deterministic=True)[0][:, 0]
    assert [float(word) for word in ran.stdout.split()] == expected.tolist()


def test_without_worlds_it_says_how_to_give_some(tmp_path):
    ppo = iterations(a_learner(), 1)
    ppo.save(tmp_path / "learner")
    loaded = PPO.load(tmp_path / "learner")
    assert loaded.get_env() is None
    with pytest.raises(RuntimeError, match="loaded without worlds: call set_env first"):
        loaded.learn(ITERATION)
    loaded.set_env(Follow())
    learn_on(loaded, 1)
    assert loaded.num_timesteps == 2 * ITERATION


def test_hyperparameters_network_and_layout_come_back(tmp_path):
    layout = Layout(offset=(0.5,), scale=(2.0,), actor_width=1)
    kwargs = {"layout": layout, "hidden": (8, 4), "activation": "tanh"}
    ppo = PPO(ActorCritic, Follow(), gamma=0.5, num_steps=12, policy_kwargs=kwargs, learning_rate=2e-4, adaptive=False)
    ppo.save(tmp_path / "learner")
    loaded = PPO.load(tmp_path / "learner", env=Follow())
    assert loaded.hyperparameters == ppo.hyperparameters
    assert (loaded.policy.layout, loaded.policy.hidden, loaded.policy.activation) == (layout, (8, 4), "tanh")
    assert torch.equal(weights(loaded), weights(ppo))
    assert PPO.load(tmp_path / "learner", env=Follow(), learning_rate=5e-4).adaptive_rate == 5e-4
    changed = PPO.load(tmp_path / "learner", env=Follow(), gamma=0.9)
    assert changed.gamma == changed.rollout_buffer.gamma == 0.9


def test_parameters_of_another_learner_are_taken_from_a_file_or_a_dictionary(tmp_path):
    ppo, one, other = iterations(a_learner(), 2), a_learner(seed=3), a_learner(seed=4)
    ppo.save(tmp_path / "learner")
    one.set_parameters(tmp_path / "learner")
    other.set_parameters(ppo.get_parameters())
    assert set(ppo.get_parameters()) == {"policy", "policy.optimizer", "policy.critic_optimizer"}
    for taken in (one, other):
        assert torch.equal(weights(taken), weights(ppo))
        moments = taken.policy.critic_optimizer.state_dict()["state"]
        assert torch.equal(moments[0]["exp_avg"], ppo.policy.critic_optimizer.state_dict()["state"][0]["exp_avg"])
        assert taken.num_timesteps == 0


def test_callbacks_that_save_get_safe_files(tmp_path):
    ppo = a_learner()
    callback = CheckpointCallback(save_freq=24, save_path=str(tmp_path), name_prefix="walk")
    ppo.learn(2 * ITERATION, callback=callback)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "walk_384_steps.safetensors",
        "walk_768_steps.safetensors",
    ]
    loaded = PPO.load(tmp_path / "walk_768_steps.zip")  # the name that the callback gave
    assert loaded.num_timesteps == 768


def test_a_zip_that_is_named_is_not_passed_over_for_the_safe_file_beside_it(tmp_path):
    a_learner().save(tmp_path / "walk.zip")
    assert PPO.load(tmp_path / "walk.zip").num_timesteps == 0
    with zipfile.ZipFile(tmp_path / "walk.zip", "w") as archive:
        archive.writestr("data", "{}")
    with pytest.raises(ValueError, match="is a Stable-Baselines3 zip, which holds pickles"):
        PPO.load(tmp_path / "walk.zip")
    with (tmp_path / "walk.zip").open("rb") as file, pytest.raises(ValueError, match="is a zip: give its path"):
        PPO.load(file)


def test_an_open_file_will_do():
    ppo, file = iterations(a_learner(), 1), io.BytesIO()
    ppo.save(file)
    file.seek(0)
    assert torch.equal(weights(PPO.load(file)), weights(ppo))


def test_an_ordinary_environment_is_wrapped_and_evaluated(tmp_path):
    env = DummyVecEnv([lambda: Monitor(gymnasium.make("Pendulum-v1", max_episode_steps=20))])
    a_learner(env, num_steps=32, num_minibatches=2).learn(64).save(tmp_path / "learner")
    single = Monitor(gymnasium.make("Pendulum-v1", max_episode_steps=20))
    loaded = PPO.load(tmp_path / "learner", env=single)
    loaded.learn(32, reset_num_timesteps=False)
    mean, _ = evaluate_policy(loaded, loaded.env, n_eval_episodes=2)
    assert -20 * 16.3 < mean < 0.0  # a step of Pendulum costs at most π² + 0.1·8² + 0.001·2² = 16.27


def test_other_observations_are_refused(tmp_path):
    a_learner().save(tmp_path / "learner")
    with pytest.raises(ValueError, match="saved with 1 observation channels, this environment has 3"):
        PPO.load(tmp_path / "learner", env=gymnasium.make("Pendulum-v1"))


def test_a_network_of_another_size_is_refused_by_name():
    tensors, record = learner_state(a_learner())
    other = PPO(ActorCritic, Follow(), policy_kwargs={"hidden": (8, 8)})
    with pytest.raises(ValueError, match=r"must have actor\.0\.bias of shape \(8,\), the file has \(16,\)"):
        restore_learner(other, tensors, record)


def test_other_files_are_refused(tmp_path):
    checkpoint.save(tmp_path / "skill.safetensors", {"weights": torch.zeros(1)}, {"kind": "skill"})
    with pytest.raises(ValueError, match=r"must be what PPO\.save wrote, got a file of kind 'skill'"):
        PPO.load(tmp_path / "skill.safetensors")
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*nothing"):
        PPO.load(tmp_path / "nothing")
    (tmp_path / "half.safetensors").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"half\.safetensors is damaged"):
        PPO.load(tmp_path / "half")


def test_a_policy_of_another_class_must_be_given(tmp_path):
    class Own(ActorCritic):
        pass

    ppo = PPO(Own, Follow(), policy_kwargs={"hidden": (4,)})
    ppo.save(tmp_path / "learner")
    with pytest.raises(ValueError, match="policy of class Own, which must be given"):
        PPO.load(tmp_path / "learner")
    loaded = PPO.load(tmp_path / "learner", custom_objects={"policy_class": Own})
    assert torch.equal(weights(loaded), weights(ppo))


def test_attributes_are_not_chosen():
    with pytest.raises(ValueError, match="exclude and include must be left out"):
        a_learner().save("learner", exclude=["policy"])


def test_global_generators_go_on_where_they_were():
    import random

    def draw() -> tuple:
        return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(1).item()

    draw()
    tensors, record = generators.global_state()
    expected = draw()
    draw()
    generators.restore_global_state(tensors, record)
    assert draw() == expected


def test_a_runs_checkpoint_brings_back_the_global_generators(tmp_path):
    file, about = tmp_path / "run.safetensors", {"robot": "go1", "hidden_layers": [16, 16]}
    save_run(file, "training", {"weights": torch.zeros(1)}, {"env_steps": 1}, about)
    expected = torch.rand(3), np.random.rand(3).tolist()
    _, record = load_run(file, "training", about)
    assert (torch.rand(3).tolist(), np.random.rand(3).tolist()) == (expected[0].tolist(), expected[1])
    assert record["versions"] == versions()
    assert {"torch", "mujoco", "numpy"} <= set(versions())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"robot": "a1"}, "is of another run: robot must be 'a1', it has 'go1'; start it as it was started, or"),
        ({"hidden_layers": [8]}, r"hidden layers must be \[8\], it has \[16, 16\]; start it as it was started"),
    ],
    ids=["robot", "net size"],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, changed, message):
    file, about = tmp_path / "run.safetensors", {"robot": "go1", "hidden_layers": [16, 16]}
    save_run(file, "training", {"weights": torch.zeros(1)}, {}, about)
    with pytest.raises(ValueError, match=message):
        load_run(file, "training", about | changed)
    with pytest.raises(ValueError, match=r"must be of a distillation, got 'training'; delete run\*\.safetensors in"):
        load_run(file, "distillation", about)


def test_other_versions_are_told(tmp_path):
    file, said = tmp_path / "run.safetensors", []
    states, words = generators.global_state()
    own = {"kind": "training", "versions": versions() | {"torch": "1.0"}, "globals": words}
    checkpoint.save(file, prefixed("globals", states), own)
    load_run(file, "training", {}, said.append)
    assert len(said) == 1
    assert said[0].startswith(
        "going on under other conditions, so not bit for bit as without a break: torch 1.0 is now 2"
    )
