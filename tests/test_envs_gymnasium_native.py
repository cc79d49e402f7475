"""Gymnasium's MuJoCo ids: natively on the batch engine, one by one where there is no native version, and as robots."""

import logging
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import robots
from envs.gymnasium_native import fallback, random_states
from envs.gymnasium_native.contacts import ground_pairs
from envs.gymnasium_native.engine import NativeEngine, make_engine
from envs.gymnasium_native.fallback import OneByOne
from envs.gymnasium_native.ids import NATIVE, find
from envs.gymnasium_native.vector import NativeVectorEnv
from robots.joint_space import joint_space
from robots.spec import load_folder

EXACT = ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5")
WITH_FORCES = ("Ant-v5", "Humanoid-v5")
HEAVY = "HeavyCheetah-v0"


class MyCheetah(HalfCheetahEnv):
    """A user's own."""


@pytest.fixture(scope="module")
def heavy(tmp_path_factory):
    """A registered variant: twice the mass, another reward, the place observed."""
    text = Path(find("HalfCheetah-v5").single.fullpath).read_text()
    assert 'settotalmass="14"' in text
    file = tmp_path_factory.mktemp("variant") / "heavy_cheetah.xml"
    file.write_text(text.replace('settotalmass="14"', 'settotalmass="28"'))
    gymnasium.register(
        HEAVY,
        entry_point="gymnasium.envs.mujoco.half_cheetah_v5:HalfCheetahEnv",
        max_episode_steps=70,
        kwargs={
            "xml_file": str(file),
            "forward_reward_weight": 2.5,
            "reset_noise_scale": 0.2,
            "exclude_current_positions_from_observation": False,
        },
    )
    yield HEAVY
    del gymnasium.registry[HEAVY]


def theirs(name, num_envs):
    return SyncVectorEnv([lambda: gymnasium.make(name)] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


def actions_of(env, steps, seed=0):
    low, high = env.single_action_space.low, env.single_action_space.high
    shape = (steps, env.num_envs, len(low))
    return (low + (high - low) * np.random.default_rng(seed).random(shape)).astype(np.float32)


def assert_equal_rollouts(name, steps, num_envs=2):
    """Every number that Gymnasium returns, bit for bit, over episode ends; returns how many there were."""
    reference, ours = theirs(name, num_envs), NativeVectorEnv(name, num_envs, num_threads=1)
    np.testing.assert_array_equal(ours.reset(seed=7)[0], reference.reset(seed=7)[0])
    ends = 0
    for action in actions_of(ours, steps):
        expected, got = reference.step(action), ours.step(action)
        for one, other in zip(got[:4], expected[:4], strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        if not (got[2] | got[3]).any():
            for part in ("reward_forward", "reward_ctrl", "x_velocity"):
                np.testing.assert_array_equal(got[4][part], expected[4][part])
        for world in np.flatnonzero(got[4].get("_final_obs", [])):
            np.testing.assert_array_equal(got[4]["final_obs"][world], expected[4]["final_obs"][world])
            ends += 1
    return ends


@pytest.mark.parametrize("name", EXACT)
def test_runners_in_the_plane_are_gymnasiums_bit_for_bit(name):
    assert_equal_rollouts(name, 1000)


def test_time_limits_and_falls_end_episodes_as_in_gymnasium():
    assert assert_equal_rollouts("HalfCheetah-v5", 1001) == 2  # both worlds at step 1000
    assert assert_equal_rollouts("Hopper-v5", 200) > 10


def test_a_registered_variant_is_native_and_exact(heavy):
    assert assert_equal_rollouts(heavy, 150) == 4  # two worlds, ends after 70 and 140 steps
    env = NativeVectorEnv(heavy, 2)
    assert isinstance(env.engine, NativeEngine)
    assert env.engine.model.body_mass.sum() == pytest.approx(28.0)
    assert env.single_observation_space.shape == (18,)  # 9 positions, 9 velocities


@pytest.mark.parametrize("name", WITH_FORCES)
def test_walkers_in_space_move_as_gymnasiums_and_only_their_contact_forces_differ(name):
    reference, ours = theirs(name, 2), NativeVectorEnv(name, 2, num_threads=1)
    np.testing.assert_array_equal(ours.reset(seed=7)[0], reference.reset(seed=7)[0])
    structure = find(name).single.observation_structure
    exact = ours.single_observation_space.shape[0] - structure["cfrc_ext"]
    worst = 0.0
    for action in actions_of(ours, 300):
        expected, got = reference.step(action), ours.step(action)
        np.testing.assert_array_equal(got[0][:, :exact], expected[0][:, :exact])
        np.testing.assert_array_equal(got[2], expected[2])
        worst = max(worst, float(np.abs(got[1] - expected[1]).max()))
    assert 0.0 < worst < {"Ant-v5": 0.04, "Humanoid-v5": 1.0}[name]  # of rewards of about 1 and 5 a step


@pytest.mark.parametrize("name", [*EXACT, *WITH_FORCES])
def test_results_do_not_depend_on_threads_and_worlds_differ(name):
    one, two = (NativeVectorEnv(name, 5, num_threads=threads) for threads in (1, 3))
    first = one.reset(seed=1)[0]
    np.testing.assert_array_equal(first, two.reset(seed=1)[0])
    assert len({row.tobytes() for row in first}) == 5
    for action in actions_of(one, 20):
        for mine, other in zip(one.step(action)[:4], two.step(action)[:4], strict=True):
            np.testing.assert_array_equal(mine, other)


def test_a_world_that_leaves_the_finite_numbers_ends_and_starts_anew():
    env = NativeVectorEnv("HalfCheetah-v5", 3, num_threads=1)
    env.reset(seed=0)
    env.engine.qvel[1, 4] = np.nan
    observation, _, terminated, _, _ = env.step(np.zeros((3, 6), np.float32))
    assert terminated.tolist() == [False, True, False]
    assert np.isfinite(observation).all()


def test_a_world_that_gymnasium_steps_and_that_diverges_ends_too():
    env = NativeVectorEnv("InvertedPendulum-v5", 3)
    env.reset(seed=0)
    env.engine.physics.qvel[1, 1] = np.nan
    observation, _, terminated, _, _ = env.step(np.zeros((3, 1), np.float32))
    assert terminated.tolist() == [False, True, False]
    assert np.isfinite(observation).all()


def test_things_that_stand_still_are_ground_and_do_not_touch_each_other():
    model = mujoco.MjModel.from_xml_string(
        """<mujoco><default><geom contype="1" conaffinity="0"/></default><worldbody>
        <geom type="plane" size="9 9 1" conaffinity="1"/><body><geom size="1"/></body>
        <body><joint type="slide"/><geom size="1"/></body></worldbody></mujoco>"""
    )
    assert ground_pairs(model) == [(0, 2)]  # the plane and what slides


@pytest.mark.parametrize("name", [*EXACT, *WITH_FORCES])
def test_a_fixed_list_of_contacts_changes_no_bit(name):
    one, other = (make_engine(find(name), num_envs=2, num_threads=1, fixed=fixed) for fixed in (True, False))
    assert (one.physics.model.npair > 0) == (name in ("HalfCheetah-v5", "Walker2d-v5", "Ant-v5"))
    assert other.physics.model.npair == 0
    everyone, action = np.arange(2), np.random.default_rng(0).uniform(-1, 1, (100, 2, one.physics.model.nu))
    np.testing.assert_array_equal(one.restart(everyone), other.restart(everyone))
    for each in action:
        np.testing.assert_array_equal(one.step(each).observation, other.step(each).observation)


def test_native_worlds_want_actions_of_their_shape():
    env = NativeVectorEnv("HalfCheetah-v5", 3)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"actions must have shape \(3, 6\), got \(3, 5\)"):
        env.step(np.zeros((3, 5)))


def test_native_ids_are_gymnasiums_own_classes():
    assert {find(name).native for name in (*EXACT, *WITH_FORCES)} == set(NATIVE.values())


def test_a_subclass_and_a_wrapped_id_run_as_their_user_wrote_them():
    gymnasium.register("MyCheetah-v0", entry_point=MyCheetah)
    wrapper = gymnasium.wrappers.TransformReward.wrapper_spec(func=lambda reward: 0.0)
    gymnasium.register(
        "Wrapped-v0",
        entry_point="gymnasium.envs.mujoco.half_cheetah_v5:HalfCheetahEnv",
        additional_wrappers=(wrapper,),
    )
    try:
        assert isinstance(NativeVectorEnv("MyCheetah-v0", 1).engine, OneByOne)
        env = NativeVectorEnv("Wrapped-v0", 1)
        env.reset(seed=0)
        assert env.step(np.ones((1, 6), np.float32))[1] == [0.0]
    finally:
        del gymnasium.registry["MyCheetah-v0"], gymnasium.registry["Wrapped-v0"]


def test_any_other_id_runs_one_by_one_with_gymnasiums_numbers_and_says_once_how_slow_it_is(caplog):
    fallback._warned.discard("InvertedPendulum-v5")
    with caplog.at_level(logging.WARNING):
        ours = NativeVectorEnv("InvertedPendulum-v5", 2)
        NativeVectorEnv("InvertedPendulum-v5", 2)
    said = [record.getMessage() for record in caplog.records if "no native version" in record.getMessage()]
    assert len(said) == 1
    assert "µs a step" in said[0]
    assert "× slower" in said[0]
    reference = theirs("InvertedPendulum-v5", 2)
    np.testing.assert_array_equal(ours.reset(seed=7)[0], reference.reset(seed=7)[0])
    for action in actions_of(ours, 60):
        for one, other in zip(ours.step(action)[:4], reference.step(action)[:4], strict=True):
            np.testing.assert_array_equal(one, other)


def test_ids_that_cannot_be_trained_are_refused_with_a_way_out():
    with pytest.raises(LookupError, match="'Pendulum-v1' is a PendulumEnv, and only Gymnasium's MuJoCo environments"):
        robots.get("gymnasium:Pendulum-v1")
    with pytest.raises(LookupError, match="found as MODULE:ID, where importing MODULE registers it"):
        robots.get("gymnasium:Nowhere-v0")
    with pytest.raises(LookupError, match="found as MODULE:ID"):
        robots.get("gymnasium:no_such_module:Nowhere-v0")


def test_the_machine_of_an_id_is_read_from_its_file():
    spec = robots.get("gymnasium:HalfCheetah-v5")
    assert spec.kind == "machine"
    assert spec.joint_names == ("bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot")
    gears = (120.0, 90.0, 60.0, 120.0, 60.0, 30.0)  # times a control range of ±1
    assert tuple(joint.actuator.torque_limit for joint in spec.joints) == gears
    assert tuple(joint.name for joint in spec.passive_joints) == ("rootx", "rootz", "rooty")
    assert spec.joints[0].position_limits == (-0.52, 1.05)
    assert (spec.joints[0].actuator.damping, spec.joints[0].actuator.armature) == (6.0, 0.1)
    assert spec.mass == pytest.approx(14.0)
    assert (spec.control_hz, spec.physics_dt, spec.substeps) == (20.0, 0.01, 5)
    assert spec.sensors == ("encoders",)
    assert robots.get("gymnasium:Ant-v5").sensors == ("imu", "encoders")  # a free base


def test_the_machine_of_an_id_is_saved_and_compared_like_any_robot(tmp_path, heavy):
    spec, variant = robots.get("gymnasium:HalfCheetah-v5"), robots.get(f"gymnasium:{heavy}")
    spec.save_folder(tmp_path)
    assert load_folder(tmp_path).model_hash == spec.model_hash
    assert variant.model_hash != spec.model_hash
    ours, theirs = joint_space(spec), joint_space(variant)
    assert (ours.leg, ours.role) == (theirs.leg, theirs.role)  # what a transfer asks for
    assert theirs.mass == pytest.approx(2.0 * ours.mass)


def test_random_states_survive_a_checkpoint():
    before = random_states.generators(5, 2)
    before[1].standard_normal(3)
    before[0].integers(10, dtype=np.uint32)  # leaves half a draw behind
    after = random_states.from_rows(random_states.to_rows(before))
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(
            one.integers(10, size=9, dtype=np.uint32), other.integers(10, size=9, dtype=np.uint32)
        )
        np.testing.assert_array_equal(one.random(3), other.random(3))
