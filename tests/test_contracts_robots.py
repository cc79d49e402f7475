"""What every robot in the zoo promises."""

import json
from dataclasses import replace

import mujoco
import numpy as np
import pytest

import robots
from robots.actuation import KD, KP
from robots.joint_space import joint_space, lift_height
from robots.kinematics import Kinematics
from robots.model import build_model, default_data, foot_geom_ids, has_free_base, joint_dof_indices, joint_qpos_indices
from robots.spec import RobotSpec, load_folder

GROUPS = ("geometry", "inertias", "joint_limits", "default_pose", "gains", "actuator_physics", "delay", "sensors")
every_robot = pytest.mark.parametrize("name", robots.names())
every_leg_robot = pytest.mark.parametrize("name", [name for name in robots.names() if robots.get(name).feet])
every_imu_robot = pytest.mark.parametrize("name", [n for n in robots.names() if "imu" in robots.get(n).sensors])
every_arm = pytest.mark.parametrize("name", [name for name in robots.names() if robots.get(name).kind == "arm"])
every_machine = pytest.mark.parametrize("name", [name for name in robots.names() if robots.get(name).kind == "machine"])


def stand(spec: RobotSpec, contacts: str, seconds: float = 2.0) -> tuple[float, float]:
    """Lowest height in units of the nominal one and largest tilt [rad] while the servos hold the nominal pose."""
    model = build_model(spec, contacts=contacts, delay_samples=5)
    data = default_data(model)
    heights, tilts = [], []
    for _ in range(round(seconds / spec.physics_dt)):
        mujoco.mj_step(model, data)
        base = data.body(spec.base_body)
        heights.append(base.xpos[2])
        tilts.append(np.arccos(np.clip(base.xmat[8], -1.0, 1.0)))
    return min(heights) / spec.default_height, max(tilts)


@every_robot
def test_a_robot_is_called_as_its_module(name):
    assert robots.get(name).name == name


@every_robot
@pytest.mark.parametrize("contacts", ["feet", "full"])
def test_actuators_are_the_joints_in_canonical_order(name, contacts):
    spec = robots.get(name)
    model = build_model(spec, contacts=contacts)
    assert tuple(model.actuator(index).name for index in range(model.nu)) == spec.joint_names
    driven = [model.joint(int(joint)).name for joint in model.actuator_trnid[:, 0]]
    assert tuple(driven) == spec.joint_names
    assert not model.actuator_ctrllimited.any()


@every_robot
def test_servos_and_joints_have_the_physics_of_the_specification(name):
    spec = robots.get(name)
    model = build_model(spec)
    actuators = [joint.actuator for joint in spec.joints]
    dofs = joint_dof_indices(model, spec)
    np.testing.assert_allclose(model.actuator_gainprm[:, KP], [actuator.kp for actuator in actuators])
    np.testing.assert_allclose(model.actuator_gainprm[:, KD], [actuator.kd for actuator in actuators])
    np.testing.assert_allclose(model.actuator_forcerange[:, 1], [actuator.torque_limit for actuator in actuators])
    np.testing.assert_allclose(model.dof_armature[dofs], [actuator.armature for actuator in actuators])
    np.testing.assert_allclose(model.dof_damping[dofs], [actuator.damping for actuator in actuators])
    np.testing.assert_allclose(model.dof_frictionloss[dofs], [actuator.friction_loss for actuator in actuators])
    ranges = [model.joint(joint.name).range for joint in spec.joints]
    np.testing.assert_allclose(ranges, [joint.position_limits for joint in spec.joints])


@every_robot
def test_the_mass_is_the_sum_of_the_bodies(name):
    spec = robots.get(name)
    assert build_model(spec).body_mass.sum() == pytest.approx(spec.mass, rel=1e-3)


@every_robot
def test_the_keyframe_is_the_nominal_pose(name):
    spec = robots.get(name)
    model = build_model(spec)
    data = default_data(model)
    np.testing.assert_array_equal(data.qpos[joint_qpos_indices(model, spec)], spec.default_positions)
    np.testing.assert_array_equal(data.ctrl, spec.default_controls)
    for passive in spec.passive_joints:
        assert data.joint(passive.name).qpos[0] == passive.default_position
    if has_free_base(model, spec):
        np.testing.assert_array_equal(data.qpos[:7], [0.0, 0.0, spec.default_height, 1.0, 0.0, 0.0, 0.0])


@every_imu_robot
def test_the_imu_is_on_the_base_and_parallel_to_it(name):
    spec = robots.get(name)
    model = build_model(spec)
    site = model.site(spec.imu.site)
    assert model.body(int(site.bodyid[0])).name == spec.base_body
    np.testing.assert_allclose(np.abs(site.quat), [1.0, 0.0, 0.0, 0.0], atol=1e-9)


@every_leg_robot
def test_feet_touch_the_ground_in_the_nominal_pose(name):
    spec = robots.get(name)
    model = build_model(spec)
    data = default_data(model)
    bottoms = data.geom_xpos[foot_geom_ids(model, spec), 2] - [foot.radius for foot in spec.feet]
    np.testing.assert_allclose(bottoms, 0.0, atol=2e-3)


@every_leg_robot
def test_only_feet_collide_unless_asked_for_more(name):
    spec = robots.get(name)
    model = build_model(spec)
    assert set(np.flatnonzero(model.geom_contype)) == set(foot_geom_ids(model, spec))
    full = build_model(spec, contacts="full")
    assert np.count_nonzero(full.geom_contype | full.geom_conaffinity) > len(spec.feet) + 1
    data = default_data(full)
    data.qpos[2] -= 1e-3
    mujoco.mj_forward(full, data)
    assert {full.geom_bodyid[contact.geom].min() for contact in data.contact} == {0}  # only the ground is touched
    assert {int(contact.geom.max()) for contact in data.contact} == set(foot_geom_ids(full, spec))


@every_leg_robot
@pytest.mark.parametrize("contacts", ["feet", "full"])
def test_a_robot_stands_for_two_seconds_under_its_own_servos(name, contacts):
    height, tilt = stand(robots.get(name), contacts)
    assert height > 0.85
    assert tilt < 0.1


@every_arm
def test_an_arm_moves_its_tool_with_every_joint_but_its_fingers(name):
    spec = robots.get(name)
    kinematics = Kinematics(spec)
    body, tip = kinematics.tip()
    chain = kinematics.chain_to(body)
    assert len(chain) >= spec.num_joints - 1
    for joint in chain[:2]:  # those far from the tool carry it along
        q = np.array(spec.default_positions)
        q[joint] += 0.1
        kinematics.pose(q)
        assert np.linalg.norm(kinematics.tip()[1] - tip) > 0.01 * spec.length


@every_arm
def test_an_arm_holds_its_nominal_pose_under_gravity(name):
    spec = robots.get(name)
    model = build_model(spec, contacts="full", delay_samples=5)
    data = default_data(model)
    assert data.ncon == 0
    tool = data.site(spec.end_effector).xpos.copy()
    for _ in range(round(2.0 / spec.physics_dt)):
        mujoco.mj_step(model, data)
    assert np.abs(data.qpos - spec.default_positions).max() < 0.03
    assert np.linalg.norm(data.site(spec.end_effector).xpos - tool) < 0.02 * spec.length
    assert np.abs(data.qvel).max() < 1e-2


@every_arm
def test_an_arm_meets_the_floor_and_itself_only_if_asked(name):
    spec = robots.get(name)
    bare, full = build_model(spec), build_model(spec, contacts="full")
    low, high = np.array([joint.position_limits for joint in spec.joints]).T
    poses = np.random.default_rng(0).uniform(low, high, (100, spec.num_joints))
    assert not any(touching(bare, pose) for pose in poses)
    met = set().union(*(touching(full, pose) for pose in poses))
    assert any("world" in pair for pair in met)
    assert any("world" not in pair for pair in met)


def touching(model: mujoco.MjModel, qpos: np.ndarray) -> set[frozenset[str]]:
    """Pairs of bodies in contact in a pose."""
    data = mujoco.MjData(model)
    data.qpos = qpos
    mujoco.mj_forward(model, data)
    return {frozenset(model.body(int(body)).name for body in model.geom_bodyid[c.geom]) for c in data.contact}


@every_machine
def test_a_machine_is_balanced_in_its_nominal_pose(name):
    model = build_model(robots.get(name))
    data = default_data(model)
    assert np.abs(data.qacc).max() < 1e-9


@every_machine
def test_a_torque_turns_its_own_joint_and_no_further_than_its_limit(name):
    spec = robots.get(name)
    model = build_model(spec)
    for index, joint in enumerate(spec.joints):
        for command in (joint.actuator.torque_limit, 3.0 * joint.actuator.torque_limit):
            data = default_data(model)
            data.ctrl[index] = command
            mujoco.mj_step(model, data)
            assert data.joint(joint.name).qvel[0] > 0.0
            assert data.actuator_force[index] == pytest.approx(joint.actuator.torque_limit, rel=1e-3)


@every_machine
def test_passive_joints_swing_freely(name):
    spec = robots.get(name)
    model = build_model(spec)
    data = default_data(model)
    for passive in spec.passive_joints:
        assert passive.name not in spec.joint_names
        assert not model.joint(passive.name).limited[0]
        data.joint(passive.name).qpos[0] += 0.1
        mujoco.mj_step(model, data)
        assert data.joint(passive.name).qvel[0] > 0.0  # falls on from where it is upright


@every_machine
@pytest.mark.parametrize("contacts", ["feet", "full"])
def test_a_machine_without_friction_keeps_its_energy(name, contacts):
    spec = without_friction(robots.get(name))
    model = build_model(spec, contacts=contacts)
    model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_ENERGY
    data = default_data(model)
    data.joint(spec.measured_joints[-1]).qpos[0] += 0.5
    mujoco.mj_forward(model, data)
    start, energies = data.energy.sum(), []
    for _ in range(round(2.0 / spec.physics_dt)):
        mujoco.mj_step(model, data)
        energies.append(data.energy.sum())
        assert data.ncon == 0
    assert np.ptp([*energies, start]) < 0.03 * 2.0 * spec.mass * 9.81 * spec.length


def without_friction(spec: RobotSpec) -> RobotSpec:
    joints = (replace(joint, actuator=replace(joint.actuator, damping=0.0, friction_loss=0.0)) for joint in spec.joints)
    passive = (replace(joint, damping=0.0, friction_loss=0.0) for joint in spec.passive_joints)
    return replace(spec, joints=tuple(joints), passive_joints=tuple(passive))


@every_robot
def test_a_robot_survives_its_folder(name, tmp_path):
    spec = robots.get(name)
    spec.save_folder(tmp_path / name)
    loaded = load_folder(tmp_path / name)
    assert replace(loaded, mjcf=spec.mjcf) == spec
    assert loaded.model_hash == spec.model_hash
    assert robots.get(str(tmp_path / name)) == loaded
    assert build_model(loaded).nq == build_model(spec).nq


@every_robot
def test_every_group_of_constants_has_a_source(name):
    sources = robots.get(name).sources
    assert set(GROUPS) <= set(sources)
    assert all(len(source) > 10 for source in sources.values())
    json.dumps(sources)


@every_robot
def test_units_follow_from_the_model(name):
    spec = robots.get(name)
    space = joint_space(spec)
    assert space.length == pytest.approx(spec.length, abs=1e-3)
    assert space.mass == pytest.approx(spec.mass, rel=1e-3)
    assert space.gravity == pytest.approx(9.81)
    assert space.time**2 * space.gravity == pytest.approx(space.length)
    assert space.torque == pytest.approx(space.mass * space.speed**2)  # mgL = m·√(gL)²


@every_leg_robot
def test_signs_mean_outward_forward_and_away(name):
    spec = robots.get(name)
    space, kinematics = joint_space(spec), Kinematics(spec)
    nominal = np.array(spec.default_positions)
    for joint in range(spec.num_joints):
        leg, role = space.leg[joint], space.role[joint]
        if role == "other":
            continue
        moved = nominal.copy()
        moved[joint] += 0.05 * space.sign[joint]
        swing = next(j for j in range(spec.num_joints) if space.leg[j] == leg and space.role[j] == "swing")
        before, after = kinematics.foot(leg, nominal), kinematics.foot(leg, moved)
        kinematics.pose(nominal)
        hip = kinematics.anchor(swing)
        gain = {
            "abduct": abs(after[1]) - abs(before[1]),
            "swing": after[0] - before[0],
            "extend": np.linalg.norm(after - hip) - np.linalg.norm(before - hip),
        }[role]
        assert gain > 1e-3, f"{spec.joint_names[joint]} ({role})"


@every_leg_robot
def test_lift_raises_every_foot_straight_up(name):
    spec = robots.get(name)
    space, kinematics = joint_space(spec), Kinematics(spec)
    nominal = np.array(spec.default_positions)
    for leg in range(len(spec.feet)):
        rise = kinematics.foot(leg, nominal + space.lift) - kinematics.foot(leg, nominal)
        np.testing.assert_allclose(rise[[0, 2]], [0.0, lift_height(spec) * space.length], atol=1e-4)
        assert abs(rise[1]) < 1e-3


@pytest.mark.parametrize("name", robots.names())
def test_legs_are_counted_and_neighbours_take_turns(name):
    spec = robots.get(name)
    space = joint_space(spec)
    turns = {2: (1.0, -1.0), 4: (1.0, -1.0, -1.0, 1.0), 6: (1.0, -1.0, -1.0, 1.0, 1.0, -1.0)}
    assert space.num_legs == len(spec.feet)
    assert space.foot_sign == turns.get(len(spec.feet), ())
    assert all(space.foot_sign[leg] == sign for leg, sign in zip(space.leg, space.leg_sign, strict=True) if leg >= 0)
    assert space.lift_height == {0: 0.0, 2: 0.05}.get(len(spec.feet), 0.36)  # a biped tips over before more is done


@pytest.mark.parametrize("name", [name for name in robots.names() if robots.get(name).kind == "quadruped"])
def test_a_quadruped_has_three_roles_per_leg_and_trots(name):
    space = joint_space(robots.get(name))
    for leg in range(4):
        roles = sorted(role for role, owner in zip(space.role, space.leg, strict=True) if owner == leg)
        assert roles == ["abduct", "extend", "swing"]
    phases = dict(zip(space.leg, space.leg_phase, strict=True))
    assert phases[0] == phases[3] == 0.0
    assert phases[1] == phases[2] == pytest.approx(np.pi)


def test_go1_lifts_its_feet_about_as_the_walking_recipe_does():
    # L = 0.2848 m; a foot 0.39 L = 0.111 m up leaves 0.2648 − 0.111 = 0.1538 m = 2·0.213·cos(knee/2):
    # knee −2·acos(0.361) = −2.403 rad, 0.603 beyond −1.8; the thigh follows by half of it.
    lift = joint_space(robots.get("go1"), 0.39).lift
    np.testing.assert_allclose(lift[:3], [0.0, 0.3015, -0.603], atol=2e-3)


def test_delayed_servos_stand_from_the_first_step():
    spec = robots.get("go1")
    model = build_model(spec, delay_samples=5)
    data = default_data(model)
    mujoco.mj_step(model, data)
    assert np.abs(data.actuator_force).max() < 1e-6  # commanded where it is: no jump to zero and back


def test_a_delay_longer_than_its_buffer_is_refused():
    spec = robots.get("go1")
    slow = tuple(replace(joint, actuator=replace(joint.actuator, delay=0.03)) for joint in spec.joints)
    with pytest.raises(ValueError, match="at least 8 samples"):  # 0.03 / 0.004 = 7.5
        build_model(replace(spec, joints=slow), delay_samples=4)
