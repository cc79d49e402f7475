"""Skills: history, files, and other robots."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import envs.tasks
import robots
from envs.randomization import preset
from envs.vector_env import VectorEnv
from policies.files import checkpoint
from policies.networks import ActorCritic, Layout
from policies.players import FrameStack
from policies.ppo import PPO
from policies.skill import Skill, SkillCard, load_skill, skill_of, terms_of
from policies.threads import one_torch_thread
from policies.vec_env import Sb3VecEnv

one_torch_thread()
GO1, ANYMAL = robots.get("go1"), robots.get("anymal_c")
VELOCITY = envs.tasks.get("velocity")
TERMS = terms_of("go1", "velocity")
MEASURABLE = sum(term.width for term in TERMS if term.measurable)
EVERYTHING = sum(term.width for term in TERMS)


def a_skill(history: int = 1, *, privileged: bool = False, seed: int = 0, size: float = 0.3) -> Skill:
    """A go1 skill with random weights, normalizer included; `size` scales its actions."""
    card = SkillCard(
        robot="go1",
        model_hash=GO1.model_hash,
        task="velocity",
        privileged=privileged,
        history=history,
        frame_width=EVERYTHING if privileged else MEASURABLE,
        hidden=(32, 16),
        num_joints=12,
        env_steps=1000,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        skill = Skill(card, TERMS)
        skill.actor[-1].weight.data *= size
        skill.normalizer.update(torch.randn(64, card.frame_width))
    return skill.requires_grad_(False)


def frame(*values: float) -> torch.Tensor:
    """Frames of one channel, one value a world."""
    return torch.tensor(values)[:, None]


def test_a_stack_begins_with_its_first_frame_repeated():
    assert FrameStack(3).push(frame(1.0, 2.0)).tolist() == [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]


def test_a_stack_is_ordered_oldest_first_and_forgets():
    stack = FrameStack(3)
    for value in (1.0, 2.0, 3.0):
        stack.push(frame(value))
    assert stack.push(frame(4.0)).tolist() == [[2.0, 3.0, 4.0]]


def test_a_world_that_starts_anew_keeps_nothing_of_its_last_episode():
    stack = FrameStack(3)
    stack.push(frame(1.0, 10.0))
    stack.push(frame(2.0, 20.0))
    assert stack.push(frame(3.0, 30.0), torch.tensor([True, False])).tolist() == [[3.0, 3.0, 3.0], [10.0, 20.0, 30.0]]
    assert stack.push(frame(4.0, 40.0)).tolist() == [[3.0, 3.0, 4.0], [20.0, 30.0, 40.0]]


def test_frames_of_several_channels_stay_together():
    stack = FrameStack(2)
    stack.push(torch.tensor([[1.0, -1.0]]))
    assert stack.push(torch.tensor([[2.0, -2.0]])).tolist() == [[1.0, -1.0, 2.0, -2.0]]


def test_a_player_acts_on_its_own_history():
    skill, rows = a_skill(history=3), torch.randn(4, 2, EVERYTHING, generator=torch.Generator().manual_seed(0))
    player = skill.player()
    acted = [player(row) for row in rows]
    frames = rows[:, :, :MEASURABLE]
    assert torch.equal(acted[0], skill(torch.cat([frames[0]] * 3, -1)))
    assert torch.equal(acted[3], skill(torch.cat([frames[1], frames[2], frames[3]], -1)))
    assert torch.equal(skill.player()(rows[3]), skill(torch.cat([frames[3]] * 3, -1)))  # each player begins anew


def test_a_file_holds_the_whole_skill(tmp_path):
    skill = a_skill(history=3)
    skill.save(tmp_path / "skill.safetensors")
    again = load_skill(tmp_path / "skill.safetensors")
    assert again.card == skill.card
    frames = torch.randn(5, 3 * MEASURABLE)
    assert torch.equal(again(frames), skill(frames))


def test_loading_draws_nothing_from_the_global_generator(tmp_path):
    a_skill().save(tmp_path / "skill.safetensors")
    before = torch.get_rng_state()
    load_skill(tmp_path / "skill.safetensors")
    assert torch.equal(before, torch.get_rng_state())


def test_a_missing_skill_says_which_results_have_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no skill\.safetensors; name a result of train, distill"):
        load_skill(tmp_path / "skill.safetensors")


def test_a_file_without_a_layer_is_refused(tmp_path):
    skill = a_skill()
    tensors = {name: value for name, value in skill.state_dict().items() if name != "actor.0.weight"}
    checkpoint.save(tmp_path / "skill.safetensors", tensors, {"card": asdict(skill.card)})
    with pytest.raises(ValueError, match=r"(?s)its weights do not fit its card .*actor\.0\.weight"):
        load_skill(tmp_path / "skill.safetensors")


def test_terms_of_another_width_are_refused(tmp_path):
    a_skill().save(tmp_path / "skill.safetensors")
    with pytest.raises(ValueError, match=rf"reads {MEASURABLE} channels a frame, these terms have {MEASURABLE - 2}"):
        load_skill(tmp_path / "skill.safetensors", TERMS[:6])


def test_another_robot_gets_the_same_weights_and_its_own_units(tmp_path):
    skill = a_skill()
    skill.save(tmp_path / "skill.safetensors")
    moved = load_skill(tmp_path / "skill.safetensors", terms_of("anymal_c", "velocity"))
    weights, moved_weights = skill.export_weights(), moved.export_weights()
    assert all(np.array_equal(weights[name], moved_weights[name]) for name in weights)
    assert not torch.equal(moved.normalizer.scale, skill.normalizer.scale)
    # Both robots at rest in their nominal poses look the same to it: gravity straight down, all else zero.
    at_rest = [
        torch.tensor(
            [[0.0, 0.0, -1.0, *[0.0] * 6, *spec.default_positions, *[0.0] * 12, *spec.default_positions, 0, 0]]
        )
        for spec in (GO1, ANYMAL)
    ]
    assert torch.allclose(skill(at_rest[0]), moved(at_rest[1]), atol=1e-6)


def test_a_file_knows_no_robots_units(tmp_path):
    a_skill().save(tmp_path / "skill.safetensors")
    assert not [name for name in load_file(tmp_path / "skill.safetensors") if "offset" in name or "scale" in name]


@pytest.mark.parametrize("privileged", [False, True])
def test_the_skill_of_an_actor_critic_acts_as_it_does(privileged):
    env = VectorEnv(GO1, VELOCITY, num_envs=8, randomization=preset("default"), num_threads=1)
    layout = Layout.of(env.terms, privileged=privileged)
    ppo = PPO(ActorCritic, Sb3VecEnv(env), policy_kwargs={"layout": layout, "hidden": (16, 16)})
    ppo.learn(24 * 8)
    skill = skill_of(ppo.policy, env, robot="go1", env_steps=192)
    observation = env.observation()
    assert skill.card.privileged is privileged
    assert skill.card.frame_width == (EVERYTHING if privileged else MEASURABLE)
    with torch.no_grad():
        expected = ppo.policy._predict(observation, deterministic=True)
        assert torch.equal(skill.player()(observation), expected)
        stretched = observation * torch.cat([torch.ones(MEASURABLE), torch.full((EVERYTHING - MEASURABLE,), 3.0)])
        assert torch.equal(skill.player()(stretched), expected) is not privileged


def test_a_skill_counts_its_numbers():
    # (47·32 + 32) + (32·16 + 16) + (16·12 + 12)
    assert a_skill().num_parameters == 1536 + 528 + 204


def test_a_history_widens_the_first_layer_only():
    one, ten = a_skill(history=1).export_weights(), a_skill(history=10).export_weights()
    assert ten["actor.0.weight"].shape == (32, 10 * MEASURABLE)
    assert ten["normalizer.mean"].shape == one["normalizer.mean"].shape == (MEASURABLE,)
    assert replace(a_skill(history=1).card, history=10) == a_skill(history=10).card
