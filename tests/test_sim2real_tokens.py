"""`multitask --network tokens` and `fold`, end to end with tiny budgets: results, files, other commands, refusals."""

import shlex
from pathlib import Path

import numpy as np
import pytest

import robots
from policies.bundle import read
from policies.skill import load_skill
from sim2real import api, cli
from sim2real.campaign.campaign import CampaignError
from sim2real.report.document import _credits
from sim2real.report.origin import commands
from sim2real.report.overview import _rungs
from sim2real.report.results import Result
from sim2real.report.story import Story
from sim2real.report.video import Film, choose
from tests.small_stages import small_stages

NUM_ENVS = 8
EIGHT = "quadruped:joints_per_leg=2"
MEMBERS = ("go1:velocity", f"{EIGHT}:velocity")
ITERATION = 24 * NUM_ENVS * len(MEMBERS)
"""Environment steps of a rollout."""
OWN = {"skill.safetensors", "policy.safetensors", "policy.s2r"}


@pytest.fixture(scope="module", autouse=True)
def _small():
    with small_stages(NUM_ENVS):
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def together(store):
    return api.multitask(members=MEMBERS, network="tokens", steps=2 * ITERATION, num_envs=NUM_ENVS, store=store)


@pytest.fixture(scope="module")
def anymal(store, together):
    return api.fold(run=together["run"], to="anymal_c", store=store)


def files(run: str) -> set[str]:
    return {path.relative_to(run).as_posix() for path in Path(run).rglob("*") if path.is_file()}


def test_bodies_with_other_joints_learn_together_and_leave_one_policy_for_any(together):
    assert tuple(together["members"]) == MEMBERS
    assert [len(robots.get(result["robot"]).joints) for result in together["members"].values()] == [12, 8]
    assert "tokens.safetensors" in files(together["run"])
    members = {file for file in files(together["run"]) if "/" in file}
    own = OWN | {"randomization.parquet"}
    assert members == {
        f"{folder}/{file}" for folder in ("go1-velocity", f"{EIGHT}-velocity".replace(":", "-")) for file in own
    }


def test_a_member_is_what_the_policy_folds_to_on_its_robot(store, together):
    member = api.member(run=together["run"], member=MEMBERS[1], store=store)
    fold = api.fold(run=together["run"], to=EIGHT, store=store)
    assert (fold["seen"], fold["score"]) == (True, member["score"])
    own, other = (load_skill(Path(result["run"]) / "skill.safetensors").export_weights() for result in (member, fold))
    assert all(np.array_equal(own[name], other[name]) for name in own)


def test_on_a_robot_never_seen_it_is_an_ordinary_result(store, anymal):
    assert (anymal["robot"], anymal["seen"], anymal["task"]) == ("anymal_c", False, "velocity")
    assert files(anymal["run"]) == OWN | {"run.json", "events.jsonl"}
    read(Path(anymal["bundle"])).contract.check_robot(robots.get("anymal_c"))
    evaluated = api.evaluate(run=anymal["run"], episodes=4, store=store)
    assert evaluated["score"] == anymal["score"]
    further = api.transfer(run=anymal["run"], to="a1", strategy="zero_shot", budget=24 * NUM_ENVS, store=store)
    assert (further["source_robot"], further["refused"]) == ("anymal_c", False)


def test_it_is_transferred_to_robots_with_other_joints(store, together):
    hexapod = api.transfer(
        run=together["run"], to="quadruped:legs=6", strategy="zero_shot", budget=24 * NUM_ENVS, store=store
    )
    assert hexapod["refused"] is False
    assert hexapod["source_robot"] == f"go1,{EIGHT}"
    assert hexapod["zero_shot"] == api.fold(run=together["run"], to="quadruped:legs=6", store=store)["score"]


def test_a_robot_without_a_common_role_is_refused_with_the_reason(store, together):
    with pytest.raises(CampaignError, match=r"arm.* has only joints that do something else: they have no role"):
        api.fold(run=together["run"], to="arm:links=3", store=store)
    refused = api.transfer(run=together["run"], to="arm:links=3", budget=24 * NUM_ENVS, store=store)
    assert refused["refused"] is True
    assert "no role in common" in refused["reason"]


def test_a_report_says_how_a_fold_came_about(together, anymal):
    lines = commands(Story(tuple(Result.read(Path(result["run"])) for result in (together, anymal))))
    assert lines[0].startswith(
        f"sim2real multitask go1:velocity {EIGHT}:velocity --network tokens --seed 0 --steps 768 "
    )
    assert lines[1] == "sim2real fold multitask --to anymal_c --out fold"
    for line in lines:
        cli.parser().parse_args(shlex.split(line)[1:])


def test_a_report_films_a_fold_and_says_what_it_is(anymal):
    result = Result.read(Path(anymal["run"]))
    story = Story((result,))
    assert choose(story) == [result]
    page = str(_credits(Film(robot="anymal_c", result=result, path=Path("film.mp4")), story))
    assert page.startswith("policy for any joints, real sensors only, velocity score ")
    assert [rung.label for rung in _rungs(result, story)] == ["policy for any joints"]


def test_a_policy_for_any_joints_is_no_skill_until_it_is_folded(store, together):
    with pytest.raises(CampaignError, match=r"holds no skill\.safetensors; .* is put on a robot by sim2real fold"):
        api.evaluate(run=together["run"], store=store)


def test_other_results_have_nothing_to_fold(store, anymal):
    with pytest.raises(CampaignError, match=r"holds no tokens.safetensors; name a result of sim2real multitask"):
        api.fold(run=anymal["run"], to="go1", store=store)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            ("go1:velocity", "go1:velocity_rough"),
            "a tokens network learns one task on many bodies, got go1:velocity",
        ),
        (("go1:velocity", "go1:velocity"), "one or more different ROBOT:TASK"),
    ],
    ids=["two tasks", "twice"],
)
def test_what_it_cannot_learn_is_refused(store, members, message):
    with pytest.raises(ValueError, match=message):
        api.multitask(members=members, network="tokens", store=store)
