"""Zips of Stable-Baselines3: refused unless asked for, read without running anything, and the same policy after."""

import base64
import json
import pickle
import shutil
import zipfile

import gymnasium
import numpy as np
import pytest
import stable_baselines3
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

import envs.tasks
import robots
from envs import embodiments
from envs.make import make_worlds
from envs.randomization import preset
from policies.files import checkpoint, policy_file, sb3_archive, sb3_import
from policies.files.safe_files import _read
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO
from policies.threads import one_torch_thread
from policies.vec_env import Sb3VecEnv

one_torch_thread()
ID = "InvertedPendulum-v5"
ROBOT = f"gymnasium:{ID}"
SPEC, TASK = robots.get(ROBOT), envs.tasks.get("gymnasium")


def stock_env(seed: int = 0) -> DummyVecEnv:
    env = DummyVecEnv([lambda: gymnasium.make(ID)] * 2)
    env.seed(seed)
    return env


def stock(env, **policy_kwargs) -> stable_baselines3.PPO:
    learner = stable_baselines3.PPO(
        "MlpPolicy", env, n_steps=128, batch_size=64, n_epochs=4, policy_kwargs=policy_kwargs, device="cpu", seed=0
    )
    return learner.learn(1024)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A stock PPO that was trained on raw observations and saved, and observations that it met."""
    learner = stock(stock_env(), net_arch=[24, 12], activation_fn=torch.nn.ReLU)
    path = tmp_path_factory.mktemp("plain") / "model.zip"
    learner.save(path)
    return path, learner, observations(learner, stock_env(3))


@pytest.fixture(scope="module")
def normalized(tmp_path_factory):
    """One that was trained behind VecNormalize, whose statistics lie beside it."""
    env = VecNormalize(stock_env(), clip_obs=4.0)
    learner = stock(env)
    path = tmp_path_factory.mktemp("normalized") / "model.zip"
    learner.save(path)
    env.save(path.with_name("vecnormalize.pkl"))
    env.training = False
    return path, learner, env


def observations(learner, env) -> np.ndarray:
    """(200, width) raw, as the learner's own actions lead to them."""
    rows, observation = [], env.reset()
    for _ in range(100):
        rows.append(observation)
        observation, *_ = env.step(learner.predict(observation)[0])
    seen = np.concatenate(rows)
    seen[::2] *= 20.0  # far from where it was trained too
    return seen


@pytest.fixture
def copied(plain, tmp_path):
    """The plain zip in a folder of its own."""
    return shutil.copy(plain[0], tmp_path / "model.zip") and tmp_path / "model.zip"


def actor_critic(file) -> ActorCritic:
    """The converted policy on the worlds of its id."""
    held = policy_file.load_policy(file)
    worlds = make_worlds(SPEC, TASK, num_envs=2, randomization=preset("none"), num_threads=1)
    kwargs = {"layout": Layout.of(worlds.terms, privileged=held.privileged), "hidden": held.hidden}
    ppo = PPO(ActorCritic, Sb3VecEnv(worlds), policy_kwargs=kwargs | {"activation": held.activation})
    ppo.policy.load_state_dict(held.weights)
    return ppo.policy


def rows(policy: ActorCritic, observation: np.ndarray) -> torch.Tensor:
    """Observations of the id with the hidden parameters, which it has not, behind them."""
    missing = len(policy.layout.scale) - observation.shape[1]
    return torch.nn.functional.pad(torch.as_tensor(observation, dtype=torch.float32), (0, missing))


def test_a_zip_is_refused_unless_asked_for(copied):
    with pytest.raises(ValueError, match=r"holds pickles, and pickles run code.*--unsafe-import"):
        sb3_import.convert(copied, SPEC, TASK, robot=ROBOT)
    with pytest.raises(ValueError, match=r"unsafe_import=True"):
        PPO.load(copied)
    assert [path.name for path in copied.parent.iterdir()] == ["model.zip"]


def test_a_converted_policy_acts_as_before_within_1e_6(plain):
    path, learner, seen = plain
    policy = actor_critic(sb3_import.convert(path, SPEC, TASK, robot=ROBOT, unsafe_import=True))
    expected, _ = learner.predict(seen, deterministic=True)
    share = policy._predict(rows(policy, seen), deterministic=True).detach().numpy()
    assert np.abs(expected).max() > 0.05  # or the comparison says nothing
    assert np.clip(3.0 * share, -3.0, 3.0) == pytest.approx(expected, abs=1e-6)  # its force reaches ±3
    value = learner.policy.predict_values(torch.as_tensor(seen, dtype=torch.float32)).detach()
    assert torch.allclose(policy.predict_values(rows(policy, seen)), value, atol=1e-5, rtol=1e-5)
    deviation = learner.policy.log_std.exp() / 3.0
    assert torch.allclose(policy.log_std.exp(), deviation, rtol=1e-6)


def test_statistics_and_clip_of_vecnormalize_become_the_normalizers(normalized):
    path, learner, env = normalized
    policy = actor_critic(sb3_import.convert(path, SPEC, TASK, robot=ROBOT, unsafe_import=True))
    seen = 0.5 * np.random.default_rng(0).standard_normal((300, 4)).astype(np.float32)
    seen[:20] *= 50.0  # beyond the clip of 4 deviations
    given = env.normalize_obs(seen)
    assert np.abs(given).max() == 4.0
    expected, _ = learner.predict(given, deterministic=True)
    share = policy._predict(rows(policy, seen), deterministic=True).detach().numpy()
    assert np.clip(3.0 * share, -3.0, 3.0) == pytest.approx(expected, abs=1e-6)


def test_what_a_converted_policy_is_stands_in_its_record(plain):
    file = sb3_import.convert(plain[0], SPEC, TASK, robot=ROBOT, unsafe_import=True)
    held = policy_file.load_policy(file)
    assert file.name == "model.policy.safetensors"
    assert (held.robot, held.model_hash, held.task) == (ROBOT, SPEC.model_hash, "gymnasium")
    assert (held.hidden, held.activation, held.privileged) == ((24, 12), "relu", False)
    assert checkpoint.load(file)[1]["env_steps"] == 1024


def test_the_acting_half_is_a_skill(plain):
    path, learner, seen = plain
    file = sb3_import.convert(path, SPEC, TASK, robot=ROBOT, unsafe_import=True)
    skill = sb3_import.skill_of_policy(file, embodiments.terms(SPEC, TASK))
    expected, _ = learner.predict(seen, deterministic=True)
    found = skill(torch.as_tensor(seen, dtype=torch.float32)).detach().numpy()
    assert np.clip(3.0 * found, -3.0, 3.0) == pytest.approx(expected, abs=1e-6)


def test_a_zip_is_converted_once_and_again_when_it_changes(copied):
    file = sb3_import.convert(copied, SPEC, TASK, robot=ROBOT, unsafe_import=True)
    first = file.stat().st_mtime_ns
    sb3_import.convert(copied, SPEC, TASK, robot=ROBOT, unsafe_import=True)
    assert file.stat().st_mtime_ns == first
    with zipfile.ZipFile(copied, "a") as archive:
        archive.writestr("note.txt", "the same policy in other bytes")
    sb3_import.convert(copied, SPEC, TASK, robot=ROBOT, unsafe_import=True)
    assert file.stat().st_mtime_ns > first


def test_a_zip_can_be_loaded_to_learn_on_where_it_was_trained(plain, tmp_path):
    path, learner, seen = plain
    ppo = PPO.load(path, env=stock_env(), unsafe_import=True)
    assert ppo.predict(seen, deterministic=True)[0] == pytest.approx(
        learner.predict(seen, deterministic=True)[0], abs=1e-6
    )
    assert (ppo.n_steps, ppo.n_epochs, ppo.gamma, ppo.num_timesteps) == (128, 4, 0.99, 1024)
    ppo.learn(256, reset_num_timesteps=False)
    assert ppo.num_timesteps == 1280


def test_statistics_that_would_run_code_are_not_run(copied, tmp_path):
    trap, sprung = copied.with_name("vecnormalize.pkl"), tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return (open, (str(sprung), "w"))

    trap.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match=r"no VecNormalize that can be read safely \(it names .*open\); nothing was"):
        sb3_import.convert(copied, SPEC, TASK, robot=ROBOT, unsafe_import=True)
    assert not sprung.exists()


class Forged:
    """An array of objects whose addresses are bytes of the file: numpy's own classes make it of a pickle."""

    def __reduce__(self):
        return np.ndarray, ((4,), np.dtype("O"), b"A" * 32)


@pytest.mark.parametrize(
    ("mean", "reason"),
    [
        (Forged(), r"statistics of shape \(0,\), the policy reads 4 channels"),
        (np.full(4, None), r"cannot|its arrays hold .O8|safely"),
        (np.array([0.0, np.nan, 0.0, 0.0]), "must have finite means"),
        (np.zeros(3), r"statistics of shape \(3,\), the policy reads 4 channels"),
        ({"x": np.zeros(4)}, "must hold a VecNormalize of flat observations"),
    ],
    ids=["forged addresses", "objects", "not finite", "of another width", "of a dictionary"],
)
def test_statistics_that_are_no_numbers_are_refused(copied, mean, reason):
    env = VecNormalize(stock_env())
    env.obs_rms.mean = mean
    env.save(copied.with_name("vecnormalize.pkl"))
    with pytest.raises(ValueError, match=reason):
        sb3_import.convert(copied, SPEC, TASK, robot=ROBOT, unsafe_import=True)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_statistics_are_read_as_they_were_whatever_pickle_wrote_them(copied, normalized, protocol):
    env = normalized[2]
    copied.with_name("vecnormalize.pkl").write_bytes(pickle.dumps(env, protocol))
    found = sb3_archive.read(copied).observation
    assert found.mean.tolist() == env.obs_rms.mean.tolist()
    assert found.std.tolist() == pytest.approx(np.sqrt(env.obs_rms.var + env.epsilon).tolist(), rel=1e-15)
    assert found.reach == 0.4  # 4 of 10


def test_actions_without_bounds_are_refused(copied):
    with zipfile.ZipFile(copied) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(parts["data"])
    data["action_space"]["high"] = "[inf]"
    with zipfile.ZipFile(copied, "w") as archive:
        for name, content in (parts | {"data": json.dumps(data)}).items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=r"must have finite bounds, got \[-3\.\] to \[inf\]"):
        sb3_import.convert(copied, SPEC, TASK, robot=ROBOT, unsafe_import=True)


def test_pickles_in_the_zip_are_not_run_even_if_asked_for(copied, tmp_path):
    sprung = tmp_path / "sprung"
    with zipfile.ZipFile(copied) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(parts["data"])

    class Trap:
        def __reduce__(self):
            return (open, (str(sprung), "w"))

    data["policy_class"][":serialized:"] = base64.b64encode(pickle.dumps(Trap())).decode()
    with zipfile.ZipFile(copied, "w") as archive:
        for name, content in (parts | {"data": json.dumps(data)}).items():
            archive.writestr(name, content)
    sb3_import.convert(copied, SPEC, TASK, robot=ROBOT, unsafe_import=True)
    assert not sprung.exists()


def test_another_robot_is_refused_by_its_channels(plain):
    spec = robots.get("gymnasium:HalfCheetah-v5")
    with pytest.raises(ValueError, match=r"reads 4 observation channels.*17 that can be measured"):
        sb3_import.convert(plain[0], spec, TASK, robot="gymnasium:HalfCheetah-v5", unsafe_import=True)


def test_a_zip_of_another_algorithm_is_refused(tmp_path):
    env = DummyVecEnv([lambda: gymnasium.make(ID)])
    path = tmp_path / "sac.zip"
    stable_baselines3.SAC("MlpPolicy", env, policy_kwargs={"net_arch": [4]}, buffer_size=10).save(path)
    with pytest.raises(ValueError, match="must hold PPO with an MlpPolicy"):
        sb3_archive.read(path)


def test_a_zip_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("holiday.txt", "sun")
    with pytest.raises(ValueError, match="no zip that Stable-Baselines3 saved"):
        sb3_import.convert(tmp_path / "other.zip", SPEC, TASK, robot=ROBOT, unsafe_import=True)
    with pytest.raises(FileNotFoundError, match=r"no file .*gone\.zip"):
        sb3_import.convert(tmp_path / "gone.zip", SPEC, TASK, robot=ROBOT, unsafe_import=True)


def test_unequal_hidden_layers_are_refused(tmp_path):
    learner = stock(stock_env(), net_arch={"pi": [8], "vf": [16]})
    learner.save(tmp_path / "model.zip")
    with pytest.raises(ValueError, match=r"same hidden layers, they have \[\[8\], \[16\]\]"):
        sb3_archive.read(tmp_path / "model.zip")


def test_a_converted_learner_is_a_file_of_ours(plain):
    file = sb3_import.convert_learner(plain[0], unsafe_import=True)
    _, record = _read(file, unsafe_import=False)
    assert record["kind"] == "ppo"
    assert record["hyperparameters"]["adaptive"] is False
