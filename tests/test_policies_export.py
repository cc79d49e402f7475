"""Export: three runtimes agree on recorded observations, or nothing is written."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from test_policies_skill import GO1, VELOCITY, a_skill

import envs.actions
import robots
from policies.bundle import read
from policies.export import gate, write
from policies.export.gate import TOLERANCE, GateError
from policies.export.numpy_policy import NumpyPolicy, columns, count_layers
from policies.export.onnx import to_onnx
from policies.export.write import contract_of, record_observations, write_bundle
from policies.skill import FrameStack, Skill, load_skill, terms_of
from policies.threads import one_torch_thread

one_torch_thread()


def a_contract(skill: Skill):
    return contract_of(skill, GO1, VELOCITY, provenance={"seed": 0})


@pytest.fixture(autouse=True)
def _short_recordings(monkeypatch):
    monkeypatch.setattr(write, "RECORDED_WORLDS", 16)
    monkeypatch.setattr(write, "RECORDED_STEPS", 50)


@pytest.fixture(scope="module", params=[1, 10], ids=["history 1", "history 10"])
def recorded(request):
    """A skill, its contract and observations of it driving randomized robots."""
    skill = a_skill(history=request.param)
    return skill, a_contract(skill), record_observations(skill, GO1, VELOCITY)


def targets(skill, contract, observations) -> dict[str, np.ndarray]:
    weights = skill.export_weights()
    return {
        "torch": gate.torch_targets(contract, skill, torch.from_numpy(observations)).numpy(),
        "onnx": gate.run_onnx(to_onnx(contract, weights), observations),
        "numpy": NumpyPolicy(contract, weights)(observations),
    }


def test_three_runtimes_agree_on_recorded_observations(recorded):
    skill, contract, observations = recorded
    results = targets(skill, contract, observations)
    assert observations.shape[1] == contract.input_width
    assert np.ptp(results["torch"], axis=0).min() > 0.03  # every joint moves [rad]
    for name in ("onnx", "numpy"):
        assert results[name].shape == (len(observations), 12)
        assert np.abs(results[name] - results["torch"]).max() <= TOLERANCE


def test_they_agree_where_everything_saturates(recorded):
    _, contract, observations = recorded
    results = targets(a_skill(contract.history, size=30.0), contract, 5.0 * observations)
    low, high = np.array(contract.position_low, np.float32), np.array(contract.position_high, np.float32)
    assert ((results["torch"] == low) | (results["torch"] == high)).any()
    assert (results["torch"] >= low).all()
    assert (results["torch"] <= high).all()
    assert np.abs(results["onnx"] - results["torch"]).max() <= TOLERANCE
    assert np.abs(results["numpy"] - results["torch"]).max() <= TOLERANCE


def test_recordings_hold_walking_lifting_and_new_episodes(recorded):
    _, contract, observations = recorded
    newest = observations[:, -contract.frame_width :]
    clock = newest[:, columns(contract, "clock")]
    assert (clock == 0.0).all(1).any()  # some stand,
    assert (np.abs(clock).sum(1) > 0.0).any()  # some march
    assert np.isfinite(observations).all()


def test_recordings_repeat():
    one, again, other = (record_observations(a_skill(), GO1, VELOCITY, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_the_graph_takes_any_number_of_rows(recorded):
    skill, contract, observations = recorded
    graph = to_onnx(contract, skill.export_weights())
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (given,), (got,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("observation", "tensor(float)", ["batch", contract.input_width])
    assert (got.name, got.shape) == ("joint_targets", ["batch", 12])
    whole = session.run(None, {"observation": observations[:7]})[0]
    single = [session.run(None, {"observation": row[None]})[0][0] for row in observations[:7]]
    assert np.allclose(whole, single, atol=1e-6)


def test_equal_skills_give_equal_graphs(recorded):
    skill, contract, _ = recorded
    weights = skill.export_weights()
    assert to_onnx(contract, weights) == to_onnx(contract, dict(reversed(weights.items())))


def test_the_graph_has_ordinary_operators_only(recorded):
    skill, contract, _ = recorded
    model = onnx.load_from_string(to_onnx(contract, skill.export_weights()))
    operators = {node.op_type for node in model.graph.node}
    assert operators <= {"Sub", "Mul", "Div", "Add", "Clip", "Gemm", "Elu", "Slice", "Max", "Min"}
    assert {node.domain for node in model.graph.node} == {""}


def test_a_skill_at_rest_asks_for_the_nominal_pose():
    skill = a_skill(size=0.0)
    skill.actor[-1].bias.zero_()
    contract, rest = a_contract(skill), np.zeros((1, 47), np.float32)
    for target in targets(skill, contract, rest).values():
        assert target[0] == pytest.approx(GO1.default_positions, abs=1e-6)
    lifted = rest.copy()
    lifted[0, columns(contract, "clock")] = 1.0, 0.0  # sine 1: the swing of front-left and rear-right is at its height
    for target in targets(skill, contract, lifted).values():
        moved = np.abs(target[0] - GO1.default_positions).reshape(4, 3).max(1)
        assert (moved > 0.2).tolist() == [True, False, False, True]


def test_a_written_bundle_passed_the_gate(tmp_path):
    skill = a_skill(history=3)
    path = tmp_path / "policy.s2r"
    parity = write_bundle(path, skill, GO1, VELOCITY, scores={"score": 0.5}, provenance={"seed": 1})
    assert parity.onnx_vs_torch <= TOLERANCE
    assert parity.numpy_vs_torch <= TOLERANCE
    assert parity.observations == 16 * 50 / 5
    bundle = read(path)
    bundle.contract.check_robot(GO1)
    assert bundle.contract.provenance == {"seed": 1}
    assert bundle.contract.history == 3
    assert bundle.scores == {"score": 0.5}
    assert bundle.robot == replace(GO1, mjcf=GO1.mjcf_path.name)
    assert bundle.mjcf_text == GO1.mjcf_path.read_text()
    observations = record_observations(skill, GO1, VELOCITY)
    from_weights = NumpyPolicy(bundle.contract, bundle.weights)(observations)
    assert np.abs(gate.run_onnx(bundle.onnx, observations) - from_weights).max() <= TOLERANCE


def refuse(tmp_path, skill, match, spec=GO1) -> None:
    with pytest.raises(GateError, match=match):
        write_bundle(tmp_path / "policy.s2r", skill, spec, VELOCITY, scores={}, provenance={})
    assert list(tmp_path.iterdir()) == []


def test_a_graph_of_other_weights_is_refused_and_nothing_written(tmp_path, monkeypatch):
    other = a_skill(seed=1).export_weights()
    monkeypatch.setattr(write, "to_onnx", lambda contract, weights: to_onnx(contract, other))
    refuse(tmp_path, a_skill(), r"onnx vs torch: joint targets differ by .* rad, more than 1e-05.*nothing was written")


def test_a_graph_that_is_off_by_little_is_refused(tmp_path, monkeypatch):
    def slightly_off(contract, weights):
        return to_onnx(contract, weights | {"actor.2.bias": weights["actor.2.bias"] + np.float32(1e-3)})

    monkeypatch.setattr(write, "to_onnx", slightly_off)
    refuse(tmp_path, a_skill(), r"onnx vs torch: joint targets differ by 0\.00035 rad")  # 1e-3 · 0.35 rad


def test_weights_that_are_not_the_skills_are_refused(tmp_path, monkeypatch):
    other = a_skill(seed=1).export_weights()
    monkeypatch.setattr(gate, "NumpyPolicy", lambda contract, weights: NumpyPolicy(contract, other))
    refuse(tmp_path, a_skill(), "numpy vs torch: joint targets differ")


def test_an_action_map_that_training_does_not_use_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(envs.actions.joint_targets.__kwdefaults__, "action_clip", 0.1)  # the contract says 4
    refuse(tmp_path, a_skill(size=3.0), "onnx vs torch")


def test_a_privileged_teacher_is_refused_with_the_way_out(tmp_path):
    named = "reads base_velocity, base_height, foot_heights, foot_contacts, hidden_parameters, which no hardware"
    refuse(
        tmp_path, a_skill(privileged=True), rf"{named} measures; distill it .*sim2real distill RUN --student proprio"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    skill = a_skill()
    skill.actor[0].weight[0, 0] = value
    refuse(tmp_path, skill, r"not finite: its training diverged; nothing was written")


def test_one_bad_number_in_one_row_is_enough():
    good = np.zeros((3, 2), np.float32)
    bad = good.copy()
    bad[2, 1] = np.nan
    assert gate._worst(good, good) == 0.0
    assert gate._worst(good, bad) == float("inf")


def test_numpy_alone_refuses_weights_of_another_shape():
    skill = a_skill()
    contract = a_contract(skill)
    assert count_layers(skill.export_weights()) == 3
    with pytest.raises(ValueError, match="weights must map 141 inputs to 12 joints, got 47 to 12"):
        NumpyPolicy(replace(contract, history=3), skill.export_weights())
    with pytest.raises(ValueError, match="no observation term 'lidar'; it has"):
        columns(contract, "lidar")


def test_a_skill_on_another_robot_is_exported_for_that_robot(tmp_path):
    anymal = robots.get("anymal_c")
    skill = a_skill()
    skill.save(tmp_path / "skill.safetensors")
    moved = load_skill(tmp_path / "skill.safetensors", terms_of("anymal_c", "velocity"))
    parity = write_bundle(tmp_path / "policy.s2r", moved, anymal, VELOCITY, scores={}, provenance={})
    assert parity.onnx_vs_torch <= TOLERANCE
    read(tmp_path / "policy.s2r").contract.check_robot(anymal)


def test_the_history_is_stacked_oldest_first():
    skill = a_skill(history=2)
    contract = a_contract(skill)
    rng = np.random.default_rng(0)
    old, new = (rng.normal(size=(4, 47)).astype(np.float32) for _ in range(2))
    stack = FrameStack(2)
    stack.push(torch.from_numpy(old))
    stacked = stack.push(torch.from_numpy(new)).numpy()
    assert np.array_equal(stacked, np.concatenate([old, new], -1))
    results = targets(skill, contract, stacked)
    swapped = targets(skill, contract, np.concatenate([new, old], -1))
    assert np.abs(results["numpy"] - results["torch"]).max() <= TOLERANCE
    assert np.abs(swapped["numpy"] - results["numpy"]).max() > 0.01
