"""Checkpoints: replaced as a whole or not at all, and damage is named."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from envs.state_dicts import prefixed, without_prefix
from policies import checkpoint

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
from policies import checkpoint
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
from policies import checkpoint
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
    newer = {"record": json.dumps({"schema": 2})}
    save_file({"weights": torch.zeros(1)}, tmp_path / "a", metadata=newer)
    with pytest.raises(ValueError, match="schema must be 1, got 2; train again or update sim2real"):
        checkpoint.load(tmp_path / "a")
    save_file({"weights": torch.zeros(1)}, tmp_path / "b")
    with pytest.raises(ValueError, match="schema must be 1, got None"):
        checkpoint.load(tmp_path / "b")


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
