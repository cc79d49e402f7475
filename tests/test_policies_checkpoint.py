"""Checkpoints: replaced as a whole or not at all, and damage is named."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from envs.state_dicts import prefixed, without_prefix
from policies.files import checkpoint

TENSORS = {"weights": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(7)}
RECORD = {"env_steps": 3, "losses": [0.1, 1e-300], "text": "gait π"}


@pytest.fixture
def file(tmp_path):
    checkpoint.save(tmp_path / "run.safetensors", TENSORS, RECORD)
    return tmp_path / "run.safetensors"


def test_what_is_saved_is_loaded(file):
    tensors, record = checkpoint.load(file)
    assert record == {"schema": checkpoint.SCHEMA, **RECORD}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_views_of_one_storage_may_be_saved(tmp_path):
    whole = torch.arange(6.0).reshape(2, 3)
    checkpoint.save(tmp_path / "a", {"row": whole[0], "column": whole[:, 0], "turned": whole.T}, {})
    tensors, _ = checkpoint.load(tmp_path / "a")
    assert tensors["column"].tolist() == [0.0, 3.0]
    assert torch.equal(tensors["turned"], whole.T)


def test_saving_again_replaces_and_leaves_nothing_beside(file):
    checkpoint.save(file, {"weights": torch.ones(2)}, {"env_steps": 4})
    assert checkpoint.load(file)[1]["env_steps"] == 4
    assert [path.name for path in file.parent.iterdir()] == [file.name]


FULL_DISK = """
import resource, sys
from pathlib import Path
import torch
from policies.files import checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # what a full disk does: a write fails half-way
try:
    checkpoint.save(Path(sys.argv[1]), {"weights": torch.zeros(1_000_000)}, {"env_steps": 5})
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_is_an_oserror_and_keeps_the_old_file(file):
    before = file.read_bytes()
    ran = subprocess.run([sys.executable, "-c", FULL_DISK, file], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "File too large"
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from policies.files import checkpoint
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
checkpoint.save(Path(sys.argv[1]), {"weights": torch.zeros(1000)}, {"env_steps": 5})
"""


def test_a_kill_while_saving_keeps_the_old_file(file):
    ran = subprocess.run([sys.executable, "-c", KILLED, file], check=False)
    assert ran.returncode == -9
    assert checkpoint.load(file)[1]["env_steps"] == 3


def test_a_missing_one_is_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*none\.safetensors"):
        checkpoint.load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 100, -1], ids=["empty", "in its length", "in its header", "one byte short"])
def test_a_truncated_one_says_what_to_do(file, kept):
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"checkpoint .* is damaged .* delete it to start that stage anew"):
        checkpoint.load(file)


def test_another_schema_is_refused(tmp_path):
    newer = {"record": json.dumps({"schema": 3})}
    save_file({"weights": torch.zeros(1)}, tmp_path / "a", metadata=newer)
    with pytest.raises(ValueError, match="schema must be 2, or 1 which is migrated; got 3: update sim2real if a newer"):
        checkpoint.load(tmp_path / "a")
    save_file({"weights": torch.zeros(1)}, tmp_path / "b")
    with pytest.raises(ValueError, match="got None"):
        checkpoint.load(tmp_path / "b")


def in_schema_1(path, tensors, record) -> None:
    """A file as schema 1 had it: the record under "record" in the header, without a hash."""
    save_file(tensors, path, metadata={"record": json.dumps({"schema": 1, **record})})


def test_a_policy_of_schema_1_is_migrated(tmp_path):
    in_schema_1(tmp_path / "policy", {"log_std": torch.zeros(1)}, {"hidden": [16, 16], "privileged": True})
    tensors, record = checkpoint.load(tmp_path / "policy")
    assert set(tensors) == {"log_std"}
    expected = {"schema": 2, "kind": "policy", "hidden": [16, 16], "privileged": True, "activation": "elu"}
    assert record == expected | {"robot": None, "model_hash": None, "task": None}


def test_a_training_of_schema_1_is_migrated(tmp_path):
    names = ("policy.log_std", "actor_optimizer.0.step", "critic_optimizer.0.step", "generator", "last_observation")
    tensors = {name: torch.zeros(1) for name in (*names, "env.generator")}
    in_schema_1(tmp_path / "training", tensors, {"env_steps": 7, "adaptive_rate": 0.5, "seconds": 1.0, "curve": []})
    tensors, record = checkpoint.load(tmp_path / "training")
    assert set(tensors) == {f"learner.{name}" for name in names} | {"env.generator"}
    assert record["learner"] == {"adaptive_rate": 0.5, "counters": {"num_timesteps": 7}}
    assert (record["schema"], record["kind"], record["env_steps"]) == (2, "training", 7)
    assert "adaptive_rate" not in record


def test_a_distillation_of_schema_1_is_migrated(tmp_path):
    names = (
        "student.actor.0.bias",
        "optimizer.0.step",
        "generator",
        "frames",
        "observation",
        "started",
        "env.diverged",
    )
    in_schema_1(tmp_path / "run", {name: torch.zeros(2) for name in names}, {"env_steps": 7, "loss": 0.5, "losses": []})
    tensors, record = checkpoint.load(tmp_path / "run")
    lesson = {"player.frames", "observation", "started", "env.diverged", "led"}
    assert set(tensors) == {*names[:3], *(f"lesson0.{name}" for name in lesson)}
    assert tensors["lesson0.led"].tolist() == [[0.0], [0.0]]
    assert record["kind"] == "distillation"


def test_one_wrong_bit_is_damage_wherever_it_is(file):
    content = file.read_bytes()
    names = {content.index(word) + place for word in (b"__metadata__", b"record") for place in range(len(word))}
    for place in set(range(len(content))) - names:  # without a record it is no checkpoint at all
        wrong = bytearray(content)
        wrong[place] ^= 1
        with pytest.raises(checkpoint.DamagedError, match="is damaged"):
            checkpoint.unpack(bytes(wrong), "it")


def test_a_record_without_its_hash_is_damage(file):
    tensors, record = checkpoint.load(file)
    save_file(tensors, file, metadata={"record": json.dumps(record)})
    with pytest.raises(checkpoint.DamagedError, match="its hash is missing"):
        checkpoint.load(file)


def test_the_last_few_are_kept(tmp_path):
    path = tmp_path / "run.safetensors"
    for step in range(5):
        checkpoint.save(path, TENSORS, {"env_steps": step}, keep=3)
    kept = [path.name for path in checkpoint.candidates(path)]
    assert kept == ["run.safetensors", "run.1.safetensors", "run.2.safetensors"]
    assert sorted(kept) == sorted(each.name for each in tmp_path.iterdir())
    assert [checkpoint.load(each)[1]["env_steps"] for each in checkpoint.candidates(path)] == [4, 3, 2]


def test_from_a_damaged_newest_the_one_before_is_taken_and_it_is_said(tmp_path, caplog):
    path, said = tmp_path / "run.safetensors", []
    for step in range(3):
        checkpoint.save(path, TENSORS, {"env_steps": step}, keep=3)
    assert checkpoint.load_latest(path, said.append)[1]["env_steps"] == 2
    assert said == []
    path.write_bytes(path.read_bytes()[:-1])
    assert checkpoint.load_latest(path, said.append)[1]["env_steps"] == 1
    assert len(said) == 1
    assert said[0].startswith("going on from the earlier checkpoint run.1.safetensors (checkpoint ")
    checkpoint.load_latest(path)
    assert "going on from the earlier checkpoint" in caplog.text


def test_a_missing_newest_is_said_too(tmp_path):
    path, said = tmp_path / "run.safetensors", []
    for step in range(2):
        checkpoint.save(path, TENSORS, {"env_steps": step}, keep=2)
    path.unlink()
    assert checkpoint.exists(path)
    assert checkpoint.load_latest(path, said.append)[1]["env_steps"] == 0
    assert said == ["going on from the earlier checkpoint run.1.safetensors, since run.safetensors is missing"]


def test_when_all_are_damaged_the_newest_is_named(tmp_path):
    path = tmp_path / "run.safetensors"
    for step in range(3):
        checkpoint.save(path, TENSORS, {"env_steps": step}, keep=3)
    for each in checkpoint.candidates(path):
        each.write_bytes(b"half")
    with pytest.raises(checkpoint.DamagedError, match=r"run\.safetensors is damaged .* delete it"):
        checkpoint.load_latest(path)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        checkpoint.load_latest(tmp_path / "other.safetensors")


def test_an_unknown_schema_is_not_passed_over_for_an_older_file(tmp_path):
    path = tmp_path / "run.safetensors"
    for step in range(2):
        checkpoint.save(path, TENSORS, {"env_steps": step}, keep=3)
    save_file(TENSORS, path, metadata={"record": json.dumps({"schema": 3})})
    with pytest.raises(ValueError, match="got 3"):
        checkpoint.load_latest(path)


KILLED_IN_ROTATION = """
import os, signal, sys
from pathlib import Path
import torch
from policies.files import checkpoint
replace, count = os.replace, 0
def replaced(source, target):
    global count
    count += 1
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = replaced
checkpoint.save(Path(sys.argv[1]), {"weights": torch.zeros(1000)}, {"env_steps": 3}, keep=3)
"""


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_kill_between_the_renames_keeps_the_newest_and_an_older_one(tmp_path, moment):
    path = tmp_path / "run.safetensors"
    for step in range(3):
        checkpoint.save(path, TENSORS, {"env_steps": step}, keep=3)
    ran = subprocess.run([sys.executable, "-c", KILLED_IN_ROTATION, path, str(moment)], check=False)
    assert ran.returncode == -9
    assert checkpoint.load(path)[1]["env_steps"] == 2
    whole = [each for each in checkpoint.candidates(path) if each.is_file()]
    assert len(whole) >= 2
    assert all(checkpoint.load(each)[1]["env_steps"] in (0, 1, 2) for each in whole)
    checkpoint.save(path, TENSORS, {"env_steps": 4}, keep=3)
    checkpoint.sweep(path)
    assert checkpoint.load(path)[1]["env_steps"] == 4
    assert {each.name for each in tmp_path.iterdir()} <= {each.name for each in checkpoint.candidates(path)}


def test_equal_contents_give_equal_bytes(file):
    assert checkpoint.pack(TENSORS, RECORD) == file.read_bytes()
    assert checkpoint.unpack(file.read_bytes(), "it")[1] == checkpoint.load(file)[1]


def test_prefixes_come_and_go():
    tensors = prefixed("policy", TENSORS) | prefixed("policy_too", TENSORS)
    assert set(tensors) == {"policy.weights", "policy.steps", "policy_too.weights", "policy_too.steps"}
    assert without_prefix("policy", tensors).keys() == TENSORS.keys()


def test_an_optimizer_goes_on_bit_for_bit():
    def adam(value: torch.Tensor) -> tuple[torch.Tensor, torch.optim.Optimizer]:
        parameter = value.clone().requires_grad_()
        return parameter, torch.optim.Adam([parameter], lr=0.1)

    def descend(parameter: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        parameter.square().sum().backward()
        optimizer.step()

    straight, optimizer = adam(torch.tensor([3.0, -2.0]))
    descend(straight, optimizer)
    moments = {name: value.clone() for name, value in checkpoint.optimizer_tensors(optimizer).items()}
    restored, other = adam(straight.detach())
    checkpoint.load_optimizer(other, moments, 0.1)
    descend(straight, optimizer)
    descend(restored, other)
    assert torch.equal(straight, restored)
