"""Rough ground: where it is high, where robots start on it, and how they earn harder ground."""

import mujoco
import numpy as np
import pytest
import torch

import robots
from envs import tasks
from envs.randomization import preset
from envs.terrain import KINDS, Terrain, TerrainSpec
from envs.vector_env import VectorEnv
from robots.model import build_model
from robots.similarity import scaled

GO1 = robots.get("go1")
SMALL = TerrainSpec(levels=3, tile=12.0, border=6.0)


def rough(num_envs: int = 4, **given) -> VectorEnv:
    given = {"randomization": preset("none"), "num_threads": 1} | given
    return VectorEnv(GO1, tasks.get("velocity_rough"), num_envs=num_envs, **given)


def test_the_ground_is_as_high_as_the_engine_says():
    terrain = Terrain(SMALL, 0.3)
    model = build_model(GO1, ground=terrain.add_to)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    rng, hit = np.random.default_rng(0), np.zeros(1, dtype=np.int32)
    points = rng.uniform(-1.0, 1.0, (200, 2)) * terrain.half * 0.95
    compared = 0
    for xy, height in zip(points, terrain.height(torch.tensor(points)).tolist(), strict=True):
        down = mujoco.mj_ray(
            model, data, np.array([*xy, 5.0]), np.array([0.0, 0.0, -1.0]), None, 1, model.body(GO1.base_body).id, hit
        )
        found = 5.0 - down
        if model.geom_type[hit[0]] == mujoco.mjtGeom.mjGEOM_HFIELD:
            assert found == pytest.approx(height, abs=0.04)  # bilinear here, two triangles a cell there
            compared += 1
    assert compared > 190  # the robot hides the ground from few rays


def test_tiles_are_flat_where_episodes_begin_and_higher_the_harder():
    terrain = Terrain(SMALL, 1.0)
    for kind in range(len(KINDS)):
        ranges = []
        for level in range(SMALL.levels):
            origin = terrain.origin(torch.tensor([level]), torch.tensor([kind]))[0]
            axis = torch.linspace(-1.8, 1.8, 9, dtype=torch.float64)  # the platform is 4 L wide
            around = origin[:2] + torch.cartesian_prod(axis, axis)
            torch.testing.assert_close(terrain.height(around), torch.zeros(81, dtype=torch.float64))
            tile = origin[:2] + torch.cartesian_prod(3.0 * axis, 3.0 * axis)
            ranges.append(float(terrain.height(tile).max() - terrain.height(tile).min()))
        assert ranges[0] == 0.0
        assert ranges == sorted(ranges)
        assert ranges[-1] > 0.1


def test_the_slope_is_as_steep_as_asked_by_hand():
    # Level 2 of 0..2: slope 0.4. From the platform's edge, 2 L from the middle, the ground climbs for half the 4 L that
    # are left of the tile: 2 L · 0.4 = 0.8 L at 4 L from the middle.
    terrain = Terrain(SMALL, 1.0)
    origin = terrain.origin(torch.tensor([2]), torch.tensor([KINDS.index("slope")]))[0]
    assert terrain.height(origin[:2] + torch.tensor([4.0, 0.0])).item() == pytest.approx(0.8, abs=0.06)


def test_robots_start_standing_on_their_tile_and_heights_are_above_the_ground():
    env = rough(12, scoring=True)
    assert env.episode.level.tolist() == [0, 1, 2, 3, 4, 5] * 2
    world = env.world(env.episode.action)
    torch.testing.assert_close(env.physics.qpos[:, 0:2], env.episode.origin[:, 0:2], atol=0.15, rtol=0.0)
    assert (world.height / GO1.default_height - 0.87).abs().max() < 0.05  # its servos sag by 13 %
    assert world.foot_heights.abs().max() < 0.01


def test_who_walks_far_gets_harder_ground_and_who_lags_gets_easier():
    env = rough(3)
    tile = env.body.terrain.spec.tile * env.space.length
    env.episode.level[:] = torch.tensor([2, 2, 0])
    env.episode.steps[:] = env.episode_steps - 1
    env.episode.command[:] = torch.tensor([[1.0, 0.0, 0.0]] * 3)
    env.episode.origin[0, 0] = env.physics.qpos[0, 0] - 0.6 * tile  # came 0.6 tiles; the others stayed where they were
    env.episode.origin[1:, 0:2] = env.physics.qpos[1:, 0:2]
    step = env.step(torch.zeros(3, 12))
    assert step.truncated.all()
    assert env.episode.level.tolist() == [3, 1, 0]


def test_a_world_that_diverged_keeps_its_level():
    env = rough(2)
    env.episode.level[:], env.episode.steps[:] = 3, 100
    env.episode.command.zero_()
    env.physics.qvel[0, 8] = float("nan")
    assert env.step(torch.zeros(2, 12)).terminated.tolist() == [True, False]
    assert env.episode.level.tolist() == [3, 3]


def test_rough_ground_takes_the_place_of_a_files_own_floor(tmp_path):
    terrain = Terrain(SMALL, 0.3)
    model = build_model(scaled(GO1, tmp_path, length=1.0, mass=1.0, gravity=1.0), ground=terrain.add_to)
    assert (model.geom_type == mujoco.mjtGeom.mjGEOM_HFIELD).sum() == 1
    assert not (model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE).any()


def test_the_end_of_the_ground_ends_the_episode_without_blame():
    env = rough(2)
    env.episode.steps[:] = 0
    env.physics.qpos[0, 0] = env.body.terrain.half[0] - 0.5 * env.space.length
    step = env.step(torch.zeros(2, 12))
    assert step.truncated.tolist() == [True, False]
    assert not step.terminated.any()


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="platform must fit into a tile of 3"):
        TerrainSpec(tile=3.0)
    with pytest.raises(ValueError, match="levels must be >= 1, got 0"):
        TerrainSpec(levels=0)
