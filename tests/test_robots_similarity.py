"""A robot scaled in every unit follows the same path, seen without units; one number left behind breaks it.

Solver tolerance 0 and 50 iterations: the default tolerance has units. A foot that exactly touches is in contact or not
by the last bit, so robots start pressed into the ground by a thousandth of their length. Paths then agree to 1e-12.
With targets that move twice as far robots tumble, and in a rare step the solver ends where its cost no longer resolves
progress: 1e-8.
"""

import math
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest

import robots
from robots.actuation import BACK_EMF, KD
from robots.model import build_model, default_data, has_free_base, joint_qpos_indices
from robots.similarity import POWERS, Scale, scaled
from robots.spec import RobotSpec
from robots.topology import differing_fields

STEPS, SAMPLES = 500, 8
AMPLITUDE = 0.15  # of the joints' targets [rad]; feet step, robots stay up
TWINS = [
    (factor, factor**3, 1.0 / factor) for factor in (0.5, 1.7, 2.0, 4.0)
]  # length, mass, gravity; time is `factor`
PRESSING = {"arm:links=3": (0.0, 2.0, 0.9)}  # nominal targets that push the last link onto the ground [rad]
ALL = slice(None)
LEFT_BEHIND = {
    "dof_armature": ALL,
    "dof_frictionloss": ALL,
    "dof_damping": ALL,
    "dof_solref": ALL,
    "geom_solref": ALL,
    "geom_solimp": 2,  # width
    "actuator_delay": ALL,
    "actuator_gainprm": KD,
    "actuator_forcerange": ALL,
    "actuator_biasprm": BACK_EMF,
    "body_inertia": ALL,
    "opt.gravity": ALL,
}


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIM2REAL_CACHE_DIR", str(tmp_path / "cache"))


def path(spec: RobotSpec, model: mujoco.MjModel, length: float, time: float) -> tuple[np.ndarray, np.ndarray]:
    """Dimensionless positions and velocities, (STEPS, nq + nv), and contacts, (STEPS,), under moving targets."""
    model.opt.tolerance, model.opt.iterations, model.opt.ls_iterations = 0.0, 50, 50
    position, velocity = np.ones(model.nq), np.full(model.nv, 1.0 / time)
    data = default_data(model)
    if has_free_base(model, spec):
        position[:3], velocity[:3] = length, length / time
        data.qpos[2] -= 1e-3 * length
    targets = np.array(PRESSING.get(spec.name, spec.default_positions))
    phases = np.random.default_rng(0).uniform(0.0, 2.0 * math.pi, spec.num_joints)
    states, contacts = [], []
    for step in range(STEPS):
        if step % spec.substeps == 0:
            data.ctrl[:] = targets + AMPLITUDE * np.sin(0.04 * step + phases)
        mujoco.mj_step(model, data)
        states.append(np.concatenate([data.qpos / position, data.qvel / velocity]))
        contacts.append(data.ncon)
    return np.array(states), np.array(contacts)


def unit_time(spec: RobotSpec, model: mujoco.MjModel) -> float:
    return math.sqrt(spec.length / float(np.linalg.norm(model.opt.gravity)))


def nominal_path(name: str, contacts: str) -> tuple[RobotSpec, mujoco.MjModel, np.ndarray, np.ndarray]:
    spec = robots.get(name)
    model = build_model(spec, contacts=contacts, delay_samples=SAMPLES)
    return spec, model, *path(spec, model, spec.length, unit_time(spec, model))


@pytest.mark.parametrize("contacts", ["feet", "full"])
@pytest.mark.parametrize("name", ["go1", "anymal_c", "g1", "quadruped:legs=6", "ur5e", "arm:links=3"])
def test_similar_robots_follow_the_same_path(name, contacts, tmp_path):
    spec, nominal, states, touches = nominal_path(name, contacts)
    assert touches.any() == (bool(spec.feet) or (name in PRESSING and contacts == "full"))
    joints = states[:, joint_qpos_indices(nominal, spec)]
    assert np.ptp(joints, axis=0).max() > AMPLITUDE
    for length, mass, gravity in TWINS:
        twin = scaled(spec, tmp_path / str(length), length=length, mass=mass, gravity=gravity)
        model = build_model(twin, contacts=contacts, delay_samples=SAMPLES)
        same, _ = path(twin, model, twin.length, unit_time(twin, model))
        assert np.abs(same - states).max() < 1e-9, f"length × {length}"


@pytest.mark.parametrize("contacts", ["feet", "full"])
@pytest.mark.parametrize("field", LEFT_BEHIND)
def test_one_number_left_behind_breaks_it(field, contacts, tmp_path):
    spec, nominal, states, _ = nominal_path("go1", contacts)
    twin = scaled(spec, tmp_path, length=2.0, mass=8.0, gravity=0.5)
    model = build_model(twin, contacts=contacts, delay_samples=SAMPLES)
    time = unit_time(twin, model)
    owner, source, name = (model, nominal, field)
    if field.startswith("opt."):
        owner, source, name = model.opt, nominal.opt, field[4:]
    column = LEFT_BEHIND[field]
    getattr(owner, name)[..., column] = getattr(source, name)[..., column]
    mujoco.mj_setConst(model, mujoco.MjData(model))
    other, _ = path(twin, model, twin.length, time)
    joints = joint_qpos_indices(model, twin)
    assert np.abs(other - states)[:, joints].max() > 1e-3  # rad


@pytest.mark.parametrize("name", [*robots.names(), "arm:links=5", "quadruped:joints_per_leg=2"])
@pytest.mark.parametrize("contacts", ["feet", "full"])
def test_a_robot_scaled_by_one_is_itself(name, contacts, tmp_path):
    spec = robots.get(name)
    twin = scaled(spec, tmp_path, length=1.0, mass=1.0, gravity=1.0)
    assert replace(twin, mjcf=spec.mjcf) == spec
    models = [build_model(robot, contacts=contacts, delay_samples=SAMPLES) for robot in (spec, twin)]
    assert differing_fields(models) == []


def test_units_follow_from_length_mass_and_gravity(tmp_path):
    # length × 2, mass × 3, gravity × 1/2: time × √(2 / 0.5) = 2, torque × 3 · 0.5 · 2 = 3
    scale = Scale(length=2.0, mass=3.0, gravity=0.5)
    assert scale.time == pytest.approx(2.0)
    assert scale.torque(slides=False) == pytest.approx(3.0)
    assert scale.power(*POWERS["body_inertia"]) == pytest.approx(12.0)  # 3 · 2²
    assert scale.power(*POWERS["opt.gravity"]) == pytest.approx(0.5)
    go1 = robots.get("go1")
    twin = scaled(go1, tmp_path, length=2.0, mass=3.0, gravity=0.5)
    ours, theirs = twin.joints[0].actuator, go1.joints[0].actuator
    assert ours.kp == pytest.approx(3.0 * theirs.kp)
    assert ours.kd == pytest.approx(6.0 * theirs.kd)
    assert ours.armature == pytest.approx(12.0 * theirs.armature)
    assert ours.velocity_limit == pytest.approx(theirs.velocity_limit / 2.0)
    assert twin.physics_dt == pytest.approx(2.0 * go1.physics_dt)
    assert twin.control_hz == pytest.approx(25.0)


def test_a_cart_scales_in_metres_and_newtons(tmp_path):
    # of a slide: positions × 2, forces × mg = 1.5, stiffness × 0.75
    cart = robots.get("cartpole")
    twin = scaled(cart, tmp_path, length=2.0, mass=3.0, gravity=0.5)
    assert twin.joints[0].actuator.torque_limit == pytest.approx(1.5 * cart.joints[0].actuator.torque_limit)
    assert twin.joints[0].position_limits[1] == pytest.approx(2.0 * cart.joints[0].position_limits[1])
    assert twin.joints[0].actuator.velocity_limit == pytest.approx(cart.joints[0].actuator.velocity_limit)


def test_what_cannot_be_scaled_is_refused(tmp_path):
    go1 = robots.get("go1")
    with pytest.raises(ValueError, match=r"factor of mass must be > 0, got 0.0"):
        scaled(go1, tmp_path, length=1.0, mass=0.0, gravity=1.0)
    damped = tmp_path / "damped.xml"
    damped.write_text(go1.mjcf_path.read_text().replace("<freejoint", '<joint type="free" damping="0.1"'))
    with pytest.raises(ValueError, match=r"free joint 'base' has damping or armature, .*; set them to 0"):
        scaled(replace(go1, mjcf=str(damped)), tmp_path, length=2.0, mass=1.0, gravity=1.0)
    tendon = '<tendon><fixed name="t"><joint joint="FL_hip_joint" coef="1"/></fixed></tendon></mujoco>'
    file = Path(tmp_path / "tied.xml")
    file.write_text(go1.mjcf_path.read_text().replace("</mujoco>", tendon))
    with pytest.raises(ValueError, match=r"a flat MJCF cannot express this model: .*tendon"):
        scaled(replace(go1, mjcf=str(file)), tmp_path, length=2.0, mass=1.0, gravity=1.0)
