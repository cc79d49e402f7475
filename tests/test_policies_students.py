"""Students with an encoder: convolutions along time, recurrent states, and what they remember of whom."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

import robots
from policies.architecture import conv_lengths
from policies.files import checkpoint
from policies.players import Player
from policies.skill import Skill, SkillCard, load_skill, terms_of
from policies.students.encoders import ConvEncoder, GruEncoder

TERMS = terms_of("go1", "velocity")
MEASURABLE = sum(term.width for term in TERMS if term.measurable)
WIDTH = sum(term.width for term in TERMS)
MLP = SkillCard(
    robot="go1",
    model_hash=robots.get("go1").model_hash,
    task="velocity",
    privileged=False,
    history=1,
    frame_width=MEASURABLE,
    hidden=(16,),
    num_joints=12,
)
CONV = replace(MLP, history=7, architecture="conv", latent=4)
GRU = replace(MLP, architecture="gru", memory=8, latent=4)
CARDS = {"mlp": MLP, "stack": replace(MLP, history=3), "conv": CONV, "gru": GRU}


def a_student(card: SkillCard) -> Skill:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        skill = Skill(card, TERMS)
        skill.normalizer.update(torch.randn(64, MEASURABLE))
    return skill.requires_grad_(False)


def rows(num_steps: int, num_worlds: int = 2) -> torch.Tensor:
    return torch.randn(num_steps, num_worlds, WIDTH, generator=torch.Generator().manual_seed(1))


def test_convolutions_go_on_while_their_kernel_fits():
    assert conv_lengths(10) == (10, 4, 1)  # (10 − 3)//2 + 1 = 4, (4 − 3)//2 + 1 = 1
    assert conv_lengths(20) == (20, 9, 4, 1)
    assert conv_lengths(3) == (3, 1)
    with pytest.raises(ValueError, match=r"history must be >= 3 for a convolution along time, got 2"):
        conv_lengths(2)


def test_a_convolution_reads_the_whole_history_in_its_order():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = ConvEncoder(history=7, frame_width=2, latent=3, activation="elu")
    frames = torch.randn(1, 7, 2, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    encoder(frames).sum().backward()
    assert (frames.grad.abs().sum(-1) > 0.0).all()
    assert not torch.allclose(encoder(frames), encoder(frames.flip(1)))


def test_a_gru_follows_its_equations():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = GruEncoder(frame_width=3, memory=2, latent=1)
    weights = {name: value.detach().numpy() for name, value in encoder.state_dict().items()}
    x, h = np.array([0.3, -1.0, 2.0], np.float32), np.array([0.5, -0.2], np.float32)
    of_x = weights["gru.weight_ih"] @ x + weights["gru.bias_ih"]
    of_h = weights["gru.weight_hh"] @ h + weights["gru.bias_hh"]
    sigmoid = lambda value: 1.0 / (1.0 + np.exp(-value))  # noqa: E731
    r, z = sigmoid(of_x[:2] + of_h[:2]), sigmoid(of_x[2:4] + of_h[2:4])
    n = np.tanh(of_x[4:] + r * of_h[4:])
    latent, state = encoder(torch.from_numpy(x)[None], torch.from_numpy(h)[None])
    np.testing.assert_allclose(state[0].detach().numpy(), (1 - z) * n + z * h, atol=1e-6)
    expected = weights["head.weight"] @ ((1 - z) * n + z * h) + weights["head.bias"]
    np.testing.assert_allclose(latent[0].detach().numpy(), expected, atol=1e-6)


def test_a_recurrent_skill_gives_its_next_state_and_begins_with_zeros():
    skill, frames = a_student(GRU), rows(1)[0, :, :MEASURABLE]
    action, following = skill(frames, torch.zeros(2, 8))
    assert (action.shape, following.shape) == ((2, 12), (2, 8))
    again, state = skill(frames)
    assert torch.equal(action, again)
    assert torch.equal(following, state)
    other, _ = skill(frames, following)
    assert not torch.allclose(action, other)


def test_a_rollout_at_once_is_the_same_as_step_by_step():
    skill, frames = a_student(GRU), rows(5)[..., :MEASURABLE]
    started = torch.zeros(5, 2, dtype=torch.bool)
    started[3, 1] = True
    state = torch.randn(2, 8, generator=torch.Generator().manual_seed(2))
    actions, latents = skill.unroll(frames, state, started)
    for step in range(5):
        state = torch.where(started[step][:, None], 0.0, state)
        action, latent, state = skill.decide(frames[step], state)
        torch.testing.assert_close(actions[step], action)
        torch.testing.assert_close(latents[step], latent)


def test_gradients_flow_through_time_but_not_past_a_start():
    skill = a_student(GRU).requires_grad_(True)
    frames = rows(4)[..., :MEASURABLE].requires_grad_(True)
    started = torch.zeros(4, 2, dtype=torch.bool)
    started[2, 1] = True
    actions, _ = skill.unroll(frames, torch.zeros(2, 8), started)
    actions[3].sum().backward()
    reached = frames.grad.abs().sum(-1) > 0.0  # (step, world)
    assert reached.tolist() == [[True, False], [True, False], [True, True], [True, True]]


@pytest.mark.parametrize("name", sorted(CARDS))
def test_a_world_that_starts_anew_is_played_as_one_that_begins(name):
    skill, seen = a_student(CARDS[name]), rows(4)
    player, fresh = skill.player(), skill.player()
    for row in seen[:3]:
        player(row)
    started = torch.tensor([True, False])
    acted = player(seen[3], started)
    torch.testing.assert_close(acted[0], fresh(seen[3])[0])
    if name != "mlp":  # the other world remembers
        assert not torch.allclose(acted[1], fresh(seen[3])[1], atol=1e-4)


@pytest.mark.parametrize("name", sorted(CARDS))
def test_a_world_that_starts_anew_forgets_numbers_that_were_not_finite(name):
    skill, seen = a_student(CARDS[name]), rows(2)
    player = skill.player()
    player(torch.full_like(seen[0], float("nan")))
    torch.testing.assert_close(player(seen[1], torch.tensor([True, True])), skill.player()(seen[1]))


@pytest.mark.parametrize("name", sorted(CARDS))
def test_what_a_player_remembers_can_be_put_into_another(name):
    skill, seen = a_student(CARDS[name]), rows(4)
    player, other = Player(skill), Player(skill)
    for row in seen[:3]:
        player(row)
    other.load_state_dict(player.state_dict())
    assert torch.equal(player(seen[3]), other(seen[3]))


@pytest.mark.parametrize("name", sorted(CARDS))
def test_a_file_holds_every_kind_of_skill(name, tmp_path):
    skill, seen = a_student(CARDS[name]), rows(3)
    skill.save(tmp_path / "skill.safetensors")
    again = load_skill(tmp_path / "skill.safetensors")
    assert again.card == skill.card
    one, other = skill.player(), again.player()
    assert all(torch.equal(one(row), other(row)) for row in seen)


def test_a_file_from_before_there_were_encoders_is_still_read(tmp_path):
    skill = a_student(replace(MLP, history=3))
    new = {"architecture", "memory", "latent", "activation"}
    card = {name: value for name, value in asdict(skill.card).items() if name not in new}
    checkpoint.save(tmp_path / "skill.safetensors", dict(skill.state_dict()), {"card": card})
    assert load_skill(tmp_path / "skill.safetensors").card == skill.card


def test_weights_have_the_names_and_shapes_that_bundles_use():
    conv, gru = a_student(CONV).export_weights(), a_student(GRU).export_weights()
    assert {name: value.shape for name, value in conv.items() if name.startswith("encoder")} == {
        "encoder.embed.weight": (32, MEASURABLE),
        "encoder.embed.bias": (32,),
        "encoder.conv.0.weight": (32, 32, 3),  # 7 frames -> 3
        "encoder.conv.0.bias": (32,),
        "encoder.conv.1.weight": (32, 32, 3),  # 3 -> 1
        "encoder.conv.1.bias": (32,),
        "encoder.head.weight": (4, 32),
        "encoder.head.bias": (4,),
    }
    assert {name: value.shape for name, value in gru.items() if name.startswith("encoder")} == {
        "encoder.gru.weight_ih": (24, MEASURABLE),
        "encoder.gru.weight_hh": (24, 8),
        "encoder.gru.bias_ih": (24,),
        "encoder.gru.bias_hh": (24,),
        "encoder.head.weight": (4, 8),
        "encoder.head.bias": (4,),
    }
    assert conv["actor.0.weight"].shape == gru["actor.0.weight"].shape == (16, MEASURABLE + 4)
    assert all(value.dtype == np.float32 for value in (conv | gru).values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "gru", "latent": 4, "memory": 0}, r"history must be 1 and memory >= 1, got 1 and 0"),
        ({"architecture": "gru", "latent": 4, "memory": 8, "history": 5}, r"history must be 1 .* got 5 and 8"),
        (
            {"architecture": "conv", "latent": 4, "memory": 8},
            r"memory must be 0 for architecture 'conv', got 8; a gru has one",
        ),
        ({"architecture": "conv"}, r"latent must be 0 for an mlp, .* got 0 for 'conv'"),
        ({"latent": 4}, r"latent must be 0 for an mlp, .* got 4 for 'mlp'"),
    ],
)
def test_a_card_refuses_what_no_network_can_be(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(MLP, **changes)
