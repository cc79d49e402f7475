"""What every task promises on every robot with feet."""

import pytest
import torch

import robots
from envs import tasks
from envs.randomization import preset
from envs.task import World
from envs.vector_env import VectorEnv

LEGGED = [name for name in robots.names() if robots.get(name).feet]
every_task = pytest.mark.parametrize("task", tasks.names())
on_every_robot = pytest.mark.parametrize("robot", LEGGED)


def make(robot: str, task: str, *, scoring: bool = False) -> VectorEnv:
    return VectorEnv(
        robots.get(robot),
        tasks.get(task),
        num_envs=4,
        randomization=preset("default"),
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


@every_task
@on_every_robot
def test_random_actions_give_finite_observations_rewards_and_scores(robot, task):
    env = make(robot, task)
    observation = env.reset()
    assert observation.shape == (4, sum(term.width for term in env.terms))
    assert observation.dtype == torch.float32
    for _ in range(20):
        step = env.step(torch.randn(4, env.spec.num_joints, generator=env.generator))
        assert step.observation.shape == observation.shape
        assert step.observation.isfinite().all()
        assert step.reward.isfinite().all()
        assert (step.reward >= env.task.fall_reward).all()
        assert not (step.terminated & step.truncated).any()
        for score in (env.task.score, env.task.yaw_score):
            ticks = score(step.world, env.space)
            assert ticks.shape == (4,)
            assert ((ticks >= 0.0) & (ticks <= 1.0)).all()
        assert (step.final_observation is None) == (not (step.terminated | step.truncated).any())


@every_task
@on_every_robot
def test_a_robot_that_stands_in_its_nominal_pose_has_not_fallen(robot, task):
    env = make(robot, task, scoring=True)
    env.episode.command.zero_()
    for _ in range(25):
        step = env.step(torch.zeros(4, env.spec.num_joints))
        assert not step.terminated.any()
    assert env.task.score(step.world, env.space).min() > 0.9  # standing was asked for


@every_task
@on_every_robot
def test_perfect_tracking_scores_one_and_a_fall_is_noticed(robot, task):
    env = make(robot, task, scoring=True)
    world = env.world(env.episode.action)
    perfect = World(**vars(world) | {"velocity": env.episode.command * torch.tensor([1.0, 1.0, 0.0])})
    torch.testing.assert_close(env.task.score(perfect, env.space), torch.ones(4))
    tipped = World(**vars(world) | {"gravity": torch.tensor([[0.0, 1.0, 0.0]] * 4)})
    sunk = World(**vars(world) | {"height": torch.zeros(4)})
    for ended in (tipped, sunk):
        assert env.task.fallen(ended, env.space, env.spec.default_height).all()


def test_an_unknown_task_names_those_that_exist():
    with pytest.raises(LookupError, match=r"no task named 'fly'; there are .*velocity.* write envs/tasks/fly.py"):
        tasks.get("fly")
