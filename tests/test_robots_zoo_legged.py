"""The zoo's quadrupeds and humanoids: their constants, worked out by hand, and the Menagerie's models beside ours.

See `menagerie_models` for where the Menagerie's files come from.
"""

import os
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest
from menagerie_models import unpack

import robots
from robots.joint_space import joint_space
from robots.kinematics import Kinematics
from robots.model import build_model, default_data

MENAGERIE = {
    "go2": "unitree_go2/go2.xml",
    "a1": "unitree_a1/a1.xml",
    "g1": "unitree_g1/g1.xml",
    "t1": "booster_t1/t1.xml",
}
FOOT_BODIES = {
    "go2": ("FL_calf", "FR_calf", "RL_calf", "RR_calf"),
    "a1": ("FL_calf", "FR_calf", "RL_calf", "RR_calf"),
    "g1": ("left_ankle_roll_link", "right_ankle_roll_link"),
    "t1": ("left_foot_link", "right_foot_link"),
}
HUMANOIDS = [name for name in robots.names() if robots.get(name).kind == "humanoid"]


@pytest.mark.parametrize(
    ("name", "joint", "armature"),
    [
        ("go2", "FL_thigh_joint", 0.004481),  # 1.11842e-4 · 6.33²
        ("go2", "FL_calf_joint", 0.016467),  # that · (45.43/23.7)²
        ("a1", "FL_calf_joint", 0.009262),  # 1.11842e-4 · 9.1²
        ("g1", "left_hip_pitch_joint", 0.010178),  # 0.489e-4 · 14.318² + 0.098e-4 · 3.182² + 0.533e-4
        ("g1", "left_knee_joint", 0.025102),  # 0.489e-4 · 22.5² + 0.109e-4 · 5² + 0.738e-4
        ("g1", "left_elbow_joint", 0.003610),  # 0.139e-4 · 16² + 0.017e-4 · 4.5² + 0.169e-4
        ("g1", "left_ankle_roll_joint", 0.007219),  # two of those
        ("t1", "Left_Knee_Pitch", 0.059633),  # 184.053e-6 · 18²
        ("t1", "Left_Ankle_Pitch", 0.066096),  # 2 · 25.5e-6 · 36²
    ],
)
def test_armature_is_the_rotor_seen_through_the_gears(name, joint, armature):
    spec = robots.get(name)
    actuator = spec.joints[spec.joint_names.index(joint)].actuator
    assert actuator.armature == pytest.approx(armature, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "joint", "knee_speed", "stall_torque"),
    [
        ("t1", "Left_Hip_Pitch", 6.25, 90.0),  # on the line from 90 N·m at rest to 0 at 12.5 rad/s: half of it at 45
        ("anymal_c", "LF_KFE", 2.5, 120.0),  # from 120 N·m to 0 at 7.5 rad/s: 80 N·m after a third
    ],
)
def test_a_motor_run_below_its_peak_keeps_its_torque_up_to_a_speed(name, joint, knee_speed, stall_torque):
    spec = robots.get(name)
    actuator = spec.joints[spec.joint_names.index(joint)].actuator
    assert actuator.knee_speed == pytest.approx(knee_speed)
    assert actuator.stall_torque == pytest.approx(stall_torque)


@pytest.mark.parametrize("name", ["go2", "a1"])
def test_quadrupeds_are_as_stiff_as_a_go1_in_their_own_units(name):
    go1, spec = robots.get("go1"), robots.get(name)
    mine, theirs = joint_space(spec), joint_space(go1)
    for joint in spec.joints:
        assert joint.actuator.kp / mine.torque == pytest.approx(go1.joints[0].actuator.kp / theirs.torque, rel=0.02)
        damping, reference = joint.actuator.kd, go1.joints[0].actuator.kd
        assert damping / (mine.torque * mine.time) == pytest.approx(reference / (theirs.torque * theirs.time), rel=0.02)


@pytest.mark.parametrize("name", HUMANOIDS)
def test_legs_of_a_humanoid_mean_what_legs_of_a_quadruped_mean(name):
    space = joint_space(robots.get(name))
    for leg in range(2):
        roles = [role for role, owner in zip(space.role, space.leg, strict=True) if owner == leg]
        assert sorted(roles) == ["abduct", "extend", "other", "other", "other", "swing"]  # others: hip yaw, ankle twice
    phases = dict(zip(space.leg, space.leg_phase, strict=True))
    assert abs(phases[0] - phases[1]) == pytest.approx(np.pi)  # one leg swings while the other carries


@pytest.mark.parametrize("name", HUMANOIDS)
def test_soles_are_level_on_the_ground_and_when_lifted(name):
    spec = robots.get(name)
    space, kinematics = joint_space(spec), Kinematics(spec)
    nominal = np.array(spec.default_positions)
    for q in (nominal, nominal + space.lift):
        kinematics.pose(q)
        up = kinematics.data.geom_xmat[kinematics.feet].reshape(-1, 3, 3)[:, :, 2]
        np.testing.assert_allclose(up, [[0.0, 0.0, 1.0]] * 2, atol=2e-3)
    assert np.count_nonzero(np.abs(space.lift) > 1e-3) == 6  # hip, knee and ankle of both legs


@pytest.mark.parametrize(("name", "ankle_kp"), [("g1", 40.0), ("t1", 50.0)])  # what published policies walk with
def test_a_humanoid_with_walking_gains_needs_a_policy_to_stand(name, ankle_kp):
    spec = robots.get(name)
    soft = tuple(
        replace(joint, actuator=replace(joint.actuator, kp=ankle_kp)) if "ankle" in joint.name.lower() else joint
        for joint in spec.joints
    )
    model = build_model(replace(spec, joints=soft))
    data = default_data(model)
    for _ in range(500):  # 2 s / 4 ms
        mujoco.mj_step(model, data)
    assert data.body(spec.base_body).xmat[8] < np.cos(0.5)


@pytest.mark.parametrize("name", MENAGERIE)
def test_a_fallen_robot_lies_on_its_shapes(name):
    spec = robots.get(name)
    model = build_model(spec, contacts="full")
    data = default_data(model)
    data.qpos[3:7] = (np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0)  # on its right side
    for _ in range(500):
        mujoco.mj_step(model, data)
    assert not data.warning[mujoco.mjtWarning.mjWARN_BADQACC].number
    assert data.body(spec.base_body).xpos[2] > 0.04  # thinner than any of their bases
    assert data.geom_xpos[model.geom_bodyid > 0, 2].min() > 0.0


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Compiled models of the Menagerie by our names."""
    unpacked = tmp_path_factory.mktemp("menagerie")
    given = Path(os.environ.get("MENAGERIE_ROOT", unpacked))
    return {name: mujoco.MjModel.from_xml_path(str(find(file, given, unpacked))) for name, file in MENAGERIE.items()}


def find(file, given, unpacked):
    """Path of a model: in a folder that holds the Menagerie, or else unpacked from its archive."""
    if (given / file).is_file():
        return given / file
    unpack(file.split("/")[0], unpacked)
    return unpacked / file


@pytest.mark.menagerie
@pytest.mark.parametrize("name", MENAGERIE)
def test_links_are_the_menageries(originals, name):
    ours, theirs = build_model(robots.get(name)), originals[name]
    assert ours.nbody == theirs.nbody
    for index in range(1, theirs.nbody):
        body = theirs.body(index).name
        np.testing.assert_allclose(ours.body(body).mass, theirs.body(body).mass, rtol=1e-4, err_msg=body)
        np.testing.assert_allclose(ours.body(body).ipos, theirs.body(body).ipos, atol=1e-5, err_msg=body)
        mine, other = inertia(ours, body), inertia(theirs, body)
        np.testing.assert_allclose(mine, other, atol=1e-3 * np.abs(other).max(), err_msg=body)


@pytest.mark.menagerie
@pytest.mark.parametrize("name", MENAGERIE)
def test_joints_are_the_menageries(originals, name):
    spec, theirs = robots.get(name), originals[name]
    assert set(spec.joint_names) == {theirs.joint(index).name for index in range(1, theirs.njnt)}  # 0: the free base
    data, other = posed(spec, theirs)
    for joint in spec.joints:
        np.testing.assert_allclose(joint.position_limits, theirs.joint(joint.name).range, atol=1e-3, err_msg=joint.name)
        assert joint.actuator.torque_limit == pytest.approx(torque_limit(theirs, joint.name)), joint.name
        mine, there = data.joint(joint.name), other.joint(joint.name)
        np.testing.assert_allclose(mine.xanchor, there.xanchor, atol=1e-3, err_msg=joint.name)
        np.testing.assert_allclose(mine.xaxis, there.xaxis, atol=1e-3, err_msg=joint.name)


@pytest.mark.menagerie
@pytest.mark.parametrize("name", MENAGERIE)
def test_feet_stand_where_the_menageries_do(originals, name):
    spec = robots.get(name)
    data, other = posed(spec, originals[name])
    for foot, body in zip(spec.feet, FOOT_BODIES[name], strict=True):
        shapes = foot_shapes(originals[name], body)
        np.testing.assert_allclose(data.geom(foot.name).xpos[:2], other.geom_xpos[shapes, :2].mean(axis=0), atol=5e-3)
        assert abs(bottom(originals[name], other, shapes)) < 5e-3  # ours touches the ground at 0


def inertia(model, body):
    """(3, 3) about the centre of mass, in the frame of the body [kg·m²]."""
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.body(body).iquat)
    rotation = rotation.reshape(3, 3)
    return rotation @ np.diag(model.body(body).inertia) @ rotation.T


def torque_limit(model, joint):
    """What the Menagerie's file states for a joint, on the joint or on its actuator [N·m]."""
    hinge = model.joint(joint).id
    if model.jnt_actfrclimited[hinge]:
        return model.jnt_actfrcrange[hinge, 1]
    index = int(np.flatnonzero(model.actuator_trnid[:, 0] == hinge)[0])
    if model.actuator_forcelimited[index]:
        return model.actuator_forcerange[index, 1]
    return model.actuator_ctrlrange[index, 1]  # of a plain motor


def posed(spec, theirs):
    """Our data and the Menagerie's, both in our nominal pose."""
    data, other = default_data(build_model(spec)), mujoco.MjData(theirs)
    other.qpos[:7] = data.qpos[:7]
    for joint, position in zip(spec.joint_names, spec.default_positions, strict=True):
        other.joint(joint).qpos = position
    mujoco.mj_kinematics(theirs, other)
    return data, other


def foot_shapes(model, body):
    """Ids of the spheres or the box under a foot."""
    kinds = (int(mujoco.mjtGeom.mjGEOM_SPHERE), int(mujoco.mjtGeom.mjGEOM_BOX))
    return [
        geom
        for geom in range(model.ngeom)
        if model.geom_bodyid[geom] == model.body(body).id and model.geom_type[geom] in kinds
    ]


def bottom(model, data, shapes):
    """Height of their lowest point, boxes lying level [m]."""
    box = int(mujoco.mjtGeom.mjGEOM_BOX)
    return min(
        data.geom_xpos[geom, 2] - model.geom_size[geom, 2 if model.geom_type[geom] == box else 0] for geom in shapes
    )
