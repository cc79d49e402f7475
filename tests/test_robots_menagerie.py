"""Robots of the MuJoCo Menagerie through the adapter, and our own robots checked against them.

The models are found in MENAGERIE_ROOT, or as archives beside the checkout (`../shared/menagerie`).
"""

import os
import tarfile
from pathlib import Path

import mujoco
import numpy as np
import pytest

import robots
from robots.joint_space import Kinematics, joint_space, leg_roles
from robots.menagerie import added, from_menagerie
from robots.model import build_model, default_data, foot_geom_ids, joint_qpos_indices

ARCHIVES = Path(__file__).resolve().parents[2] / "shared" / "menagerie"
QUADRUPEDS = ("unitree_go1", "unitree_go2", "unitree_a1", "anybotics_anymal_c", "google_barkour_vb")
OTHERS = ("unitree_h1", "booster_t1", "universal_robots_ur5e", "robotstudio_so101")
REFUSED = ("agility_cassie", "bitcraze_crazyflie_2")
OURS = {"go1": "unitree_go1", "anymal_c": "anybotics_anymal_c"}

pytestmark = pytest.mark.menagerie


@pytest.fixture(scope="module")
def menagerie(tmp_path_factory):
    """Serve the Menagerie from local files, without a network."""
    folder = tmp_path_factory.mktemp("menagerie")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIM2REAL_CACHE_DIR", str(folder / "cache"))
        needed = (*QUADRUPEDS, *OTHERS, *REFUSED)
        root = Path(os.environ.get("MENAGERIE_ROOT", folder))
        if not all((root / name).is_dir() for name in needed):
            patch.setenv("MENAGERIE_ROOT", str(folder))
            for name in needed:
                unpack(name, folder)
        yield folder


def unpack(name: str, folder: Path) -> None:
    found = sorted(ARCHIVES.glob(f"archives*/{name}-*.tar.xz"))
    if not found:
        pytest.skip(f"no Menagerie models: set MENAGERIE_ROOT, or put archives into {ARCHIVES}")
    with tarfile.open(found[0]) as archive:
        archive.extractall(folder, filter="data")


@pytest.mark.parametrize("name", QUADRUPEDS)
def test_a_quadruped_is_understood(menagerie, name):
    spec = from_menagerie(name)
    space = joint_space(spec)
    assert spec.kind == "quadruped"
    assert spec.num_joints == 12
    assert space.role == ("abduct", "swing", "extend") * 4
    assert space.leg == (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3)
    model = build_model(spec)
    assert model.body_mass.sum() == pytest.approx(spec.mass)
    assert model.nmesh == 0
    data = default_data(model)
    bottoms = data.geom_xpos[foot_geom_ids(model, spec), 2] - [foot.radius for foot in spec.feet]
    np.testing.assert_allclose(bottoms, 0.0, atol=2e-3)


@pytest.mark.parametrize("contacts", ["feet", "full"])
@pytest.mark.parametrize("name", QUADRUPEDS)
def test_a_quadruped_stands_for_two_seconds(menagerie, name, contacts):
    spec = from_menagerie(name)
    model = build_model(spec, contacts=contacts, delay_samples=2)
    data = default_data(model)
    for _ in range(500):  # 2 s / 4 ms
        mujoco.mj_step(model, data)
        assert data.qpos[2] > 0.85 * spec.default_height
        assert data.body(spec.base_body).xmat[8] > np.cos(0.1)


@pytest.mark.parametrize("name", OTHERS)
def test_humanoids_and_arms_give_a_model_that_steps(menagerie, name):
    spec = robots.get(f"menagerie:{name}")
    assert spec.kind == ("humanoid" if name in ("unitree_h1", "booster_t1") else "arm")
    model = build_model(spec, contacts="full")
    assert tuple(model.actuator(index).name for index in range(model.nu)) == spec.joint_names
    data = default_data(model)
    for _ in range(25):
        mujoco.mj_step(model, data)
    assert np.abs(data.qpos[joint_qpos_indices(model, spec)] - spec.default_positions).max() < 0.3
    assert joint_space(spec).length == pytest.approx(spec.length)


@pytest.mark.parametrize(
    ("name", "reason"), [("agility_cassie", "closed loops"), ("bitcraze_crazyflie_2", "no hinge joint has a motor")]
)
def test_what_is_not_understood_says_why(menagerie, name, reason):
    with pytest.raises(ValueError, match=f"'{name}' cannot be used: .*{reason}"):
        from_menagerie(name)


def test_a_stated_motor_and_servo_are_taken(menagerie):
    go1, go2 = from_menagerie("unitree_go1"), from_menagerie("unitree_go2")
    assert go1.joints[2].actuator.kp == 100.0
    assert go1.joints[2].actuator.kd == 2.0  # hidden in the joint's damping in the file
    assert go1.joints[2].actuator.damping == 0.0
    assert go1.joints[2].actuator.torque_limit == 35.55
    assert go2.joints[2].actuator.torque_limit == 45.43  # the control range of a motor
    assert go2.joints[0].actuator.kp == pytest.approx(joint_space(go2).torque)  # no servo in the file: 1 mgL
    assert "kp = 1.0 mgL" in go2.sources["gains"]


def test_what_was_added_is_told(menagerie):
    notes = added(from_menagerie("anybotics_anymal_c"))
    assert any(note.startswith("site imu") for note in notes)
    assert any(note.startswith("nominal pose") for note in notes)
    assert any("foot" in note and "sphere" in note for note in added(from_menagerie("google_barkour_vb")))
    assert added(robots.get("go1")) == ()


def test_a_crouch_bends_anymal_as_its_makers_do(menagerie):
    q = np.array(from_menagerie("anybotics_anymal_c").default_positions)
    x_pose = np.array([0.0, 0.4, -0.8] * 2 + [0.0, -0.4, 0.8] * 2)  # legged_gym, front and rear legs
    assert np.abs(q - x_pose).max() < 0.25
    assert np.all(np.sign(q.round(3)) == np.sign(x_pose))


def test_the_second_request_comes_from_the_cache(menagerie, monkeypatch):
    first = from_menagerie("unitree_a1")
    monkeypatch.setattr("robots.convert.convert", None)
    assert from_menagerie("unitree_a1") == first


def test_a_converted_robot_survives_its_folder(menagerie, tmp_path):
    spec = from_menagerie("google_barkour_vb")
    spec.save_folder(tmp_path)
    loaded = robots.get(str(tmp_path))
    assert loaded.model_hash == spec.model_hash
    assert build_model(loaded, contacts="full").nq == 19  # without any file of the Menagerie


@pytest.mark.parametrize("ours", OURS)
def test_our_robots_agree_with_the_menagerie(menagerie, ours):
    spec, other = robots.get(ours), from_menagerie(OURS[ours])
    assert spec.mass == pytest.approx(other.mass, rel=0.02)
    assert spec.joint_names == other.joint_names
    np.testing.assert_allclose(leg_lengths(spec), leg_lengths(other), rtol=0.02)
    limits, theirs = ([joint.position_limits for joint in robot.joints] for robot in (spec, other))
    np.testing.assert_allclose(limits, theirs, atol=1e-3)
    torques, theirs = ([joint.actuator.torque_limit for joint in robot.joints] for robot in (spec, other))
    np.testing.assert_allclose(torques, theirs)
    np.testing.assert_allclose(link_masses(spec), link_masses(other), rtol=0.02)


def leg_lengths(spec):
    """(4, 2) lengths of thigh and shank [m], the shank measured to the centre of the foot."""
    kinematics = Kinematics(spec)
    lengths = []
    for leg in range(4):
        roles = leg_roles(kinematics, kinematics.chain(leg))
        foot = kinematics.foot(leg, np.array(spec.default_positions))
        hip, knee = kinematics.anchor(roles["swing"]), kinematics.anchor(roles["extend"])
        lengths.append((np.linalg.norm(knee - hip), np.linalg.norm(foot - knee)))
    return np.array(lengths)


def link_masses(spec):
    """(num_joints,) mass of the body each joint moves [kg]."""
    model = build_model(spec)
    return model.body_mass[[int(model.joint(name).bodyid[0]) for name in spec.joint_names]]


def test_an_unknown_robot_names_the_nearest():
    with pytest.raises(LookupError, match=r"unitree_goo1.*Did you mean 'unitree_go1'"):
        robots.get("menagerie:unitree_goo1")


def test_a_robot_that_cannot_be_fetched_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv("MENAGERIE_ROOT", raising=False)
    monkeypatch.setenv("MENAGERIE_BASE_URL", tmp_path.as_uri())
    monkeypatch.setenv("MENAGERIE_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(LookupError, match=r"MENAGERIE_ROOT .*MENAGERIE_BASE_URL .*MENAGERIE_CACHE_DIR"):
        robots.get("menagerie:unitree_go1")


def test_archives_are_fetched_from_a_base_url(monkeypatch, tmp_path):
    if not list(ARCHIVES.glob("archives/trossen_wx250s-*")):
        pytest.skip(f"no archives in {ARCHIVES}")
    monkeypatch.delenv("MENAGERIE_ROOT", raising=False)
    monkeypatch.setenv("MENAGERIE_BASE_URL", (ARCHIVES / "archives").as_uri())
    monkeypatch.setenv("MENAGERIE_CACHE_DIR", str(tmp_path / "downloads"))
    monkeypatch.setenv("SIM2REAL_CACHE_DIR", str(tmp_path / "cache"))
    spec = robots.get("menagerie:trossen_wx250s")
    assert spec.kind == "arm"
    assert spec.num_joints == 6  # its two fingers slide and are held
