"""Adaptation: what a sudden payload or a weak motor does to a policy's score, beside an undisturbed twin."""

import numpy as np
import pytest
import torch

import envs.tasks
import policies.students.adaptation
import robots
from envs.randomization import Randomizer
from policies.evaluation import no_op
from policies.students.adaptation import (
    DISTURBANCES,
    MOTOR,
    PAYLOAD,
    Played,
    _worlds,
    adaptation,
    keep,
    recovery,
    twins,
)

GO1, VELOCITY = robots.get("go1"), envs.tasks.get("velocity")
STRUCK = 50
"""Control step of a disturbance at 1 s, 50 a second."""


@pytest.fixture
def short(monkeypatch):
    for name, value in (("EPISODES", 4), ("EPISODE_SECONDS", 3.0), ("DISTURBED_AT", 1.0), ("ALLOWED", 1.0)):
        monkeypatch.setattr(policies.students.adaptation, name, value)


@pytest.fixture
def worlds(short):
    return _worlds(GO1, VELOCITY, 1)


def idle():
    return no_op(GO1, VELOCITY)


def test_a_payload_loads_the_base_and_nothing_else(worlds):
    values, column = DISTURBANCES["payload"](worlds.randomizer), worlds.randomizer.columns["payload"]
    changed = (values != worlds.randomizer.values).any(0).nonzero()[:, 0].tolist()
    assert changed == [column.start]
    masses = worlds.physics.model_field("body_mass").sum(-1)
    before = masses.clone()
    worlds.randomizer.apply(torch.arange(4), values)
    after = worlds.physics.model_field("body_mass").sum(-1)
    torch.testing.assert_close(after - before, torch.full((4,), PAYLOAD * worlds.space.mass, dtype=after.dtype))


def test_a_weak_motor_is_another_one_in_every_world(worlds):
    values, randomizer = DISTURBANCES["motor"](worlds.randomizer), worlds.randomizer
    for name in ("kp", "kd", "strength"):
        part = values[:, randomizer.columns[name]]
        assert part.shape == (4, 12)
        expected = torch.ones(4, 12, dtype=part.dtype)
        expected[torch.arange(4), torch.arange(4)] = MOTOR  # world w: joint w
        assert torch.equal(part, expected)
    rest = [name for name in randomizer.columns if name not in ("kp", "kd", "strength")]
    assert all(torch.equal(values[:, randomizer.columns[n]], randomizer.values[:, randomizer.columns[n]]) for n in rest)


class Swaying:
    """Acts on what it has seen so far, as a skill that remembers does."""

    def __init__(self) -> None:
        self.ticks = 0

    def __call__(self, observation: torch.Tensor) -> torch.Tensor:
        self.ticks += 1
        return torch.full((len(observation), 12), 0.3 * np.sin(0.2 * self.ticks))


def test_twins_differ_from_the_disturbance_on(worlds):
    calm, loaded = twins(worlds, Swaying(), [keep, DISTURBANCES["payload"]])
    assert calm.scores.shape == (150, 4)
    assert np.array_equal(calm.scores[:STRUCK], loaded.scores[:STRUCK])
    assert not np.array_equal(calm.scores[STRUCK : STRUCK + 25], loaded.scores[STRUCK : STRUCK + 25])


def test_nothing_is_left_of_a_disturbance_in_the_twins_that_are_played_next(worlds):
    calm, *_, again = twins(worlds, Swaying(), [keep, *DISTURBANCES.values(), keep])
    assert np.array_equal(calm.scores, again.scores)


def test_an_undisturbed_twin_plays_the_episodes_as_if_nobody_had_interrupted_them(worlds, short):
    (calm,) = twins(worlds, Swaying(), [keep])
    env, actor = _worlds(GO1, VELOCITY, 1), Swaying()
    observation = env.observation()
    for scores in calm.scores:
        step = env.step(actor(observation))
        observation = step.observation
        assert np.array_equal(env.task.score(step.world, env.space).double().numpy(), scores)


def test_a_fallen_robot_scores_nothing_any_more(worlds):
    def crush(randomizer: Randomizer) -> torch.Tensor:
        values = randomizer.values.clone()
        values[:, randomizer.columns["payload"]] = 10.0
        return values

    (crushed,) = twins(worlds, idle(), [crush])
    assert crushed.scores[STRUCK - 1].min() > 0.0
    assert crushed.scores[-25:].max() == 0.0
    assert crushed.fell.all()


def test_recovery_is_counted_in_seconds_against_the_twin():
    calm, nobody = np.full((500, 2), 0.8), np.array([False, False])
    hurt = calm.copy()
    hurt[150:200] = 0.4  # 0.5 of the twin
    hurt[200:250] = 0.64  # 0.8
    hurt[250:] = 0.76  # 0.95
    found = recovery(Played(hurt, nobody), Played(calm, nobody), 50)
    assert found.seconds == pytest.approx((0.5, 0.8, 0.95, 0.95, 0.95, 0.95, 0.95))
    assert found.seconds_to_recover == 2.0
    assert found.ratio == pytest.approx(0.95)
    assert found.ratio_ci == pytest.approx((0.95, 0.95))
    assert (found.falls, found.twin_falls, found.episodes) == (0, 0, 2)


def test_a_robot_that_falls_late_never_recovered():
    calm = np.full((500, 2), 0.8)
    hurt = calm.copy()
    hurt[450:, 0] = 0.0  # one of two worlds falls in the last second
    found = recovery(Played(hurt, np.array([True, False])), Played(calm, np.array([False, False])), 50)
    assert found.seconds[-1] == pytest.approx(0.5)
    assert found.seconds_to_recover is None
    assert found.ratio == pytest.approx(0.75)  # of two seconds the last is half
    assert (found.falls, found.twin_falls) == (1, 0)


def test_a_robot_reports_every_disturbance_it_can_have(short):
    found = adaptation(GO1, VELOCITY, idle, num_threads=1)
    assert set(found) == {"payload", "motor"}
    assert all(report["episodes"] == 4 and len(report["seconds"]) == 2 for report in found.values())


def test_episodes_too_short_to_recover_in_report_nothing():
    spec, task = robots.get("so101"), envs.tasks.get("reach")
    assert task.episode_seconds == 5.0
    assert adaptation(spec, task, lambda: no_op(spec, task), num_threads=1) == {}
