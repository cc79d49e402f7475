"""Velocity commands, when they mean standing, and the gait clock."""

import math

import numpy as np
import pytest
import torch

import robots
from envs import tasks
from envs.commands import GAIT_FREQUENCY, advance_phase, clock, is_standing
from envs.randomization import preset
from envs.vector_env import VectorEnv
from robots.joint_space import joint_space


def env(num_envs: int, *, scoring: bool = False) -> VectorEnv:
    return VectorEnv(
        robots.get("go1"),
        tasks.get("velocity"),
        num_envs=num_envs,
        randomization=preset("none"),
        num_threads=1,
        scoring=scoring,
    )


@pytest.mark.parametrize(
    ("command", "stands"),
    [
        ((0.0, 0.0, 0.0), True),
        ((0.05, -0.05, 0.1), True),  # 0.05/2 = 0.025 and 0.1 · 0.2 = 0.02, both below 0.03
        ((0.07, 0.0, 0.0), False),  # 0.035
        ((0.0, -0.07, 0.0), False),
        ((0.0, 0.0, 0.2), False),  # 0.2 · 0.2 = 0.04
    ],
)
def test_a_command_that_is_slow_in_every_component_means_stand_still(command, stands):
    found = is_standing(np.array([command]), speed=2.0, time=0.2)
    assert found.shape == (1, 1)
    assert bool(found[0, 0]) is stands
    assert bool(is_standing(torch.tensor([command]), speed=2.0, time=0.2)[0, 0]) is stands


def test_the_phase_advances_by_its_frequency_and_wraps():
    quarter = advance_phase(np.array([0.0]), frequency_hz=2.0, dt=0.125)  # 2π · 2 · 0.125 = π/2
    assert quarter[0] == pytest.approx(math.pi / 2.0)
    wrapped = advance_phase(np.array([1.75 * math.pi]), frequency_hz=2.0, dt=0.125)
    assert wrapped[0] == pytest.approx(0.25 * math.pi)


def test_a_go1_trots_at_two_hertz():
    assert GAIT_FREQUENCY / joint_space(robots.get("go1")).time == pytest.approx(2.0, rel=0.03)


def test_the_clock_is_sine_and_cosine_and_zero_when_standing():
    phase, standing = np.array([[math.pi / 6.0], [math.pi / 6.0]], np.float32), np.array([[False], [True]])
    expected = [(0.5, math.sqrt(0.75)), (0.0, 0.0)]
    in_numpy = clock(np, phase, standing)
    np.testing.assert_allclose(in_numpy, expected, atol=1e-6)
    np.testing.assert_allclose(clock(torch, torch.from_numpy(phase), torch.from_numpy(standing)), in_numpy, atol=1e-6)


def test_commands_fill_their_ranges_and_a_tenth_of_them_stands_still():
    worlds = env(1000)
    command, high = worlds.episode.command, worlds.body.command_high
    space = worlds.space
    np.testing.assert_allclose(high, (0.5 * space.speed, 0.18 * space.speed, 0.1 / space.time), rtol=1e-6)
    assert (command.abs() <= high).all()
    assert (command.amax(0) > 0.98 * high).all()
    assert (command.amin(0) < -0.98 * high).all()
    assert (command == 0.0).all(-1).float().mean().item() == pytest.approx(0.1, abs=0.03)


def test_training_draws_new_commands_every_four_seconds_and_the_score_keeps_its_own():
    changes = {}
    for scoring in (False, True):
        worlds = env(16, scoring=scoring)
        worlds.reset()
        worlds.episode.steps[:] = 0
        before, changes[scoring] = worlds.episode.command.clone(), 0
        for _ in range(100):  # 2 s
            step = worlds.step(torch.zeros(16, 12))
            assert not (step.terminated | step.truncated).any()
            changes[scoring] += int((worlds.episode.command != before).any(-1).sum())
            before = worlds.episode.command.clone()
    assert changes[True] == 0
    assert 2 <= changes[False] <= 18  # 16 · 2 s / 4 s = 8 on average
