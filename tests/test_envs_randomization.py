"""Hidden parameters: written where they act, never compounding, seen on one scale."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

import robots
from envs.physics.cpu import CpuPhysics
from envs.randomization import (
    MODEL_FIELDS,
    PARAMETERS,
    PRESETS,
    Randomization,
    Randomizer,
    delay_range,
    delay_samples,
    preset,
)
from robots.joint_space import joint_space
from robots.model import build_model, default_data, foot_geom_ids, joint_dof_indices

SPEC = robots.get("go1")
LEGGED = [name for name in robots.names() if robots.get(name).feet]
NOMINAL = dict.fromkeys(PARAMETERS, 1.0) | dict.fromkeys(("com_x", "com_y", "com_z"), 0.0)
OTHER = dict.fromkeys(PARAMETERS, 1.5) | {"com_x": 0.1, "com_y": 0.1, "com_z": -0.1, "friction": 0.2, "strength": 0.5}
"""A value of each parameter that is far from the nominal one."""


def randomizer(num_worlds: int = 2, randomization: Randomization | None = None) -> Randomizer:
    randomization = randomization or preset("default")
    model = build_model(SPEC, delay_samples=delay_samples(randomization, SPEC))
    physics = CpuPhysics(model, num_worlds, 1)
    row = np.empty(physics.state.shape[1])
    mujoco.mj_getState(model, default_data(model), row, mujoco.mjtState.mjSTATE_INTEGRATION)
    physics.state[:] = torch.from_numpy(row)
    return Randomizer(randomization, physics, SPEC, joint_space(SPEC))


def apply(to: Randomizer, *worlds: dict[str, float]) -> None:
    """Give each world its parameters by name."""
    values = torch.tensor([[world[name] for name in PARAMETERS] for world in worlds], dtype=torch.float64)
    to.apply(torch.arange(len(worlds)), values)


def rollout(physics: CpuPhysics, num_steps: int = 25) -> torch.Tensor:
    """(num_worlds, num_state) after half a second of the same violent targets in every world."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(num_steps):
        physics.ctrl[:] = torch.tensor(SPEC.default_positions) + 0.5 * torch.randn(SPEC.num_joints, generator=generator)
        physics.step(SPEC.substeps)
    return physics.state.clone()


def expected_fields(name: str, value: float, model: mujoco.MjModel) -> dict[str, np.ndarray]:
    """What the fields of the compiled model become when one parameter has `value` and the others are nominal."""
    base = model.body(SPEC.base_body).id
    dofs, feet = joint_dof_indices(model, SPEC), foot_geom_ids(model, SPEC)
    fields = {field: getattr(model, field).copy() for field in MODEL_FIELDS}
    fields["geom_friction"][feet, 0] = 1.0
    if name == "mass":
        fields["body_mass"][base] *= value
        fields["body_inertia"][base] *= value
    elif name.startswith("com_"):
        fields["body_ipos"][base, "xyz".index(name[-1])] += value * joint_space(SPEC).length
    elif name == "friction":
        fields["geom_friction"][feet, 0] = value
    elif name == "kp":
        fields["actuator_gainprm"][:, 0] *= value
        fields["actuator_biasprm"][:, 1] *= value
    elif name == "kd":
        fields["actuator_biasprm"][:, 2] *= value
    elif name == "damping":
        fields["dof_damping"][dofs] *= value
    elif name == "friction_loss":
        fields["dof_frictionloss"][dofs] *= value
    elif name == "strength":
        fields["actuator_forcerange"] *= value
    elif name == "delay":
        fields["actuator_delay"] *= value
    return fields


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_lands_in_its_worlds_model_alone_and_changes_what_happens(name):
    worlds = randomizer()
    apply(worlds, NOMINAL, NOMINAL | {name: OTHER[name]})
    nominal, changed = worlds.physics.batch.get_model(0), worlds.physics.batch.get_model(1)
    for field, expected in expected_fields(name, OTHER[name], worlds.physics.model).items():
        np.testing.assert_allclose(getattr(changed, field), expected, rtol=1e-12, err_msg=field)
    for field, expected in expected_fields(name, NOMINAL[name], worlds.physics.model).items():
        np.testing.assert_array_equal(getattr(nominal, field), expected, err_msg=field)
    state = rollout(worlds.physics)
    assert (state[0] - state[1]).abs().max() > 1e-4


def test_a_heavier_base_makes_the_robot_heavier():
    worlds = randomizer()
    apply(worlds, NOMINAL, NOMINAL | {"mass": 1.5})
    base = worlds.physics.model.body(SPEC.base_body)
    total = worlds.physics.batch.get_model(1).body_subtreemass[0]
    assert total == pytest.approx(SPEC.mass + 0.5 * base.mass[0], rel=1e-3)


def test_worlds_with_equal_parameters_stay_equal():
    worlds = randomizer()
    apply(worlds, OTHER, OTHER)
    state = rollout(worlds.physics)
    assert torch.equal(state[0], state[1])


def test_applying_again_never_compounds():
    once, often = randomizer(), randomizer()
    apply(once, NOMINAL, OTHER)
    for _ in range(3):
        apply(often, OTHER, NOMINAL)
        apply(often, NOMINAL, OTHER)
    for field in MODEL_FIELDS:
        assert torch.equal(once.fields[field], often.fields[field]), field
    assert torch.equal(rollout(once.physics), rollout(often.physics))


@pytest.mark.parametrize("name", LEGGED)
def test_none_is_the_nominal_model_on_ground_of_friction_one(name):
    spec = robots.get(name)
    model = build_model(spec, delay_samples=delay_samples(preset("none"), spec))
    worlds = Randomizer(preset("none"), CpuPhysics(model, 1, 1), spec, joint_space(spec))
    worlds.resample(torch.tensor([0]), torch.Generator().manual_seed(0))
    found, feet = worlds.physics.batch.get_model(0), foot_geom_ids(model, spec)
    np.testing.assert_array_equal(found.geom_friction[feet, 0], 1.0)
    found.geom_friction[feet, 0] = model.geom_friction[feet, 0]
    derived = ("body_subtreemass", "body_invweight0", "dof_invweight0", "actuator_acc0")
    for field in (*MODEL_FIELDS, *derived):
        np.testing.assert_allclose(getattr(found, field), getattr(model, field), rtol=1e-12, err_msg=field)


def test_none_steps_as_mujoco_steps_the_nominal_model():
    worlds = randomizer(1, preset("none"))
    worlds.resample(torch.tensor([0]), torch.Generator().manual_seed(0))
    model = build_model(SPEC, delay_samples=delay_samples(preset("none"), SPEC))
    model.geom_friction[foot_geom_ids(model, SPEC), 0] = 1.0
    plain = CpuPhysics(model, 1, 1)
    plain.state[:] = worlds.physics.state
    assert torch.equal(rollout(worlds.physics), rollout(plain))


def test_hidden_values_run_from_minus_one_to_one_over_the_default_ranges():
    worlds, reference = randomizer(3, preset("none")), preset("default")
    low = {name: getattr(reference, name)[0] for name in PARAMETERS}
    high = {name: getattr(reference, name)[1] for name in PARAMETERS}
    apply(worlds, low, high, NOMINAL)
    torch.testing.assert_close(worlds.hidden[0], torch.full((len(PARAMETERS),), -1.0))
    torch.testing.assert_close(worlds.hidden[1], torch.full((len(PARAMETERS),), 1.0))
    nominal = dict(zip(PARAMETERS, worlds.hidden[2].tolist(), strict=True))
    assert nominal["mass"] == pytest.approx(0.0, abs=1e-6)  # the middle of 0.85..1.15
    assert nominal["friction"] == pytest.approx(2.0 * 0.6 / 0.85 - 1.0, abs=1e-6)  # 1.0 in 0.4..1.25
    assert nominal["delay"] == pytest.approx(2.0 * 1.0 / 2.5 - 1.0, abs=1e-6)  # 1.0 in 0..2.5


def test_samples_keep_to_their_ranges_and_touch_only_the_worlds_they_are_for():
    worlds = randomizer(64)
    apply(worlds, *[NOMINAL] * 64)
    worlds.resample(torch.arange(1, 64), torch.Generator().manual_seed(0))
    low, high = preset("default").ranges.unbind(-1)
    drawn = worlds.values[1:]
    assert ((drawn >= low) & (drawn <= high)).all()
    assert (drawn.std(0) > 0.2 * (high - low)).all()  # uniform: 0.29 of the range
    assert worlds.values[0].tolist() == list(NOMINAL.values())
    np.testing.assert_array_equal(worlds.fields["body_mass"][0], worlds.physics.model.body_mass)


def test_samples_come_from_the_generator_alone():
    first, second = randomizer(4), randomizer(4)
    torch.rand(3)  # the global generator is somewhere else
    for worlds in (first, second):
        worlds.resample(torch.arange(4), torch.Generator().manual_seed(7))
    assert torch.equal(first.values, second.values)


@pytest.mark.parametrize("name", LEGGED)
def test_delay_buffers_hold_the_longest_delay(name):
    spec = robots.get(name)
    longest = delay_range(preset("default"), spec)[1]
    assert longest <= delay_samples(preset("default"), spec) * spec.physics_dt + 1e-12


def test_the_delays_of_a_go1_by_hand():
    assert delay_range(preset("default"), SPEC) == pytest.approx((0.0, 0.020))  # 8 ms · 2.5
    assert delay_samples(preset("default"), SPEC) == 6  # 20 ms / 4 ms, and one
    assert delay_samples(preset("none"), SPEC) == 3


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match=r"mass must be \(low, high\) with low <= high, got \(1.1, 0.9\)"):
        Randomization(mass=(1.1, 0.9))
    with pytest.raises(LookupError, match="no randomization named 'wild'; there are default, none"):
        preset("wild")


def test_presets_differ_only_where_they_say():
    assert PRESETS["none"].noise == PRESETS["default"].noise
    assert PRESETS["none"].push_speed == 0.0
    assert replace(PRESETS["default"]) == Randomization()
