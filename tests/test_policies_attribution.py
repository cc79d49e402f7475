"""What actions listen to: integrated gradients by hand, their names, and whether deletion agrees."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

import envs.tasks
import robots
from envs.randomization import preset
from envs.vector_env import VectorEnv
from policies import attribution
from policies.attribution import DRAWS, STRIDE, Watched, attribute, integrated_gradients, readings
from policies.evaluation import evaluate
from policies.skill import Skill, SkillCard, load_skill, terms_of
from policies.zoo import bundle_path

TERMS = terms_of("go1", "velocity")
NAMES = robots.get("go1").joint_names
WIDTH = sum(term.width for term in TERMS if term.measurable)
GRAVITY, POSITION, VELOCITY = 0, 9, 21
"""First channels of gravity (3), of joint_pos and of joint_vel (12 each), behind gyro (3) and command (3)."""


def skill(history: int = 1, hidden: tuple[int, ...] = (), **changes) -> Skill:
    """A skill of go1 with all weights 0; without hidden layers its actions are linear in what it sees."""
    card = SkillCard(
        robot="go1",
        model_hash=robots.get("go1").model_hash,
        task="velocity",
        privileged=False,
        history=history,
        frame_width=WIDTH,
        hidden=hidden,
        num_joints=12,
        **changes,
    )
    made = Skill.blank(card, TERMS)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    return made


def states(*channels: tuple[int, float], history: int = 1) -> torch.Tensor:
    """Two states, one above and one below the nominal pose by so much [SI] in some channels of every frame."""
    nominal = torch.tensor([value for term in TERMS for value in term.offset])[:WIDTH]
    away = torch.zeros(WIDTH)
    for channel, size in channels:
        away[channel] = size
    return torch.stack([nominal + away, nominal - away]).repeat(1, history)


def test_a_linear_action_earns_from_each_input_its_weight_times_the_way():
    weight = torch.tensor([[2.0, -1.0], [0.5, 0.0]])
    earned = integrated_gradients(lambda x: x @ weight.T, torch.tensor([[3.0, 4.0]]), torch.tensor([1.0, 1.0]))
    # 2·(3 − 1), −1·(4 − 1); 0.5·(3 − 1), 0
    assert earned[0].tolist() == [[pytest.approx(4.0), pytest.approx(-3.0)], [pytest.approx(1.0), pytest.approx(0.0)]]


def test_a_product_is_shared_between_its_factors():
    earned = integrated_gradients(lambda x: x[:, :1] * x[:, 1:], torch.tensor([[2.0, 3.0]]), torch.zeros(2))
    # 2·∫3α dα = 3 and 3·∫2α dα = 3, together 2·3
    assert earned[0, 0].tolist() == [pytest.approx(3.0), pytest.approx(3.0)]


def test_what_inputs_earn_adds_up_to_what_the_action_moves():
    made = skill(history=3, hidden=(16,))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    frames = states().repeat(40, 3) + 0.5 * torch.randn(80, 3 * WIDTH, generator=generator)
    assert attribute(made, TERMS, frames).incompleteness < 1e-3


def test_own_and_other_joints_are_told_apart():
    made = skill()
    with torch.no_grad():
        made.actor[0].weight[0, POSITION] = 2.0  # of the first joint: its own angle
        made.actor[0].weight[0, POSITION + 1] = -1.0  # and the next joint's
        made.actor[0].weight[4, GRAVITY + 2] = 3.0
    found = attribute(made, TERMS, states((POSITION, 0.1), (POSITION + 1, 0.3), (GRAVITY + 2, 0.01)))
    rows = [dict(zip(found.senses, row, strict=True)) for row in found.by_sense.tolist()]
    assert rows[0]["own joint_pos"] == pytest.approx(0.2, rel=1e-5)  # 2·0.1
    assert rows[0]["others' joint_pos"] == pytest.approx(0.3, rel=1e-5)
    assert rows[4]["gravity"] == pytest.approx(0.03, rel=1e-5)
    assert sum(map(sum, found.by_sense.tolist())) == pytest.approx(0.53, rel=1e-5)  # nothing else earns anything
    assert found.by_joint[0, :2] == pytest.approx([0.2, 0.3], rel=1e-5)
    assert found.by_joint[4] == pytest.approx(np.zeros(12))  # gravity is no joint's
    assert found.of_inputs[POSITION + 1] == pytest.approx(0.3, rel=1e-5)


def test_inputs_of_one_sense_may_cancel():
    made = skill(history=2)
    with torch.no_grad():
        made.actor[0].weight[0, VELOCITY], made.actor[0].weight[0, VELOCITY + WIDTH] = -1.0, 1.0
    found = attribute(made, TERMS, states((VELOCITY, 1.0), history=2))
    assert found.by_sense.sum() == pytest.approx(0.0, abs=1e-6)  # what changed between the frames: nothing
    assert found.baseline == pytest.approx(states().mean(0).numpy(), abs=1e-6)


def test_readings_are_what_sensors_say_and_no_more():
    named = readings(TERMS, NAMES, WIDTH)
    assert len(named) == 3 + 3 + 12 + 12  # gravity, gyro, angles, rates; neither command nor clock nor last targets
    assert named["gravity z"] == [2]
    assert named[f"joint_vel {NAMES[3]}"] == [VELOCITY + 3]


def test_watching_a_skill_changes_nothing_and_keeps_every_tenth_tick():
    made, watched = skill(history=2), Watched(skill(history=2))
    env = VectorEnv(robots.get("go1"), envs.tasks.get("velocity"), num_envs=2, randomization=preset("none"))
    player, observation = made.player(), env.observation()
    for _ in range(2 * STRIDE + 1):
        assert torch.equal(watched(observation), player(observation))
    frames = watched.frames(5, torch.Generator().manual_seed(0))
    assert frames.shape == (5, 2 * WIDTH)  # of 3 ticks · 2 worlds
    assert len(watched.frames(100, torch.Generator().manual_seed(0))) == 6


def test_a_skill_with_a_memory_is_refused():
    recurrent = skill(architecture="gru", memory=4, latent=2, hidden=(8,))
    with pytest.raises(ValueError, match=r"\(gru, memory 4\); name its teacher, or a student whose encoder is mlp"):
        Watched(recurrent)


def faithful(made: Skill, seen: torch.Tensor) -> Callable[[object], float]:
    """A score: how little an actor's first action differs from the skill's, 1 where it does not."""
    with torch.no_grad():
        wanted = made.player()(seen)
        return lambda actor: 1.0 - (actor(seen) - wanted)[:, 0].abs().mean().item()


def test_deleting_what_is_listened_to_costs_what_it_earned():
    made, seen = skill(), states((POSITION, 0.1), (VELOCITY + 5, 0.2))
    with torch.no_grad():
        made.actor[0].weight[0, POSITION] = 2.0
    found, parts = attribute(made, TERMS, seen), readings(TERMS, NAMES, WIDTH)
    deletion = attribution.delete(made, found, parts, faithful(made, seen), 1.0, np.random.default_rng(0))
    heard = f"joint_pos {NAMES[0]}"
    assert deletion.deleted[0] == heard
    assert deletion.top_drop == pytest.approx(0.2, rel=1e-5)  # 2·0.1
    rng = np.random.default_rng(0)
    hits = [heard in rng.choice(list(parts), size=3, replace=False) for _ in range(DRAWS)]
    assert deletion.random_drop == pytest.approx(0.2 * np.mean(hits), abs=1e-6)


@pytest.mark.slow
def test_a_walking_skill_loses_more_without_what_it_listens_to_most(tmp_path):
    from policies import bundle
    from policies.bundled import skill_of_bundle

    skill_of_bundle(bundle.read(bundle_path("go1"))).save(tmp_path / "skill.safetensors")
    walker = load_skill(tmp_path / "skill.safetensors")
    spec, task, watched = robots.get("go1"), envs.tasks.get("velocity"), Watched(walker)

    def play(actor):
        return evaluate(spec, task, actor, episodes=8, seconds=3.0, num_threads=1).score

    score, terms = play(watched), terms_of("go1", "velocity")
    found = attribute(walker, terms, watched.frames(256, torch.Generator().manual_seed(0)))
    parts = readings(terms, spec.joint_names, walker.card.frame_width)
    deletion = attribution.delete(walker, found, parts, play, score, np.random.default_rng(0))
    assert found.incompleteness < 1e-2
    assert deletion.top_drop > 2.0 * max(deletion.random_drop, 0.0)
