"""Parametric bodies: proportions, masses, names, and many bodies in the worlds of one model."""

import math
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
from mujoco.batch import Batch

import robots
from robots.families import Arm, Quadruped, arm, family_fields, parse, quadruped, robot_name, vary
from robots.joint_space import LIFT, joint_space
from robots.kinematics import Kinematics
from robots.model import build_model, default_data, foot_geom_ids, joint_qpos_indices
from robots.spec import RobotSpec, load_folder

LEGGED = (
    "quadruped",
    "quadruped:leg_length=0.2,mass=12",
    "quadruped:joints_per_leg=2,leg_length=0.8,mass=60",
    "quadruped:legs=6",
    "quadruped:legs=6,joints_per_leg=2,leg_length=0.12,mass=1.5,thigh_share=0.45",
)
ARMS = (*(f"arm:links={links}" for links in range(2, 8)), "arm:links=4,reach=0.25,mass=0.6")
every_legged = pytest.mark.parametrize("name", LEGGED)
every_arm = pytest.mark.parametrize("name", ARMS)
every_body = pytest.mark.parametrize("name", LEGGED + ARMS)


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIM2REAL_CACHE_DIR", str(tmp_path / "cache"))


def masses(spec: RobotSpec) -> dict[str, float]:
    """Mass of each body as a share of the whole."""
    model = build_model(spec)
    return {model.body(body).name: model.body_mass[body] / spec.mass for body in range(1, model.nbody)}


@every_body
def test_units_are_those_of_the_compiled_model(name):
    spec = robots.get(name)
    assert joint_space(spec).length == pytest.approx(spec.length, rel=1e-9)
    assert build_model(spec).body_mass.sum() == pytest.approx(spec.mass, rel=1e-9)


@every_body
def test_a_body_is_called_by_its_name_and_survives_its_folder(name, tmp_path):
    spec = robots.get(name)
    assert robots.get(spec.name) == spec
    spec.save_folder(tmp_path / "robot")
    loaded = load_folder(tmp_path / "robot")
    assert replace(loaded, mjcf=spec.mjcf) == spec
    assert loaded.model_hash == spec.model_hash


@every_legged
@pytest.mark.parametrize("contacts", ["feet", "full"])
def test_a_body_stands_on_its_feet_for_two_seconds(name, contacts):
    spec = robots.get(name)
    model = build_model(spec, contacts=contacts, delay_samples=4)
    data = default_data(model)
    bottoms = data.geom_xpos[foot_geom_ids(model, spec), 2] - [foot.radius for foot in spec.feet]
    np.testing.assert_allclose(bottoms, 0.0, atol=1e-9)
    for _ in range(500):  # 2 s / 4 ms
        mujoco.mj_step(model, data)
        assert data.qpos[2] > 0.85 * spec.default_height
        assert data.body("trunk").xmat[8] > math.cos(0.1)
    assert {data.geom(int(geom)).name for geom in data.contact.geom[:, 1]} == {foot.name for foot in spec.feet}


@every_legged
def test_legs_lift_straight_up_in_a_trot_or_a_tripod(name):
    spec = robots.get(name)
    space, kinematics, nominal = joint_space(spec), Kinematics(spec), np.array(spec.default_positions)
    for leg in range(len(spec.feet)):
        rise = kinematics.foot(leg, nominal + space.lift) - kinematics.foot(leg, nominal)
        np.testing.assert_allclose(rise, [0.0, 0.0, LIFT * space.length], atol=1e-4 * space.length)
    phases = dict(zip(space.leg, space.leg_phase, strict=True))
    swinging = [spec.feet[leg].name for leg in range(len(spec.feet)) if phases[leg] == 0.0]
    assert swinging == (["FL", "RR"] if len(spec.feet) == 4 else ["FL", "MR", "RL"])
    roles = ("abduct", "swing", "extend") if "FL_hip_joint" in spec.joint_names else ("swing", "extend")
    assert space.role == roles * len(spec.feet)


@every_arm
def test_an_arm_holds_its_pose_and_reaches_its_reach(name):
    spec = robots.get(name)
    model = build_model(spec, contacts="full", delay_samples=2)
    data = default_data(model)
    assert data.ncon == 0
    for _ in range(500):
        mujoco.mj_step(model, data)
    sag = data.qpos[joint_qpos_indices(model, spec)] - spec.default_positions
    assert np.abs(sag).max() < 0.06  # stiffness 20 loads per rad: the whole load sags by 1/20 rad
    data.qpos[:] = 0.0  # stretched upwards, from the first joint at 0.1 reach
    mujoco.mj_kinematics(model, data)
    np.testing.assert_allclose(data.site("tool").xpos, [0.0, 0.0, 1.1 * spec.length], atol=1e-9)


@every_arm
def test_every_joint_of_an_arm_moves_its_tool(name):
    spec = robots.get(name)
    model = build_model(spec)
    data = default_data(model)
    jacobian = np.zeros((3, model.nv))
    mujoco.mj_jacSite(model, data, jacobian, None, model.site(spec.end_effector).id)
    assert np.linalg.norm(jacobian, axis=0).min() > 0.1 * spec.length


def test_the_nominal_pose_is_a_triangle():
    # thigh 0.3, shank 0.4, hip to foot 0.5: 3-4-5, a right angle at the knee; acos(0.3/0.5) at the hip
    body = Quadruped(leg_length=0.7, thigh_share=3 / 7, stance=5 / 7)
    assert body.pose["calf"] == pytest.approx(-math.pi / 2)
    assert body.pose["thigh"] == pytest.approx(math.acos(0.6))


def test_links_weigh_what_go1s_and_anymals_do():
    ours, go1, anymal = (masses(robots.get(name)) for name in ("quadruped", "go1", "anymal_c"))
    theirs = {
        "trunk": (go1["trunk"], anymal["base"]),
        "FL_hip": (go1["FL_hip"], anymal["LF_HIP"]),
        "FL_thigh": (go1["FL_thigh"], anymal["LF_THIGH"]),
        "FL_calf": (go1["FL_calf"], anymal["LF_SHANK"]),
    }
    for link, pair in theirs.items():
        assert ours[link] == pytest.approx(np.mean(pair), rel=0.2), link


def test_mass_and_inertia_follow_the_geometry():
    # twice as large in every direction at 8 times the mass: the same density, so inertia × 2³ · 2² = 32
    small, large = (build_model(quadruped(leg_length=size, mass=mass)) for size, mass in ((0.3, 10.0), (0.6, 80.0)))
    np.testing.assert_allclose(large.body_mass, 8.0 * small.body_mass, rtol=1e-9)
    np.testing.assert_allclose(large.body_inertia, 32.0 * small.body_inertia, rtol=1e-9)
    long_thighs = masses(quadruped(thigh_share=0.6))
    assert long_thighs["FL_thigh"] > masses(quadruped())["FL_thigh"]


def test_servos_follow_from_dimensionless_rules():
    body = Quadruped(leg_length=0.5, mass=20.0, kp=1.2, torque_limit=0.8, armature=0.01)
    motor = quadruped(leg_length=0.5, mass=20.0, kp=1.2, torque_limit=0.8, armature=0.01).joints[0].actuator
    size = 0.5 * (0.65 + 0.047)  # stance and foot radius, in leg lengths: 0.3485 m
    assert body.hip_height == pytest.approx(size)
    assert motor.kp == pytest.approx(1.2 * 20.0 * 9.81 * size)
    assert motor.torque_limit == pytest.approx(0.8 * 20.0 * 9.81 * size)
    assert motor.armature == pytest.approx(0.01 * 20.0 * size**2)


def test_a_name_holds_what_is_not_the_default():
    assert robot_name(Quadruped()) == "quadruped"
    assert robot_name(Quadruped(leg_length=0.2, legs=6)) == "quadruped:leg_length=0.2,legs=6"
    assert parse("arm:links=3,reach=0.5") == Arm(links=3, reach=0.5)
    assert vary(quadruped(leg_length=0.3), kp=0.9).name == "quadruped:leg_length=0.3,kp=0.9"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("quadruped:leg_lenght=0.3", "unknown key 'leg_lenght', did you mean 'leg_length'.*valid keys are leg_length"),
        ("quadruped:legs=5", "expected one of 4, 6, got 5"),
        ("quadruped:mass=-3", r"mass must lie within 0.05 and 1000.0 kg, got -3"),
        ("quadruped:mass=nan", "mass must lie within"),
        ("quadruped:mass=heavy", "expected parameter=number, got 'mass=heavy'"),
        ("quadruped:thigh_share=0.8,stance=0.5", "stance must exceed .* 0.600 .*bring thigh_share nearer to 0.5"),
        ("arm:links=8", "links must be a whole number from 2 to 7, got 8"),
    ],
)
def test_nonsense_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        robots.get(name)


def test_an_unknown_robot_hears_of_the_families():
    with pytest.raises(LookupError, match=r"quadruped:leg_length=0\.2,mass=12 or arm:links=4"):
        robots.get("hexapod")


def test_the_mjcf_is_written_once_under_the_name_of_its_content(tmp_path, monkeypatch):
    first, again, other = quadruped(), quadruped(), quadruped(mass=13.0)
    assert first.mjcf == again.mjcf != other.mjcf
    assert sorted(path.name for path in (tmp_path / "cache" / "families").iterdir()) == sorted(
        path.mjcf_path.name for path in (first, other)
    )
    monkeypatch.chdir(tmp_path)
    assert quadruped(Path("here")).mjcf_path.parent == tmp_path / "here"


@pytest.mark.parametrize(("base", "contacts"), [("quadruped", "full"), ("quadruped:legs=6,joints_per_leg=2", "feet")])
def test_worlds_of_one_model_become_other_bodies_exactly(base, contacts):
    generator = np.random.default_rng(0)
    base = robots.get(base)
    assert_worlds_match(base, [vary(base, **draw_legs(generator)) for _ in range(3)], contacts)


def test_worlds_of_one_model_become_other_arms_exactly():
    base = arm(links=4)
    assert_worlds_match(base, [vary(base, reach=0.5, mass=4.0), vary(base, reach=1.1, strength=2.0)], "full")


def draw_legs(generator: np.random.Generator) -> dict[str, float]:
    ranges = {"leg_length": (0.25, 0.5), "mass": (8, 16), "thigh_share": (0.42, 0.58), "body_width": (0.2, 0.3)}
    return {name: float(generator.uniform(*bounds)) for name, bounds in (ranges | {"kp": (0.8, 1.4)}).items()}


def assert_worlds_match(base: RobotSpec, specs: list[RobotSpec], contacts: str) -> None:
    """Step worlds written by `family_fields` beside the bodies' own models: the same numbers, and not the base's."""
    models = [build_model(spec, contacts=contacts, delay_samples=4) for spec in (*specs, base)]
    batch = Batch(models[-1], len(models), 1)
    batch.reset(keyframe=0)
    for name, values in family_fields(models[-1], specs, contacts=contacts, delay_samples=4).items():
        batch.expand(name)[: len(specs)] = values
    batch.set_const()
    datas = [default_data(model) for model in models]
    for row, model, data in zip(batch.state, models, datas, strict=True):
        mujoco.mj_getState(model, data, row, mujoco.mjtState.mjSTATE_INTEGRATION.value)
    for step in range(100):
        for world, (model, data) in enumerate(zip(models, datas, strict=True)):
            data.ctrl[:] = batch.ctrl[world] = model.key_ctrl[0] + 0.2 * np.sin(0.05 * step + np.arange(model.nu))
            mujoco.mj_step(model, data)
        batch.step()
        for world, data in enumerate(datas):
            np.testing.assert_array_equal(batch.qpos[world], data.qpos)
    assert np.ptp(batch.qpos, axis=0).max() > 1e-3


def test_bodies_of_another_topology_are_refused():
    base = build_model(quadruped())
    with pytest.raises(ValueError, match=r"must have its joints, shapes and actuators .*, got quadruped:legs=6 with"):
        family_fields(base, [quadruped(legs=6)])
    with pytest.raises(ValueError, match=r"must have its physics step, 0.004 s, got quadruped:physics_dt=0.002"):
        family_fields(base, [quadruped(physics_dt=0.002)])
