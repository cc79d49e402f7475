"""Gymnasium ids: which there are, that each keeps Gymnasium's and Stable-Baselines3's rules, and how they are found."""

import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
import stable_baselines3.common.env_checker
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import robots
from envs import registration, tasks
from envs.gymnasium_native.vector import NativeVectorEnv

OURS = [registration.env_id(task, robot) for task, robot in registration.pairs()]
NATIVE = [f"Sim2Real/{name}" for name in registration.NATIVE]
ONE_A_TASK = list({task: registration.env_id(task, robot) for task, robot in reversed(registration.pairs())}.values())
HARMLESS = ("is -infinity", "is infinity", "symmetric and normalized", "not float32", "float64")
"""Of the checkers' advice: observations are raw SI and unbounded, and actions wider than ±1 are meant so."""


@pytest.mark.parametrize("task", tasks.names())
def test_ids_are_those_pairs_that_the_task_does_not_refuse(task):
    for robot in robots.names():
        refused = bool(tasks.get(task).refuses(robots.get(robot)))
        assert registration.sensible(robot, task) is not refused, (task, robot)
        assert (registration.env_id(task, robot) in gymnasium.registry) is not refused


def test_a_task_that_no_table_knows_is_asked(monkeypatch):
    monkeypatch.delitem(registration.WANTS, "balance")
    assert registration.sensible("cartpole", "balance")
    assert not registration.sensible("go1", "balance")


def test_ids_are_camel_case():
    assert registration.env_id("velocity", "go1") == "Sim2Real/Velocity-Go1-v0"
    assert registration.env_id("velocity_rough", "anymal_c") == "Sim2Real/VelocityRough-AnymalC-v0"


@pytest.mark.parametrize("name", [*OURS, *NATIVE])
def test_every_id_keeps_the_rules_of_gymnasium_and_stable_baselines3(name):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env = gymnasium.make(name)
        check_env(env.unwrapped, skip_render_check=True)
        stable_baselines3.common.env_checker.check_env(env.unwrapped, skip_render_check=True)
        env.close()
    said = [str(warning.message) for warning in caught if warning.category is UserWarning]
    assert [text for text in said if "compiler attribute" not in text and not any(h in text for h in HARMLESS)] == []


@pytest.mark.parametrize("name", [*ONE_A_TASK, *NATIVE])
def test_ids_of_every_task_make_many_worlds_that_step_together(name):
    env = gymnasium.make_vec(name, num_envs=3, num_threads=1)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    env.action_space.seed(0)
    observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
    assert observation in env.observation_space
    assert reward.shape == terminated.shape == truncated.shape == (3,)


def test_native_ids_are_one_environment_by_gymnasium_or_many_by_us():
    single = gymnasium.make("Sim2Real/HalfCheetah-v5")
    many = gymnasium.make_vec("Sim2Real/HalfCheetah-v5", num_envs=2, ctrl_cost_weight=0.0)
    assert isinstance(many.unwrapped, NativeVectorEnv)
    np.testing.assert_array_equal(many.reset(seed=3)[0][0], single.reset(seed=3)[0])
    reward = many.step(np.ones((2, 6), np.float32))[1][0]
    assert reward == single.step(np.ones(6, np.float32))[4]["reward_forward"]  # nothing is taken off for control


def test_gymnasium_imports_the_ids_by_module_and_that_costs_no_torch():
    program = (
        "import sys, gymnasium, envs.registration\n"
        "print([name for name in ('torch', 'mujoco', 'stable_baselines3', 'ray') if name in sys.modules])\n"
        "print(gymnasium.make('envs.registration:Sim2Real/Velocity-Go1-v0').spec.id)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "Sim2Real/Velocity-Go1-v0"]


def test_registering_again_changes_nothing():
    spec = gymnasium.spec("Sim2Real/Velocity-Go1-v0")
    registration.register_all()
    assert gymnasium.spec("Sim2Real/Velocity-Go1-v0") is spec
