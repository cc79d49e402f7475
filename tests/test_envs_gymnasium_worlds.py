"""Worlds of Gymnasium's MuJoCo ids in training: float32, hidden parameters, checkpoints, and what they refuse."""

from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv

import robots
from envs import tasks
from envs.gymnasium_native.ids import find
from envs.gymnasium_worlds import GymnasiumWorlds
from envs.make import make_worlds
from envs.randomization import preset

TASK = tasks.get("gymnasium")


def worlds_of(name, num_envs=4, randomization="none", **others) -> GymnasiumWorlds:
    given = {"num_envs": num_envs, "randomization": preset(randomization), "seed": 3, "num_threads": 1} | others
    worlds = make_worlds(robots.get(f"gymnasium:{name}"), TASK, **given)
    assert isinstance(worlds, GymnasiumWorlds)
    return worlds


def test_worlds_in_training_see_what_gymnasium_shows_and_the_hidden_parameters():
    worlds = worlds_of("Hopper-v5", scoring=True)
    reference = SyncVectorEnv([lambda: gymnasium.make("Hopper-v5")] * 4)
    expected = reference.reset(seed=3)[0]
    assert (worlds.actor_width, worlds.width) == (11, 11 + len(worlds.randomizer.hidden[0]))
    assert [term.name for term in worlds.terms] == ["qpos", "qvel", "hidden_parameters"]
    torch.testing.assert_close(worlds.observation()[:, :11].double(), torch.from_numpy(expected), rtol=1e-6, atol=1e-6)
    action = torch.full((4, 3), 0.5)
    step, (_, reward, *_) = worlds.step(action), reference.step(action.numpy())
    np.testing.assert_allclose(step.reward, reward, rtol=1e-6)
    assert step.observation.dtype == step.reward.dtype == torch.float32
    torch.testing.assert_close(step.world.torque, torch.full((4, 3), 100.0))  # half of gear 200
    torch.testing.assert_close(step.world.score, step.reward / 3.8)  # threshold 3800 over 1000 steps


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "InvertedPendulum-v5"])
def test_worlds_that_diverged_are_counted_and_begin_anew(name):
    worlds = worlds_of(name)
    worlds.physics.qvel[1, 1] = float("nan")
    assert worlds.step(torch.zeros(4, worlds.spec.num_joints)).terminated.tolist() == [False, True, False, False]
    assert not worlds.step(torch.zeros(4, worlds.spec.num_joints)).terminated.any()
    assert worlds.diverged.tolist() == [0, 1, 0, 0]


def test_an_action_is_a_share_of_the_control_range():
    worlds = worlds_of("Humanoid-v5", num_envs=2)
    worlds.step(torch.tensor([[0.5] * 17, [3.0] * 17]))
    np.testing.assert_allclose(worlds.physics.ctrl, [[0.2] * 17, [0.4] * 17], rtol=1e-6)  # of ±0.4


def test_first_episodes_in_training_end_at_different_times_and_those_of_a_score_do_not():
    assert len(set(worlds_of("HalfCheetah-v5", num_envs=16).engine.elapsed.tolist())) > 8
    assert worlds_of("HalfCheetah-v5", scoring=True).engine.elapsed.tolist() == [0] * 4


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Hopper-v5", "Ant-v5", "Humanoid-v5", "InvertedPendulum-v5"])
def test_restored_worlds_continue_bit_for_bit(name):
    worlds, twin = worlds_of(name, randomization="default"), worlds_of(name, randomization="default", seed=9)
    joints, generator = worlds.spec.num_joints, torch.Generator().manual_seed(0)
    actions = torch.randn(80, 4, joints, generator=generator)
    for action in actions[:40]:
        worlds.step(action)
    twin.load_state_dict(worlds.state_dict())
    assert torch.equal(twin.observation(), worlds.observation())
    for action in actions[40:]:
        mine, other = worlds.step(action), twin.step(action)
        assert torch.equal(mine.observation, other.observation)
        assert torch.equal(mine.reward, other.reward)
        assert torch.equal(mine.terminated, other.terminated)


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "InvertedPendulum-v5"])
def test_randomization_changes_the_machine_and_does_not_compound(name):
    worlds = worlds_of(name, randomization="default", num_envs=8)
    nominal = worlds.physics.model.body_mass[-1]
    for _ in range(5):
        worlds.reset()
        factor = worlds.physics.model_field("body_mass")[:, -1].numpy() / nominal
        assert 0.85 <= factor.min() < 0.98 < 1.02 < factor.max() <= 1.15
        inertia = (
            worlds.physics.model_field("body_inertia")[:, -1, 0].numpy() / worlds.physics.model.body_inertia[-1, 0]
        )
        np.testing.assert_allclose(inertia, factor, rtol=1e-6)  # mass and inertia together
    same_action = torch.full((8, worlds.spec.num_joints), 1.0)
    plain = worlds_of(name, num_envs=8)
    for _ in range(3):
        randomized, nominal_step = worlds.step(same_action), plain.step(same_action)
    assert not torch.allclose(randomized.world.joint_vel, nominal_step.world.joint_vel, rtol=1e-3)


@pytest.mark.parametrize("name", ["HalfCheetah-v5", "Hopper-v5"])
def test_everything_that_touches_gets_the_same_other_friction(name):
    worlds = worlds_of(name, randomization="default", num_envs=16)
    factor = worlds.physics.model_field("geom_friction").numpy() / worlds.physics.model.geom_friction
    sliding, (low, high) = factor[:, :, 0], preset("default").surface_friction
    np.testing.assert_allclose(sliding, sliding[:, :1].repeat(sliding.shape[1], 1), rtol=1e-12)
    assert low <= sliding.min() < 0.8 < 1.2 < sliding.max() <= high
    np.testing.assert_array_equal(factor[:, :, 1:], 1.0)  # spinning and rolling stay


def test_a_machine_that_touches_nothing_has_no_friction_to_vary():
    assert "surface_friction" not in worlds_of("InvertedPendulum-v5", randomization="default").randomizer.columns
    asked = replace(preset("none"), surface_friction=(0.5, 0.5))
    with pytest.raises(ValueError, match="it acts on shapes that rub on each other, of a machine without feet, and "):
        make_worlds(robots.get("gymnasium:InvertedPendulum-v5"), TASK, num_envs=1, randomization=asked)


def test_strength_limits_the_torque_of_motors():
    spec = robots.get("gymnasium:HalfCheetah-v5")
    weak = replace(preset("none"), strength=(0.5, 0.5))
    worlds = make_worlds(spec, TASK, num_envs=2, randomization=weak, num_threads=1)
    force = worlds.physics.output("actuator_force")
    worlds.step(torch.ones(2, 6))
    torch.testing.assert_close(force, torch.full((2, 6), 0.5, dtype=torch.float64))


def test_controls_without_a_range_are_refused(tmp_path):
    text = Path(find("HalfCheetah-v5").single.fullpath).read_text()
    file = tmp_path / "unlimited.xml"
    file.write_text(text.replace('ctrllimited="true" ctrlrange="-1 1"', ""))
    gymnasium.register(
        "Unlimited-v0",
        entry_point="gymnasium.envs.mujoco.half_cheetah_v5:HalfCheetahEnv",
        kwargs={"xml_file": str(file)},
    )
    try:
        with pytest.raises(ValueError, match=r"every actuator needs ctrlrange=; got \[0\.0, .*\]\.\.\[0\.0, "):
            worlds_of("Unlimited-v0")
    finally:
        del gymnasium.registry["Unlimited-v0"]


def test_a_changed_specification_is_not_ignored():
    spec = robots.get("gymnasium:HalfCheetah-v5")
    slower = replace(spec, control_hz=10.0)
    with pytest.raises(ValueError, match="an id runs its own file; for another machine register a variant"):
        GymnasiumWorlds(slower, TASK, num_envs=1, randomization=preset("none"))
    with pytest.raises(ValueError, match="device must be 'cpu' for Gymnasium ids, got 'cuda'"):
        GymnasiumWorlds(spec, TASK, num_envs=1, randomization=preset("none"), device="cuda")
