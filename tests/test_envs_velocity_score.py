"""The velocity score and what counts as a fall, by hand and alike in torch and numpy."""

import math

import numpy as np
import pytest
import torch

import robots
from envs import tasks
from envs.randomization import preset
from envs.vector_env import VectorEnv
from envs.velocity_score import (
    SPEED_TOLERANCE,
    YAW_TOLERANCE,
    has_fallen,
    velocity_score,
    yaw_score,
)
from policies.evaluation import run_episodes
from robots.joint_space import joint_space


def test_the_velocity_score_by_hand():
    command = np.array([[1.0, 0.0, 0.3], [1.0, 0.0, 0.3], [0.5, -0.2, 0.0]])
    velocity = np.array([[1.0, 0.0, 0.7], [0.8, 0.1, 0.0], [0.0, 0.0, 0.0]])
    found = velocity_score(np, command, velocity, speed=2.0)
    # perfect whatever it does vertically; ((0.2/2)² + (0.1/2)²) = 0.0125; (0.25² + 0.1²) = 0.0725
    expected = [1.0, math.exp(-0.0125 / 0.038), math.exp(-0.0725 / 0.038)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_yaw_score_by_hand():
    command, gyro = np.array([[0.0, 0.0, 0.5]]), np.array([[0.3, 0.3, 0.1]])
    expected = math.exp(-((0.4 * 0.2) ** 2) / 0.00275)  # ((0.5 − 0.1) rad/s · 0.2 s)²
    np.testing.assert_allclose(yaw_score(np, command, gyro, time=0.2), expected, rtol=1e-12)


def test_tolerances_are_a_tenth_on_a_robot_of_27_centimetres():
    g, L = 9.81, 0.27
    assert pytest.approx(0.1, rel=0.01) == SPEED_TOLERANCE * g * L  # [m²/s²]
    assert pytest.approx(0.1, rel=0.01) == YAW_TOLERANCE * g / L  # [rad²/s²]


def test_torch_and_numpy_score_alike():
    generator = np.random.default_rng(0)
    command, velocity = generator.normal(size=(2, 9, 3)).astype(np.float32) * 0.3
    tensors = torch.from_numpy(command), torch.from_numpy(velocity)
    np.testing.assert_allclose(
        velocity_score(torch, *tensors, speed=1.7), velocity_score(np, command, velocity, speed=1.7), atol=1e-6
    )
    np.testing.assert_allclose(
        yaw_score(torch, *tensors, time=0.17), yaw_score(np, command, velocity, time=0.17), atol=1e-6
    )


def test_a_base_has_fallen_when_it_tips_over_or_sinks():
    tilt = np.radians([0.0, 40.0, 43.0, 0.0, 0.0])
    gravity = np.stack([np.sin(tilt), np.zeros(5), -np.cos(tilt)], -1)
    height = np.array([0.3, 0.3, 0.3, 0.16, 0.14])  # of a nominal 0.3 m
    expected = [False, False, True, False, True]  # cos 40° = 0.766, cos 43° = 0.731; half of 0.3 is 0.15
    assert has_fallen(gravity, height, default_height=0.3).tolist() == expected
    assert has_fallen(torch.from_numpy(gravity), torch.from_numpy(height), default_height=0.3).tolist() == expected


def test_the_task_scores_by_the_same_definition():
    spec, task = robots.get("go1"), tasks.get("velocity")
    env = VectorEnv(spec, task, num_envs=4, randomization=preset("none"), num_threads=1, scoring=True)
    world = env.step(torch.zeros(4, 12)).world
    speed = joint_space(spec).speed
    expected = velocity_score(np, world.command.numpy(), world.velocity.numpy(), speed=speed)
    np.testing.assert_allclose(task.score(world, env.space), expected, atol=1e-6)


def test_nothing_is_scored_after_a_fall():
    env = VectorEnv(
        robots.get("go1"),
        tasks.get("velocity"),
        num_envs=4,
        randomization=preset("none"),
        num_threads=1,
        scoring=True,
    )
    env.physics.qpos[0, 3:7] = torch.tensor([0.0, 1.0, 0.0, 0.0]).double()  # on its back from the first tick
    evaluation = run_episodes(env, lambda observation: torch.zeros(4, 12), 20)
    assert evaluation.falls == 1
    assert evaluation.episode_scores[0] == 0.0
    assert min(evaluation.episode_scores[1:]) > 0.0
