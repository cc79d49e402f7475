"""Stage keys: what changes a result changes its key, and nothing else does."""

import hashlib

import pytest

import robots
from sim2real.campaign.graph import plan
from sim2real.campaign.keys import checked
from sim2real.campaign.store import Store
from sim2real.commands import Train
from tests.campaign_kinds import recipe


def keys(tmp_path, **stages):
    return {job.name: job.key for job in plan(recipe(**stages), Store(tmp_path))}


def key(tmp_path, **params):
    return keys(tmp_path, a={"kind": "count", **params})["a"]


def test_a_key_is_the_hash_of_this_text(tmp_path):
    # Keys name results that people keep: whoever changes this text makes all of them useless.
    text = (
        '{"inputs":{"runs":[]},"kind":"count","params":{"die_at":-1,"robot":null,"seconds":0.0,"seed":1,'
        '"table":"default","to":3},"version":1}'
    )
    assert key(tmp_path, to=3, seed=1) == hashlib.sha256(text.encode()).hexdigest()[:24]


def test_a_default_that_is_spelled_out_is_the_same_stage(tmp_path):
    assert key(tmp_path) == key(tmp_path, to=3, seconds=0.0, seed=0)
    assert key(tmp_path, seconds=1) == key(tmp_path, seconds=1.0)


def test_resources_retries_and_names_are_no_part_of_a_key(tmp_path):
    assert key(tmp_path) == key(tmp_path, resources={"cpus": 2, "memory_gb": 1}, retries=0, timeout_s=9)
    assert key(tmp_path) == keys(tmp_path, other={"kind": "count"})["other"]


def test_a_seed_and_an_input_change_the_key_and_so_that_of_all_descendants(tmp_path):
    stages = {"a": {"kind": "count"}, "b": {"kind": "count", "runs": ["a"]}, "c": {"kind": "count", "to": 4}}
    before = keys(tmp_path, **stages)
    after = keys(tmp_path, **{**stages, "a": {"kind": "count", "seed": 1}})
    assert before["a"] != after["a"]
    assert before["b"] != after["b"]
    assert before["c"] == after["c"]


def test_a_robot_counts_by_its_model_so_an_edited_mjcf_changes_the_key(tmp_path):
    robots.get("go1").save_folder(tmp_path / "mine")
    copied = tmp_path / "copy"
    robots.get("go1").save_folder(copied)
    before = key(tmp_path, robot=str(tmp_path / "mine"))
    assert before == key(tmp_path, robot=str(copied)), "the place of a folder is no part of the robot"
    assert before == key(tmp_path, robot="go1")
    mjcf = next(copied.glob("*.xml"))
    mjcf.write_text(mjcf.read_text().replace("<worldbody>", "<worldbody><!-- edited -->"))
    assert key(tmp_path, robot=str(copied)) != before


def test_a_file_counts_by_its_content(tmp_path):
    table = tmp_path / "ranges.yaml"
    table.write_text("mass: 0.1")
    before = key(tmp_path, table=str(table))
    table.write_text("mass: 0.2")
    assert key(tmp_path, table=str(table)) != before
    with pytest.raises(FileNotFoundError, match=r"table: no file 'gone\.yaml'"):
        key(tmp_path, table="gone.yaml")


def test_an_unknown_robot_or_task_lists_what_exists():
    with pytest.raises(LookupError, match=r"no robot named 'go11'; there are .*anymal_c.*go1"):
        checked(Train(robot="go11"))
    with pytest.raises(LookupError, match=r"no task named 'velocty', did you mean 'velocity'\?; tasks are .*velocity"):
        checked(Train(robot="go1", task="velocty"))


def test_a_body_told_by_more_numbers_than_a_file_name_holds_is_no_folder():
    numbers = "leg_length=0.3,mass=12.0,joints_per_leg=3,thigh_share=0.5,body_length=0.4,body_width=0.2,stance=0.8"
    motors = "kp=1.1,kd=0.1,torque_limit=2.0,velocity_limit=10.0,armature=0.01,damping=0.01,friction_loss=0.005"
    name = "quadruped:" + f"{numbers},{motors},motor_share=0.3,delay=0.005,control_hz=50.0,physics_dt=0.005,legs=4"
    assert len(name) > 255
    assert checked(Train(robot=name)).robot == name
