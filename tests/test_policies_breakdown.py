"""Scores by what was asked for: who belongs where, and what a group's numbers are."""

from types import SimpleNamespace

import pytest
import torch

import envs.tasks
import robots
from envs.randomization import preset
from envs.terrain import KINDS, Terrain, TerrainSpec
from envs.vector_env import VectorEnv
from policies.breakdown import _group, bootstrap_interval, break_down, by_command, by_distance, by_ground, split
from policies.episodes import Episodes, play
from policies.evaluation import no_op
from policies.threads import one_torch_thread

one_torch_thread()
SPACE = SimpleNamespace(speed=2.0, time=0.5)
"""Units of 2 m/s and 2 rad/s."""
HIGH = (0.5, 0.2, 0.1)
"""Largest commands: 1 m/s, 0.4 m/s, 0.2 rad/s."""


def names(masks: dict[str, torch.Tensor], row: int) -> list[str]:
    return [name for name, mask in masks.items() if mask[row]]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ((0.05, -0.05, 0.05), [["standing"], [], [], []]),  # slower than 0.03·2 m/s and 0.03·2 rad/s everywhere
        ((0.4, 0.1, 0.08), [["moving"], ["slow forward"], ["hardly sideways"], ["hardly turning"]]),
        ((0.6, 0.3, 0.15), [["moving"], ["fast forward"], ["left"], ["turning left"]]),
        ((-0.6, -0.3, -0.15), [["moving"], ["fast backward"], ["right"], ["turning right"]]),
        ((-0.4, 0.0, 0.0), [["moving"], ["slow backward"], ["hardly sideways"], ["hardly turning"]]),
    ],
)
def test_a_command_belongs_to_one_group_of_each_component(command, expected):
    masks = by_command(torch.tensor([command]), HIGH, SPACE)
    assert [names(masks[criterion], 0) for criterion in ("motion", "vx", "vy", "yaw_rate")] == expected


def test_commands_are_compared_with_the_largest_that_the_robot_is_given():
    twice = SimpleNamespace(speed=4.0, time=0.25)  # 0.6 m/s is then less than half of 2 m/s
    assert names(by_command(torch.tensor([[0.6, 0.0, 0.0]]), HIGH, twice)["vx"], 0) == ["slow forward"]


def test_a_task_that_commands_no_velocity_has_no_groups_of_commands():
    assert by_command(torch.zeros(3, 3), (0.0, 0.0, 0.0), SPACE) == {}
    assert set(by_command(torch.ones(1, 3), (0.5, 0.0, 0.1), SPACE)) == {"motion", "vx", "yaw_rate"}


def test_a_bound_belongs_to_the_upper_group():
    parts = split(torch.tensor([0.9, 1.0, 2.5]), (1.0, 2.0), ("low", "middle", "high"))
    assert [names(parts, row) for row in range(3)] == [["low"], ["middle"], ["high"]]


def test_targets_are_grouped_by_their_distance_in_units_of_the_arm():
    groups = by_distance(torch.tensor([0.1, 0.4, 0.5, 2.0]))
    assert [names(groups, row) for row in range(4)] == [
        ["0 to 0.3 L"],
        ["0.3 to 0.45 L"],
        ["0.45 to 0.6 L"],
        ["over 0.6 L"],
    ]


def test_every_tile_is_found_again_from_where_its_episodes_begin():
    spec = TerrainSpec(levels=3)
    terrain = Terrain(spec, length=0.3)
    level, kind = torch.arange(12) % 3, torch.arange(12) // 3
    found_level, found_kind = spec.tile_at(terrain.origin(level, kind)[:, :2] / 0.3)
    assert torch.equal(found_level, level)
    assert torch.equal(found_kind, kind)


def test_the_flat_tile_of_every_kind_counts_as_flat():
    spec = TerrainSpec(levels=2)
    level, kind = torch.arange(8) % 2, torch.arange(8) // 2
    masks = by_ground(Terrain(spec, length=1.0).origin(level, kind)[:, :2], spec)
    assert [int(mask.sum()) for mask in masks["ground"].values()] == [4, 1, 1, 1, 1]
    assert list(masks["ground"]) == ["flat", *KINDS]
    assert [int(mask.sum()) for mask in masks["level"].values()] == [4, 4]


def made_up(score: list[float], fell: list[bool]) -> Episodes:
    """Episodes of ten ticks."""
    n = len(score)
    return Episodes(
        steps=10,
        score=torch.tensor(score),
        yaw_score=torch.tensor(score) / 2.0,
        fell=torch.tensor(fell),
        energy=torch.zeros(n),
        travel=torch.zeros(n),
        action_change=torch.zeros(n),
        action_changes=torch.zeros(n),
        first=None,
        origin=None,
    )


def test_a_group_has_the_numbers_of_its_own_episodes():
    group = _group(made_up([10.0, 4.0, 8.0, 1.0], [False, True, False, True]), torch.tensor([True, True, True, False]))
    assert group.score == pytest.approx((1.0 + 0.4 + 0.8) / 3)
    assert group.yaw_score == pytest.approx((0.5 + 0.2 + 0.4) / 3)
    assert (group.episodes, group.falls) == (3, 1)
    assert 0.4 <= group.score_ci[0] < group.score < group.score_ci[1] <= 1.0


def test_an_interval_of_equal_values_is_a_point():
    assert bootstrap_interval(torch.full((5,), 0.25).double().numpy()) == (0.25, 0.25)


def played(robot: str, task: str, episodes: int = 24):
    spec, what = robots.get(robot), envs.tasks.get(task)
    env = VectorEnv(spec, what, num_envs=episodes, randomization=preset("none"), num_threads=2, scoring=True)
    return env, play(env, no_op(spec, what), 5)


def test_rough_ground_is_broken_down_by_what_lies_there():
    env, episodes = played("go1", "velocity_rough")
    found = break_down(env, episodes)
    assert found["ground"]["flat"].episodes == 4  # every sixth of 24: levels go round
    assert {level: group.episodes for level, group in found["level"].items()} == dict.fromkeys("012345", 4)
    assert sum(group.episodes for group in found["ground"].values()) == 24
    assert {"motion", "vx", "vy", "yaw_rate"} <= set(found)


def test_targets_farther_away_score_less_for_an_arm_that_stays():
    env, episodes = played("so101", "reach", 64)
    found = break_down(env, episodes)
    assert list(found) == ["distance"]
    assert sum(group.episodes for group in found["distance"].values()) == 64
    assert found["distance"]["0 to 0.3 L"].score > found["distance"]["over 0.6 L"].score


def test_what_is_asked_for_nothing_but_its_task_has_no_breakdown():
    assert break_down(*played("cartpole", "balance", 4)) == {}
    assert break_down(*played("go1", "stand_up", 4)) == {}
