"""Every robot of the MuJoCo Menagerie that is at hand through the adapter, and our own robots checked against them.

See `menagerie_models` for where the models come from.
"""

import os
import shutil
from pathlib import Path

import mujoco
import numpy as np
import pytest
from menagerie_models import ARCHIVES, unpack
from scrambled import scrambled

import robots
from robots.anatomy import Anatomy
from robots.correspondence import correspondence
from robots.descriptors import CHANNELS, descriptors
from robots.joint_space import joint_space, leg_roles
from robots.kinematics import Kinematics
from robots.menagerie import added, from_menagerie
from robots.model import build_model, default_data, foot_geom_ids, joint_qpos_indices
from robots.similarity import scaled

QUADRUPEDS = ("unitree_go1", "unitree_go2", "unitree_a1", "anybotics_anymal_c", "google_barkour_vb")
HUMANOIDS = ("unitree_h1", "unitree_g1", "booster_t1")
TOOLS = {
    "dynamixel_2r": "end",
    "franka_emika_panda": "tool",
    "kuka_iiwa_14": "attachment_site",
    "low_cost_robot_arm": "tool",
    "robotstudio_so101": "gripperframe",
    "trossen_wx250s": "tool",
    "trs_so_arm100": "tool",
    "universal_robots_ur5e": "attachment_site",
    "universal_robots_ur10e": "attachment_site",
}
"""Arms and the site of their tool; "tool" is one that was added."""
REFUSED = {
    "agility_cassie": "closed loops are not supported, found one at left-plantar-rod",
    "bitcraze_crazyflie_2": "cf2.xml: no hinge joint has a motor",
    "skydio_x2": "x2.xml: no hinge joint has a motor",
}
OURS = {"go1": "unitree_go1", "anymal_c": "anybotics_anymal_c"}

pytestmark = pytest.mark.menagerie


@pytest.fixture(scope="session")
def converted(tmp_path_factory):
    """Serves the Menagerie from local files, without a network: name -> specification, converted once."""
    folder = tmp_path_factory.mktemp("menagerie")
    given = os.environ.get("MENAGERIE_ROOT")
    root = Path(given or folder)

    def convert(name):
        if given and not (root / name).is_dir():
            pytest.skip(f"no {name} in MENAGERIE_ROOT = {root}")
        if not (root / name).is_dir():
            unpack(name, root)
        return from_menagerie(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIM2REAL_CACHE_DIR", str(folder / "cache"))
        patch.setenv("MENAGERIE_ROOT", str(root))
        yield convert


@pytest.mark.parametrize("name", QUADRUPEDS)
def test_a_quadruped_is_understood(converted, name):
    spec = converted(name)
    space = joint_space(spec)
    assert spec.kind == "quadruped"
    assert spec.num_joints == 12
    assert space.role == ("abduct", "swing", "extend") * 4
    assert space.leg == (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3)


@pytest.mark.parametrize("name", HUMANOIDS)
def test_a_humanoid_is_understood(converted, name):
    spec = converted(name)
    space = joint_space(spec)
    assert spec.kind == "humanoid"
    assert spec.num_joints == {"unitree_h1": 19, "unitree_g1": 29, "booster_t1": 23}[name]
    for leg in range(2):
        roles = [role for role, owner in zip(space.role, space.leg, strict=True) if owner == leg and role != "other"]
        assert sorted(roles) == ["abduct", "extend", "swing"]


@pytest.mark.parametrize("name", [*QUADRUPEDS, *HUMANOIDS])
def test_a_legged_robot_touches_the_ground_with_its_feet_alone(converted, name):
    spec = converted(name)
    model = build_model(spec)
    assert spec.sensors == ("imu", "encoders")
    assert model.body_mass.sum() == pytest.approx(spec.mass)
    assert model.nmesh == 0
    data = default_data(model)
    bottoms = data.geom_xpos[foot_geom_ids(model, spec), 2] - [foot.radius for foot in spec.feet]
    np.testing.assert_allclose(bottoms, 0.0, atol=2e-3)


@pytest.mark.parametrize("contacts", ["feet", "full"])
@pytest.mark.parametrize("name", [*QUADRUPEDS, *HUMANOIDS])
def test_a_legged_robot_stands_for_two_seconds(converted, name, contacts):
    spec = converted(name)
    model = build_model(spec, contacts=contacts, delay_samples=2)
    data = default_data(model)
    for _ in range(500):  # 2 s / 4 ms
        mujoco.mj_step(model, data)
        assert data.qpos[2] > 0.85 * spec.default_height
        assert data.body(spec.base_body).xmat[8] > np.cos(0.1)


@pytest.mark.parametrize("name", TOOLS)
def test_an_arm_holds_its_pose_and_has_a_tool(converted, name):
    spec = converted(name)
    assert (spec.kind, spec.end_effector, spec.sensors) == ("arm", TOOLS[name], ("encoders",))
    assert joint_space(spec).length == pytest.approx(spec.length)
    for contacts in ("feet", "full"):
        model = build_model(spec, contacts=contacts, delay_samples=2)
        assert tuple(model.actuator(index).name for index in range(model.nu)) == spec.joint_names
        assert model.nmesh == 0
        data = default_data(model)
        assert data.ncon == 0
        for _ in range(250):
            mujoco.mj_step(model, data)
            assert np.abs(data.qpos[joint_qpos_indices(model, spec)] - spec.default_positions).max() < 0.05


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_says_why(converted, name):
    with pytest.raises(ValueError, match=f"'{name}' cannot be used: .*{REFUSED[name]}"):
        converted(name)


def test_a_tool_is_added_where_an_arm_ends(converted):
    def place(name):
        spec = converted(name)
        site = build_model(spec).site(spec.end_effector)
        return int(site.bodyid[0]), site.pos

    body, position = place("franka_emika_panda")
    assert build_model(converted("franka_emika_panda")).body(body).name == "link7"
    np.testing.assert_allclose(position, [0.0, 0.0, 0.107 + 0.1034], atol=0.01)  # flange and Franka Hand's data sheets
    body, _ = place("trs_so_arm100")
    assert build_model(converted("trs_so_arm100")).body(body).name == "Fixed_Jaw"  # not the jaw that moves


def test_fingers_are_held_where_the_keyframe_has_them(converted):
    spec = converted("trossen_wx250s")
    assert spec.num_joints == 6
    model = build_model(spec)
    assert model.body("wx250s/left_finger_link").pos[1] == pytest.approx(0.015)  # the keyframe's, and its y axis
    assert "joint left_finger has no hinge motor and is held at 0.015" in added(spec)


def test_servos_are_stiffened_until_a_robot_stands(converted):
    t1, h1 = converted("booster_t1"), converted("unitree_h1")
    assert t1.joints[11].actuator.kp == 225.0  # 75 in the file
    assert t1.joints[11].actuator.kd == pytest.approx(5.0 * 3**0.5)
    assert "kp × 3 and kd × √3, with which it stands on its servos" in added(t1)
    assert any("feet moved by -0.06" in note for note in added(h1))  # its keyframe leans backward
    assert not any("stands on its servos" in note for note in added(converted("unitree_g1")))


def test_a_knee_that_stands_straight_bends_to_where_it_has_room(converted):
    spec = converted("unitree_g1")
    knee = spec.joint_names.index("left_knee_joint")
    assert spec.default_positions[knee] == 0.0
    assert spec.joints[knee].position_limits == pytest.approx((-0.087267, 2.8798))  # a growing angle bends it
    assert joint_space(spec).sign[knee] == -1.0


def test_a_stated_motor_and_servo_are_taken(converted):
    go1, go2 = converted("unitree_go1"), converted("unitree_go2")
    assert go1.joints[2].actuator.kp == 100.0
    assert go1.joints[2].actuator.kd == 2.0  # hidden in the joint's damping in the file
    assert go1.joints[2].actuator.damping == 0.0
    assert go1.joints[2].actuator.torque_limit == 35.55
    assert go2.joints[2].actuator.torque_limit == 45.43  # the control range of a motor
    assert go2.joints[0].actuator.kp == pytest.approx(joint_space(go2).torque)  # no servo in the file: 1 mgL
    assert "kp = 1.0 mgL" in go2.sources["gains"]


def test_what_was_added_is_told(converted):
    notes = added(converted("anybotics_anymal_c"))
    assert "a flat floor" in notes
    assert "position servos with torque-speed limits in place of 12 actuators" in notes
    assert any(note.startswith("site imu") for note in notes)
    assert any(note.startswith("nominal pose") for note in notes)
    assert any("foot" in note and "sphere" in note for note in added(converted("google_barkour_vb")))
    assert any(note == "site tool on link7, at its tip" for note in added(converted("franka_emika_panda")))
    assert added(robots.get("go1")) == ()


def test_a_crouch_bends_anymal_as_its_makers_do(converted):
    q = np.array(converted("anybotics_anymal_c").default_positions)
    x_pose = np.array([0.0, 0.4, -0.8] * 2 + [0.0, -0.4, 0.8] * 2)  # legged_gym, front and rear legs
    assert np.abs(q - x_pose).max() < 0.25
    assert np.all(np.sign(q.round(3)) == np.sign(x_pose))


def test_the_second_request_comes_from_the_cache(converted, monkeypatch):
    first = converted("unitree_a1")
    monkeypatch.setattr("robots.convert.convert", None)
    assert converted("unitree_a1") == first


def test_a_converted_robot_survives_its_folder(converted, tmp_path):
    spec = converted("google_barkour_vb")
    spec.save_folder(tmp_path)
    loaded = robots.get(str(tmp_path))
    assert loaded.model_hash == spec.model_hash
    assert build_model(loaded, contacts="full").nq == 19  # without any file of the Menagerie


@pytest.mark.parametrize("ours", OURS)
def test_our_robots_agree_with_the_menagerie(converted, ours):
    spec, other = robots.get(ours), converted(OURS[ours])
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


def test_a_robot_without_its_meshes_says_which_one_is_missing(converted, monkeypatch, tmp_path):
    converted("low_cost_robot_arm")
    whole = Path(os.environ["MENAGERIE_ROOT"]) / "low_cost_robot_arm"
    shutil.copytree(whole, tmp_path / "low_cost_robot_arm", ignore=shutil.ignore_patterns("*.stl", "*.STL", "*.obj"))
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path))
    monkeypatch.setenv("SIM2REAL_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match=r"low_cost_robot_arm.xml: the file '.*' of mesh '.*' is missing"):
        robots.get("menagerie:low_cost_robot_arm")


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


@pytest.mark.parametrize("name", [*QUADRUPEDS, *HUMANOIDS, *TOOLS])
def test_its_joints_are_described_without_units(converted, name, tmp_path):
    spec = converted(name)
    table = descriptors(spec)
    assert table.shape == (spec.num_joints, len(CHANNELS))
    twin = scaled(spec, tmp_path, length=2.0, mass=5.0, gravity=0.7)
    np.testing.assert_allclose(descriptors(twin), table, rtol=1e-9, atol=1e-9)
    assert np.isfinite(table).all()


def test_every_robot_at_hand_is_converted_or_refused():
    found = {path.name.rpartition("-")[0] for path in ARCHIVES.glob("archives*/*.tar.xz")}
    if not found:
        pytest.skip(f"no archives in {ARCHIVES}")
    assert found == {*QUADRUPEDS, *HUMANOIDS, *TOOLS, *REFUSED}


@pytest.mark.parametrize("name", [*QUADRUPEDS, *HUMANOIDS])
def test_left_and_right_are_described_alike(converted, name):
    spec = converted(name)
    table, image = descriptors(spec), Anatomy(spec).mirrored()
    sides = [CHANNELS.index(f"side_{side}") for side in ("left", "right")]
    mirrored = table[image]
    mirrored[:, sides] = mirrored[:, sides[::-1]]
    mirrored[:, [CHANNELS.index(channel) for channel in ("anchor_y", "axis_x", "axis_z")]] *= -1.0
    paired = [joint for joint, other in enumerate(image) if joint != other]
    middle = {"unitree_h1": 1, "unitree_g1": 3, "booster_t1": 3}.get(name, 0)  # waists and a head
    assert len(paired) == spec.num_joints - middle
    np.testing.assert_allclose(mirrored[paired], table[paired], atol=0.01)  # as far apart as the makers drew them


@pytest.mark.parametrize("name", [*QUADRUPEDS, *HUMANOIDS, *TOOLS])
def test_it_is_recognized_under_other_names_in_another_order_with_axes_turned(converted, name, tmp_path):
    spec = converted(name)
    other, order, signs = scrambled(spec, tmp_path, np.random.default_rng(0))
    found = {pair.source: (pair.target, pair.sign) for pair in correspondence(spec, other).pairs}
    assert found == {joint: (place, signs[place]) for place, joint in enumerate(order)}


def test_a_g1_and_an_h1_share_what_an_h1_has(converted):
    found = correspondence(robots.get("g1"), converted("unitree_h1")).as_dict()
    pairs = {pair["source"].removesuffix("_joint"): pair["target"] for pair in found["pairs"]}
    legs = ("hip_yaw", "hip_roll", "hip_pitch", "knee")  # a G1's hip turns in another order
    arms = ("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow")
    expected = {f"{side}_{part}": f"{side}_{part}" for side in ("left", "right") for part in (*legs, *arms)}
    expected |= {f"{side}_ankle_pitch": f"{side}_ankle" for side in ("left", "right")} | {"waist_yaw": "torso"}
    assert pairs == expected
    assert found["unmatched_target"] == []
    assert {name.split("_", 1)[1] for name in found["unmatched_source"]} == {
        *("ankle_roll_joint", "roll_joint", "pitch_joint"),  # ankles; the waist's
        *("wrist_roll_joint", "wrist_pitch_joint", "wrist_yaw_joint"),
    }
