"""Our arms against what others published about them: their Menagerie models, data sheets and a log of a real one."""

from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
from menagerie_models import unpack

import robots
from robots.menagerie import from_menagerie
from robots.model import build_model, default_data

SHARED = Path(__file__).resolve().parents[2] / "shared"
LOGS = SHARED / "realdata" / "so101_sage"

# name: (Menagerie name, body of the tool, place of the tool in it [m], tolerance of the tool's place [m])
THEIRS = {
    "so101": ("robotstudio_so101", "gripper", (0.012, -0.000218, -0.098127), 1e-4),
    "panda": ("franka_emika_panda", "hand", (0.0, 0.0, 0.1034), 1e-4),
    "ur5e": ("universal_robots_ur5e", "wrist_3_link", (0.0, 0.1, 0.0), 3e-3),  # it rounds d1..d6 to whole millimetres
}
arms = pytest.mark.parametrize("name", THEIRS)


@pytest.fixture(scope="module")
def menagerie(tmp_path_factory):
    """Serve the three arms from local files, without a network."""
    folder = tmp_path_factory.mktemp("menagerie")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIM2REAL_CACHE_DIR", str(folder / "cache"))
        patch.setenv("MENAGERIE_ROOT", str(folder))
        for name, *_ in THEIRS.values():
            unpack(name, folder)
        yield


@arms
@pytest.mark.menagerie
def test_tools_go_where_the_menageries_do(menagerie, name):
    spec = robots.get(name)
    other, body, place, tolerance = THEIRS[name]
    theirs = from_menagerie(other)
    ours, model = build_model(spec), build_model(theirs)
    mine, data = mujoco.MjData(ours), mujoco.MjData(model)
    low, high = np.array([joint.position_limits for joint in spec.joints]).T
    for pose in np.random.default_rng(0).uniform(low, high, (20, spec.num_joints)):
        for robot, state in ((spec, mine), (theirs, data)):
            for joint, angle in zip(robot.joint_names, pose, strict=True):
                state.joint(joint).qpos[0] = angle
        mujoco.mj_kinematics(ours, mine)
        mujoco.mj_kinematics(model, data)
        expected = data.body(body).xpos + data.body(body).xmat.reshape(3, 3) @ place
        expected = data.body(theirs.base_body).xmat.reshape(3, 3).T @ expected  # their ur5e stands turned by 180°
        assert np.linalg.norm(mine.site("tool").xpos - expected) < tolerance


@arms
@pytest.mark.menagerie
def test_limits_are_the_menageries(menagerie, name):
    spec, theirs = robots.get(name), from_menagerie(THEIRS[name][0])
    assert spec.joint_names == theirs.joint_names
    limits, others = ([joint.position_limits for joint in robot.joints] for robot in (spec, theirs))
    np.testing.assert_allclose(limits, others, atol=1e-3)
    torques, others = ([joint.actuator.torque_limit for joint in robot.joints] for robot in (spec, theirs))
    np.testing.assert_allclose(torques, others, rtol=2e-3)


@pytest.mark.parametrize("name", ["so101", "panda"])
@pytest.mark.menagerie
def test_masses_are_the_menageries(menagerie, name):
    spec, theirs = robots.get(name), from_menagerie(THEIRS[name][0])
    ours, model = build_model(spec), build_model(theirs)
    for joint in spec.joint_names:
        link, other = ours.body(int(ours.joint(joint).bodyid[0])), model.body(int(model.joint(joint).bodyid[0]))
        assert link.mass[0] == pytest.approx(other.mass[0], rel=1e-3)
        np.testing.assert_allclose(link.ipos, other.ipos, atol=1e-5)
        np.testing.assert_allclose(np.sort(link.inertia), np.sort(other.inertia), rtol=1e-3)
    camera = 0.012 if name == "so101" else 0.0  # theirs carries one on the wrist [kg]
    assert spec.mass + camera == pytest.approx(theirs.mass, rel=1e-3)


@pytest.mark.menagerie
def test_ur5e_weighs_what_its_maker_says_and_the_menageries_a_little_more(menagerie):
    spec = robots.get("ur5e")
    model = build_model(spec)
    links = [model.body(int(model.joint(joint).bodyid[0])).mass[0] for joint in spec.joint_names]
    np.testing.assert_allclose(links, [3.761, 8.058, 2.846, 1.37, 1.3, 0.365])
    assert model.body_mass.sum() == pytest.approx(20.6)
    assert from_menagerie("universal_robots_ur5e").mass == pytest.approx(20.6, rel=0.02)


@pytest.mark.parametrize(
    ("name", "reach"),
    [
        ("panda", 0.855 + 0.107 + 0.1034),  # data sheet: to the wrist's centre; then flange and hand
        ("ur5e", 0.850 + 0.0997 + 0.0996),  # data sheet: to the last but two joint; then the wrist
    ],
)
def test_an_arms_unit_of_length_is_about_the_data_sheets_reach(name, reach):
    assert robots.get(name).length == pytest.approx(reach, rel=0.05)


def test_so101s_servo_pushes_as_bams_servo_law_says():
    # 16 · 0.166 · 0.97545 = 2.591 of the voltage a rad; · 12 V · 1.44399 / 2.02956 N·m/V = 22.12 N·m/rad
    model = build_model(robots.get("so101"))
    data = default_data(model)
    data.ctrl[0] += 0.1
    mujoco.mj_forward(model, data)
    assert data.actuator_force[0] == pytest.approx(2.212, abs=0.001)
    data.ctrl[0] += 0.1
    mujoco.mj_forward(model, data)
    assert data.actuator_force[0] == pytest.approx(2.943, abs=0.001)  # 30 kg·cm, no more


@pytest.mark.parametrize("motion", ["step_response", "friction_gravity", "hold_under_gravity"])
def test_so101_follows_the_log_of_a_real_one(motion):
    if not LOGS.is_dir():
        pytest.skip(f"no logs of a real SO-101: put so101_sage into {LOGS.parent}")
    log = np.load(LOGS / f"{motion}.npz")
    error = follow(log["command"].astype(float), log["position"].astype(float)) - log["position"]
    assert np.sqrt(np.square(error[:, :5]).mean(axis=0)).mean() < 0.024  # rad, over the five joints of the arm


def follow(command: np.ndarray, position: np.ndarray) -> np.ndarray:
    """(num_steps, 6) positions under the logged commands, from the logged start; the log has a sample each 20 ms."""
    model = build_model(robots.get("so101"), delay_samples=5)
    data = default_data(model)
    data.qpos = position[0]
    path = [position[0]]
    for target in command[:-1]:
        data.ctrl = target
        for _ in range(5):
            mujoco.mj_step(model, data)
        path.append(data.qpos.copy())
    return np.array(path)


def test_a_missing_tool_names_the_nearest_site():
    with pytest.raises(ValueError, match=r"(?=.*no site 'tol')(?=.*end_effector).*did you mean 'tool'"):
        build_model(replace(robots.get("ur5e"), end_effector="tol"))
