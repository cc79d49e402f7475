"""sim2real match: which joint of one robot is which joint of another."""

import json

import numpy as np
import pytest
from scrambled import scrambled

import envs.tasks
import robots
from envs import embodiments
from policies import bundle, zoo
from policies.bundled import skill_of_bundle
from policies.evaluation import evaluate
from policies.skill import load_skill
from policies.starting import joint_mismatch
from policies.threads import one_torch_thread
from sim2real import api
from sim2real.cli import main


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIM2REAL_CACHE_DIR", str(tmp_path / "cache"))


def test_a_table_for_people_and_data_for_machines(tmp_path, capsys):
    file = tmp_path / "match.json"
    assert main(["match", "so101", "panda", "--json", str(file)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["so101", "panda", "sign", "distance", "confidence"]
    assert lines[1][:3] == ["shoulder_pan", "joint1", "-1"]
    assert ["gripper", "-"] in lines
    assert ["-", "joint3"] in lines
    assert lines[-1][:2] == ["5", "pairs,"]
    result = json.loads(file.read_text())["result"]
    assert result == api.match(source="so101", target="panda")
    assert set(result["pairs"][0]) == {"source", "target", "sign", "distance", "confidence"}
    assert (result["unmatched_source"], result["unmatched_target"]) == (["gripper"], ["joint3", "joint5"])


def test_robots_that_share_nothing_are_bad_input(capsys):
    assert main(["match", "go1", "panda"]) == 2
    assert "robots go1 and panda have no common roles" in capsys.readouterr().err


def test_a_skill_drives_a_shuffled_robot_once_its_joints_are_in_order(tmp_path):
    one_torch_thread()
    spec, task = robots.get("go1"), envs.tasks.get("velocity")
    other, _, _ = scrambled(spec, tmp_path, np.random.default_rng(5))
    other.save_folder(tmp_path / "other")
    result = api.match(source="go1", target=str(tmp_path / "other"), write=str(tmp_path / "ordered"))
    ordered = robots.get(result["folder"])
    assert "sim2real match SOURCE TARGET --write FOLDER writes the target" in joint_mismatch(spec, other)
    assert joint_mismatch(spec, ordered) == ""

    path = tmp_path / "skill.safetensors"
    skill_of_bundle(bundle.read(zoo.bundle_path("go1"))).save(path)

    def score(robot):
        skill = load_skill(path, embodiments.terms(robot, task))
        return evaluate(robot, task, skill.player(), episodes=8, seconds=2.0, num_threads=1).score

    assert score(ordered) == pytest.approx(score(spec), abs=0.02)
    assert score(other) < 0.5 * score(spec)
