"""What Gymnasium users get: one world, many worlds, ids."""

import os
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import envs.registration
import robots
from envs import gym_env, tasks
from envs.gym_env import GymVectorEnv, SingleEnv

GO1 = "Sim2Real/Velocity-Go1-v0"
LEGGED = [name for name in robots.names() if robots.get(name).feet]
COMMAND = (0.3, -0.1, 0.2)
NOTHING = np.zeros(12, np.float32)


def topple(env: SingleEnv | GymVectorEnv, world: int = 0) -> None:
    """Turn a robot on its back."""
    env.worlds.physics.qpos[world, 3:7] = env.worlds.physics.qpos.new_tensor([0.0, 1.0, 0.0, 0.0])


def test_the_environment_keeps_gymnasiums_rules():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(gymnasium.make(GO1).unwrapped, skip_render_check=True)
    known = ("is -infinity", "is infinity", "symmetric and normalized")
    assert [str(w.message) for w in caught if not any(text in str(w.message) for text in known)] == []


@pytest.mark.parametrize("robot", LEGGED)
def test_every_legged_robot_has_an_id_for_every_task(robot):
    for task in [name for name in tasks.names() if not tasks.get(name).refuses(robots.get(robot))]:
        env = gymnasium.make(envs.registration.env_id(task, robot))
        observation, info = env.reset(seed=0)
        assert observation.shape == (9 + 3 * robots.get(robot).num_joints + 2,)
        assert observation.dtype == np.float32
        assert info["privileged"].dtype == np.float32
        assert env.action_space.shape == (robots.get(robot).num_joints,)


def test_ids_are_camel_case():
    assert envs.registration.env_id("velocity", "go1") == GO1
    assert envs.registration.env_id("velocity", "anymal_c") == "Sim2Real/Velocity-AnymalC-v0"


def test_registering_again_changes_nothing():
    spec = gymnasium.spec(GO1)
    envs.registration.register_all()
    assert gymnasium.spec(GO1) is spec


def test_gymnasium_imports_the_ids_by_module_and_that_costs_no_torch():
    program = (
        "import sys, gymnasium, envs.registration\n"
        "print([name for name in ('torch', 'mujoco', 'stable_baselines3', 'ray') if name in sys.modules])\n"
        f"print(gymnasium.make('envs.registration:{GO1}').spec.id)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", GO1]


def test_an_unknown_id_names_its_neighbour():
    with pytest.raises(gymnasium.error.NameNotFound, match=r"Did you mean: `Velocity-Go[12]`"):
        gymnasium.make("Sim2Real/Velocity-Go3-v0")


def test_a_seed_makes_episodes_reproducible():
    env = gymnasium.make(GO1)
    rollouts = []
    for _ in range(2):
        first, info = env.reset(seed=7)
        steps = [env.step(0.1 * np.ones(12, np.float32)) for _ in range(5)]
        again, _ = env.reset()
        rollouts.append([first, info["privileged"], *[step[0] for step in steps], [s[1] for s in steps], again])
    for one, two in zip(*rollouts, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(rollouts[0][0], rollouts[0][-1])
    assert not np.array_equal(env.reset(seed=8)[0], rollouts[0][0])


def test_without_a_seed_two_environments_differ():
    one, two = SingleEnv(), SingleEnv()
    assert not np.array_equal(one.reset()[0], two.reset()[0])


def test_a_command_is_held_for_the_whole_episode_and_no_longer():
    env = SingleEnv()
    observation, _ = env.reset(seed=0, options={"command": COMMAND})
    seen = [observation[6:9]] + [env.step(NOTHING)[0][6:9] for _ in range(100)]
    np.testing.assert_allclose(seen, [COMMAND] * 101, rtol=1e-6)
    observation, _ = env.reset(seed=0)
    assert not np.allclose(observation[6:9], COMMAND)
    assert env.worlds.task is env.task


def test_a_standing_command_stops_the_clock():
    observation, _ = SingleEnv().reset(seed=0, options={"command": (0.0, 0.0, 0.0)})
    np.testing.assert_array_equal(observation[-2:], (0.0, 0.0))


@pytest.mark.parametrize(("scoring", "num_steps"), [(False, 250), (True, 500)])  # 5 s, 10 s of 20 ms
def test_an_episode_is_truncated_when_its_time_is_up_and_then_wants_reset(scoring, num_steps):
    env = SingleEnv(randomization="none", scoring=scoring)
    env.reset(seed=0, options={"command": (0.0, 0.0, 0.0)})
    ends = [env.step(NOTHING)[2:4] for _ in range(num_steps)]
    assert ends[:-1] == [(False, False)] * (num_steps - 1)
    assert ends[-1] == (False, True)
    with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
        env.step(NOTHING)
    env.reset()
    assert env.step(NOTHING)[3] is False


def test_a_fall_terminates_and_the_last_observation_is_of_the_fall():
    env = SingleEnv(randomization="none")
    env.reset(seed=0)
    topple(env)
    observation, reward, terminated, truncated, info = env.step(NOTHING)
    assert (terminated, truncated) == (True, False)
    assert reward < -0.9
    assert observation[2] > 0.9  # gravity points along +z of a base on its back; a new episode's would along −z
    assert info["score"] == 0.0
    assert info["privileged"].shape == (env.worlds.width - 47,)


def test_steps_and_resets_want_what_they_can_use():
    env = SingleEnv()
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(NOTHING)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action must have shape \(12,\).* got \(3,\)"):
        env.step(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"command must be \(vx \[m/s\], vy \[m/s\], yaw rate \[rad/s\]\), got \(1.0,"):
        env.reset(options={"command": (1.0, 2.0)})
    with pytest.raises(ValueError, match=r"options of reset are: command; got \['speed'\]"):
        env.reset(options={"speed": 1.0})
    with pytest.raises(ValueError, match="render_mode must be 'rgb_array' or None, got 'human'"):
        SingleEnv(render_mode="human")
    with pytest.raises(LookupError, match="no randomization named 'wild'"):
        SingleEnv(randomization="wild")


def test_many_worlds_are_made_without_python_per_world():
    env = gymnasium.make_vec(GO1, num_envs=8, num_threads=1)
    assert isinstance(env.unwrapped, GymVectorEnv)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert env.single_observation_space.shape == (47,)
    assert env.observation_space.shape == (8, 47)
    assert env.action_space.shape == (8, 12)
    observation, infos = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert infos["privileged"].shape[0] == 8
    assert infos["_privileged"].all()
    observation, reward, terminated, truncated, infos = env.step(np.zeros((8, 12), np.float32))
    assert observation.shape == (8, 47)
    assert reward.shape == terminated.shape == truncated.shape == infos["score"].shape == (8,)
    assert "final_obs" not in infos


def test_many_worlds_are_reproducible_and_one_of_them_is_not_another():
    first, second = GymVectorEnv(4, num_threads=1), GymVectorEnv(4, num_threads=2)
    one, two = first.reset(seed=5)[0], second.reset(seed=5)[0]
    np.testing.assert_array_equal(one, two)
    assert len({row.tobytes() for row in one}) == 4
    action = np.full((4, 12), 0.2, np.float32)
    np.testing.assert_array_equal(first.step(action)[0], second.step(action)[0])
    assert not np.array_equal(first.reset()[0], one)


def test_a_world_that_ends_restarts_in_the_same_step_and_shows_its_final_observation():
    env = GymVectorEnv(3, num_threads=1, randomization="none")
    env.reset(seed=0)
    env.worlds.episode.steps[2] = 249
    topple(env, 1)
    observation, _, terminated, truncated, infos = env.step(np.zeros((3, 12), np.float32))
    assert terminated.tolist() == [False, True, False]
    assert truncated.tolist() == [False, False, True]
    assert infos["_final_obs"].tolist() == infos["_final_info"].tolist() == [False, True, True]
    assert infos["final_obs"].dtype == object
    assert infos["final_obs"][0] is None
    assert infos["final_obs"][1][2] > 0.9  # on its back
    assert observation[1][2] < -0.9  # on its feet again
    assert infos["final_info"]["_score"].tolist() == [False, True, True]
    assert infos["final_info"]["score"][1] == 0.0
    assert infos["final_info"]["privileged"].shape == infos["privileged"].shape


def test_gymnasiums_wrappers_understand_the_worlds():
    env = gymnasium.wrappers.vector.RecordEpisodeStatistics(GymVectorEnv(3, num_threads=1))
    env = gymnasium.wrappers.vector.ClipReward(env, min_reward=-0.5)
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.zeros((3, 12), np.float32))
    topple(env.unwrapped, 1)
    _, reward, _, _, infos = env.step(np.zeros((3, 12), np.float32))
    assert reward[1] == -0.5
    assert infos["episode"]["l"].tolist() == [0, 4, 0]
    assert infos["_episode"].tolist() == [False, True, False]


def test_gymnasiums_own_vectorizer_takes_the_single_world():
    env = gymnasium.make_vec(GO1, num_envs=2, vectorization_mode="sync")
    assert env.reset(seed=0)[0].shape == (2, 47)
    assert env.step(np.zeros((2, 12), np.float32))[0].shape == (2, 47)


def test_many_worlds_take_no_options():
    with pytest.raises(ValueError, match=r"takes no options, got \['command'\]"):
        GymVectorEnv(2, num_threads=1).reset(options={"command": COMMAND})


def test_there_are_no_pictures_without_a_render_mode():
    env = SingleEnv()
    env.reset(seed=0)
    assert env.render() is None
    assert GymVectorEnv(2, num_threads=1).render() is None


def test_a_missing_opengl_is_explained(monkeypatch):
    def refuse(*arguments: object) -> None:
        raise ImportError("no libEGL")

    monkeypatch.setattr(gym_env.mujoco, "Renderer", refuse)
    env = SingleEnv(render_mode="rgb_array")
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match=r"needs OpenGL.*no libEGL.*MUJOCO_GL=egl"):
        env.render()


PICTURES = f"""
try:
    import mujoco
    mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"))
except Exception as error:
    print("skip", error)
    raise SystemExit
import gymnasium, envs.registration
from envs.gym_env import GymVectorEnv
from gymnasium.utils.env_checker import check_env

env = gymnasium.make("{GO1}", render_mode="rgb_array")
check_env(env.unwrapped)
env.reset(seed=0)
image = env.render()
env.close()
images = GymVectorEnv(2, render_mode="rgb_array", num_threads=1).render()
print(image.shape, image.dtype, image.std() > 10.0, len(images), (images[0] != images[1]).any())
"""


def test_pictures_show_the_robot():
    environment = {**os.environ, "MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl")}
    done = subprocess.run([sys.executable, "-c", PICTURES], capture_output=True, text=True, env=environment)
    if done.stdout.startswith("skip"):
        pytest.skip(f"no OpenGL: {done.stdout.removeprefix('skip').strip()}")
    assert done.stdout.split("\n")[0] == "(480, 640, 3) uint8 True 2 True", done.stderr
