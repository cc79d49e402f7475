"""Samples of a run: every restart leaves a row, and a resumed run leaves the rows of one that was never killed."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

import envs.tasks
import robots
from envs.randomization import preset, sample_log
from envs.randomization.sample_log import SampleLog
from envs.vector_env import VectorEnv


class Clock:
    """Environment steps, told by hand."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def log(folder: Path, num_worlds: int = 3) -> tuple[SampleLog, Clock]:
    clock = Clock()
    return SampleLog(folder, ("mass", "kp.0"), num_worlds, clock), clock


def test_a_row_says_world_episode_step_and_values(tmp_path):
    samples, clock = log(tmp_path)
    samples.add(torch.arange(3), torch.tensor([[1.0, 0.5], [1.25, 0.75], [0.5, 2.0]]))
    clock.now = 12
    samples.add(torch.tensor([2]), torch.tensor([[0.75, 4.0]]))
    table = pq.read_table(samples.finish(tmp_path / "randomization.parquet"))
    assert table.column_names == ["world", "episode", "env_step", "mass", "kp.0"]
    assert table.to_pylist()[-2:] == [
        {"world": 2, "episode": 0, "env_step": 0, "mass": 0.5, "kp.0": 2.0},
        {"world": 2, "episode": 1, "env_step": 12, "mass": 0.75, "kp.0": 4.0},
    ]


@pytest.mark.parametrize("block", [2, 5, 8192])
def test_blocks_join_in_order_whatever_their_size(tmp_path, monkeypatch, block):
    monkeypatch.setattr(sample_log, "BLOCK", block)
    samples, _ = log(tmp_path)
    for time in range(7):
        samples.add(torch.arange(3), torch.full((3, 2), float(time)))
    table = pq.read_table(samples.finish(tmp_path / "all.parquet"))
    assert table["mass"].to_pylist() == [float(time) for time in range(7) for _ in range(3)]
    assert table["episode"].to_pylist() == [time for time in range(7) for _ in range(3)]


def test_a_rewound_log_forgets_what_came_after_its_checkpoint(tmp_path):
    samples, _ = log(tmp_path)
    samples.add(torch.arange(3), torch.ones(3, 2))
    state = samples.flush()
    samples.add(torch.arange(2), torch.full((2, 2), 7.0))
    samples.flush()
    resumed, _ = log(tmp_path)
    resumed.add(torch.arange(3), torch.full((3, 2), 9.0))  # drawn while the worlds were made anew
    resumed.rewind(state)
    resumed.add(torch.tensor([0]), torch.full((1, 2), 2.0))
    table = pq.read_table(resumed.finish(tmp_path / "all.parquet"))
    assert table["mass"].to_pylist() == [1.0, 1.0, 1.0, 2.0]
    assert table["episode"].to_pylist() == [0, 0, 0, 1]


def test_a_log_whose_blocks_are_gone_does_not_go_on_without_them(tmp_path):
    samples, _ = log(tmp_path)
    samples.add(torch.arange(3), torch.ones(3, 2))
    state = samples.flush()
    (tmp_path / "samples-000000.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"no samples .*samples-000000\.parquet.* put them back, or delete"):
        log(tmp_path)[0].rewind(state)


def make(folder: Path) -> tuple[VectorEnv, SampleLog]:
    spec, task = robots.get("go1"), envs.tasks.get("velocity")
    env = VectorEnv(spec, task, num_envs=4, randomization=preset("default"), num_threads=1)
    samples = SampleLog(folder, env.randomizer.column_names, 4, lambda: 0)
    env.randomizer.keep_samples(samples)
    return env, samples


def walk(env: VectorEnv, steps: int) -> None:
    generator = torch.Generator().manual_seed(steps)
    for _ in range(steps):
        env.step(3.0 * torch.randn(4, 12, generator=generator))  # falls soon


def test_a_resumed_environment_logs_what_an_unbroken_one_does(tmp_path):
    whole, samples = make(tmp_path / "whole")
    walk(whole, 60)
    walk(whole, 61)
    expected = pq.read_table(samples.finish(tmp_path / "whole.parquet"))
    killed, _ = make(tmp_path / "killed")
    walk(killed, 60)
    state = killed.state_dict()
    walk(killed, 30)
    resumed, samples = make(tmp_path / "killed")
    resumed.load_state_dict(state)
    walk(resumed, 61)
    found = pq.read_table(samples.finish(tmp_path / "resumed.parquet"))
    assert len(expected) > 4  # somebody fell
    assert found.equals(expected)
    mass = found["mass"].to_numpy()
    assert mass.min() >= 0.849 and mass.max() <= 1.151  # noqa: PT018
    assert len(set(mass.tolist())) == len(mass)
