"""The mirror image of a legged robot: derived from its model, true of its physics."""

from dataclasses import replace

import pytest
import torch

import robots
from envs import tasks
from envs.observations import Term
from envs.randomization import PARAMETERS, preset
from envs.vector_env import VectorEnv
from policies import symmetry
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO
from policies.symmetry import Mirror, hidden_signs, mirrored_joints
from policies.threads import one_torch_thread
from policies.vec_env import Sb3VecEnv

one_torch_thread()
LEGGED = [name for name in robots.names() if robots.get(name).feet]


def worlds(robot: str = "go1", num_envs: int = 2, **others) -> VectorEnv:
    return VectorEnv(
        robots.get(robot),
        tasks.get("velocity"),
        num_envs=num_envs,
        randomization=replace(preset("none"), noise=0.0),
        num_threads=1,
        **others,
    )


@pytest.fixture(scope="module")
def go1() -> VectorEnv:
    return worlds(scoring=True)


@pytest.mark.parametrize("name", LEGGED)
def test_joints_pair_up_across_the_middle(name):
    spec = robots.get(name)
    partners, signs = mirrored_joints(spec)
    assert [partners[partner] for partner in partners] == list(range(spec.num_joints))
    assert all(signs[joint] == signs[partner] for joint, partner in enumerate(partners))
    sideless = [spec.joint_names[joint] for joint, partner in enumerate(partners) if joint == partner]
    assert all("waist" in joint.lower() or "head" in joint.lower() for joint in sideless)


def test_the_joints_of_go1_keep_their_meaning_on_the_other_side():
    partners, signs = mirrored_joints(robots.get("go1"))
    assert partners == [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]  # front left, front right, rear left, rear right
    assert signs == [1.0] * 12  # outward stays outward, forward forward


def test_a_waist_that_turns_left_turns_right_in_the_mirror_and_one_that_bows_still_bows():
    spec = robots.get("g1")
    signs = dict(zip(spec.joint_names, mirrored_joints(spec)[1], strict=True))
    assert [signs[f"waist_{axis}_joint"] for axis in ("yaw", "roll", "pitch")] == [-1.0, -1.0, 1.0]


@pytest.mark.parametrize("name", ["go1", "g1"])
def test_mirroring_twice_gives_back_what_was(name):
    env = worlds(name)
    mirror, generator = Mirror.of(env), torch.Generator().manual_seed(0)
    raw = torch.randn(5, env.width, generator=generator)
    action = torch.randn(5, env.spec.num_joints, generator=generator)
    assert torch.allclose(mirror.observation(mirror.observation(raw)), raw, atol=1e-5)
    assert torch.equal(mirror.action(mirror.action(action)), action)
    assert not torch.allclose(mirror.observation(raw), raw)


def test_vectors_mirror_as_what_they_are(go1):
    mirror, raw = Mirror.of(go1), torch.zeros(go1.width)
    raw[:9] = torch.tensor([0.1, 0.2, -1.0, 1.0, 2.0, 3.0, 0.5, 0.25, 0.75])  # gravity, gyro, command
    image = mirror.observation(raw)[:9].tolist()
    assert image == pytest.approx([0.1, -0.2, -1.0, -1.0, 2.0, -3.0, 0.5, -0.25, -0.75])


def test_of_the_hidden_parameters_only_those_that_lie_sideways_turn_round():
    turned = [name for name, sign in zip(PARAMETERS, hidden_signs(), strict=True) if sign < 0.0]
    assert turned == ["com_y"]


@torch.no_grad()
def test_the_physics_of_the_mirror_image_is_the_mirror_image_of_the_physics(go1):
    env, mirror, generator = go1, Mirror.of(go1), torch.Generator().manual_seed(3)
    env.reset()
    first = [term.name for term in env.terms].index("joint_pos")
    start = sum(term.width for term in env.terms[:first])
    _reflect(env, mirror, slice(start, start + 12))
    for step in range(15):
        action = 0.5 * torch.randn(1, 12, generator=generator)
        observation = env.step(torch.cat([action, mirror.action(action)])).observation
        difference = (mirror.observation(observation[0]) - observation[1]).abs().max().item()
        assert difference < 1e-3, f"step {step}"
    assert (observation[0] - observation[1]).abs().max() > 0.1  # they do go different ways


def _reflect(env: VectorEnv, mirror: Mirror, joints: slice) -> None:
    """Put world 0 askew and world 1 into its mirror image."""
    qpos, qvel, episode = env.physics.qpos, env.physics.qvel, env.episode
    everyone = torch.arange(2)
    env.physics.model_field("body_ipos")[:, :, 1] = 0.0  # go1's trunk leans left, its calves are alike
    env.physics.model_field("body_iquat")[:] = torch.tensor([1.0, 0.0, 0.0, 0.0]).double()
    env.physics.restore(everyone, env.start_rows[[0, 0]])
    where, speed = env.body._qpos_index, env.body._dof_index
    generator = torch.Generator().manual_seed(1)
    qpos[0, where] += 0.1 * torch.randn(12, generator=generator).double()
    qpos[0, 2] += 0.02
    qvel[0, 0:6] = torch.tensor([0.3, 0.1, 0.0, 0.2, -0.1, 0.4]).double()
    channels = mirror.channels[joints] - joints.start
    image = qpos[0, where][channels] * mirror.gains[joints].double() + mirror.shifts[joints].double()
    qpos[1] = qpos[0]
    qpos[1, where] = image
    qpos[1, 0:7] = qpos[0, 0:7] * torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0]).double()
    qvel[1, 0:6] = qvel[0, 0:6] * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0]).double()
    qvel[1, speed] = qvel[0, speed][channels] * mirror.gains[joints].double()
    episode.command[0] = torch.tensor([0.4, 0.2, 0.5])
    episode.command[1] = episode.command[0] * torch.tensor([1.0, -1.0, -1.0])
    episode.phase[1] = episode.phase[0] + torch.pi
    env.physics.refresh(everyone)


@pytest.mark.parametrize(("robot", "message"), [("panda", "panda is of kind arm"), ("cartpole", "of kind machine")])
def test_a_robot_without_sides_is_refused(robot, message):
    with pytest.raises(ValueError, match=message):
        mirrored_joints(robots.get(robot))


def test_a_term_that_says_nothing_of_left_and_right_is_refused():
    term = Term(name="smell", unit="1", frame="nose", offset=(0.0,), scale=(1.0,))
    with pytest.raises(ValueError, match=r"term 'smell' \(1 channels\) has no known mirror image; add it to"):
        symmetry._image(term, [], [], 4)


def test_a_learner_learns_from_either_image_of_every_sample():
    env = worlds(num_envs=4)
    layout = Layout.of(env.terms, privileged=False)
    ppo = PPO(
        ActorCritic,
        Sb3VecEnv(env),
        num_steps=4,
        num_minibatches=2,
        hidden=(8,),
        mirror=True,
        policy_kwargs={"layout": layout},
    )
    ppo.learn(16)
    batch = ppo._batch()
    assert len(batch["observations"]) == 32  # 4 worlds, 4 steps, two images
    assert torch.equal(batch["actions"][16:], ppo.mirror.action(batch["actions"][:16]))
    assert torch.equal(batch["returns"][16:], batch["returns"][:16])
    rows = torch.cat(ppo._shuffled(32))
    assert sorted((rows % 16).tolist()) == list(range(16))
    assert rows.max() >= 16 > rows.min()
    gravity_y = ppo.policy.normalizer.mean[1].item()
    assert gravity_y == pytest.approx(0.0, abs=1e-6)  # the statistics are of both images
