"""Hidden parameters: written where they act, never compounding, seen on one scale; refused where nothing can act."""

import json
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
from envs.randomization.ranges import JOINT_PARAMETERS, RANGES
from envs.randomization.terms import BY_NAME, MODEL_TERMS
from robots.actuation import BACK_EMF, KD, KP, RESISTANCE
from robots.families import vary
from robots.joint_space import joint_space
from robots.model import build_model, foot_geom_ids, joint_dof_indices
from robots.records import encode
from robots.spec import RobotSpec

SPEC = robots.get("go1")
LEGGED = [name for name in robots.names() if robots.get(name).feet]
TERMS = [parameter.name for parameter in MODEL_TERMS if parameter.name not in ("link_length", "surface_friction")]
"""All that a go1 has: its links have one length only, and it rubs with its feet."""
NOMINAL = {name: BY_NAME[name].nominal for name in TERMS}
OTHER = dict.fromkeys(PARAMETERS, 1.5) | {"com_x": 0.1, "com_y": 0.1, "com_z": -0.1, "friction": 0.2, "strength": 0.5}
OTHER |= {"armature": 1.5, "foot_friction": 0.5, "payload": 0.2, "slope_x": 0.1, "slope_y": 0.1}
OTHER |= {"contact_time": 1.5, "contact_width": 3.0}
"""A value of each parameter that is far from the nominal one."""


def randomizer(num_worlds: int = 2, randomization: Randomization | None = None, spec: RobotSpec = SPEC) -> Randomizer:
    randomization = randomization or preset("default")
    model = build_model(spec, delay_samples=delay_samples(randomization, spec))
    return Randomizer(randomization, CpuPhysics(model, num_worlds, 1), spec, joint_space(spec))


def sample(of: Randomizer, **values: float) -> torch.Tensor:
    """(num_columns,) nominal, but for these values."""
    row = of.nominal.clone()
    for name, value in values.items():
        row[of.columns[name]] = value
    return row


def apply(to: Randomizer, *worlds: dict[str, float]) -> None:
    """Give each world its parameters by name; the others are nominal."""
    to.apply(torch.arange(len(worlds)), torch.stack([sample(to, **world) for world in worlds]))


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
    fields = {field: value_of(model, field).copy() for field in MODEL_FIELDS}
    fields["geom_friction"][feet, 0] = 1.0
    if name == "mass":
        fields["body_mass"][base] *= value
        fields["body_inertia"][base] *= value
    elif name.startswith("com_"):
        fields["body_ipos"][base, "xyz".index(name[-1])] += value * joint_space(SPEC).length
    elif name == "friction":
        fields["geom_friction"][feet, 0] = value
    elif name == "kp":
        fields["actuator_gainprm"][:, KP] *= value
    elif name == "kd":
        fields["actuator_gainprm"][:, KD] *= value
    elif name == "damping":
        fields["dof_damping"][dofs] *= value
    elif name == "friction_loss":
        fields["dof_frictionloss"][dofs] *= value
    elif name == "strength":
        fields["actuator_forcerange"] *= value
        fields["actuator_gainprm"][:, RESISTANCE] /= value
        fields["actuator_biasprm"][:, BACK_EMF] *= value
    elif name == "delay":
        fields["actuator_delay"] *= value
    elif name == "armature":
        fields["dof_armature"][dofs] *= value
    elif name == "foot_friction":
        fields["geom_friction"][feet, 0] = value
    elif name == "payload" and value > 0.0:
        put_payload(fields, base, value * joint_space(SPEC).mass, 0.2 * joint_space(SPEC).length)
    elif name.startswith("slope_"):
        fields["opt.gravity"]["xy".index(name[-1])] = value * 9.81
    elif name == "contact_time":
        fields["geom_solref"][feet, 0] *= value
    elif name == "contact_width":
        fields["geom_solimp"][feet, 2] *= value
    return fields


def value_of(model: mujoco.MjModel, field: str) -> np.ndarray:
    return getattr(model.opt, field[4:]) if field.startswith("opt.") else getattr(model, field)


def put_payload(fields: dict[str, np.ndarray], base: int, load: float, height: float) -> None:
    """Let MuJoCo itself merge a trunk and a point mass (a tiny sphere) over it into one body."""
    trunk = " ".join(map(str, fields["body_ipos"][base]))
    axes, moments = " ".join(map(str, fields["body_iquat"][base])), " ".join(map(str, fields["body_inertia"][base]))
    merged = mujoco.MjModel.from_xml_string(
        f"""<mujoco><compiler fusestatic="true"/><worldbody><body name="trunk"><freejoint/>
        <body><inertial pos="{trunk}" quat="{axes}" mass="{fields["body_mass"][base]}" diaginertia="{moments}"/></body>
        <body><inertial pos="0 0 {height}" mass="{load}" diaginertia="1e-12 1e-12 1e-12"/></body>
        </body></worldbody></mujoco>"""
    )
    assert merged.nbody == 2
    for field in ("body_mass", "body_ipos", "body_inertia", "body_iquat"):
        fields[field][base] = getattr(merged, field)[1]


def inertia(model_fields: dict[str, np.ndarray], body: int) -> np.ndarray:
    """(3, 3) about the body's centre of mass, in its frame."""
    axes = np.zeros(9)
    mujoco.mju_quat2Mat(axes, model_fields["body_iquat"][body])
    return axes.reshape(3, 3) @ np.diag(model_fields["body_inertia"][body]) @ axes.reshape(3, 3).T


@pytest.mark.parametrize("name", TERMS)
def test_a_parameter_lands_in_its_worlds_model_alone_and_changes_what_happens(name):
    worlds = randomizer()
    apply(worlds, NOMINAL, NOMINAL | {name: OTHER[name]})
    found = [
        {field: value_of(worlds.physics.batch.get_model(world), field) for field in MODEL_FIELDS} for world in (0, 1)
    ]
    for field, expected in expected_fields(name, NOMINAL[name], worlds.physics.model).items():
        np.testing.assert_array_equal(found[0][field], expected, err_msg=field)
    expected = expected_fields(name, OTHER[name], worlds.physics.model)
    base = worlds.physics.model.body(SPEC.base_body).id
    np.testing.assert_allclose(inertia(found[1], base), inertia(expected, base), atol=1e-9)
    for field in set(MODEL_FIELDS) - ({"body_inertia", "body_iquat"} if name == "payload" else set()):
        np.testing.assert_allclose(found[1][field], expected[field], rtol=1e-9, err_msg=field)
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
        assert torch.equal(once.physics.model_field(field), often.physics.model_field(field)), field
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
        np.testing.assert_allclose(value_of(found, field), value_of(model, field), rtol=1e-12, err_msg=field)


def test_none_steps_as_mujoco_steps_the_nominal_model():
    worlds = randomizer(1, preset("none"))
    worlds.resample(torch.tensor([0]), torch.Generator().manual_seed(0))
    model = build_model(SPEC, delay_samples=delay_samples(preset("none"), SPEC))
    model.geom_friction[foot_geom_ids(model, SPEC), 0] = 1.0
    plain = CpuPhysics(model, 1, 1)
    plain.state[:] = worlds.physics.state
    assert torch.equal(rollout(worlds.physics), rollout(plain))


def test_hidden_values_run_from_minus_one_to_one_over_the_default_ranges():
    worlds, reference = randomizer(3), preset("default")
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
    for name in PARAMETERS:
        low, high = getattr(preset("default"), name)
        drawn = worlds.values[1:, worlds.columns[name]]
        assert ((drawn >= low) & (drawn <= high)).all()
        assert drawn.std() > 0.2 * (high - low)  # uniform: 0.29 of the range
    assert torch.equal(worlds.values[0], worlds.nominal)
    np.testing.assert_array_equal(worlds.physics.model_field("body_mass")[0], worlds.physics.model.body_mass)


def test_what_a_world_gets_does_not_depend_on_the_worlds_written_beside_it():
    together = randomizer(32, preset("full"))
    together.resample(torch.arange(32), torch.Generator().manual_seed(0))
    for count in (1, 3):
        apart = randomizer(32, preset("full"))
        for worlds in torch.arange(32).split(count):
            apart.apply(worlds, together.values[worlds])
        assert torch.equal(apart.hidden, together.hidden)
        for name in MODEL_FIELDS:
            assert torch.equal(apart.physics.model_field(name), together.physics.model_field(name)), name


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
    assert {name for name in RANGES if name != "sensor_delay"} == set(BY_NAME)
    assert all(getattr(PRESETS["full"], name) == BY_NAME[name].full for name in BY_NAME)


@pytest.mark.parametrize("name", ["default", "none", "full"])
def test_a_randomization_survives_json(name, tmp_path):
    file = tmp_path / "ranges.json"
    file.write_text(json.dumps(encode(preset(name))))
    assert preset(str(file)) == preset(name)


def test_the_default_writes_what_it_always_wrote():
    worlds = randomizer()
    assert tuple(item.name for item in worlds.written) == PARAMETERS
    legs = ("kp", "kd", "damping", "friction_loss", "strength", "delay")
    assert ("mass", "com_x", "com_y", "com_z", "friction", *legs) == PARAMETERS


def test_what_does_not_vary_is_not_written_at_a_restart(monkeypatch):
    worlds = randomizer(2, replace(preset("none"), kp=(0.8, 1.2), payload=(0.1, 0.1)))
    assert [item.name for item in worlds.written] == ["friction", "kp", "payload"]
    called = []
    monkeypatch.setattr(worlds.physics, "set_const", called.append)
    worlds.resample(torch.arange(2), torch.Generator().manual_seed(0))
    assert not called  # the payload is fixed, and gains feed no constants
    still = randomizer(2, preset("none"))
    monkeypatch.setattr(still._plan, "write", called.append)
    still.resample(torch.arange(2), torch.Generator().manual_seed(0))
    assert not called


def test_every_joint_may_have_its_own_value():
    worlds = randomizer(8, replace(preset("none"), kp=(0.8, 1.2), separate=("kp",)))
    worlds.resample(torch.arange(8), torch.Generator().manual_seed(0))
    drawn = worlds.values[:, worlds.columns["kp"]]
    assert drawn.shape == (8, 12)
    assert (drawn.std(1) > 0.05).all()
    nominal = torch.tensor([joint.actuator.kp for joint in SPEC.joints]).double()
    torch.testing.assert_close(worlds.physics.model_field("actuator_gainprm")[:, :, KP], nominal * drawn)
    place = PARAMETERS.index("kp")
    torch.testing.assert_close(worlds.hidden[:, place], ((drawn.mean(1) - 0.8) / 0.2 - 1.0).float())
    assert worlds.column_names[worlds.columns["kp"]][:2] == ("kp.0", "kp.1")


def test_feet_have_frictions_of_their_own_on_ground_of_one():
    worlds = randomizer(4, replace(preset("none"), friction=(0.5, 0.5), foot_friction=(0.8, 1.2)))
    worlds.resample(torch.arange(4), torch.Generator().manual_seed(0))
    own = worlds.values[:, worlds.columns["foot_friction"]]
    feet = foot_geom_ids(worlds.physics.model, SPEC)
    torch.testing.assert_close(worlds.physics.model_field("geom_friction")[:, feet, 0], 0.5 * own)
    assert (own.std(1) > 0.02).all()


def test_ranges_may_change_while_worlds_run():
    worlds = randomizer(4, preset("none"))
    worlds.set_ranges(replace(preset("none"), mass=(0.9, 1.1), kd=(1.5, 1.5)))
    assert (worlds.values[:, worlds.columns["kd"]] == 1.5).all()  # fixed values act at once
    assert (worlds.values[:, worlds.columns["mass"]] == 1.0).all()  # others with the next restart
    worlds.resample(torch.tensor([1]), torch.Generator().manual_seed(0))
    assert worlds.values[1, worlds.columns["mass"]] != 1.0
    worlds.set_ranges(preset("none"))
    base = worlds.physics.model.body(SPEC.base_body).id
    assert (worlds.physics.model_field("body_mass")[:, base] == worlds.physics.model.body_mass[base]).all()
    with pytest.raises(ValueError, match=r"separate must stay \(\), got \('kp',\); make new worlds"):
        worlds.set_ranges(replace(preset("none"), separate=("kp",)))


def test_a_state_continues_with_its_ranges_and_values():
    first, second = randomizer(4, preset("none")), randomizer(4, preset("none"))
    first.set_ranges(replace(preset("none"), mass=(0.9, 1.1), friction=(0.5, 0.9)))
    generator = torch.Generator().manual_seed(3)
    first.resample(torch.arange(4), generator)
    second.load_state_dict(first.state_dict())
    state = generator.get_state()
    first.resample(torch.tensor([2]), generator)
    second.resample(torch.tensor([2]), torch.Generator().manual_seed(0).set_state(state))
    assert torch.equal(first.values, second.values)
    assert second.randomization == first.randomization
    for field in ("body_mass", "body_inertia", "geom_friction"):
        assert torch.equal(first.physics.model_field(field), second.physics.model_field(field))


@pytest.mark.parametrize("name", robots.names())
@pytest.mark.parametrize("chosen", ["default", "none", "full"])
def test_presets_suit_every_robot(name, chosen):
    worlds = randomizer(2, preset(chosen), robots.get(name))
    worlds.resample(torch.arange(2), torch.Generator().manual_seed(0))
    assert worlds.hidden.shape == (2, len(PARAMETERS))
    assert worlds.hidden.isfinite().all()


def test_what_a_robot_lacks_is_refused_if_asked_for_and_dropped_from_presets():
    arm, machine = robots.get("so101"), robots.get("cartpole")
    assert "friction" not in randomizer(1, preset("full"), arm).columns
    with pytest.raises(ValueError, match=r"friction=\(0.5, 0.6\): it acts on feet, and there are none on robot so101"):
        randomizer(1, replace(preset("none"), friction=(0.5, 0.6)), arm)
    with pytest.raises(ValueError, match=r"kp=\(0.9, 1.0\): it acts on position servos, and there are none"):
        randomizer(1, replace(preset("none"), kp=(0.9, 1.0)), machine)
    with pytest.raises(ValueError, match=r"armature=\(0.9, 1.0\): it scales dof_armature, which is 0 throughout"):
        randomizer(1, replace(preset("none"), armature=(0.9, 1.0)), machine)
    with pytest.raises(ValueError, match=r"com_x=.* a free base"):
        randomizer(1, replace(preset("none"), com_x=(0.0, 0.05)), arm)


def test_of_an_arm_all_links_change_their_mass_and_the_tool_carries_the_payload():
    arm = robots.get("so101")
    worlds = randomizer(2, preset("full"), arm)
    apply(worlds, {}, {"mass": 1.1, "payload": 0.05})
    model, mass = worlds.physics.model, worlds.physics.model_field("body_mass")
    tool = model.site(arm.end_effector).bodyid[0]
    expected = model.body_mass * np.where(model.body_weldid > 0, 1.1, 1.0)
    expected[tool] += 0.05 * joint_space(arm).mass
    np.testing.assert_allclose(mass[1], expected, rtol=1e-12)
    np.testing.assert_array_equal(mass[0], model.body_mass)


def test_what_mujoco_would_change_silently_is_refused():
    worlds = randomizer()
    with pytest.raises(
        ValueError, match=r"buffers hold 24.000 ms, but delays reach 32.000 ms, which MuJoCo would clamp"
    ):
        apply(worlds, {"delay": 4.0})  # 6 steps of 4 ms; 4 · 8 ms
    with pytest.raises(ValueError, match=r"contact_time reaches 6.00 ms; below two physics steps \(8.00 ms\) MuJoCo"):
        randomizer(2, replace(preset("none"), contact_time=(0.3, 1.0)))  # 0.3 · 20 ms


def test_where_things_fall():
    worlds = randomizer(2, replace(preset("none"), slope_x=(-0.1, 0.1)))
    apply(worlds, {}, {"slope_x": 0.1})
    expected = torch.tensor([[0.0, 0.0, -1.0], [0.1, 0.0, -1.0]]).double()
    torch.testing.assert_close(worlds.gravity_direction, expected / expected.norm(dim=-1, keepdim=True))
    torch.testing.assert_close(randomizer().gravity_direction, expected[[0, 0]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mass": (float("nan"), 1.0)}, "mass must be"),
        ({"kp": (-0.1, 1.0)}, r"kp must not be negative, got \(-0.1, 1.0\)"),
        ({"noise": -1.0}, "noise must be >= 0 and finite, got -1.0"),
        ({"push_seconds": 0.0}, "push_seconds and force_seconds must be > 0"),
        ({"dropout": 1.5}, "dropout must be a chance within 0..1, got 1.5"),
        ({"separate": ("kq",)}, "separate: 'kq' is no parameter of a joint, did you mean 'kp'"),
    ],
)
def test_ranges_without_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Randomization(**changes)


def test_joint_parameters_are_those_that_act_on_joints():
    expected = ("kp", "kd", "damping", "friction_loss", "strength", "delay", "armature")
    assert expected == JOINT_PARAMETERS


def test_a_parametric_robot_gets_links_of_other_lengths():
    """A world with legs 1.1 times as long has the compiled model of that robot, constants included."""
    spec = robots.get("quadruped")
    worlds = randomizer(3, replace(preset("none"), link_length=(0.9, 1.1), kp=(0.8, 1.2)), spec)
    apply(worlds, {}, {"link_length": 1.1}, {"link_length": 0.9, "kp": 1.2})
    for world, factor, stiffer in ((0, 1.0, 1.0), (1, 1.1, 1.0), (2, 0.9, 1.2)):
        found = worlds.physics.batch.get_model(world)
        other = vary(spec, leg_length=0.4 * factor)
        expected = build_model(other, delay_samples=delay_samples(preset("none"), other))
        for field in ("body_mass", "body_inertia", "body_pos", "geom_pos", "dof_M0", "body_subtreemass"):
            np.testing.assert_allclose(getattr(found, field), getattr(expected, field), rtol=1e-9, atol=1e-12)
        gains = expected.actuator_gainprm[:, KP] * stiffer
        np.testing.assert_allclose(found.actuator_gainprm[:, KP], gains, rtol=1e-9)
    worlds.resample(torch.arange(3), torch.Generator().manual_seed(0))
    drawn = worlds.values[:, worlds.columns["link_length"]]
    assert ((drawn - worlds.bodies.factors).abs().min(-1).values == 0.0).all()  # only compiled bodies


def test_link_lengths_are_refused_where_there_is_one_body():
    with pytest.raises(ValueError, match=r"link_length=\(0.9, 1.1\): it acts on parametric robots, and there are none"):
        randomizer(1, replace(preset("none"), link_length=(0.9, 1.1)))
    assert "link_length" not in randomizer(1, preset("full")).columns
