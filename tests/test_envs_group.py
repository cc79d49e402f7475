"""Robots stepped together behave as each does alone."""

import pytest
import torch

import robots
from envs import tasks
from envs.group import RobotGroup
from envs.randomization import preset
from envs.vector_env import VectorEnv
from robots import families

VELOCITY = tasks.get("velocity")


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    """Two bodies of one topology, one of another, and a robot of the zoo."""
    folder = tmp_path_factory.mktemp("bodies")
    small = families.quadruped(folder / "small", leg_length=0.3, mass=9.0)
    large = families.quadruped(folder / "large", leg_length=0.45, mass=16.0)
    planar = families.quadruped(folder / "planar", leg_length=0.4, mass=12.0, joints_per_leg=2)
    return [small, robots.get("go1"), large, planar]


def test_bodies_of_one_topology_share_an_engine(specs):
    group = RobotGroup(specs, VELOCITY, num_envs=3, randomization=preset("none"), num_threads=1)
    shared = [members for _, _, members in group.engines if len(members) > 1]
    assert [0, 2] in shared
    assert sorted(index for _, _, members in group.engines for index in members) == [0, 1, 2, 3]
    assert sum(engine.num_worlds for engine, _, _ in group.engines) == 12


def test_every_member_does_exactly_what_it_would_do_alone(specs):
    group = RobotGroup(specs, VELOCITY, num_envs=3, randomization=preset("default"), seed=7, num_threads=2)
    alone = [
        VectorEnv(spec, VELOCITY, num_envs=3, randomization=preset("default"), seed=7 + index, num_threads=1)
        for index, spec in enumerate(specs)
    ]
    draw = torch.Generator().manual_seed(0)
    for _ in range(40):
        actions = [0.5 * torch.randn(3, spec.num_joints, generator=draw) for spec in specs]
        for one, env, action in zip(group.step(actions), alone, actions, strict=True):
            other = env.step(action)
            assert torch.equal(one.observation, other.observation)
            assert torch.equal(one.reward, other.reward)
            assert torch.equal(one.terminated, other.terminated)


def test_bodies_of_another_size_walk_on_ground_of_their_own(specs):
    rough, bodies = tasks.get("velocity_rough"), [specs[0], specs[2]]
    group = RobotGroup(bodies, rough, num_envs=2, randomization=preset("none"), num_threads=1)
    alone = VectorEnv(bodies[1], rough, num_envs=2, randomization=preset("none"), seed=1, num_threads=1)
    assert len(group.engines) == 2
    for _ in range(5):
        action = torch.zeros(2, 12)
        assert torch.equal(group.step([action, action])[1].observation, alone.step(action).observation)


def test_a_group_continues_bit_for_bit(specs):
    def make() -> RobotGroup:
        return RobotGroup(specs[:3], VELOCITY, num_envs=2, randomization=preset("default"), num_threads=1)

    group, restored, draw = make(), make(), torch.Generator().manual_seed(0)
    actions = [[torch.randn(2, 12, generator=draw) for _ in range(3)] for _ in range(20)]
    for action in actions[:10]:
        group.step(action)
    restored.load_state_dict(group.state_dict())
    for action in actions[10:]:
        for one, two in zip(group.step(action), restored.step(action), strict=True):
            assert torch.equal(one.observation, two.observation)


def test_a_body_of_the_wrong_kind_and_a_missing_action_are_refused(specs):
    with pytest.raises(ValueError, match="at least one robot, got none"):
        RobotGroup([], VELOCITY, num_envs=1, randomization=preset("none"))
    with pytest.raises(ValueError, match="task 'velocity' is for robots that stand on feet; panda is of kind arm"):
        RobotGroup([robots.get("panda")], VELOCITY, num_envs=1, randomization=preset("none"))
    group = RobotGroup(specs[:2], VELOCITY, num_envs=1, randomization=preset("none"), num_threads=1)
    with pytest.raises(ValueError, match="an action for each of 2 robots, got 1"):
        group.step([torch.zeros(1, 12)])
