"""`distill` end to end with tiny budgets: every kind of student, several teachers, fine-tuning, what is refused."""

import json
from pathlib import Path

import pytest

import policies.students.adaptation
from envs.randomization import preset
from policies.bundle import read
from policies.skill import load_skill
from policies.students.schooling import hull
from sim2real import api
from sim2real.campaign.campaign import CampaignError
from sim2real.campaign.store import read_record
from sim2real.cli import parser
from sim2real.commands import Distill
from tests.small_stages import small_stages

NUM_ENVS = 16
ITERATION = 24 * NUM_ENVS


@pytest.fixture(scope="module", autouse=True)
def _small():
    with small_stages(NUM_ENVS) as patch:
        patch.setattr(policies.students.adaptation, "EPISODE_SECONDS", 2.0)
        patch.setattr(policies.students.adaptation, "DISTURBED_AT", 0.5)
        patch.setattr(policies.students.adaptation, "ALLOWED", 0.5)
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("store")


def a_teacher(store: Path, **changes) -> str:
    given = {"robot": "go1", "privileged": True} | changes
    return api.train(steps=ITERATION, num_envs=NUM_ENVS, store=store, **given)["run"]


@pytest.fixture(scope="module")
def teacher(store) -> str:
    return a_teacher(store)


def a_student(store: Path, run: str, **changes) -> dict:
    return api.distill(run=run, steps=ITERATION, store=store, **changes)


@pytest.fixture(scope="module")
def recurrent(store, teacher) -> dict:
    return a_student(store, teacher, encoder="gru", memory=8, fine_tune=2 * ITERATION)


def skill_of(result: dict):
    return load_skill(Path(result["run"]) / "skill.safetensors")


def test_a_recurrent_student_says_what_it_is_and_what_it_kept(recurrent):
    kept = read_record(Path(recurrent["run"]))["result"]
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    shape = {name: kept[name] for name in ("architecture", "history", "memory", "hidden")}
    assert shape == {"architecture": "gru", "history": 1, "memory": 8, "hidden": [128, 128]}
    card = skill_of(recurrent).card
    assert kept["latent"] == card.latent > 0
    assert kept["ratio"] == pytest.approx(kept["score"] / kept["teacher_score"])
    varied = kept["randomized"]
    assert varied["ratio"] == pytest.approx(varied["score"] / varied["teacher_score"])
    assert kept["parameters_ratio"] == pytest.approx(kept["parameters"] / kept["teacher_parameters"])
    assert set(kept["adaptation"]) == {"payload", "motor"}


def test_fine_tuning_keeps_the_better_and_says_which(recurrent):
    told = recurrent["fine_tuning"]
    assert told["kept"] == ("after" if told["after"] > told["before"] else "before")
    assert told["env_steps"] == 2 * ITERATION
    trained = ITERATION + (2 * ITERATION if told["kept"] == "after" else 0)
    assert recurrent["env_steps"] == skill_of(recurrent).card.env_steps == trained


def test_steps_are_those_that_were_taken_not_those_that_were_asked_for(store, teacher):
    student = api.distill(run=teacher, steps=ITERATION + 1, history=2, store=store)
    assert student["env_steps"] == skill_of(student).card.env_steps == 2 * ITERATION  # whole rollouts


def test_a_student_goes_on_with_ppo_but_is_not_transferred(store, teacher):
    student = a_student(store, teacher, history=2)
    going_on = api.train(robot="go1", from_=student["run"], steps=ITERATION, num_envs=NUM_ENVS, store=store)
    assert skill_of(going_on).card.history == 2
    with pytest.raises(CampaignError, match=r"policies that read one frame, this one reads 2; name its teacher, or go"):
        api.transfer(run=going_on["run"], to="a1", budget=ITERATION, store=store)


def test_a_recurrent_student_has_a_bundle(recurrent):
    assert recurrent["bundle"] is not None
    assert read(Path(recurrent["bundle"])).weights["encoder.gru.weight_hh"].shape == (24, 8)


def test_a_small_student_may_learn_from_a_student(store, recurrent):
    small = a_student(store, recurrent["run"], student="small", history=3)
    card = skill_of(small).card
    assert (card.architecture, card.hidden, card.history) == ("mlp", (32, 32), 3)
    assert small["parameters_ratio"] < 1.0
    assert small["teacher_score"] == recurrent["score"]


def test_a_student_of_real_sensors_needs_a_teacher_that_remembers_nothing(store, recurrent):
    with pytest.raises(CampaignError, match=r"this skill reads a recurrent state: name the teacher"):
        a_student(store, recurrent["run"])


def test_several_teachers_have_one_student_with_a_report_from_each(store, teacher):
    rough = a_teacher(store, task="velocity_rough", randomization="full")
    student = a_student(store, teacher, more=(rough,), encoder="conv", history=4, latent=5)
    tasks = [member["task"] for member in student["members"]]
    assert tasks == ["velocity", "velocity_rough"]
    assert student["least_ratio"] == min(member["ratio"] for member in student["members"])
    assert student["score"] == student["members"][0]["score"]
    assert skill_of(student).card.randomization == hull([preset("default"), preset("full")])
    files = {path.name for path in Path(student["run"]).iterdir()}
    assert {"randomization.parquet", "randomization-1.parquet"} <= files


def test_a_latent_that_no_teacher_could_fill_is_refused(store, teacher):
    with pytest.raises(CampaignError, match=r"latent must be within 1\.\.\d+, .* got 500"):
        a_student(store, teacher, encoder="conv", latent=500)


def test_fine_tuning_shorter_than_a_rollout_is_refused_before_the_student_is_taught(store, teacher):
    with pytest.raises(CampaignError, match=r"fine_tune must be 0 or at least one rollout, 384 steps, got 5"):
        a_student(store, teacher, fine_tune=5)  # 24·16


def test_the_hull_of_ranges_holds_all_of_them():
    default, full = preset("default"), preset("full")
    both = hull([default, full])
    assert both.friction == (0.4, 1.25)
    assert both.payload == (0.0, 0.1)
    assert both.delay_jitter == 0.5
    assert both.push_seconds == 5.0
    assert both.separate == full.separate
    assert hull([full]) == full


def test_the_command_line_takes_several_runs_and_widths():
    given = vars(parser().parse_args(["distill", "A", "B", "C", "--student", "small", "--hidden", "64", "32"]))
    assert (given["run"], given["more"], given["hidden"]) == ("A", ["B", "C"], [64, 32])
    assert "more" not in vars(parser().parse_args(["distill", "A"]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mixing": 1.5}, r"mixing must be a share within 0\.\.1, got 1\.5"),
        ({"hidden": (0,)}, r"hidden must be widths >= 1"),
        ({"memory": 0}, r"memory must be >= 1, got 0"),
        ({"redraw": float("nan")}, r"redraw must be >= 0, got nan"),
        ({"encoder": "conv", "history": 2}, r"history must be >= 3 for a convolution along time, got 2"),
        ({"latent": 5}, r"latent must be 0 for an mlp, got 5"),
        ({"fine_tune": 10, "more": ("B",)}, r"fine_tune must be 0 with several teachers"),
    ],
)
def test_nonsense_is_refused_before_anything_starts(changes, message):
    with pytest.raises(ValueError, match=message):
        Distill(run="A", **changes)
