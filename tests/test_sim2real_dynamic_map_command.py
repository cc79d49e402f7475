"""`sim2real map`: from two log files to map.json, the figures, and refusals; and the benchmark's simulated pairs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sim2real import api
from sim2real.campaign.campaign import CampaignError
from sim2real.dynamic_map.errors import static_gain
from sim2real.dynamic_map.mapping import DynamicMap
from tests.test_sim2real_dynamic_map import DT, second_order, sines


@pytest.fixture
def write(tmp_path):
    """Writes a log of 8 s of a loop of second order, with noise; returns the path."""

    def log(name: str, frequency: float, ratio: float, joints: int = 1) -> str:
        commands = sines(8.0)
        positions = second_order(commands, frequency, ratio) + np.random.default_rng(1).normal(0, 0.003, commands.shape)
        path = tmp_path / f"{name}.npz"
        arrays = {"command": np.repeat(commands, joints, axis=1), "position": np.repeat(positions, joints, axis=1)}
        np.savez(path, time=np.arange(len(commands)) * DT, **arrays)
        return str(path)

    return log


def test_two_logs_make_a_map_that_beats_direct_commands_and_a_gain_on_what_was_held_out(write, tmp_path):
    source, target = write("source", 20.0, 0.7), write("target", 7.0, 0.6)
    result = api.map(source=source, target=target, seconds=5.0, store=tmp_path / "store")
    assert (result["source_order"], result["target_order"], result["target_relative_degree"]) == (2, 2, 2)
    assert (result["source_seconds"], result["held_out_seconds"]) == (pytest.approx(5.0), pytest.approx(3.0))
    assert result["dynamic_rad"] < 0.3 * min(result["direct_rad"], result["static_gain_rad"])
    cut = 1.0 - result["dynamic_rad"] / min(result["direct_rad"], result["static_gain_rad"])
    assert result["error_cut"] == pytest.approx(cut)

    path = f"{result['run']}/map.json"
    mapped = DynamicMap.load(Path(path))
    assert mapped.dt == pytest.approx(DT)
    written = json.loads(Path(path).read_text())
    assert written["target"]["regressors"] == ["y1''", "y1", "y1'", "1"]
    (low, high), *_ = (interval[0] for interval in written["target"]["intervals"])
    assert low < mapped.target.coefficients[0][0] < high
    assert written["result"]["error_cut"] == result["error_cut"]


def test_logs_that_cannot_be_mapped_are_refused_with_the_reason(write, tmp_path):
    one, two = write("one", 10.0, 0.7), write("two", 10.0, 0.7, joints=2)
    with pytest.raises(CampaignError, match="same joints in the same order, got 1 of the source and 2 of the target"):
        api.map(source=one, target=two, store=tmp_path / "store")
    with pytest.raises(CampaignError, match=r"seconds must leave 0.5 s of the log to check, got 7.90 of 8.00 s"):
        api.map(source=one, target=one, seconds=7.9, store=tmp_path / "store")
    with pytest.raises(CampaignError, match=r"source: seconds must be 1.0 or more .* got 0.01 of 8.00 s"):
        api.map(source=one, target=one, seconds=0.01, store=tmp_path / "store")
    with np.load(one) as file:
        late = {**file, "command": np.where(file["time"][:, None] < 2.0, 0.0, file["command"])}
    np.savez(tmp_path / "late.npz", **late)
    with pytest.raises(CampaignError, match=r"target: in the first 2.00 s, no excitation: command of joint 0"):
        api.map(source=one, target=str(tmp_path / "late.npz"), seconds=2.0, store=tmp_path / "store")
    with pytest.raises(FileNotFoundError, match="no file"):
        api.map(source=str(tmp_path / "none.npz"), target=one, store=tmp_path / "store")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(CampaignError, match="expected an npz with time"):
        api.map(source=str(tmp_path / "text.npz"), target=one, store=tmp_path / "store")


def test_a_static_gain_is_a_matrix_and_an_offset():
    given = np.random.default_rng(0).normal(size=(100, 2))
    wanted = given @ [[2.0, 0.5], [0.0, 1.0]] + [0.1, -0.2]
    np.testing.assert_allclose(static_gain(given, wanted)(np.eye(2)), [[2.1, 0.3], [0.1, 0.8]], atol=1e-9)


def test_the_map_runs_where_there_is_neither_torch_nor_a_simulator():
    code = (
        "import sys, sim2real.dynamic_map.mapping, sim2real.dynamic_map.identify, sim2real.stages.map; "
        "sys.exit(' '.join({'torch', 'ray', 'mujoco', 'gymnasium', 'stable_baselines3'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["one_joint", "two_joint_arm", "spatial_arm"])
def test_simulated_arms_follow_each_other_with_less_than_a_third_of_the_error(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SIM2REAL_CACHE_DIR", str(tmp_path / "cache"))
    from benchmarks.transfer import dynamic_map

    found = dynamic_map.Found()
    dynamic_map.follow(dynamic_map.pairs(tmp_path)[name], np.random.default_rng(0), found)
    assert found.cuts()[0] > 0.7
    assert found.errors["online"][0] < 0.4 * found.errors["direct"][0]
    assert found.errors["from_positions"][0] < 0.4 * found.errors["direct"][0]


@pytest.mark.slow
def test_recorded_machines_are_known_from_five_seconds_well_enough_to_undercut_direct_commands():
    from benchmarks.transfer import dynamic_map

    if not dynamic_map.RECORDINGS.is_dir():
        pytest.skip(f"no recordings of the double pendulum at {dynamic_map.RECORDINGS}")
    found = dynamic_map.recorded([(1, 2)])
    assert min(found.cuts()) > 0.6
    assert min(found.cuts("from_positions")) > 0.7
