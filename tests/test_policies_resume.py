"""Killed at any moment and started again, a run ends with the weights it would have had, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import resume_runs
from resume_runs import STEPS, checkpoint_file

from policies.files import checkpoint

ROLLOUTS, WORLDS = 16, 8


def start(kind: str, folder: Path, rollouts: int, worlds: int, kill: str = "") -> subprocess.Popen:
    """The run in a process of its own; `kill` is code that is run before it."""
    code = f"import resume_runs, sys\nsys.argv[1:] = {[kind, str(folder), str(rollouts), str(worlds)]}\n"
    code += f"{kill}\nresume_runs.main()"
    environment = os.environ | {"PYTHONPATH": str(Path(resume_runs.__file__).parent), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> str:
    """Wait for a run that must end well; returns what it said."""
    _, said = process.communicate(timeout=1500)
    assert process.returncode == 0, said
    return said


def kill_after(process: subprocess.Popen, folder: Path, env_steps: int) -> int:
    """SIGKILL once a checkpoint tells of `env_steps` steps; returns what the last one tells."""
    while process.poll() is None:
        file = checkpoint_file(folder)
        if file is not None and checkpoint.load(file)[1]["env_steps"] >= env_steps:
            process.kill()
            break
        time.sleep(0.005)
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    return checkpoint.load(checkpoint_file(folder))[1]["env_steps"]


def learned(folder: Path) -> dict[str, bytes]:
    """Files of weights of a finished run."""
    return {path.name: path.read_bytes() for path in sorted((folder / "result").glob("*.safetensors"))}


def told(folder: Path) -> dict:
    """What a finished run tells of itself, without times."""
    result = json.loads((folder / "result" / "run.json").read_text())["result"]
    for point in result.get("curve", []):
        del point["seconds"]
    return {name: value for name, value in result.items() if "seconds" not in name and not name.endswith("_per_s")}


def samples(folder: Path) -> list[tuple]:
    """Rows of the log of randomization."""
    table = pq.read_table(folder / "result" / "randomization.parquet").to_pydict()
    return list(zip(*table.values(), strict=True))


def assert_same(killed: Path, straight: Path) -> None:
    assert learned(killed) == learned(straight)
    assert told(killed) == told(straight)
    assert samples(killed) == samples(straight)
    keys = [row[:2] for row in samples(killed)]  # world, episode
    assert len(set(keys)) == len(keys)
    assert {episode for _, episode in keys} > {0}


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    finish(start("bare", folder, ROLLOUTS, WORLDS))
    return folder


def test_killed_at_a_damaged_checkpoint_a_training_ends_with_the_same_bits(tmp_path, straight):
    """The newest checkpoint is damaged on top: the one before is used, and it is said."""
    half = ROLLOUTS // 2 * STEPS * WORLDS
    reached = kill_after(start("bare", tmp_path, ROLLOUTS, WORLDS), tmp_path, half)
    assert half <= reached < ROLLOUTS * STEPS * WORLDS
    file = checkpoint_file(tmp_path)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    said = finish(start("bare", tmp_path, ROLLOUTS, WORLDS))
    assert "going on from the earlier checkpoint training.1.safetensors" in said
    assert "training.safetensors is damaged (its content is not what was written)" in said
    assert_same(tmp_path, straight)


KILL_WHILE_REPLACING = """
import os, signal
replace, count = os.replace, 0
def replaced(source, target):
    global count
    if str(target).endswith("training.safetensors"):
        count += 1
        if count == 9:
            os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = replaced
"""
KILL_WHILE_WRITING = """
import os, signal
from policies.files import checkpoint
count = 0
def write(path, data):
    global count
    count += 1
    if count == 9:
        path.write_bytes(data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    path.write_bytes(data)
checkpoint._write_through = write
"""


@pytest.mark.slow
@pytest.mark.parametrize("kill", [KILL_WHILE_REPLACING, KILL_WHILE_WRITING], ids=["at the rename", "at half the bytes"])
def test_a_kill_while_a_checkpoint_is_written_costs_nothing_but_time(tmp_path, straight, kill):
    process = start("bare", tmp_path, ROLLOUTS, WORLDS, kill)
    assert process.wait() == -signal.SIGKILL
    file = checkpoint_file(tmp_path)
    assert checkpoint.load(file)[1]["env_steps"] == 7 * STEPS * WORLDS  # the ninth save, of 8 rollouts, is missing
    said = finish(start("bare", tmp_path, ROLLOUTS, WORLDS))
    assert "earlier checkpoint" not in said
    assert_same(tmp_path, straight)


def several_kills(kind: str, folder: Path, rollouts: int, worlds: int, kills: int) -> None:
    """Kill at arbitrary moments, start again, and let the last one finish."""
    moments = random.Random(7)
    for _ in range(kills):
        process = start(kind, folder, rollouts, worlds)
        while checkpoint_file(folder) is None and process.poll() is None:
            time.sleep(0.005)
        time.sleep(moments.uniform(3.0, 6.0))
        process.kill()
        process.communicate()
    finish(start(kind, folder, rollouts, worlds))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["go1", "curriculum", "automatic", "halfcheetah", "mlp", "conv", "gru"])
def test_any_run_killed_half_way_ends_with_the_same_bits(tmp_path, kind):
    rollouts = 64
    finish(start(kind, tmp_path / "straight", rollouts, WORLDS))
    half = rollouts // 2 * STEPS * WORLDS
    reached = kill_after(start(kind, tmp_path / "killed", rollouts, WORLDS), tmp_path / "killed", half)
    assert half <= reached < rollouts * STEPS * WORLDS
    finish(start(kind, tmp_path / "killed", rollouts, WORLDS))
    assert_same(tmp_path / "killed", tmp_path / "straight")


@pytest.mark.slow
def test_kills_at_arbitrary_moments_change_nothing(tmp_path):
    finish(start("go1", tmp_path / "straight", 100, 64))
    several_kills("go1", tmp_path / "killed", 100, 64, kills=3)
    assert_same(tmp_path / "killed", tmp_path / "straight")


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["go1", "halfcheetah", "mlp", "gru"])
def test_200k_steps_straight_and_100k_killed_and_resumed_are_equal(tmp_path, kind):
    worlds, rollouts = 256, 33  # 33·24·256 = 202 752 steps
    finish(start(kind, tmp_path / "straight", rollouts, worlds))
    reached = kill_after(start(kind, tmp_path / "killed", rollouts, worlds), tmp_path / "killed", 100_000)
    assert 100_000 <= reached < 200_000
    finish(start(kind, tmp_path / "killed", rollouts, worlds))
    assert_same(tmp_path / "killed", tmp_path / "straight")
