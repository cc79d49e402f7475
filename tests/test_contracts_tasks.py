"""What every task promises on every robot that can do it."""

from dataclasses import replace

import pytest
import torch

import robots
from envs import tasks
from envs.embodiments.legged import LeggedWorld
from envs.randomization import preset
from envs.vector_env import VectorEnv

PAIRS = [(r, t) for t in tasks.names() for r in robots.names() if not tasks.get(t).refuses(robots.get(r))]
WALKS = [(r, t) for r, t in PAIRS if tasks.get(t).yaw_score]
every_task = pytest.mark.parametrize("task", tasks.names())
every_pair = pytest.mark.parametrize(("robot", "task"), PAIRS)
every_walk = pytest.mark.parametrize(("robot", "task"), WALKS)


def make(robot: str, task: str, *, scoring: bool = False, randomization: str = "default") -> VectorEnv:
    return VectorEnv(
        robots.get(robot),
        tasks.get(task),
        num_envs=4,
        randomization=preset(randomization),
        num_threads=1,
        scoring=scoring,
    )


@every_task
def test_a_task_is_called_as_its_module_and_asks_for_something_possible(task):
    spec = tasks.get(task)
    assert spec.name == task
    assert spec.title
    assert spec.fall_reward <= 0.0
    assert 0.0 <= spec.standing_fraction < 1.0
    assert min(spec.episode_seconds, spec.training_seconds, spec.resample_seconds) > 0.0
    asked, trained = spec.score_command_high, spec.command_high
    assert all(0.0 <= score <= training for score, training in zip(asked, trained, strict=True))


def test_every_robot_has_something_to_do():
    assert {robot for robot, _ in PAIRS} == set(robots.names())


@every_pair
def test_random_actions_give_finite_observations_rewards_and_scores(robot, task):
    env = make(robot, task)
    observation = env.reset()
    assert observation.shape == (4, sum(term.width for term in env.terms))
    assert observation.dtype == torch.float32
    for _ in range(12):
        step = env.step(torch.randn(4, env.spec.num_joints, generator=env.generator))
        assert step.observation.shape == observation.shape
        assert step.observation.isfinite().all()
        assert step.reward.isfinite().all()
        assert not (step.terminated & step.truncated).any()
        for score in filter(None, (env.task.score, env.task.yaw_score)):
            ticks = score(step.world, env.space)
            assert ticks.shape == (4,)
            assert ((ticks >= 0.0) & (ticks <= 1.0)).all()
        assert (step.final_observation is None) == (not (step.terminated | step.truncated).any())
    assert not env.diverged.any()


@every_pair
def test_a_restored_environment_continues_bit_for_bit(robot, task):
    env, restored = make(robot, task), make(robot, task)
    env.step(torch.randn(4, env.spec.num_joints, generator=env.generator))
    restored.load_state_dict(env.state_dict())
    for _ in range(6):
        action = torch.randn(4, env.spec.num_joints, generator=env.generator)
        torch.randn(4, env.spec.num_joints, generator=restored.generator)
        one, two = env.step(action), restored.step(action)
        assert torch.equal(one.observation, two.observation)
        assert torch.equal(one.reward, two.reward)


@every_walk
def test_a_robot_that_stands_in_its_nominal_pose_has_not_fallen(robot, task):
    env = make(robot, task, scoring=True, randomization="none")
    env.episode.command.zero_()
    for _ in range(25):
        step = env.step(torch.zeros(4, env.spec.num_joints))
        assert not step.terminated.any()
    assert env.task.score(step.world, env.space).mean() > 0.9  # standing was asked for


@every_walk
def test_perfect_tracking_scores_one_and_a_fall_is_noticed(robot, task):
    env = make(robot, task, scoring=True)
    world = env.world(env.episode.action)
    assert isinstance(world, LeggedWorld)
    level = torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 4)
    perfect = replace(world, orientation=level, world_velocity=env.episode.command * torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(env.task.score(perfect, env.space), torch.ones(4))
    tipped = replace(world, gravity=torch.tensor([[0.0, 1.0, 0.0]] * 4))
    sunk = replace(world, height=torch.zeros(4))
    for ended in (tipped, sunk):
        assert env.task.fallen(ended, env.space, env.spec.default_height).all()


@pytest.mark.parametrize(("robot", "task"), [("panda", "velocity"), ("go1", "reach"), ("go1", "balance")])
def test_a_robot_that_cannot_do_a_task_is_refused_with_the_reason(robot, task):
    with pytest.raises(ValueError, match=rf"task '{task}' is for .*; {robot} is of kind"):
        make(robot, task)


def test_an_unknown_task_names_those_that_exist():
    with pytest.raises(LookupError, match=r"no task named 'fly'; there are .*velocity.* write envs/tasks/fly.py"):
        tasks.get("fly")
