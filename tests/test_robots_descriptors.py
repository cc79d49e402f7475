"""What a policy is told about each joint: numbers without units, from the compiled model."""

import math
from dataclasses import replace

import numpy as np
import pytest

import robots
from robots.descriptors import CHANNELS, descriptors
from robots.joint_space import joint_space
from robots.similarity import scaled

FAMILY = ("quadruped:legs=6", "quadruped:joints_per_leg=2", "arm:links=3", "arm:links=7")
every_robot = pytest.mark.parametrize("name", [*robots.names(), *FAMILY])


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIM2REAL_CACHE_DIR", str(tmp_path / "cache"))


def column(name: str, channel: str) -> np.ndarray:
    return descriptors(robots.get(name))[:, CHANNELS.index(channel)]


@every_robot
def test_similar_robots_have_the_same_descriptors(name, tmp_path):
    spec = robots.get(name)
    other = scaled(spec, tmp_path, length=1.7, mass=3.1, gravity=0.6)
    np.testing.assert_allclose(descriptors(other), descriptors(spec), rtol=1e-9, atol=1e-9)


@every_robot
def test_every_joint_is_described_once(name):
    spec = robots.get(name)
    table = descriptors(spec)
    assert table.shape == (spec.num_joints, len(CHANNELS))
    assert np.isfinite(table).all()
    groups = [[name for name in CHANNELS if name.startswith(start)] for start in ("role_", "side_")]
    for group in groups:
        np.testing.assert_array_equal(table[:, [CHANNELS.index(name) for name in group]].sum(axis=1), 1.0)
    axes = table[:, [CHANNELS.index(f"axis_{letter}") for letter in "xyz"]]
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), 1.0)


def test_robots_differ():
    tables = [descriptors(robots.get(name)) for name in ("go1", "anymal_c", "quadruped", "quadruped:kp=1.1")]
    for index, one in enumerate(tables):
        for other in tables[index + 1 :]:
            assert np.abs(one - other).max() > 1e-2


def test_a_go1s_front_left_leg_in_numbers():
    # L = 2·0.213·cos 0.9 + 0.02 = 0.28481 m, m = 12.743 kg, mgL = 35.60 N·m, T = 0.17039 s
    length, mass = 0.284806, 12.743448
    torque, time = mass * 9.81 * length, math.sqrt(length / 9.81)
    expected = {
        "role_abduct": (1, 0, 0),
        "role_extend": (0, 0, 1),
        "side_left": (1, 1, 1),
        "axis_x": (1, 0, 0),  # outward on the left: about +x
        "axis_y": (0, -1, 1),  # forward: about -y
        "anchor_x": (0.1881 / length, 0.1881 / length, (0.1881 - 0.213 * math.sin(0.9)) / length),
        "anchor_y": (0.04675 / length, 0.12675 / length, 0.12675 / length),
        "link_length": (0.08 / length, 0.213 / length, 0.213 / length),
        "link_mass": (0.68 / mass, 1.009 / mass, 0.195862 / mass),
        "subtree_mass": (1.884862 / mass, 1.204862 / mass, 0.195862 / mass),
        "default_position": (0, -0.9, -1.8),
        "range_ahead": (0.863, 0.9 + 0.686, 1.8 - 0.888),
        "kp": (35.0 / torque,) * 3,
        "kd": (1.0 / torque / time,) * 3,
        "torque_limit": (23.7 / torque, 23.7 / torque, 35.55 / torque),
        "velocity_limit": (30.1 * time, 30.1 * time, 20.06 * time),
        "delay": (0.008 / time,) * 3,
        "control_period": (0.02 / time,) * 3,
    }
    for channel, values in expected.items():
        np.testing.assert_allclose(column("go1", channel)[:3], values, rtol=1e-4, atol=1e-9, err_msg=channel)


def test_left_and_right_mirror_each_other():
    table = descriptors(robots.get("quadruped"))
    turned = [CHANNELS.index(name) for name in ("anchor_y", "axis_x", "axis_z")]
    side = [CHANNELS.index(name) for name in ("side_left", "side_right")]
    mirrored = table.copy()
    mirrored[:, turned] *= -1.0
    mirrored[:, side] = table[:, side[::-1]]
    np.testing.assert_allclose(mirrored[:3], table[3:6], atol=1e-9)


def test_a_slide_is_measured_in_lengths_and_weights():
    # 10 N on a cart-pole of 1.1 kg: 10 / (1.1 · 9.81); the whole moves with the cart, so its inertia is 1 m
    assert column("cartpole", "slides")[0] == column("cartpole", "torque_controlled")[0] == 1.0
    assert column("cartpole", "torque_limit")[0] == pytest.approx(10.0 / (robots.get("cartpole").mass * 9.81))
    assert column("cartpole", "subtree_inertia")[0] == pytest.approx(1.0)


def test_descriptors_come_from_the_model_that_is_simulated():
    spec = robots.get("go1")
    joints = tuple(replace(joint, actuator=replace(joint.actuator, delay=0.0123, kp=40.0)) for joint in spec.joints)
    table, space = descriptors(replace(spec, joints=joints)), joint_space(spec)
    np.testing.assert_allclose(table[:, CHANNELS.index("delay")], 0.0123 / space.time)
    np.testing.assert_allclose(table[:, CHANNELS.index("kp")], 40.0 / space.torque)
    with pytest.raises(ValueError, match="read-only"):
        table[0, 0] = 1.0
