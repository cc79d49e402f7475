"""Arms, machines and robots on the ground: what their policies see, what is asked of them, what sensors allow."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

import robots
from envs import embodiments, tasks
from envs.embodiments.arm import damped_step
from envs.lint import refuse_unmeasurable
from envs.observations import Term
from envs.randomization import preset
from envs.vector_env import VectorEnv
from robots.model import build_model, joint_dof_indices, joint_qpos_indices
from robots.serial_chain import serial_chain

ARMS = [name for name in robots.names() if robots.get(name).end_effector and not robots.get(name).feet]
every_arm = pytest.mark.parametrize("name", ARMS)


def worlds(robot: str, task: str, num_envs: int = 4, **given) -> VectorEnv:
    given = {"randomization": replace(preset("none"), noise=0.0), "num_threads": 1, "scoring": True} | given
    return VectorEnv(robots.get(robot), tasks.get(task), num_envs=num_envs, **given)


def by_term(env: VectorEnv, observation: torch.Tensor) -> dict[str, torch.Tensor]:
    pieces = observation.split([term.width for term in env.terms], -1)
    return {term.name: piece for term, piece in zip(env.terms, pieces, strict=True)}


@every_arm
def test_the_chain_finds_the_tool_where_mujoco_does(name):
    spec = robots.get(name)
    chain, model = serial_chain(spec), build_model(spec)
    data, rng = mujoco.MjData(model), np.random.default_rng(0)
    q = np.array(spec.default_positions) + rng.uniform(-0.6, 0.6, (5, spec.num_joints))
    tips, jacobians = chain.tip_and_jacobian(np, q)
    angles = torch.tensor(q, dtype=torch.float32)
    in_torch = chain.beside(torch, angles).tip_and_jacobian(torch, angles)
    for row in range(5):
        data.qpos[joint_qpos_indices(model, spec)] = q[row]
        mujoco.mj_fwdPosition(model, data)
        base = data.body(spec.base_body)
        rotation = base.xmat.reshape(3, 3)
        jacobian = np.zeros((3, model.nv))
        mujoco.mj_jacSite(model, data, jacobian, None, model.site(spec.end_effector).id)
        place = rotation.T @ (data.site(spec.end_effector).xpos - base.xpos)
        np.testing.assert_allclose(tips[row], place, atol=1e-12)
        np.testing.assert_allclose(
            jacobians[row], (rotation.T @ jacobian)[:, joint_dof_indices(model, spec)].T, atol=1e-12
        )
    torch.testing.assert_close(in_torch[0].double(), torch.tensor(tips), atol=1e-6, rtol=0.0)


@every_arm
def test_targets_are_within_reach_and_the_pull_points_to_them(name):
    env = worlds(name, "reach")
    seen = by_term(env, env.reset())
    torch.testing.assert_close(seen["target"], env.episode.command)
    torch.testing.assert_close(seen["true_error"], seen["target_error"], atol=1e-5, rtol=0.0)
    assert env.body.points.norm(dim=-1).max() < 1.2 * env.space.length + 0.5
    nominal, sign = torch.tensor(env.spec.default_positions), torch.tensor(env.space.sign)
    for _ in range(150):  # every joint goes on by a tenth of its pull; an action of 1 is a turn of 0.35 rad
        now = by_term(env, env.observation())
        step = env.step((now["previous_target"] + 0.1 * now["joint_pull"] - nominal) * sign / 0.35)
    before, after = seen["true_error"].norm(dim=-1), step.world.error.norm(dim=-1)
    assert (after < before).all()
    assert after.mean() < 0.2 * before.mean()


def test_the_pull_of_a_joint_is_its_turn_by_damped_least_squares():
    # One joint moves the tool by 2 m/rad along x, two of them along y by 1 m/rad each; damping 1 m/rad, error 1 m each:
    # x: 2·1/(2² + 1) = 0.4 rad; y: 1·1/(1² + 1² + 1) = 1/3 rad each; nothing moves it along z.
    jacobian = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]])
    pull = damped_step(jacobian, torch.ones(1, 3), damping=1.0)
    torch.testing.assert_close(pull, torch.tensor([[0.4, 1.0 / 3.0, 1.0 / 3.0]]))


def test_the_score_of_reaching_is_one_at_the_target_and_falls_to_1_over_e_at_a_tenth_of_the_reach():
    env = worlds("panda", "reach", 2)
    world = env.world(env.episode.action)
    error = torch.tensor([[0.0, 0.0, 0.0], [0.1 * env.space.length, 0.0, 0.0]])
    score = env.task.score(replace(world, error=error), env.space)
    torch.testing.assert_close(score, torch.tensor([1.0, 0.36788]), atol=1e-4, rtol=0.0)


def test_an_action_of_a_machine_is_a_share_of_its_torque_limit():
    env = worlds("cartpole", "balance", 3)
    env.step(torch.tensor([[0.5], [-3.0], [0.0]]))
    torch.testing.assert_close(env.physics.ctrl[:, 0].float(), torch.tensor([5.0, -10.0, 0.0]))  # of 10 N


def test_a_machine_left_alone_falls_and_one_that_is_upright_scores():
    env = worlds("cartpole", "balance", 8)
    first = env.task.score(env.world(env.episode.action), env.space)
    assert first.min() > 0.8
    fell = torch.zeros(8, dtype=torch.bool)
    for _ in range(150):
        fell |= env.step(torch.zeros(8, 1)).terminated
    assert fell.all()


def test_terms_of_a_machine_carry_the_units_of_its_joints():
    actor = {term.name: term for term in worlds("cartpole", "balance").actor_terms}
    assert actor["joint_pos"].unit == "m, rad"
    assert actor["joint_vel"].unit == "m/s, rad/s"
    assert actor["previous_torque"].scale == (0.1,)  # 1 / 10 N


def test_standing_up_begins_on_the_ground_and_scores_standing():
    env = worlds("go1", "stand_up", 32)
    world = env.world(env.episode.action)
    assert world.height.median() < 0.5 * env.space.length
    assert world.gravity[:, 2].std() > 0.2  # any attitude
    target = by_term(env, env.observation())["previous_target"]  # what holds the limbs as they lie
    torch.testing.assert_close(target, env.physics.ctrl.float())
    assert target.std(0).min() > 0.1
    standing = replace(
        world, gravity=torch.tensor([[0.0, 0.0, -1.0]] * 32), height=torch.full((32,), env.spec.default_height)
    )
    torch.testing.assert_close(env.task.score(standing, env.space), torch.ones(32))
    assert env.task.score(world, env.space).mean() < 0.3
    assert not env.task.fallen(world, env.space, env.spec.default_height).any()


def test_an_actor_term_that_no_declared_sensor_measures_is_refused():
    blind = replace(robots.get("go1"), sensors=("encoders",))
    with pytest.raises(ValueError, match="actor term 'gravity' needs sensor 'imu', robot go1 declares encoders; mark"):
        VectorEnv(blind, tasks.get("velocity"), num_envs=1, randomization=preset("none"))
    contact = Term(name="load", unit="N", frame="foot", offset=(0.0,), scale=(1.0,), sensor="foot_contacts")
    with pytest.raises(ValueError, match="actor term 'load' needs sensor 'foot_contacts'"):
        refuse_unmeasurable(robots.get("go1"), [contact])
    refuse_unmeasurable(robots.get("go1"), [replace(contact, measurable=False)])


def test_a_term_states_its_unit_and_frame():
    with pytest.raises(ValueError, match="term load: unit and frame must be stated, got '', 'foot'"):
        Term(name="load", unit="", frame="foot", offset=(0.0,), scale=(1.0,))


@pytest.mark.parametrize("task", tasks.names())
def test_every_measurable_term_of_every_task_names_its_sensor_or_is_the_controllers_own(task):
    own = {"command", "clock", "previous_target", "previous_torque", "target"}
    for robot in robots.names():
        if not tasks.get(task).refuses(robots.get(robot)):
            for term in embodiments.terms(robots.get(robot), tasks.get(task)):
                assert not term.measurable or term.sensor or term.name in own, term.name


def test_an_unknown_embodiment_names_those_that_exist():
    with pytest.raises(LookupError, match=r"no embodiment named 'fish'; there are arm, .*legged, machine"):
        embodiments.get("fish")


def test_an_imu_feels_a_tilted_world():
    # gravity leaning by 0.05 g along x: a level base sees (0.05, 0, −1) / √(1 + 0.05²)
    tilted = replace(preset("none"), noise=0.0, slope_x=(0.05, 0.05), slope_y=(0.0, 0.0))
    env = worlds("go1", "velocity", 2, randomization=tilted)
    env.physics.qpos[:, 3:7] = torch.tensor([1.0, 0.0, 0.0, 0.0]).double()
    expected = torch.tensor([[0.05, 0.0, -1.0]] * 2) / 1.0025**0.5
    torch.testing.assert_close(by_term(env, env.observation())["gravity"], expected, atol=1e-3, rtol=0.0)
