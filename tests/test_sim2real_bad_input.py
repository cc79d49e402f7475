"""Bad input of trainings as users meet it: an exit code, one sentence that says what to do, and nothing half done."""

from dataclasses import replace

import gymnasium
import pytest
import stable_baselines3
from safetensors.torch import save_file
from stable_baselines3.common.vec_env import DummyVecEnv
from test_policies_ppo import Immediately

import envs.tasks
import policies.evaluation
import policies.ppo
import policies.training
from policies.divergence import POST_MORTEM
from policies.export import write
from policies.files import checkpoint
from policies.files.policy_file import load_policy
from sim2real import cli
from sim2real.campaign.store import Store, read_record

WORLDS, ROLLOUT = 8, 24 * 8
SMALL = ("train", "--robot", "go1", "--num-envs", str(WORLDS), "--steps", str(2 * ROLLOUT))
PENDULUM = ("train", "--robot", "gymnasium:InvertedPendulum-v5", "--task", "gymnasium", "--num-envs", str(WORLDS))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setitem(policies.evaluation.evaluate.__kwdefaults__, "episodes", 4)
    monkeypatch.setitem(policies.evaluation.evaluate.__kwdefaults__, "seconds", 0.2)
    monkeypatch.setattr(policies.training, "CURVE_EPISODES", 2)
    monkeypatch.setattr(policies.training, "CURVE_SECONDS", 0.1)
    monkeypatch.setattr(policies.training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(policies.ppo, "ThreadPoolExecutor", Immediately)
    monkeypatch.setattr(write, "RECORDED_WORLDS", 4)
    monkeypatch.setattr(write, "RECORDED_STEPS", 10)


@pytest.fixture
def main(tmp_path, capfd):
    """Run a command; gives its exit code and the last line of what it said on standard error."""

    def run(*arguments) -> tuple[int, str]:
        code = cli.main([*map(str, arguments), "--store", str(tmp_path / "store")])
        return code, (capfd.readouterr().err.strip().splitlines() or [""])[-1]

    return run


@pytest.fixture
def unfinished(tmp_path, main, monkeypatch):
    """The checkpoint of a training of go1 that was stopped after a rollout."""
    with monkeypatch.context() as patch:
        patch.setattr(policies.ppo.PPO, "train", lambda self: 1 / 0)
        main(*SMALL)
    (file,) = (tmp_path / "store").glob("ckpt/*/training.safetensors")
    return file


@pytest.mark.parametrize(
    ("steps", "num_envs", "message"),
    [
        (-5, 8, "steps must be >= 1, got -5"),
        (256, -1, "num_envs must be >= 1, got -1"),
        (100, 256, "steps must be >= num_envs, since every environment steps at once; got 100 for 256"),
        (191, 8, "steps must be at least one rollout, 192 = 24 control steps of 8 worlds, got 191"),
    ],
    ids=["negative", "negative worlds", "more worlds than steps", "less than a rollout"],
)
def test_an_impossible_budget_is_bad_input(main, tmp_path, steps, num_envs, message):
    code, said = main("train", "--robot", "go1", "--steps", steps, "--num-envs", num_envs)
    assert code == 2
    assert message in said
    assert not list((tmp_path / "store").glob("out/*"))


def test_a_checkpoint_of_another_schema_is_bad_input(main, unfinished):
    tensors, _ = checkpoint.load(unfinished)
    save_file(tensors, unfinished, metadata={"record": '{"schema": 99}'})
    code, said = main(*SMALL)
    assert code == 2
    assert "schema must be 2, or 1 which is migrated; got 99: update sim2real" in said


def test_a_checkpoint_of_another_robot_is_bad_input(main, unfinished):
    tensors, record = checkpoint.load(unfinished)
    checkpoint.save(unfinished, tensors, record | {"about": record["about"] | {"robot": "a1"}})
    code, said = main(*SMALL)
    assert code == 2
    assert "is of another run: robot must be 'go1', it has 'a1'" in said


def test_a_checkpoint_of_another_net_size_is_bad_input(main, unfinished):
    tensors, record = checkpoint.load(unfinished)
    checkpoint.save(unfinished, tensors, record | {"about": record["about"] | {"hidden_layers": [8, 8]}})
    code, said = main(*SMALL)
    assert code == 2
    assert "is of another run: hidden layers must be [128, 128], it has [8, 8]" in said


def test_a_damaged_file_is_bad_input_only_if_there_is_no_older_one(main, unfinished):
    for file in checkpoint.candidates(unfinished):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:-3])
    code, said = main(*SMALL)
    assert code == 2
    assert "training.safetensors is damaged" in said
    assert "delete it to start that stage anew" in said


def test_rewards_that_are_not_finite_fail_with_a_post_mortem(main, tmp_path, monkeypatch):
    task = envs.tasks.get("velocity")
    broken = replace(task, reward=lambda *given: task.reward(*given) / 0.0)
    monkeypatch.setattr(envs.tasks, "get", lambda name: broken)
    code, said = main(*SMALL)
    assert code == 1
    assert (
        "non-finite reward in 8 of 8 worlds (the first: 0, 1, 2, 3, 4, 5, 6, 7) before 192 steps; look at the" in said
    )
    (file,) = (tmp_path / "store").glob(f"ckpt/*/{POST_MORTEM}")
    assert str(file) in said


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """What stock PPO saved of a pendulum."""
    path = tmp_path_factory.mktemp("archive") / "model.zip"
    env = DummyVecEnv([lambda: gymnasium.make("InvertedPendulum-v5")])
    stable_baselines3.PPO("MlpPolicy", env, n_steps=64, batch_size=64, n_epochs=1, device="cpu").learn(64).save(path)
    return path


def test_a_zip_with_pickles_is_refused_unless_its_import_is_asked_for(main, archive, tmp_path):
    arguments = (*PENDULUM, "--steps", 2 * ROLLOUT, "--randomization", "none", "--from", archive)
    code, said = main(*arguments)
    assert code == 2
    assert "model.zip is a Stable-Baselines3 zip, which holds pickles, and pickles run code" in said
    assert "--unsafe-import" in said
    assert not archive.with_suffix(".policy.safetensors").exists()
    code, said = main(*arguments, "--unsafe-import")
    assert (code, said) == (0, said)
    held = load_policy(archive.with_suffix(".policy.safetensors"))
    assert (held.robot, held.hidden, held.activation) == ("gymnasium:InvertedPendulum-v5", (64, 64), "tanh")
    (out,) = Store.open(tmp_path / "store").root.glob("out/*")
    assert read_record(out)["result"]["env_steps"] >= 2 * ROLLOUT
    trained = load_policy(out / "policy.safetensors")
    assert (trained.hidden, trained.activation) == ((64, 64), "tanh")


def test_a_zip_of_another_robot_is_bad_input(main, archive):
    code, said = main(*SMALL, "--from", archive, "--unsafe-import")
    assert code == 2
    assert "reads 4 observation channels; on this robot and task there are" in said
