"""The contract: complete, exact in JSON, and a mismatch names its field."""

import json
import math
from dataclasses import fields, replace

import deploy_bundles
import pytest

import robots
from envs.observations import hidden_term, privileged_terms
from policies.contract import ContractError, PolicyContract, contract_for
from robots.joint_space import joint_space

GO1 = robots.get("go1")
CONTRACT = deploy_bundles.contract("go1", history=3)


@pytest.mark.parametrize("name", robots.names())
def test_json_keeps_every_field_exactly(name):
    contract = replace(deploy_bundles.contract(name), provenance={"seed": 1, "parents": ["a"], "nested": {"x": 0.1}})
    again = PolicyContract.from_json(contract.to_json())
    assert again == contract
    assert again.differences(contract) == []
    assert again.to_json() == contract.to_json()


@pytest.mark.parametrize("name", robots.names())
def test_it_accepts_the_robot_it_was_made_for(name):
    deploy_bundles.contract(name).check_robot(robots.get(name))


def test_it_says_what_the_policy_reads():
    # gravity, gyro and command 3 each, position, velocity and previous target of 12 joints, the clock 2: 47
    assert CONTRACT.frame_width == 47
    assert CONTRACT.input_width == 3 * 47
    assert CONTRACT.num_joints == 12
    assert CONTRACT.unmeasurable == ()
    assert CONTRACT.control_period == pytest.approx(0.02)


def test_commands_are_in_si():
    assert CONTRACT.speed == pytest.approx((9.81 * CONTRACT.length) ** 0.5)
    assert CONTRACT.command_high[0] == pytest.approx(0.5 * CONTRACT.speed)
    assert CONTRACT.command_high[2] == pytest.approx(0.1 / CONTRACT.time)
    assert CONTRACT.command_low == tuple(-high for high in CONTRACT.command_high)


def test_it_names_what_no_hardware_measures():
    space = joint_space(GO1)
    contract = contract_for(
        GO1,
        space,
        task="velocity",
        command_high=(0.5, 0.18, 0.1),
        delay_range=(0.0, 0.02),
        extra_terms=privileged_terms(space, 4) + hidden_term(2),
    )
    assert contract.unmeasurable[0] == "base_velocity"
    assert len(contract.unmeasurable) == 5


def test_another_robot_is_refused_by_name():
    with pytest.raises(ContractError, match=r"contract field robot disagrees: .*'go1', this robot has 'anymal_c'"):
        CONTRACT.check_robot(robots.get("anymal_c"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("joint_names", CONTRACT.joint_names[::-1]),
        ("default_position", (0.0,) * 12),
        ("kp", (2.0,) * 12),
        ("kd", (2.0,) * 12),
        ("torque_limit", (1.0,) * 12),
        ("control_period", 0.01),
        ("model_hash", "0" * 16),
    ],
)
def test_a_robot_that_changed_is_refused_with_the_field(field, value):
    with pytest.raises(ContractError, match=rf"contract field {field} disagrees.*deploy a bundle made for 'go1'"):
        replace(CONTRACT, **{field: value}).check_robot(GO1)


def test_differences_name_fields_and_leave_provenance_out():
    other = replace(CONTRACT, history=1, kp=(1.0,) * 12, provenance={"seed": 2})
    assert CONTRACT.differences(other) == ["kp", "history"]


def test_it_says_what_network_it_was_written_for():
    gru = deploy_bundles.contract("go1", architecture="gru", memory=64, activation="tanh")
    again = PolicyContract.from_json(gru.to_json())
    assert (again.architecture, again.memory, again.activation, again.history) == ("gru", 64, "tanh", 1)
    assert CONTRACT.differences(gru) == ["history", "architecture", "activation", "memory"]


def test_a_contract_of_before_there_were_other_networks_is_one_of_a_perceptron():
    record = json.loads(CONTRACT.to_json())
    for name in ("architecture", "activation", "memory"):
        del record[name]
    assert PolicyContract.from_json(json.dumps(record)) == CONTRACT
    assert (CONTRACT.architecture, CONTRACT.activation, CONTRACT.memory) == ("mlp", "elu", 0)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            {"architecture": "gru"},
            r"field memory must be > 0 for architecture 'gru' and 0 for any other, got 0 for 'gru'",
        ),
        ({"memory": 8}, r"field memory must be > 0 for architecture 'gru' and 0 for any other, got 8 for 'mlp'"),
        ({"architecture": "conv", "memory": -1}, r"got -1 for 'conv'"),
        ({"architecture": "gru", "memory": 8, "history": 3}, r"history must be 1 for a policy with memory, .* got 3"),
        ({"activation": "selu"}, r"activation must be one of elu, relu, tanh, got 'selu'"),
    ],
)
def test_a_network_that_cannot_be_is_refused_with_the_field(network, message):
    with pytest.raises(ContractError, match=message):
        deploy_bundles.contract("go1", **network)
    record = json.loads(deploy_bundles.contract("go1").to_json()) | network
    with pytest.raises(ContractError, match=message):
        PolicyContract.from_json(json.dumps(record))


def changed(**changes) -> str:
    return json.dumps(json.loads(CONTRACT.to_json()) | changes)


def test_an_unknown_key_names_the_nearest_valid_one():
    with pytest.raises(ContractError, match=r"contract: unknown key 'histroy', did you mean 'history'\?"):
        PolicyContract.from_json(changed(histroy=1))


def test_a_missing_key_is_named():
    record = json.loads(CONTRACT.to_json())
    del record["kp"]
    with pytest.raises(ContractError, match="contract: missing kp"):
        PolicyContract.from_json(json.dumps(record))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "rnn"}, r"contract\.architecture: expected one of mlp, conv, gru, got 'rnn'"),
        ({"history": "3"}, r"contract\.history: expected a whole number, got '3'"),
        ({"kp": [1.0, None]}, r"contract\.kp\[1\]: expected a number, got None"),
        ({"command_high": [1.0]}, r"contract\.command_high: expected 3 values, got \[1\.0\]"),
        ({"control_period": math.nan}, r"contract field control_period must be a finite number, got nan"),
        ({"position_low": [-math.inf] * 12}, r"contract field position_low\[0\] must be a finite number, got -inf"),
        ({"schema": 2}, r"contract schema must be 1, got 2; update sim2real to read it"),
    ],
)
def test_a_wrong_value_names_its_place(changes, message):
    with pytest.raises(ContractError, match=message):
        PolicyContract.from_json(changed(**changes))


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_what_is_no_mapping_is_refused(text):
    with pytest.raises(ContractError, match="contract: expected"):
        PolicyContract.from_json(text)


def test_every_field_of_a_mistyped_contract_is_checked():
    for field in fields(PolicyContract):
        if field.name != "provenance":
            with pytest.raises(ContractError):
                PolicyContract.from_json(changed(**{field.name: {"no": "such"}}))
