"""Export: three runtimes agree on recorded observations, or nothing is written."""

from dataclasses import asdict, replace

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
from policies.export.layers import Convolution, Recurrence
from policies.export.numpy_policy import NumpyPolicy, columns, count_layers, initial_state
from policies.export.onnx import to_onnx
from policies.export.onnx_policy import OnnxPolicy
from policies.export.write import contract_of, record_observations, write_bundle
from policies.players import FrameStack, Player
from policies.skill import Skill, load_skill, terms_of
from policies.threads import one_torch_thread
from robots.records import encode

one_torch_thread()
STUDENTS = {
    "mlp": {},
    "mlp of 10 frames": {"history": 10},
    "mlp with tanh": {"activation": "tanh"},
    "conv": {"architecture": "conv", "history": 10, "latent": 8},
    "conv with relu": {"architecture": "conv", "history": 12, "latent": 8, "activation": "relu"},
    "gru": {"architecture": "gru", "memory": 24, "latent": 8},
}


def a_student(size: float = 0.3, **changes) -> Skill:
    """A go1 skill of any architecture with random weights; `size` scales its actions."""
    card = replace(a_skill().card, **changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        skill = Skill(card, terms_of("go1", "velocity"))
        skill.actor[-1].weight.data *= size
        skill.normalizer.update(torch.randn(64, card.frame_width))
    return skill.requires_grad_(False)


def a_contract(skill: Skill):
    return contract_of(skill, GO1, VELOCITY, provenance={"seed": 0})


@pytest.fixture(autouse=True)
def _short_recordings(monkeypatch):
    monkeypatch.setattr(write, "RECORDED_WORLDS", 16)
    monkeypatch.setattr(write, "RECORDED_STEPS", 50)


@pytest.fixture(scope="module", params=STUDENTS.values(), ids=STUDENTS.keys())
def recorded(request):
    """A skill, its contract and observations of it driving randomized robots."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "RECORDED_WORLDS", 16)
        patch.setattr(write, "RECORDED_STEPS", 50)
        skill = a_student(**request.param)
        return skill, a_contract(skill), record_observations(skill, GO1, VELOCITY)


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory):
    """A gru skill, its contract and the sequences it was recorded in."""
    skill = a_student(**STUDENTS["gru"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "RECURRENT_WORLDS", 8)
        return skill, a_contract(skill), record_observations(skill, GO1, VELOCITY)


def targets(skill, contract, observations) -> dict[str, np.ndarray]:
    weights = skill.export_weights()
    steps = {
        "torch": gate.torch_step(contract, skill),
        "onnx": gate.onnx_step(contract, to_onnx(contract, weights)),
        "numpy": NumpyPolicy(contract, weights).step,
    }
    return {name: gate.play(step, contract, observations) for name, step in steps.items()}


def test_three_runtimes_agree_on_recorded_observations(recorded):
    skill, contract, observations = recorded
    results = targets(skill, contract, observations)
    assert observations.shape[1:] == (16, contract.input_width)
    assert len(observations) == (250 if contract.memory else 50 / 5)
    assert np.ptp(results["torch"], axis=(0, 1)).min() > 0.03  # every joint moves [rad]
    for name in ("onnx", "numpy"):
        assert results[name].shape == (*observations.shape[:2], 12)
        assert np.abs(results[name] - results["torch"]).max() <= TOLERANCE


def test_they_agree_where_everything_saturates(recorded):
    skill, contract, observations = recorded
    wild = a_student(30.0, **network_of(skill))
    results = targets(wild, contract, 5.0 * observations)
    low, high = np.array(contract.position_low, np.float32), np.array(contract.position_high, np.float32)
    assert ((results["torch"] == low) | (results["torch"] == high)).any()
    assert (results["torch"] >= low).all()
    assert (results["torch"] <= high).all()
    assert np.abs(results["onnx"] - results["torch"]).max() <= TOLERANCE
    assert np.abs(results["numpy"] - results["torch"]).max() <= TOLERANCE


def network_of(skill: Skill) -> dict:
    return {name: getattr(skill.card, name) for name in ("architecture", "history", "memory", "latent", "activation")}


def test_recordings_hold_walking_lifting_and_new_episodes(recorded):
    _, contract, observations = recorded
    newest = observations[..., -contract.frame_width :]
    clock = newest[..., columns(contract, "clock")]
    assert (clock == 0.0).all(-1).any()  # some stand,
    assert (np.abs(clock).sum(-1) > 0.0).any()  # some march
    assert np.isfinite(observations).all()


def test_recordings_repeat():
    one, again, other = (record_observations(a_skill(), GO1, VELOCITY, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_the_graph_takes_any_number_of_rows(recorded):
    skill, contract, observations = recorded
    session = onnxruntime.InferenceSession(
        to_onnx(contract, skill.export_weights()), providers=["CPUExecutionProvider"]
    )
    given, got = (
        [(end.name, end.type, end.shape) for end in ends()] for ends in (session.get_inputs, session.get_outputs)
    )
    state = [("state", "tensor(float)", ["batch", 24])] if contract.memory else []
    assert given == [("observation", "tensor(float)", ["batch", contract.input_width]), *state]
    following = [("next_state", "tensor(float)", ["batch", 24])] if contract.memory else []
    assert got == [("joint_targets", "tensor(float)", ["batch", 12]), *following]
    rows = {"observation": observations[0, :7]}
    rows |= {"state": np.random.default_rng(0).normal(0.0, 0.5, (7, 24)).astype(np.float32)} if contract.memory else {}
    whole = session.run(None, rows)
    single = [session.run(None, {name: values[i : i + 1] for name, values in rows.items()}) for i in range(7)]
    for index, output in enumerate(whole):
        assert np.allclose(output, [each[index][0] for each in single], atol=1e-6)


def test_equal_skills_give_equal_graphs(recorded):
    skill, contract, _ = recorded
    weights = skill.export_weights()
    assert to_onnx(contract, weights) == to_onnx(contract, dict(reversed(weights.items())))


def test_the_graph_has_ordinary_operators_only(recorded):
    skill, contract, _ = recorded
    model = onnx.load_from_string(to_onnx(contract, skill.export_weights()))
    operators = {node.op_type for node in model.graph.node}
    activation = {"elu": "Elu", "relu": "Relu", "tanh": "Tanh"}[contract.activation]
    own = {
        "mlp": set(),
        "conv": {"Concat", "Reshape", "MatMul", "Transpose", "Conv", "Flatten"},
        "gru": {"Concat", "Sigmoid", "Tanh"},
    }[contract.architecture]
    assert operators == {"Sub", "Mul", "Div", "Add", "Clip", "Gemm", "Slice", "Max", "Min", activation} | own
    assert {node.domain for node in model.graph.node} == {""}


def test_a_skill_at_rest_asks_for_the_nominal_pose():
    skill = a_skill(size=0.0)
    skill.actor[-1].bias.zero_()
    contract, rest = a_contract(skill), np.zeros((1, 1, 47), np.float32)
    for target in targets(skill, contract, rest).values():
        assert target[0, 0] == pytest.approx(GO1.default_positions, abs=1e-6)
    lifted = rest.copy()
    lifted[..., columns(contract, "clock")] = 1.0, 0.0  # sine 1: front-left and rear-right swing at their highest
    for target in targets(skill, contract, lifted).values():
        moved = np.abs(target[0, 0] - GO1.default_positions).reshape(4, 3).max(1)
        assert (moved > 0.2).tolist() == [True, False, False, True]


def test_a_recurrent_unit_by_hand():
    # One input x, one number of memory h; every weight is 0 but the input's, 1 for each gate, and the state's, 2 for n:
    # r = z = σ(x), n = tanh(x + r·2h), h' = (1 − z)·n + z·h. With x = 0: r = z = ½, n = tanh(h), h' = (tanh h + h)/2.
    ones, zeros = np.ones((3, 1), np.float32), np.zeros(3, np.float32)
    weights = {
        "encoder.gru.weight_ih": ones,
        "encoder.gru.bias_ih": zeros,
        "encoder.gru.weight_hh": np.array([[0.0], [0.0], [2.0]], np.float32),
        "encoder.gru.bias_hh": zeros,
        "encoder.head.weight": np.array([[10.0]], np.float32),
        "encoder.head.bias": np.array([1.0], np.float32),
    }
    latent, state = Recurrence.read(weights)(np.zeros((1, 1, 1), np.float32), np.array([[0.5]], np.float32))
    assert state[0, 0] == pytest.approx((np.tanh(0.5) + 0.5) / 2.0)
    assert latent[0, 0] == pytest.approx(1.0 + 10.0 * state[0, 0])


def test_a_convolution_by_hand():
    # Five frames of one channel, kernel (1, 10, 100), stride 2: 1 + 20 + 300 and 3 + 40 + 500, bias 1000 each; the head
    # takes the second only.
    weights = {
        "encoder.embed.weight": np.array([[1.0]], np.float32),
        "encoder.embed.bias": np.zeros(1, np.float32),
        "encoder.conv.0.weight": np.array([[[1.0, 10.0, 100.0]]], np.float32),
        "encoder.conv.0.bias": np.array([1000.0], np.float32),
        "encoder.head.weight": np.array([[0.0, 1.0]], np.float32),
        "encoder.head.bias": np.zeros(1, np.float32),
    }
    encoder = Convolution.read(weights, "relu")
    assert encoder.reads(history=5) == 2
    frames = np.arange(1.0, 6.0, dtype=np.float32).reshape(1, 5, 1)
    assert encoder(frames, np.zeros((1, 0), np.float32))[0].tolist() == [[1543.0]]
    assert encoder(-frames, np.zeros((1, 0), np.float32))[0].tolist() == [
        [1000.0]
    ]  # relu: nothing but the bias is left


@pytest.mark.parametrize("student", ["mlp of 10 frames", "conv with relu", "gru"])
def test_a_written_bundle_passed_the_gate_and_says_by_how_much(student, tmp_path):
    skill, path = a_student(**STUDENTS[student]), tmp_path / "policy.s2r"
    parity = write_bundle(path, skill, GO1, VELOCITY, scores={"score": 0.5}, provenance={"seed": 1})
    assert parity.onnx_vs_torch <= TOLERANCE
    assert parity.numpy_vs_torch <= TOLERANCE
    assert parity.observations == 16 * (250 if skill.card.memory else 50 / 5)
    assert parity.recurrent_steps == (250 if skill.card.memory else 0)
    bundle = read(path)
    bundle.contract.check_robot(GO1)
    assert bundle.contract.provenance == {"seed": 1, "randomization": encode(skill.card.randomization)}
    for name in ("architecture", "history", "memory", "activation"):
        assert getattr(bundle.contract, name) == getattr(skill.card, name)
    assert bundle.scores == {"score": 0.5, "parity": asdict(parity)}
    assert bundle.robot == replace(GO1, mjcf=GO1.mjcf_path.name)
    assert bundle.mjcf_text == GO1.mjcf_path.read_text()
    observations = record_observations(skill, GO1, VELOCITY)
    steps = OnnxPolicy(bundle.contract, bundle.onnx).step, NumpyPolicy(bundle.contract, bundle.weights).step
    graph, weights = (gate.play(step, bundle.contract, observations) for step in steps)
    assert np.abs(graph - weights).max() <= TOLERANCE


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


def flipped(weights):
    """The largest weight of the hidden state with its other sign."""
    changed = weights["encoder.gru.weight_hh"].copy()
    place = np.unravel_index(np.abs(changed).argmax(), changed.shape)
    changed[place] *= -1.0
    return weights | {"encoder.gru.weight_hh": changed}


def other_gate_order(weights):
    """Gates z, r, n, as ONNX's own operator has them, in place of torch's r, z, n."""
    swapped = {}
    for name in (name for name in weights if name.startswith("encoder.gru.")):
        reset, update, proposed = np.split(weights[name], 3)
        swapped[name] = np.concatenate([update, reset, proposed])
    return weights | swapped


def no_state(weights):
    """A unit that does not listen to its state."""
    return weights | {name: 0.0 * weights[name] for name in ("encoder.gru.weight_hh",)}


@pytest.mark.parametrize("change", [flipped, other_gate_order, no_state])
def test_a_recurrent_graph_that_remembers_otherwise_is_refused(change, recurrent):
    skill, contract, observations = recurrent
    graph = to_onnx(contract, change(skill.export_weights()))
    with pytest.raises(GateError, match=r"onnx vs torch: joint targets differ by"):
        gate.check(contract, skill, graph, observations)


def test_a_graph_without_its_state_input_is_refused(recurrent):
    skill, contract, observations = recurrent
    model = onnx.load_from_string(to_onnx(contract, skill.export_weights()))
    del model.graph.input[1]
    model.graph.node.insert(0, onnx.helper.make_node("Mul", ["observation", "zero"], ["nothing"]))
    model.graph.node.insert(1, onnx.helper.make_node("Slice", ["nothing", "from", "to", "axis"], ["state"]))
    for name, value in {"from": [0], "to": [24], "axis": [1]}.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.int64), name))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0.0), "zero"))
    with pytest.raises(
        GateError, match=r"graph takes \{'observation': 47\}, its contract says .*'state': 24.*nothing was"
    ):
        gate.check(contract, skill, model.SerializeToString(), observations)


def test_a_runtime_that_forgets_between_steps_is_noticed(recurrent, monkeypatch):
    skill, contract, observations = recurrent

    class Forgetful(NumpyPolicy):
        def step(self, observation, state):
            return super().step(observation, 0.0 * state)

    monkeypatch.setattr(gate, "NumpyPolicy", Forgetful)
    with pytest.raises(GateError, match="numpy vs torch: joint targets differ"):
        gate.check(contract, skill, to_onnx(contract, skill.export_weights()), observations)


def test_a_difference_too_small_for_one_step_shows_once_it_has_added_up(recurrent):
    _, contract, observations = recurrent
    slow = a_student(**STUDENTS["gru"])
    slow.encoder.gru.bias_ih[24:48] = 6.0  # z ≈ 0.9975: each step lets 1/400 of what is new into the memory
    weights = slow.export_weights()
    bias = weights["encoder.gru.bias_ih"].copy()
    bias[48:] += 0.02
    graph = to_onnx(contract, weights | {"encoder.gru.bias_ih": bias})
    gate.check(contract, slow, graph, observations[:1])
    with pytest.raises(GateError, match="onnx vs torch: joint targets differ by"):
        gate.check(contract, slow, graph, observations)


def test_a_world_whose_robot_falls_forgets_while_it_is_recorded(recurrent, monkeypatch):
    skill, _, _ = recurrent
    seen, act = [], Player.__call__

    def watched(player, observation, started=None):
        action = act(player, observation, started)
        if started is not None and started.any():
            frames = player.state_dict()["frames"][started][:, -1]
            seen.append((skill.normalizer(frames), player.state[started]))
        return action

    monkeypatch.setattr(Player, "__call__", watched)
    record_observations(skill, GO1, VELOCITY)
    assert seen
    for frames, state in seen:
        assert torch.allclose(state, skill.encoder(frames, skill.blank_state(len(frames)))[1], atol=1e-6)


def test_numpy_alone_refuses_weights_that_do_not_fit_the_contract():
    weights = a_skill().export_weights()
    contract = a_contract(a_skill())
    assert count_layers(weights) == 3
    with pytest.raises(ValueError, match="weights must map 141 inputs to 12 joints, got 47 to 12"):
        NumpyPolicy(replace(contract, history=3), weights)
    with pytest.raises(ValueError, match="no observation term 'lidar'; it has"):
        columns(contract, "lidar")
    for name in ("normalizer.std", "actor.2.bias"):
        with pytest.raises(ValueError, match=rf"the weights hold no '{name}'; they hold "):
            NumpyPolicy(contract, {key: value for key, value in weights.items() if key != name})
    with pytest.raises(ValueError, match=r"the weights hold no 'actor\.0\.weight'"):
        NumpyPolicy(contract, {key: value for key, value in weights.items() if key.startswith("normalizer.")})
    gru, conv = (a_student(**STUDENTS[name]).export_weights() for name in ("gru", "conv"))
    with pytest.raises(ValueError, match=r"weights of architecture 'mlp' are normalizer, actor .* got .*encoder\.gru"):
        NumpyPolicy(contract, gru)
    with pytest.raises(ValueError, match=r"the weights hold no 'encoder\.gru\.weight_ih'; they hold actor\.0\.bias"):
        NumpyPolicy(replace(contract, architecture="gru", memory=24), weights)
    with pytest.raises(ValueError, match="the contract has a memory of 23, the weights one of 24"):
        NumpyPolicy(replace(contract, architecture="gru", memory=23), gru)
    # Two convolutions: 30 → (30 − 3)/2 + 1 = 14 → 6 frames of 32 channels, where 10 → 4 → 1 were trained.
    with pytest.raises(ValueError, match=r"a history of 30 gives the encoder's head 192 numbers, its weights take 32"):
        NumpyPolicy(replace(contract, architecture="conv", history=30), conv)


def test_numpy_alone_says_that_a_memory_needs_its_state(recurrent):
    skill, contract, observations = recurrent
    policy = NumpyPolicy(contract, skill.export_weights())
    with pytest.raises(ValueError, match=r"the policy has a memory of 24: call step\(observation, state\)"):
        policy(observations[0])
    assert policy.step(observations[0], initial_state(contract, 8))[1].shape == (8, 24)


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
    results = targets(skill, contract, stacked[None])
    swapped = targets(skill, contract, np.concatenate([new, old], -1)[None])
    assert np.abs(results["numpy"] - results["torch"]).max() <= TOLERANCE
    assert np.abs(swapped["numpy"] - results["numpy"]).max() > 0.01
