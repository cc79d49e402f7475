"""`multitask` and `member`, end to end with tiny budgets: what they return, what they write, what they refuse."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

import robots
import sim2real.stages.multitask
from policies.bundle import read
from policies.skill import load_skill
from sim2real import api, cli
from sim2real.campaign.campaign import CampaignError
from sim2real.campaign.graph import plan
from sim2real.campaign.recipe import parse
from sim2real.campaign.stage import Stage
from sim2real.campaign.store import Store, read_record
from sim2real.commands import Multitask
from sim2real.report.origin import commands
from sim2real.report.results import Result
from sim2real.report.story import Story
from tests.small_stages import small_stages

NUM_ENVS = 8
MEMBERS = ("go1:velocity", "anymal_c:velocity")
ITERATION = 24 * NUM_ENVS * len(MEMBERS)
"""Environment steps of a rollout."""
FILES = {"skill.safetensors", "policy.safetensors", "randomization.parquet"}


@pytest.fixture(scope="module", autouse=True)
def _small():
    with small_stages(NUM_ENVS):
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("store")


def learned(store: Path, **changes):
    return api.multitask(members=MEMBERS, steps=2 * ITERATION, num_envs=NUM_ENVS, store=store, **changes)


@pytest.fixture(scope="module")
def together(store):
    return learned(store)


@pytest.fixture(scope="module")
def anymal(store, together):
    return api.member(run=together["run"], member="anymal_c:velocity", store=store)


def files(run: str) -> set[str]:
    return {path.relative_to(run).as_posix() for path in Path(run).rglob("*") if path.is_file()}


def test_every_member_has_scores_and_a_curve(together):
    assert tuple(together["members"]) == MEMBERS
    for name, result in together["members"].items():
        assert f"{result['robot']}:{result['task']}" == name
        assert {"score", "score_ci", "no_op", "falls", "diverged", "bundle"} <= set(result)
        assert [point["env_steps"] for point in result["curve"]] == [0, ITERATION, 2 * ITERATION]
        assert result["env_steps"] == ITERATION  # half of all, for each of two
    assert together["env_steps"] == 2 * ITERATION
    scores = [result["score"] for result in together["members"].values()]
    assert together["score"] == pytest.approx(sum(scores) / 2)
    json.dumps(read_record(Path(together["run"]))["result"], allow_nan=False)


def test_every_member_leaves_the_files_of_a_training(together):
    own = FILES | {"policy.s2r"}
    expected = {f"{folder}/{file}" for folder in ("go1-velocity", "anymal_c-velocity") for file in own}
    assert files(together["run"]) == expected | {"run.json", "events.jsonl"}


def test_a_member_is_a_result_of_its_own(together, anymal):
    assert files(anymal["run"]) == FILES | {"policy.s2r", "run.json", "events.jsonl"}
    assert anymal["score"] == together["members"]["anymal_c:velocity"]["score"]
    assert anymal["bundle"] == str(Path(anymal["run"]) / "policy.s2r")
    read(Path(anymal["bundle"])).contract.check_robot(robots.get("anymal_c"))


def test_a_member_is_evaluated_exported_and_transferred_like_any_skill(store, anymal):
    evaluated = api.evaluate(run=anymal["run"], episodes=4, store=store)
    assert (evaluated["robot"], evaluated["score"]) == ("anymal_c", anymal["score"])
    exported = api.export(run=anymal["run"], store=store)
    weights = load_skill(Path(anymal["run"]) / "skill.safetensors").export_weights()
    bundle = read(Path(exported["bundle"]))
    assert all(np.array_equal(bundle.weights[name], weights[name]) for name in weights)
    transferred = api.transfer(run=anymal["run"], to="a1", strategy="zero_shot", budget=24 * NUM_ENVS, store=store)
    assert (transferred["source_robot"], transferred["robot"]) == ("anymal_c", "a1")


def test_a_report_says_how_a_member_came_about(together, anymal):
    lines = commands(Story(tuple(Result.read(Path(result["run"])) for result in (together, anymal))))
    assert lines[0].startswith(
        "sim2real multitask go1:velocity anymal_c:velocity --network mlp --seed 0 --steps 768 --num-envs 8 "
    )
    assert lines[1] == "sim2real member multitask anymal_c:velocity --out member"
    for line in lines:
        cli.parser().parse_args(shlex.split(line)[1:])


def test_a_privileged_member_is_a_teacher_and_has_no_bundle(store):
    run = learned(store, privileged=True)
    teacher = api.member(run=run["run"], member="go1:velocity", store=store)
    assert (teacher["privileged"], teacher["bundle"]) == (True, None)
    assert load_skill(Path(teacher["run"]) / "skill.safetensors").card.privileged
    student = api.distill(run=teacher["run"], steps=48 * NUM_ENVS, store=store)
    assert student["teacher_score"] == teacher["score"]


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, together):
    command = Multitask(members=MEMBERS, steps=2 * ITERATION, num_envs=NUM_ENVS)
    (tmp_path / "checkpoint").mkdir()
    for attempt, num_asks in enumerate((1, 100)):
        asked, out = iter(range(100)), tmp_path / f"out{attempt}"
        out.mkdir()
        stage = Stage(
            out=out,
            checkpoint=tmp_path / "checkpoint",
            lost=lambda asked=asked, num_asks=num_asks: next(asked) >= num_asks,
        )
        result = sim2real.stages.multitask.multitask(command, stage)
        assert (result == {}) is (attempt == 0)
    for name in ("go1-velocity/skill.safetensors", "anymal_c-velocity/policy.safetensors"):
        assert (out / name).read_bytes() == (Path(together["run"]) / name).read_bytes()
    assert result["score"] == together["score"]


def test_a_member_that_there_is_not_is_named_with_those_there_are(store, together):
    with pytest.raises(CampaignError, match=r"no member 'a1:velocity' of .*; there are go1:velocity, anymal_c"):
        api.member(run=together["run"], member="a1:velocity", store=store)


def test_other_results_have_no_members(store, anymal):
    with pytest.raises(CampaignError, match="has no members; name a result of multitask"):
        api.member(run=anymal["run"], member="go1:velocity", store=store)


def test_robots_with_other_joints_are_refused(store):
    with pytest.raises(CampaignError, match="the legs of the joints differ: go1 has 12 joints"):
        api.multitask(members=("go1:velocity", "g1:velocity"), steps=ITERATION, num_envs=NUM_ENVS, store=store)


@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        (("go1:velocity",), ValueError, "members must be two or more different ROBOT:TASK, got go1:velocity"),
        (("go1:velocity", "go1:velocity"), ValueError, "two or more different ROBOT:TASK"),
        (("go1", "a1:velocity"), ValueError, "a member must be ROBOT:TASK, such as go1:velocity, got 'go1'"),
        (("go11:velocity", "a1:velocity"), LookupError, "no robot named 'go11'"),
        (("go1:velocity", "a1:fly"), LookupError, "no task named 'fly'"),
    ],
    ids=["one", "twice", "no task", "robot", "task"],
)
def test_bad_members_are_refused_before_anything_starts(store, together, members, error, message):
    before = set((store / "out").iterdir())
    with pytest.raises(error, match=message):
        api.multitask(members=members, store=store)
    assert set((store / "out").iterdir()) == before


def test_a_recipe_goes_on_with_members_of_a_stage_that_has_not_run(tmp_path):
    stages = {
        "all": {"kind": "multitask", "members": list(MEMBERS), "privileged": True},
        "go1": {"kind": "member", "run": "all", "member": MEMBERS[0]},
        "student": {"kind": "distill", "run": "go1"},
    }
    jobs = plan(parse({"name": "family", "stages": stages}, "family"), Store(tmp_path))
    assert [(job.name, set(job.after)) for job in jobs] == [("all", set()), ("go1", {"all"}), ("student", {"go1"})]


def test_a_robot_counts_by_what_it_is_not_by_how_it_was_found(store, together, tmp_path):
    robots.get("go1").save_folder(tmp_path / "go1")
    same = (f"{tmp_path / 'go1'}:velocity", MEMBERS[1])
    assert api.multitask(members=same, steps=2 * ITERATION, num_envs=NUM_ENVS, store=store)["cached"]
