"""The commands that learn, end to end with tiny budgets: what they return, what they write, what they refuse."""

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from test_policies_ppo import Immediately

import policies.evaluation
import policies.ppo
import policies.students.adaptation
import policies.students.schooling
import policies.training
import robots
import sim2real.stages.distill
import sim2real.stages.transfer
from policies.bundle import read
from policies.evaluation import Evaluation
from policies.export import write
from policies.export.gate import TOLERANCE
from policies.export.numpy_policy import NumpyPolicy
from policies.skill import load_skill
from robots.spec import ActuatorSpec, JointSpec
from sim2real import api
from sim2real.campaign.campaign import CampaignError
from sim2real.campaign.stage import Stage
from sim2real.campaign.store import read_record
from sim2real.commands import Transfer
from sim2real.statistics import TransferMeasures
from sim2real.verdict import RULE

NUM_ENVS = 16
ITERATION = 24 * NUM_ENVS
"""Environment steps of a rollout."""
HISTORY = 3


@pytest.fixture(scope="module", autouse=True)
def _small():
    """Few worlds and short episodes everywhere; everything else is as users have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(policies.evaluation.evaluate.__kwdefaults__, "episodes", 8)
        patch.setitem(policies.evaluation.evaluate.__kwdefaults__, "seconds", 0.5)
        patch.setattr(policies.students.adaptation, "EPISODES", 2)
        patch.setattr(policies.students.schooling, "VARIED_EPISODES", 4)
        patch.setattr(policies.training, "CURVE_EPISODES", 4)
        patch.setattr(policies.training, "CURVE_SECONDS", 0.2)
        patch.setattr(policies.ppo, "ThreadPoolExecutor", Immediately)
        patch.setattr(write, "RECORDED_WORLDS", 8)
        patch.setattr(write, "RECORDED_STEPS", 25)
        patch.setattr(sim2real.stages.distill, "NUM_ENVS", NUM_ENVS)
        patch.setattr(sim2real.stages.transfer, "NUM_ENVS", NUM_ENVS)
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("store")


def a_training(store: Path, **changes):
    return api.train(robot="go1", steps=2 * ITERATION, num_envs=NUM_ENVS, store=store, **changes)


@pytest.fixture(scope="module")
def trained(store):
    return a_training(store)


@pytest.fixture(scope="module")
def teacher(store):
    return a_training(store, privileged=True)


@pytest.fixture(scope="module")
def student(store, teacher):
    return api.distill(run=teacher["run"], steps=2 * ITERATION, history=HISTORY, store=store)


@pytest.fixture(scope="module")
def exported(store, student):
    return api.export(run=student["run"], store=store)


@pytest.fixture(scope="module")
def transferred(store, trained):
    return api.transfer(run=trained["run"], to="anymal_c", budget=2 * ITERATION, store=store)


def files(run: str) -> set[str]:
    return {path.relative_to(run).as_posix() for path in Path(run).rglob("*") if path.is_file()}


def assert_result(result: dict, keys: set[str]) -> None:
    """The result has these keys, is what the store holds, and is JSON."""
    assert keys <= set(result)
    kept = read_record(Path(result["run"]))["result"]
    assert keys <= set(kept)
    json.dumps(kept, allow_nan=False)


def test_training_returns_what_the_design_says(trained):
    keys = {"env_steps", "seconds", "env_steps_per_s", "score", "no_op", "yaw_score", "falls", "bundle"}
    assert_result(trained, keys)
    assert trained["env_steps"] == 2 * ITERATION
    assert trained["env_steps_per_s"] > 0.0
    assert trained["diverged"] == 0
    assert 0.0 <= trained["score"] <= 1.0
    assert 0.0 < trained["no_op"] <= 1.0
    assert [point["env_steps"] for point in trained["curve"]] == [0, ITERATION, 2 * ITERATION]
    assert all(len(point["episode_scores"]) == 4 for point in trained["curve"])


def test_training_writes_skill_policy_and_bundle(trained):
    expected = {"run.json", "events.jsonl", "skill.safetensors", "policy.safetensors", "randomization.parquet"}
    assert files(trained["run"]) == expected | {"policy.s2r"}
    assert trained["bundle"] == str(Path(trained["run"]) / "policy.s2r")
    bundle = read(Path(trained["bundle"]))
    bundle.contract.check_robot(robots.get("go1"))
    assert bundle.contract.provenance["env_steps"] == 2 * ITERATION
    assert bundle.scores["score"] == trained["score"]


def test_a_teacher_has_no_bundle(teacher):
    assert teacher["privileged"] is True
    assert teacher["bundle"] is None
    unfrozen = {"skill.safetensors", "policy.safetensors", "randomization.parquet"}
    assert files(teacher["run"]) == {"run.json", "events.jsonl"} | unfrozen
    assert load_skill(Path(teacher["run"]) / "skill.safetensors").card.privileged


def test_the_same_training_again_is_answered_from_the_store(store, trained):
    again = a_training(store)
    assert again["cached"] is True
    assert again["run"] == trained["run"]


def test_training_repeats_bit_for_bit(tmp_path, trained):
    again = a_training(tmp_path)
    assert again["key"] == trained["key"]
    for name in ("skill.safetensors", "policy.safetensors", "policy.s2r"):
        assert (Path(again["run"]) / name).read_bytes() == (Path(trained["run"]) / name).read_bytes()
    assert again["score"] == trained["score"]


def test_another_seed_is_another_skill(store, trained):
    other = a_training(store, seed=1)
    assert other["key"] != trained["key"]
    name = "skill.safetensors"
    assert (Path(other["run"]) / name).read_bytes() != (Path(trained["run"]) / name).read_bytes()


def test_distilling_returns_what_the_design_says(student, teacher):
    assert_result(student, {"score", "teacher_score", "ratio", "bundle"})
    assert student["teacher_score"] == teacher["score"]
    assert student["ratio"] == pytest.approx(student["score"] / teacher["score"])
    assert [point["env_steps"] for point in student["losses"]] == [ITERATION, 2 * ITERATION]


def test_a_student_has_a_bundle_of_measurable_terms(student):
    assert files(student["run"]) == {
        "run.json",
        "events.jsonl",
        "skill.safetensors",
        "policy.s2r",
        "randomization.parquet",
    }
    contract = read(Path(student["bundle"])).contract
    assert contract.unmeasurable == ()
    assert contract.history == HISTORY


def test_exporting_returns_what_the_gate_measured(exported, student):
    assert_result(exported, {"bundle", "onnx", "digest", "onnx_vs_torch", "numpy_vs_torch", "observations", "score"})
    assert exported["onnx_vs_torch"] <= TOLERANCE
    assert exported["numpy_vs_torch"] <= TOLERANCE
    assert exported["score"] == student["score"]
    assert exported["bytes"] == Path(exported["bundle"]).stat().st_size


def test_exported_files_belong_together(exported):
    assert files(exported["run"]) == {"run.json", "events.jsonl", "policy.s2r", "policy.onnx", "contract.json"}
    bundle = read(Path(exported["bundle"]))
    assert bundle.digest == exported["digest"]
    assert Path(exported["onnx"]).read_bytes() == bundle.onnx
    assert (Path(exported["run"]) / "contract.json").read_text() == bundle.contract.to_json()


def test_a_bundle_acts_as_the_skill_it_came_from(exported, student):
    bundle = read(Path(exported["bundle"]))
    skill = load_skill(Path(student["run"]) / "skill.safetensors")
    weights = skill.export_weights()
    assert all(np.array_equal(bundle.weights[name], weights[name]) for name in weights)
    rest = np.zeros((1, bundle.contract.input_width), np.float32)
    assert NumpyPolicy(bundle.contract, bundle.weights)(rest).shape == (1, 12)


def test_exporting_a_teacher_is_refused_and_writes_nothing(store, teacher):
    refused = api.export(run=teacher["run"], store=store)
    assert refused["refused"] is True
    assert refused["bundle"] is None
    assert "reads base_velocity" in refused["reason"]
    assert "sim2real distill RUN --student proprio" in refused["reason"]
    assert files(refused["run"]) == {"run.json", "events.jsonl"}


def test_evaluating_returns_what_the_design_says(store, student):
    result = api.evaluate(run=student["run"], episodes=4, store=store)
    keys = {"score", "score_ci", "cvar25", "falls", "episodes", "cost_of_transport", "no_op", "yaw_score"}
    assert_result(result, keys)
    assert result["episodes"] == 4
    assert result["score_ci"][0] <= result["score"] <= result["score_ci"][1]
    assert result["robot"] == "go1"


def test_evaluating_what_has_no_skill_says_what_has(store, exported):
    with pytest.raises(CampaignError, match=r"holds no skill\.safetensors; name a result of train, distill or"):
        api.evaluate(run=exported["run"], store=store)


def test_a_transfer_returns_what_the_design_says(transferred):
    keys = {"verdict", "strategy", "zero_shot", "jumpstart", "step_saving_ratio", "step_saving_ratio_ci"}
    assert_result(transferred, keys | {"transfer_ratio", "refused", "reason", "seconds", "bundle"})
    assert transferred["verdict"] in {"POSITIVE", "NEGATIVE", "INCONCLUSIVE"}
    assert transferred["refused"] is False
    assert transferred["rule"] == RULE
    assert (transferred["source_robot"], transferred["robot"]) == ("go1", "anymal_c")
    five = {"jumpstart", "asymptotic_gain", "total_reward", "transfer_ratio", "step_saving_ratio"}
    assert five <= {field.name for field in fields(TransferMeasures)}
    assert five | {f"{name}_ci" for name in five} <= set(transferred)


def test_both_arms_of_a_transfer_had_the_same_budget(transferred):
    transfer, scratch = transferred["curves"]["transfer"], transferred["curves"]["scratch"]
    assert [point["env_steps"] for point in transfer] == [point["env_steps"] for point in scratch]
    assert transfer[-1]["env_steps"] == 2 * ITERATION == transferred["env_steps"]
    assert transferred["jumpstart"] == pytest.approx(transfer[0]["score"] - scratch[0]["score"])


def test_a_transferred_skill_is_deployable_on_its_new_robot(transferred):
    expected = {"run.json", "events.jsonl", "skill.safetensors", "policy.safetensors", "policy.s2r"}
    expected |= {"randomization.parquet", "scratch_randomization.parquet"}
    assert files(transferred["run"]) == expected
    read(Path(transferred["bundle"])).contract.check_robot(robots.get("anymal_c"))
    assert load_skill(Path(transferred["run"]) / "skill.safetensors").card.robot == "anymal_c"


def test_zero_shot_leaves_the_weights_alone(store, trained):
    result = api.transfer(run=trained["run"], to="anymal_c", strategy="zero_shot", budget=ITERATION, store=store)
    assert result["score"] == result["zero_shot"]
    assert result["env_steps"] == 0
    skills = [load_skill(Path(run["run"]) / "skill.safetensors").export_weights() for run in (trained, result)]
    assert all(np.array_equal(skills[0][name], skills[1][name]) for name in skills[0])


def test_a_transfer_can_start_from_a_transfer(store, transferred):
    result = api.transfer(run=transferred["run"], to="go1", budget=ITERATION, store=store)
    assert (result["source_robot"], result["robot"]) == ("anymal_c", "go1")


def stops_after(num_asks: int):
    """A `Stage.lost` that says no `num_asks` times, once an iteration."""
    asked = iter(range(10_000))
    return lambda: next(asked) >= num_asks


def test_a_transfer_that_was_stopped_in_either_arm_goes_on_bit_for_bit(tmp_path, trained, transferred):
    command = Transfer(run=trained["run"], to="anymal_c", budget=2 * ITERATION)
    (tmp_path / "checkpoint").mkdir()
    for attempt, lost in enumerate([stops_after(1), stops_after(2), stops_after(1000)]):
        out = tmp_path / f"out{attempt}"
        out.mkdir()
        inputs = {"run": Path(trained["run"])}
        stage = Stage(out=out, checkpoint=tmp_path / "checkpoint", inputs=inputs, cpus=1, lost=lost)
        result = sim2real.stages.transfer.transfer(command, stage)
        assert (result == {}) is (attempt < 2)
        assert stage.was_told_to_stop is (attempt < 2)
    newest = {path.name for path in stage.checkpoint.glob("*.safetensors") if len(path.suffixes) == 1}
    assert newest == {"finetune.safetensors", "scratch.safetensors"}
    for name in ("skill.safetensors", "policy.safetensors"):
        assert (out / name).read_bytes() == (Path(transferred["run"]) / name).read_bytes()
    for name in ("score", "zero_shot", "scratch_score", "jumpstart", "transfer_ratio_ci", "verdict"):
        assert result[name] == transferred[name]


def test_a_transfer_from_a_student_says_to_name_the_teacher(store, student):
    with pytest.raises(CampaignError, match=r"holds no policy\.safetensors.*name the teacher instead of its student"):
        api.transfer(run=student["run"], to="anymal_c", budget=ITERATION, store=store)


def with_a_tail(folder: Path) -> Path:
    """A robot folder: go1 with a thirteenth joint."""
    go1 = robots.get("go1")
    tail = JointSpec(
        name="tail",
        position_limits=(-1.0, 1.0),
        default_position=0.0,
        actuator=ActuatorSpec(kp=5.0, kd=0.5, torque_limit=5.0, velocity_limit=20.0),
    )
    replace(go1, name="go1_tail", joints=(*go1.joints, tail)).save_folder(folder)
    body = (
        '<body name="tail" pos="-0.2 0 0.03"><joint name="tail" axis="0 0 1"/><geom type="sphere" size="0.01"/></body>'
    )
    mjcf = folder / go1.mjcf_path.name
    mjcf.write_text(mjcf.read_text().replace('<site name="imu"/>', f'<site name="imu"/>{body}', 1))
    return folder


def test_a_robot_with_another_joint_count_is_refused(store, trained, tmp_path):
    result = api.transfer(run=trained["run"], to=str(with_a_tail(tmp_path / "tail")), budget=ITERATION, store=store)
    assert_result(result, {"verdict", "strategy", "zero_shot", "jumpstart", "step_saving_ratio", "refused", "bundle"})
    assert result["refused"] is True
    assert result["verdict"] is None
    assert result["bundle"] is None
    assert "go1 has 12 joints" in result["reason"]
    assert "go1_tail has 13 joints" in result["reason"]
    assert files(result["run"]) == {"run.json", "events.jsonl"}
    assert list((store / "tmp").iterdir()) == []


def test_a_refused_transfer_is_no_source_of_anything(store, trained, tmp_path):
    refused = api.transfer(run=trained["run"], to=str(with_a_tail(tmp_path / "tail")), budget=ITERATION, store=store)
    with pytest.raises(CampaignError, match=r"holds no skill\.safetensors"):
        api.transfer(run=refused["run"], to="go1", budget=ITERATION, store=store)


def test_a_student_is_no_teacher(store, student):
    with pytest.raises(CampaignError, match=r"reads a history of 3 frames.*name the teacher"):
        api.distill(run=student["run"], steps=ITERATION, store=store)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda store, run: api.train(robot="go11", store=store),
            LookupError,
            "no robot named 'go11'; there are a1, acrobot, anymal_c",
        ),
        (lambda store, run: api.train(robot="go1", task="fly", store=store), LookupError, "no task named 'fly'"),
        (lambda store, run: api.train(robot="go1", steps=0, store=store), ValueError, "steps must be >= 1, got 0"),
        (lambda store, run: api.transfer(run=run, to="spot", store=store), LookupError, "no robot named 'spot'"),
        (lambda store, run: api.evaluate(run="latest:dance", store=store), LookupError, "no stage 'dance'"),
    ],
    ids=["robot", "task", "steps", "target", "run"],
)
def test_bad_input_is_refused_before_anything_starts(store, trained, call, error, message):
    before = set((store / "out").iterdir())
    with pytest.raises(error, match=message):
        call(store, trained["run"])
    assert set((store / "out").iterdir()) == before


def test_every_number_of_an_evaluation_is_in_the_result(trained):
    assert {field.name for field in fields(Evaluation)} - {"episode_scores"} <= set(trained)
