"""What a policy sees: raw SI in contract order, the same numbers from torch and from numpy."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import robots
from envs import tasks
from envs.commands import is_standing
from envs.observations import Term, actor_observation, actor_terms, hidden_term, privileged_terms, projected_gravity
from envs.randomization import PARAMETERS, preset
from envs.vector_env import VectorEnv
from robots.joint_space import JointSpace

SPACE = JointSpace(  # two joints; T = √(0.4/10) = 0.2 s, √(gL) = 2 m/s
    length=0.4,
    mass=10.0,
    gravity=10.0,
    leg=(0, 0),
    role=("swing", "extend"),
    sign=(1.0, -1.0),
    lift=(0.0, 0.0),
    leg_phase=(0.0, 0.0),
)
HALF = math.sqrt(0.5)
WIDTHS = {"gravity": 3, "gyro": 3, "command": 3, "joint_pos": 12, "joint_vel": 12, "previous_target": 12, "clock": 2}


def quiet_env(num_envs: int = 3) -> VectorEnv:
    """A go1 whose sensors do not err."""
    return VectorEnv(
        robots.get("go1"),
        tasks.get("velocity"),
        num_envs=num_envs,
        randomization=replace(preset("none"), noise=0.0),
        num_threads=1,
        scoring=True,
    )


def columns(terms: tuple[Term, ...], observation: torch.Tensor) -> dict[str, torch.Tensor]:
    return dict(zip([t.name for t in terms], observation.split([t.width for t in terms], dim=-1), strict=True))


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        ((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, -1.0)),  # upright: down is −z
        ((HALF, HALF, 0.0, 0.0), (0.0, -1.0, 0.0)),  # rolled by 90°: y points up, down is −y
        ((HALF, 0.0, HALF, 0.0), (1.0, 0.0, 0.0)),  # pitched by 90°: x points down
        ((HALF, 0.0, 0.0, HALF), (0.0, 0.0, -1.0)),  # turned by 90°: no change
        ((0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),  # on its back
    ],
)
def test_projected_gravity(orientation, expected):
    np.testing.assert_allclose(projected_gravity(np, np.array(orientation)), expected, atol=1e-12)


def test_torch_and_numpy_give_the_same_observation():
    generator = np.random.default_rng(0)
    quaternion = generator.normal(size=(5, 4)).astype(np.float32)
    widths = {name: width for name, width in WIDTHS.items() if name != "gravity"}
    raw = {name: generator.normal(size=(5, width)).astype(np.float32) for name, width in widths.items()}
    tensors = {name: torch.from_numpy(value) for name, value in raw.items()}
    in_numpy = actor_observation(np, gravity=projected_gravity(np, quaternion), **raw)
    in_torch = actor_observation(torch, gravity=projected_gravity(torch, torch.from_numpy(quaternion)), **tensors)
    assert in_numpy.shape == (5, 47)  # 3 + 3 + 3 + 3·12 + 2
    assert in_numpy.dtype == np.float32
    np.testing.assert_allclose(in_torch.numpy(), in_numpy, atol=1e-6)


def test_terms_turn_raw_si_into_dimensionless_numbers():
    raw = {
        "gravity": (0.0, 0.0, -1.0),
        "gyro": (5.0, 0.0, -5.0),
        "command": (2.0, -1.0, 2.5),
        "joint_pos": (0.6, 0.6),
        "joint_vel": (5.0, 5.0),
        "previous_target": (0.4, 0.4),
        "clock": (0.0, 1.0),
    }
    dimensionless = {
        "gravity": (0.0, 0.0, -1.0),
        "gyro": (1.0, 0.0, -1.0),  # 5 rad/s · 0.2 s
        "command": (1.0, -0.5, 0.5),  # 2/2, −1/2, 2.5 · 0.2
        "joint_pos": (0.1, -0.1),  # (0.6 − 0.5) · sign
        "joint_vel": (1.0, -1.0),  # 5 · 0.2 · sign
        "previous_target": (-0.1, 0.1),
        "clock": (0.0, 1.0),
    }
    for term in actor_terms(SPACE, (0.5, 0.5)):
        found = (np.array(raw[term.name]) - term.offset) * term.scale
        np.testing.assert_allclose(found, dimensionless[term.name], atol=1e-12, err_msg=term.name)


def test_privileged_terms_are_what_no_hardware_measures():
    terms = {term.name: term for term in privileged_terms(SPACE, num_feet=4) + hidden_term(11)}
    assert not any(term.measurable for term in terms.values())
    assert terms["base_velocity"].scale == (0.5,) * 3  # 1 / (2 m/s)
    assert terms["base_height"].scale == (2.5,)  # 1 / 0.4 m
    assert terms["foot_heights"].width == terms["foot_contacts"].width == 4
    assert terms["hidden_parameters"].width == 11


def test_a_term_needs_an_offset_for_every_scale():
    with pytest.raises(ValueError, match="term gyro: 2 offsets but 3 scales"):
        Term(name="gyro", unit="rad/s", frame="base", offset=(0.0,) * 2, scale=(1.0,) * 3)


def test_widths_of_the_terms_add_up():
    env = quiet_env()
    assert {term.name: term.width for term in env.actor_terms} == WIDTHS
    assert env.actor_width == 47
    assert env.width == 47 + 3 + 1 + 4 + 4 + len(PARAMETERS)
    assert env.reset().shape == (3, env.width)
    assert all(term.measurable for term in env.actor_terms)


def test_quiet_sensors_tell_the_truth_in_the_order_of_the_terms():
    env = quiet_env()
    env.reset()
    step = env.step(torch.randn(3, 12, generator=env.generator))
    seen = columns(env.terms, step.observation)
    torch.testing.assert_close(seen["joint_pos"], env.physics.qpos[:, 7:].float())
    torch.testing.assert_close(seen["joint_vel"], env.physics.qvel[:, 6:].float())
    torch.testing.assert_close(seen["gyro"], env.physics.qvel[:, 3:6].float())
    torch.testing.assert_close(seen["previous_target"], env.physics.ctrl.float())
    torch.testing.assert_close(seen["command"], env.episode.command)
    torch.testing.assert_close(seen["base_height"][:, 0], env.physics.qpos[:, 2].float())
    assert (seen["gravity"].norm(dim=-1) - 1.0).abs().max() < 1e-5
    standing = is_standing(env.episode.command, speed=env.space.speed, time=env.space.time)[:, 0]
    torch.testing.assert_close(seen["clock"].norm(dim=-1), 1.0 - standing.float(), atol=1e-5, rtol=0.0)


def test_noise_and_bias_have_the_size_of_the_specification():
    spec = robots.get("go1")
    env = VectorEnv(spec, tasks.get("velocity"), num_envs=64, randomization=preset("none"), num_threads=1, scoring=True)
    seen = torch.stack([columns(env.terms, env.observation())["gyro"] for _ in range(50)])
    errors = seen - env.physics.qvel[:, 3:6].float()
    bias = errors.mean(0)
    assert (errors - bias).std().item() == pytest.approx(spec.imu.gyro_noise, rel=0.03)
    assert bias.abs().max() < spec.imu.gyro_bias + 4.0 * spec.imu.gyro_noise / math.sqrt(50)
    assert bias.std() > 0.3 * spec.imu.gyro_bias  # uniform: 0.58 of its bound


def test_feet_stand_on_the_ground_when_an_episode_begins():
    env = quiet_env()
    seen = columns(env.terms, env.reset())
    assert seen["foot_heights"].abs().max() < 0.005
    assert seen["foot_contacts"].min() == 1.0
