"""Many worlds of one task: reproducible, resumable, and honest about where an episode ends."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

import robots
from envs import tasks
from envs.frames import to_base_frame, to_yaw_frame
from envs.physics.make import make_physics
from envs.randomization import preset
from envs.vector_env import VectorEnv, model_of
from envs.worlds import Step

SPEC, TASK = robots.get("go1"), tasks.get("velocity")
BACK = torch.tensor([0.0, 1.0, 0.0, 0.0]).double()
"""Orientation of a robot on its back."""


def make(num_envs: int = 4, **changes: Any) -> VectorEnv:
    given = {"randomization": preset("default"), "num_threads": 1} | changes
    return VectorEnv(SPEC, TASK, num_envs=num_envs, **given)


def run(env: VectorEnv, num_steps: int, *, size: float = 0.3, seed: int = 0) -> Iterator[Step]:
    """Steps under random actions; in step 10 the second world is turned on its back."""
    generator = torch.Generator().manual_seed(seed)
    for step in range(num_steps):
        if step == 10:
            env.physics.qpos[1, 3:7] = BACK
        yield env.step(size * torch.randn(env.num_envs, SPEC.num_joints, generator=generator))


def assert_same(first: Step, second: Step) -> None:
    for name in ("observation", "reward", "terminated", "truncated"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    assert (first.final_observation is None) == (second.final_observation is None)
    if first.final_observation is not None:
        assert torch.equal(first.final_observation, second.final_observation)


def test_the_same_seed_gives_the_same_rollout_and_another_seed_another():
    first, second, other = make(seed=3), make(seed=3), make(seed=4)
    torch.rand(5)  # the global generator has no say
    for one, two, three in zip(run(first, 30), run(second, 30), run(other, 30), strict=True):
        assert_same(one, two)
        assert not torch.equal(one.observation, three.observation)


@pytest.mark.parametrize("num_threads", [2, 3])
def test_rollouts_do_not_depend_on_the_number_of_threads(num_threads):
    for one, two in zip(run(make(8), 30), run(make(8, num_threads=num_threads), 30), strict=True):
        assert_same(one, two)


@pytest.mark.parametrize(("task", "randomization"), [("velocity", "default"), ("velocity_rough", "full")])
def test_a_restored_environment_continues_bit_for_bit_through_resets(task, randomization):
    def make(seed: int) -> VectorEnv:
        ranges = preset(randomization)
        return VectorEnv(SPEC, tasks.get(task), num_envs=4, randomization=ranges, seed=seed, num_threads=1)

    env = make(seed=5)
    env.episode.steps[:] = torch.tensor([0, 0, env.episode_steps - 35, 0])  # the third world's time is up in step 35
    for _ in run(env, 15):
        pass
    state = env.state_dict()
    expected = list(run(env, 50, seed=1))
    restored = make(seed=99)
    for _ in run(restored, 7, seed=2):
        pass
    restored.load_state_dict(state)
    for one, two in zip(expected, run(restored, 50, seed=1), strict=True):
        assert_same(one, two)
    assert sum(int(step.truncated.sum()) for step in expected) >= 1
    assert sum(int(step.terminated.sum()) for step in expected) >= 1
    for name, value in env.state_dict().items():
        assert torch.equal(value, restored.state_dict()[name]), name


def test_a_state_is_a_copy():
    env = make()
    state = env.state_dict()
    before = {name: value.clone() for name, value in state.items()}
    for _ in run(env, 12):
        pass
    assert all(torch.equal(value, before[name]) for name, value in state.items())


@pytest.mark.parametrize(("scoring", "num_steps"), [(True, 500), (False, 250)])  # 10 s and 5 s of 20 ms
def test_an_episode_ends_when_its_time_is_up(scoring, num_steps):
    env = make(2, scoring=scoring)
    assert env.episode_steps == num_steps
    env.episode.steps[:] = torch.tensor([num_steps - 2, 0])
    action = torch.zeros(2, SPEC.num_joints)
    first, last = env.step(action), env.step(action)
    assert not first.truncated.any()
    assert first.final_observation is None
    assert last.truncated.tolist() == [True, False]
    assert not last.terminated.any()
    assert env.episode.steps.tolist() == [0, 2]


def test_the_final_observation_is_the_old_episodes_and_the_observation_the_new_ones():
    env = make(2, scoring=True)
    for _ in range(20):
        step = env.step(0.5 * torch.ones(2, SPEC.num_joints))
    env.episode.steps[0] = env.episode_steps - 1
    command = env.episode.command.clone()
    step = env.step(0.5 * torch.ones(2, SPEC.num_joints))
    assert step.final_observation is not None
    final, new = step.final_observation, step.observation
    torch.testing.assert_close(final[0, 6:9], command[0])  # gravity 3, gyro 3, command 3
    assert not torch.equal(new[0, 6:9], command[0])
    assert (final[0, 33:45] - new[0, 33:45]).abs().max() > 0.05  # targets: the new episode starts at the nominal pose
    torch.testing.assert_close(new[0, 33:45], torch.tensor(SPEC.default_positions))
    torch.testing.assert_close(final[1, 33:45], new[1, 33:45])  # that world goes on


def test_ground_truth_is_that_of_the_old_episode():
    env = make(2, scoring=True)
    env.episode.steps[0] = env.episode_steps - 1
    command, action = env.episode.command.clone(), torch.full((2, SPEC.num_joints), 0.5)
    step = env.step(action)
    assert step.truncated[0]
    assert torch.equal(step.world.command, command)
    assert torch.equal(step.world.action, action)
    assert not torch.equal(env.episode.command[0], command[0])


def test_a_fall_ends_the_episode_costs_its_reward_and_starts_another():
    env = make(3, scoring=True)
    env.physics.qpos[1, 3:7] = BACK
    step = env.step(torch.zeros(3, SPEC.num_joints))
    assert step.terminated.tolist() == [False, True, False]
    assert not step.truncated.any()
    assert step.reward[1].item() == pytest.approx(TASK.fall_reward, abs=2.0 * env.dt)  # a tick earns at most 2·dt
    assert step.reward[0] >= 0.0
    after = env.step(torch.zeros(3, SPEC.num_joints))
    assert not after.terminated.any()
    assert env.episode.steps.tolist() == [2, 1, 2]


def test_a_diverged_world_starts_anew_each_time_while_the_others_go_on():
    healthy, sick = make(3, scoring=True), make(3, scoring=True)
    for tick in range(6):
        action = torch.zeros(3, SPEC.num_joints)
        if tick in (1, 4):
            sick.physics.qvel[2, 8] = float("nan")
        expected, step = healthy.step(action), sick.step(action)
        assert step.terminated.tolist() == [False, False, tick in (1, 4)]
        assert step.observation.isfinite().all()
        assert step.reward.isfinite().all()
        assert torch.equal(step.reward[:2], expected.reward[:2])
        if tick in (1, 4):
            assert step.reward[2].item() == pytest.approx(TASK.fall_reward, abs=0.05)
    assert sick.diverged.tolist() == [0, 0, 2]
    assert not healthy.diverged.any()


def test_start_states_leave_out_worlds_that_diverged():
    scratch = make_physics(model_of(SPEC, TASK, preset("none")), 4, num_threads=1)
    scratch.qvel[1, 8] = float("nan")
    assert len(TASK.start(scratch, SPEC, torch.Generator().manual_seed(0))) == 3
    scratch.qvel[:, 8] = float("nan")
    with pytest.raises(RuntimeError, match=r"robot go1: every simulation diverged before its first episode; look for"):
        TASK.start(scratch, SPEC, torch.Generator().manual_seed(0))


def test_training_pushes_and_scoring_does_not():
    pushy = replace(preset("none"), noise=0.0, push_speed=0.2, push_seconds=0.02)  # every control step
    pushed, still = make(8, randomization=pushy), make(8, randomization=replace(pushy, push_speed=0.0))
    for env in (pushed, still):
        env.step(torch.zeros(8, SPEC.num_joints))
    change = (pushed.physics.qvel - still.physics.qvel)[:, :2]
    assert (change != 0.0).all()
    assert change.abs().max() <= 0.2 * pushed.space.speed
    assert change.abs().max() > 0.1 * pushed.space.speed
    scored, plain = make(8, randomization=pushy, scoring=True), make(8, randomization=preset("none"), scoring=True)
    for env in (scored, plain):
        for _ in range(5):
            env.step(torch.zeros(8, SPEC.num_joints))
    assert torch.equal(scored.physics.qvel, plain.physics.qvel)


def test_training_spreads_the_ends_of_its_first_episodes_and_scoring_starts_all_at_zero():
    assert len(set(make(16).episode.steps.tolist())) > 8
    assert make(16, scoring=True).episode.steps.tolist() == [0] * 16


def test_reset_starts_every_world_anew():
    env = make(4, scoring=True)
    for _ in run(env, 12):
        pass
    values = env.randomizer.values.clone()
    env.reset()
    assert env.episode.steps.tolist() == [0] * 4
    assert not torch.equal(env.randomizer.values, values)
    assert env.physics.qvel[:, :3].abs().max() < 0.2
    assert (env.physics.qpos[:, :2].abs() < 0.1).all()


def test_frames_by_hand():
    half = 0.5**0.5
    left_turn = torch.tensor([[half, 0.0, 0.0, half]])  # the robot looks along world y
    north = torch.tensor([[0.0, 1.0, 0.5]])
    torch.testing.assert_close(to_yaw_frame(left_turn, north), torch.tensor([[1.0, 0.0, 0.5]]))
    torch.testing.assert_close(to_base_frame(left_turn, north), torch.tensor([[1.0, 0.0, 0.5]]))
    nose_down = torch.tensor([[half, 0.0, half, 0.0]])  # pitched by 90°: base x points down, base z along world x
    up = torch.tensor([[0.0, 0.0, 1.0]])
    torch.testing.assert_close(to_base_frame(nose_down, up), torch.tensor([[-1.0, 0.0, 0.0]]), atol=1e-6, rtol=0.0)


def test_first_targets_are_held_until_the_delay_is_over():
    env = make(2, randomization=replace(preset("none"), delay=(2.5, 2.5)), scoring=True)  # 20 ms: one control step
    resting = make(2, randomization=replace(preset("none"), delay=(2.5, 2.5)), scoring=True)
    env.step(torch.full((2, SPEC.num_joints), 0.5))
    resting.step(torch.zeros(2, SPEC.num_joints))
    assert torch.equal(env.physics.qpos, resting.physics.qpos)  # nothing has arrived yet
    env.step(torch.full((2, SPEC.num_joints), 0.5))
    resting.step(torch.zeros(2, SPEC.num_joints))
    assert not torch.equal(env.physics.qpos, resting.physics.qpos)
