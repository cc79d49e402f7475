"""A teacher robot and its student robot: what is labelled, what the result tells, and who cannot teach whom."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import report_runs
import torch
from test_sim2real_report import make, words

import envs.tasks
import policies.students.adaptation
import robots
from envs.make import make_worlds
from envs.randomization import preset
from policies.bundle import read
from policies.evaluation import evaluate, no_op
from policies.skill import Skill, SkillCard, load_skill, robot_of, terms_of
from policies.students.distillation import Distillation
from policies.students.robot_teacher import in_body_of, normalized_ratio
from policies.students.schooling import Teacher, fresh, refuse
from robots.similarity import scaled
from sim2real import api, cli
from sim2real.campaign.campaign import CampaignError
from sim2real.campaign.keys import checked, stage_key
from sim2real.campaign.store import Store
from sim2real.commands import KINDS, Distill, body
from tests.menagerie_models import unpack
from tests.small_stages import small_stages

NUM_ENVS = 16
ITERATION = 24 * NUM_ENVS
VELOCITY = envs.tasks.get("velocity")


@pytest.fixture(scope="module", autouse=True)
def _small():
    with small_stages(NUM_ENVS) as patch:
        patch.setattr(policies.students.adaptation, "EPISODE_SECONDS", 100.0)  # longer than an episode: left out
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


@pytest.fixture(scope="module")
def over_joints(store) -> str:
    given = {"members": ("go1:velocity",), "network": "tokens", "privileged": True}
    return api.multitask(steps=ITERATION, num_envs=NUM_ENVS, store=store, **given)["run"]


def a_student(store: Path, run: str, **changes) -> dict:
    return api.distill(run=run, steps=ITERATION, history=2, store=store, **{"student": "robot:a1"} | changes)


@pytest.fixture(scope="module")
def student(store, teacher) -> dict:
    return a_student(store, teacher, fine_tune=ITERATION)


def skill_file(run: str) -> Path:
    return Path(run) / "skill.safetensors"


def in_another_body(run: str, robot: str) -> Teacher:
    return in_body_of(robot, skill_file(run), Path(run) / "policy.safetensors", 0.5, 0.4, 1)


def commanded_by_torque(folder: Path) -> str:
    """A go1 whose motors take torques."""
    spec = robots.get("go1")
    joints = [
        replace(joint, actuator=replace(joint.actuator, control="torque", kp=0.0, kd=0.0)) for joint in spec.joints
    ]
    replace(spec, joints=tuple(joints)).save_folder(folder)
    return str(folder)


def test_a_student_robot_has_its_own_worlds_scores_and_bundle(student):
    skill = load_skill(skill_file(student["run"]))
    assert (skill.card.robot, robot_of(skill.card).name, skill.card.privileged) == ("a1", "a1", False)
    assert (student["robot"], student["teacher_robot"], student["task"]) == ("a1", "go1", "velocity")
    assert read(Path(student["bundle"])).contract.robot == "a1"
    played = evaluate(robots.get("a1"), VELOCITY, skill.player())
    assert student["score"] == played.score
    assert json.loads(json.dumps(student, allow_nan=False)) == student


def test_a_student_robot_stands_beside_its_teacher_there_and_at_home(student, store, teacher):
    a1, home = robots.get("a1"), json.loads((Path(teacher) / "run.json").read_text())["result"]
    there = evaluate(a1, VELOCITY, in_another_body(teacher, "a1").skill.player())
    assert (student["zero_shot"], student["zero_shot_falls"]) == (there.score, there.falls)
    assert (student["teacher_score"], student["teacher_no_op"]) == (home["score"], home["no_op"])
    gains = student["score"] - student["no_op"], home["score"] - home["no_op"]
    expected = pytest.approx(gains[0] / gains[1]) if gains[1] > 0 else None
    assert student["normalized_ratio"] == expected
    assert student["ratio"] == pytest.approx(student["score"] / home["score"])


def test_gains_over_doing_nothing_are_what_robots_are_compared_by():
    assert normalized_ratio(0.8 - 0.4, 0.9 - 0.1) == pytest.approx(0.5)  # 0.4 / 0.8
    assert normalized_ratio(0.1, -0.2) is None
    assert normalized_ratio(0.1, 0.0) is None


def test_a_student_robot_is_tuned_in_its_own_worlds(student):
    told = student["fine_tuning"]
    assert told["env_steps"] == ITERATION
    assert told["kept"] == ("after" if told["after"] > told["before"] else "before")


def test_a_teacher_says_to_a_similar_robot_what_it_says_to_its_own(store, tmp_path):
    go1, walks = robots.get("go1"), Store.open(store).find("zoo:go1").folder
    twin = scaled(go1, tmp_path / "model", length=4.0, mass=9.0, gravity=1.0)  # times are √4 as long
    twin.save_folder(tmp_path / "twin")
    abroad, at_home = in_another_body(str(walks), str(tmp_path / "twin")), load_skill(skill_file(str(walks)))
    own = evaluate(go1, VELOCITY, at_home.player(), seconds=0.4)
    there, unmoved = (evaluate(abroad.spec, VELOCITY, skill.player(), seconds=0.8) for skill in (abroad.skill, at_home))
    assert there.score == pytest.approx(own.score, abs=1e-5)
    assert unmoved.score < own.score - 0.1  # the units of the wrong robot


def test_a_privileged_teacher_is_told_what_the_students_robot_hides(teacher):
    abroad = in_another_body(teacher, "a1")
    worlds = make_worlds(abroad.spec, VELOCITY, num_envs=2, randomization=preset("default"), seed=0, num_threads=1)
    assert abroad.skill.card.frame_width == worlds.width > worlds.actor_width
    rows = worlds.observation()
    label = abroad.skill.player()(rows)
    rows[:, worlds.actor_width :] += 1.0
    assert not torch.allclose(abroad.skill.player()(rows), label)


@pytest.mark.menagerie
def test_a_robot_of_the_menagerie_without_a_file_here_is_a_student_like_any_other(teacher, tmp_path, monkeypatch):
    unpack("google_barkour_vb", tmp_path)
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path))
    abroad = in_another_body(teacher, "menagerie:google_barkour_vb")
    played = evaluate(abroad.spec, VELOCITY, abroad.skill.player())
    assert abroad.spec.num_joints == 12
    assert 0.0 < played.score <= 1.0


def test_a_teacher_that_remembers_may_teach_another_body(tmp_path):
    go1 = robots.get("go1")
    width = sum(term.width for term in terms_of("go1", "velocity") if term.measurable)
    shape = {"privileged": False, "history": 1, "frame_width": width, "num_joints": 12, "hidden": (16,)}
    card = SkillCard(robot="go1", model_hash=go1.model_hash, task="velocity", **shape)
    recurrent = replace(card, architecture="gru", memory=8, latent=4)
    Skill.blank(recurrent, terms_of("go1", "velocity")).save(tmp_path / "skill.safetensors")
    abroad = in_another_body(str(tmp_path), "go2")
    refuse([abroad], remembering=True)
    worlds = make_worlds(abroad.spec, VELOCITY, num_envs=4, randomization=preset("none"), seed=0, num_threads=1)
    own = replace(card, robot="go2", model_hash=abroad.spec.model_hash)
    run = Distillation(abroad.skill, fresh(own, worlds, 0), worlds, 2 * 24 * 4, tmp_path / "run.safetensors")
    run.run()
    assert abroad.origin.values is None
    assert run.lessons[0].expert.state.abs().min() > 0.0  # it has moved on from zeros
    assert run.losses[-1]["loss"] > 0.0


def test_a_policy_over_joints_teaches_a_body_with_other_joints(store, over_joints):
    taught = a_student(store, over_joints, student="robot:quadruped:joints_per_leg=2")
    assert (taught["teacher_robot"], taught["robot"]) == ("go1", "quadruped:joints_per_leg=2")
    assert load_skill(skill_file(taught["run"])).card.num_joints == 8
    (home,) = json.loads((Path(over_joints) / "run.json").read_text())["result"]["members"].values()
    assert (taught["teacher_score"], taught["teacher_no_op"]) == (home["score"], home["no_op"])


def test_a_policy_over_joints_refuses_a_robot_without_a_common_role(store, over_joints):
    with pytest.raises(CampaignError, match=r"so101 .*no role in common") as refused:
        a_student(store, over_joints, student="robot:so101")
    assert refused.value.bad_input


def test_several_teachers_share_a_student_robot(store, teacher):
    members = a_student(store, teacher, more=("zoo:go1",), student="robot:go2")["members"]
    assert [member["robot"] for member in members] == ["go2", "go2"]
    (card,) = (card for card in api.zoo()["skills"] if card["name"] == "go1")
    assert members[1]["teacher_score"] == pytest.approx(card["score"])
    go1 = robots.get("go1")
    idle = evaluate(go1, VELOCITY, no_op(go1, VELOCITY))  # a bundle does not tell
    assert members[1]["teacher_no_op"] == idle.score


def test_a_report_says_in_whose_body_the_student_is_and_whose_policy_it_learned(tmp_path):
    told = {"robot": "a1", "teacher_robot": "go1", "zero_shot": 0.71, "normalized_ratio": 0.937}
    folder = report_runs.write(tmp_path / "runs", "distill", report_runs.RESULTS["distill"] | told)
    seen = words(make(tmp_path, [folder])[1])
    assert "The student does in the body of a1 what the policy of go1 would do there, from the last 10 readings" in seen
    assert "With the sensors of a real robot alone, in the body of a1, a student keeps 96 % of that" in seen
    assert "kept on a1 with real sensors only 96 %" in seen
    assert "gain over standing still, each on its own robot (go1, a1) 94 %" in seen
    assert "its policy on a1 as it is" in seen


@pytest.mark.parametrize(
    ("robot", "message"),
    [
        (
            "so101",
            r"go1 cannot teach so101: .*go1 has 12 joints .*so101 has \d joints .*choose a robot whose joints match",
        ),
        (
            "quadruped:joints_per_leg=2",
            r"go1 has 12 joints .*has 8 joints .*or a policy for any joints \(sim2real",
        ),
        ("cartpole", r"go1 cannot teach cartpole: .*go1 has 12 joints .*cartpole has 1 joints"),
    ],
)
def test_robots_whose_joints_do_not_match_are_refused_by_name(store, teacher, robot, message):
    with pytest.raises(CampaignError, match=message) as refused:
        a_student(store, teacher, student=f"robot:{robot}")
    assert refused.value.bad_input


def test_a_robot_of_torques_learns_nothing_from_one_of_positions(store, teacher, tmp_path):
    robot = commanded_by_torque(tmp_path / "torque")
    expected = r"joints of go1 are commanded by position, those of go1 by torque; choose a robot whose joints are"
    with pytest.raises(CampaignError, match=expected):
        a_student(store, teacher, student=f"robot:{robot}")


def test_a_student_that_does_not_exist_is_refused_before_anything_starts(store, teacher):
    with pytest.raises(ValueError, match=r"student must be proprio, small or robot:R, such as robot:a1, got 'tiny'"):
        Distill(run="A", student="tiny")
    with pytest.raises(ValueError, match=r"student must be .* got 'robot:'"):
        Distill(run="A", student="robot:")
    with pytest.raises(LookupError, match=r"no robot named 'a11'"):
        a_student(store, teacher, student="robot:a11")


def test_the_command_line_refuses_a_wrong_student_in_one_sentence(store, teacher, capsys):
    assert cli.main(["distill", teacher, "--student", "tiny", "--store", str(store)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "student must be proprio, small or robot:R" in said[0]


def test_a_student_robot_counts_by_its_model(tmp_path):
    def key(student: str) -> str:
        return stage_key(KINDS["distill"], checked(Distill(run="A", student=student)), {"run": "B"})

    robots.get("a1").save_folder(tmp_path / "mine")
    before = key("robot:a1")
    assert key(f"robot:{tmp_path / 'mine'}") == before
    assert before not in (key("robot:go2"), key("proprio"))
    mjcf = next((tmp_path / "mine").glob("*.xml"))
    mjcf.write_text(mjcf.read_text().replace("<worldbody>", "<worldbody><!-- edited -->"))
    assert key(f"robot:{tmp_path / 'mine'}") != before


def test_robots_with_colons_in_their_names_are_students_too():
    assert body("robot:menagerie:unitree_go1") == "menagerie:unitree_go1"
    assert (body("proprio"), body("small")) == ("", "")


@pytest.mark.slow
def test_a_robot_learns_from_another_to_walk(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sim2real.stages.distill.NUM_ENVS", 256)
        taught = api.distill(run="zoo:go1", student="robot:a1", steps=200_000, store=tmp_path)
    a1, skill = robots.get("a1"), load_skill(skill_file(taught["run"]))
    score, idle = (
        evaluate(a1, VELOCITY, actor, episodes=64, seconds=10.0).score
        for actor in (skill.player(), no_op(a1, VELOCITY))
    )
    assert score - idle > 0.8 * (taught["teacher_score"] - idle)
