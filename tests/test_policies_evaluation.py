"""The episode runner: what counts, what a fall costs, and that it repeats."""

import math
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_policies_skill import a_skill

import envs.tasks
import robots
from envs.embodiments.legged import LeggedWorld
from policies.evaluation import evaluate, no_op, run_episodes
from policies.threads import one_torch_thread

one_torch_thread()
GO1, VELOCITY = robots.get("go1"), envs.tasks.get("velocity")


class Scripted:
    """A scoring environment of two worlds and four ticks; the second world falls in the third and starts again."""

    num_envs = 2
    dt = 0.5
    space = SimpleNamespace(mass=2.0, gravity=10.0, speed=1.0)
    task = SimpleNamespace(
        score=lambda world, space: torch.ones(2),
        yaw_score=lambda world, space: torch.full((2,), 0.5),
        score_command_high=(0.0, 0.0, 0.0),
        terrain=None,
    )
    episode = SimpleNamespace(action=None)

    def __init__(self) -> None:
        self.tick = 0

    def observation(self):
        return torch.full((2, 1), float(self.tick))

    def step(self, action):
        assert action.tolist() == [[float(self.tick)]] * 2  # the actor saw the newest observation
        self.tick += 1
        self.ticks = {"action": self.tick, "previous_action": self.tick - 1}
        fell = torch.tensor([False, self.tick == 3])
        unknown = dict.fromkeys((field.name for field in fields(LeggedWorld)), torch.zeros(2))
        seen = {"torque": torch.full((2, 1), 3.0), "joint_vel": torch.full((2, 1), -2.0)}
        seen |= {"orientation": torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 2)}
        seen |= {name: torch.full((2, 2), float(tick**2)) for name, tick in self.ticks.items()}
        world = LeggedWorld(**unknown | seen | {"world_velocity": torch.tensor([[0.5, 0.0, 0.0]] * 2)})
        return SimpleNamespace(observation=self.observation(), terminated=fell, world=world)


def test_every_tick_after_a_fall_scores_nothing():
    result = run_episodes(Scripted(), lambda observation: observation, 4)
    assert result.episode_scores == (1.0, 0.5)  # 4/4; 2/4: the tick of the fall and the next episode's count nothing
    assert result.score == 0.75
    assert result.yaw_score == pytest.approx(0.375)  # half of that
    assert (result.falls, result.episodes) == (1, 2)
    assert result.cvar25 == 0.5


def test_cost_of_transport_is_power_over_weight_and_speed():
    # |3 N·m · −2 rad/s| = 6 W over 2 kg · 10 m/s² · 0.5 m/s = 10 W, as long as the world stands
    assert run_episodes(Scripted(), lambda observation: observation, 4).cost_of_transport == pytest.approx(0.6)


def test_action_rate_is_the_mean_change_a_second_until_a_fall():
    # Actions 1, 4, 9, 16: changes 3, 5, 7 of the first world and 3 of the second, which falls in the third tick; the
    # first action follows on none. (3 + 5 + 7 + 3)/4 = 4.5 a tick of 0.5 s
    assert run_episodes(Scripted(), lambda observation: observation, 4).action_rate == pytest.approx(9.0)
    assert run_episodes(Scripted(), lambda observation: observation, 1).action_rate is None


def test_a_task_that_asks_for_nothing_has_no_breakdown():
    assert run_episodes(Scripted(), lambda observation: observation, 4).breakdown == {}


def test_a_record_leaves_single_episodes_out():
    record = run_episodes(Scripted(), lambda observation: observation, 4).as_dict()
    assert "episode_scores" not in record
    known = {"score", "score_ci", "cvar25", "falls", "episodes", "cost_of_transport", "yaw_score", "action_rate"}
    assert known <= set(record)


@pytest.fixture(scope="module")
def still():
    return evaluate(GO1, VELOCITY, no_op(GO1, VELOCITY), episodes=64, seconds=4.0, num_threads=2)


def test_standing_still_scores_what_its_commands_leave(still):
    # E[exp(−v²/0.038)] for vx in ±0.5 is √(0.038π)·erf(0.5/√0.038) = 0.345, for vy in ±0.18 it is 0.776;
    # a tenth of the commands is to stand: 0.1 + 0.9·0.345·0.776 = 0.341. Its marching feet cost and give a little.
    assert still.score == pytest.approx(0.341, abs=0.08)
    assert still.score_ci[0] < still.score < still.score_ci[1]
    assert still.falls == 0
    assert still.episodes == len(still.episode_scores) == 64
    assert still.cvar25 < still.score
    assert still.cvar25 == pytest.approx(np.mean(sorted(still.episode_scores)[:16]))


def test_standing_still_does_as_well_as_its_commands_are_slow(still):
    groups = still.breakdown
    assert groups["motion"]["standing"].score > 0.95
    assert groups["vx"]["slow forward"].score > groups["vx"]["fast forward"].score + 0.2
    assert groups["yaw_rate"]["hardly turning"].yaw_score > groups["yaw_rate"]["turning left"].yaw_score + 0.2
    moving = groups["motion"]["moving"].episodes
    assert moving + groups["motion"]["standing"].episodes == 64
    assert all(sum(one.episodes for one in groups[name].values()) == moving for name in ("vx", "vy", "yaw_rate"))
    whole = sum(group.score * group.episodes for group in groups["motion"].values()) / 64
    assert whole == pytest.approx(still.score)


def test_equal_policies_score_equally_at_any_number_of_threads(still):
    again = evaluate(GO1, VELOCITY, no_op(GO1, VELOCITY), episodes=64, seconds=4.0, num_threads=1)
    assert again == still


def test_a_skill_with_history_repeats_its_score():
    skill = a_skill(history=4)
    one, again = (
        evaluate(GO1, VELOCITY, skill.player(), episodes=8, seconds=1.0, num_threads=threads) for threads in (1, 2)
    )
    assert one == again


def test_a_robot_that_is_thrown_down_scores_nothing_more():
    def thrown(observation: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.0, -4.0, -4.0] * 2 + [0.0, 4.0, 4.0] * 2).expand(len(observation), -1)

    short, long = (evaluate(GO1, VELOCITY, thrown, episodes=8, seconds=s, num_threads=2) for s in (2.0, 4.0))
    assert short.falls == long.falls == 8
    # Everything that counts happened before the fall: twice the time, half the mean.
    assert long.score == pytest.approx(short.score / 2.0)
    assert short.score < 0.25


def test_a_policy_that_leaves_the_finite_numbers_has_fallen():
    ticks = iter(range(10))

    def lost(observation: torch.Tensor) -> torch.Tensor:
        return torch.full((len(observation), 12), 0.1 if next(ticks) < 2 else math.nan)

    result = evaluate(GO1, VELOCITY, lost, episodes=2, seconds=0.2, num_threads=1)
    assert result.falls == 2
    assert 0.0 < result.score < 0.2  # of the first two of ten ticks
    assert result.action_rate == 0.0  # between them; NaN counts nothing


def test_global_generators_are_left_alone():
    before = torch.get_rng_state()
    evaluate(GO1, VELOCITY, no_op(GO1, VELOCITY), episodes=2, seconds=0.1, num_threads=1)
    assert torch.equal(before, torch.get_rng_state())


def test_a_robot_that_never_moves_has_no_cost_of_transport():
    env = Scripted()
    env.space = SimpleNamespace(mass=2.0, gravity=10.0, speed=100.0)  # 0.5 m/s is then no movement
    result = run_episodes(env, lambda observation: observation, 4)
    assert result.cost_of_transport is None
    assert math.isfinite(result.score)
