"""The same episodes under many conditions: that they are the same, and that each condition is what it says."""

import numpy as np
import pytest
import torch

import envs.tasks
import robots
from envs.randomization import preset
from envs.vector_env import VectorEnv
from policies.evaluation import no_op
from policies.robustness.conditions import NOMINAL, PUSH, Outcome, _pusher, condition, play_conditions, worlds_for
from policies.threads import one_torch_thread

one_torch_thread()
GO1, VELOCITY = robots.get("go1"), envs.tasks.get("velocity")
ICE = condition(friction=0.05, slope_x=0.2)
SLOPE = condition(friction=1.0, slope_x=0.2)
SHOVED = condition(**{PUSH: 2.0})
WEAK = condition(strength=0.05)
NOISY = condition(noise=8.0)


def play(conditions, *, episodes: int = 6, seconds: float = 2.0, num_threads: int = 2, robot=GO1, task=VELOCITY):
    return play_conditions(
        robot,
        task,
        lambda: no_op(robot, task),
        conditions,
        episodes=episodes,
        seconds=seconds,
        num_threads=num_threads,
    )


@pytest.fixture(scope="module")
def played() -> dict[tuple, Outcome]:
    return play([NOMINAL, ICE, SLOPE, SHOVED, WEAK, NOISY])


def test_a_robot_that_stands_slides_down_a_slope_of_ice_alone(played):
    # Held by friction 1 a slope of 20 % changes nothing; on friction 0.05 it accelerates by g·(0.2 − 0.05), to
    # 3 m/s in 2 s: no command is as fast.
    assert played[SLOPE].scores.mean() == pytest.approx(played[NOMINAL].scores.mean(), abs=0.1)
    assert played[ICE].scores.mean() < 0.5 * played[SLOPE].scores.mean()


def test_a_shove_and_weak_motors_bring_a_standing_robot_down(played):
    assert not played[NOMINAL].fell.any()
    assert played[SHOVED].fell.all()
    assert played[WEAK].fell.all()


def test_a_condition_comes_out_alike_in_any_company_and_on_any_number_of_threads(played):
    alone = play([ICE], num_threads=1)[ICE]
    assert np.array_equal(alone.scores, played[ICE].scores)
    assert np.array_equal(alone.fell, played[ICE].fell)


def test_batches_do_not_change_an_outcome(played, monkeypatch):
    monkeypatch.setattr("policies.robustness.conditions.WORLDS", 12)  # two conditions in each
    again = play([SHOVED, NOMINAL, ICE, SLOPE])
    assert all(np.array_equal(outcome.scores, played[given].scores) for given, outcome in again.items())


def test_noise_reaches_what_the_actor_sees_and_nothing_else(played):
    # An actor that looks at its clock alone does the same.
    assert np.array_equal(played[NOISY].scores, played[NOMINAL].scores)
    spread = [
        worlds_for(GO1, VELOCITY, 64, 1, sensors).sensing.deviation["gyro"] for sensors in ((), (("noise", 8.0),))
    ]
    assert spread[1] == pytest.approx(8.0 * spread[0])


def test_late_sensors_are_as_old_as_they_should_be():
    assert worlds_for(GO1, VELOCITY, 2, 1, (("sensor_delay", 0.06),)).sensing.age.unique().tolist() == pytest.approx(
        [0.06]
    )


def test_all_episodes_begin_as_those_of_the_pattern():
    pattern, env = worlds_for(GO1, VELOCITY, 3, 1), worlds_for(GO1, VELOCITY, 7, 1)
    env.begin_as(pattern, torch.arange(7) % 3)
    for state in ("qpos", "qvel"):
        assert torch.equal(getattr(env.physics, state), getattr(pattern.physics, state)[torch.arange(7) % 3])
    assert torch.equal(env.episode.command, pattern.episode.command[torch.arange(7) % 3])
    assert torch.equal(env.episode.phase, pattern.episode.phase[torch.arange(7) % 3])
    assert torch.equal(env.sensing.encoder_bias, pattern.sensing.encoder_bias[torch.arange(7) % 3])


def test_parameters_stay_when_episodes_begin_as_others():
    pattern, env = worlds_for(GO1, VELOCITY, 2, 1), worlds_for(GO1, VELOCITY, 2, 1)
    values = env.randomizer.nominal.repeat(2, 1)
    values[1, env.randomizer.columns["friction"]] = 0.2
    env.randomizer.apply(torch.arange(2), values)
    env.begin_as(pattern, torch.arange(2))
    feet = env.randomizer.anatomy.rows["feet"]
    assert env.physics.model_field("geom_friction")[:, feet, 0].unique(dim=1).tolist() == [[1.0], [0.2]]


def test_worlds_of_another_delay_buffer_are_no_pattern():
    short = VectorEnv(GO1, VELOCITY, num_envs=1, randomization=preset("none"), num_threads=1, scoring=True)
    with pytest.raises(ValueError, match="same robot, task and delay buffers, got velocity on go1 with states of"):
        worlds_for(GO1, VELOCITY, 1, 1).begin_as(short, torch.zeros(1, dtype=torch.long))


def test_pushes_have_exactly_their_size_and_the_same_directions_in_every_condition():
    env = worlds_for(GO1, VELOCITY, 6, 1)
    push = _pusher(env, torch.tensor([0.0, 0.0, 0.5, 0.5, 1.0, 1.0]), episodes=2)
    before = env.physics.qvel[:, :2].clone()
    push(round(0.9 / env.dt))
    assert torch.equal(env.physics.qvel[:, :2], before)
    push(round(1.0 / env.dt))
    change = env.physics.qvel[:, :2] - before
    assert change.norm(dim=-1).tolist() == pytest.approx([0.0, 0.0, 0.5, 0.5, 1.0, 1.0])
    assert change[4:] == pytest.approx(2.0 * change[2:4])
    assert change[2].tolist() != pytest.approx(change[3].tolist())
    push(round(2.0 / env.dt))
    assert torch.equal(env.physics.qvel[:, :2] - before, change)
    push(round(3.0 / env.dt))
    again = env.physics.qvel[:, :2] - before - change
    assert again.norm(dim=-1).tolist() == pytest.approx([0.0, 0.0, 0.5, 0.5, 1.0, 1.0])
    assert again[2].tolist() != pytest.approx(change[2].tolist())  # in another direction


def test_arms_and_machines_play_under_conditions_too():
    arm, reach = robots.get("so101"), envs.tasks.get("reach")
    heavy = condition(payload=1.0)
    played = play([NOMINAL, heavy], robot=arm, task=reach, seconds=1.0)
    assert played[heavy].scores.mean() != pytest.approx(played[NOMINAL].scores.mean(), rel=1e-3)


def test_gymnasium_ids_play_the_same_episodes_under_conditions():
    cheetah, task = robots.get("gymnasium:HalfCheetah-v5"), envs.tasks.get("gymnasium")
    light = condition(mass=0.7)
    played = play([NOMINAL, light], robot=cheetah, task=task, seconds=0.5, episodes=3)
    again = play([light], robot=cheetah, task=task, seconds=0.5, episodes=3)
    assert np.array_equal(played[light].scores, again[light].scores)
    assert not np.array_equal(played[light].scores, played[NOMINAL].scores)
