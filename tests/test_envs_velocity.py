"""The reward of walking as commanded, by hand, on two legs and on four."""

import math
from dataclasses import fields, replace

import pytest
import torch

import robots
from envs import tasks
from envs.commands import GAIT_FREQUENCY, advance_phase
from envs.embodiments.legged import LeggedWorld
from envs.randomization import preset
from envs.tasks.velocity import reward, stepping
from envs.vector_env import VectorEnv
from envs.velocity_score import YAW_TOLERANCE
from robots.joint_space import JointSpace

TWO = JointSpace(  # T = √(0.4/10) = 0.2 s, √(gL) = 2 m/s, mgL = 8 N·m; feet are lifted by 0.1·0.4 = 0.04 m
    length=0.4,
    mass=2.0,
    gravity=10.0,
    leg=(0, 1),
    role=("swing", "swing"),
    sign=(1.0, 1.0),
    lift=(0.0, 0.0),
    leg_phase=(0.0, math.pi),
    lift_height=0.1,
)
FOUR = replace(TWO, leg=(0, 3))
LEFT_UP = (0.04, 0.0)


def a_world(n: int = 1, **given) -> LeggedWorld:
    """Walks forward exactly as told, upright and without effort, its left foot up in its turn."""
    state = {field.name: torch.zeros(n, 2) for field in fields(LeggedWorld)}
    vectors = {
        "orientation": (1.0, 0.0, 0.0, 0.0),
        "command": (0.5, 0.0, 0.0),
        "world_velocity": (0.5, 0.0, 0.0),
        "gyro": (0.0, 0.0, 0.0),
        "gravity": (0.0, 0.0, -1.0),
        "foot_heights": LEFT_UP,
        "phase": (math.pi / 2.0,),
    }
    return LeggedWorld(**state | {name: torch.tensor([value] * n) for name, value in (vectors | given).items()})


@pytest.mark.parametrize(
    ("phase", "heights", "expected"),
    [
        (math.pi / 2.0, LEFT_UP, 1.0),
        (math.pi / 2.0, (0.0, 0.0), (math.exp(-4.0) + 1.0) / 2.0),  # the left one misses a whole lift
        (math.pi / 2.0, (0.02, 0.02), math.exp(-1.0)),  # each half a lift off: exp(−4·¼)
        (1.5 * math.pi, (0.0, 0.04), 1.0),  # the right one's turn
        (1.5 * math.pi, LEFT_UP, math.exp(-4.0)),
        (math.pi / 6.0, (0.02, 0.0), 1.0),  # sin 30° = ½
    ],
)
def test_feet_are_paid_for_following_the_gait_clock(phase, heights, expected):
    assert stepping(a_world(phase=(phase,), foot_heights=heights), TWO).item() == pytest.approx(expected, abs=1e-5)


def test_who_stands_keeps_both_feet_down():
    told_to_stand = {"command": (0.0, 0.0, 0.0)}
    assert stepping(a_world(**told_to_stand, foot_heights=(0.0, 0.0)), TWO).item() == pytest.approx(1.0)
    assert stepping(a_world(**told_to_stand), TWO).item() == pytest.approx((math.exp(-4.0) + 1.0) / 2.0)


def test_perfect_walking_earns_all_that_there_is():
    # Two legs: 1 + 0.5 for speed, 0.3 + 0.3 for turning, 0.3 upright, 3 for stepping. Four: 1 + 0.3, 0.5 + 0.2.
    assert reward(a_world(), TWO, 0.02).item() == pytest.approx(0.02 * 5.4)
    assert reward(a_world(), FOUR, 0.02).item() == pytest.approx(0.02 * 2.0)


def test_turning_off_by_a_tolerance_costs_two_legs_less():
    off = {"gyro": (0.0, 0.0, math.sqrt(YAW_TOLERANCE) / 0.2)}
    two, four = 0.3 * math.exp(-0.5) + 0.3 * math.exp(-0.1), 0.5 * math.exp(-1.0) + 0.2 * math.exp(-0.2)
    assert reward(a_world(**off), TWO, 1.0).item() == pytest.approx(1.5 + two + 3.3, abs=1e-5)
    assert reward(a_world(**off), FOUR, 1.0).item() == pytest.approx(1.3 + four, abs=1e-5)


def test_what_walking_costs():
    costly = {
        "world_velocity": (0.5, 0.0, 0.1),
        "gyro": (0.5, 0.0, 0.0),
        "gravity": (0.1, 0.0, -1.0),
        "torque": (4.0, 0.0),
        "action": (2.0, 0.0),
        "previous_action": (1.0, 0.0),
    }
    # Bounce 1.3·(0.1/2)² = 0.00325, rocking 1.1·(0.2·0.5)² = 0.011 or 0.2·0.01 = 0.002, tilt 3·0.1² = 0.03, effort
    # 0.11·(4/8)² = 0.0275, restlessness 0.01·(1² + 2²) = 0.05 or 0.025
    assert reward(a_world(**costly), FOUR, 1.0).item() == pytest.approx(2.0 - 0.12175, abs=1e-5)
    assert reward(a_world(**costly), TWO, 1.0).item() == pytest.approx(5.4 - 0.08775, abs=1e-5)


def test_effort_costs_no_more_than_tracking_brings():
    wild = {"action": (99.0, 0.0)}
    assert reward(a_world(**wild), FOUR, 1.0).item() == 0.0
    assert reward(a_world(**wild), TWO, 1.0).item() == pytest.approx(3.3)  # upright and stepping stay


def test_ground_truth_keeps_the_phase_of_an_episode_that_ended():
    env = VectorEnv(
        robots.get("go1"), tasks.get("velocity"), num_envs=2, randomization=preset("none"), num_threads=1, scoring=True
    )
    env.physics.qpos[0, 3:7] = torch.tensor([0.0, 1.0, 0.0, 0.0]).double()  # on its back
    before = env.episode.phase.clone()
    step = env.step(torch.zeros(2, 12))
    assert step.terminated.tolist() == [True, False]
    expected = advance_phase(before, frequency_hz=GAIT_FREQUENCY / env.space.time, dt=env.dt)
    assert torch.equal(step.world.phase, expected)
    assert not torch.equal(env.episode.phase[0], expected[0])  # the next one's
