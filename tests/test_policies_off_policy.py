"""SAC and TQC from a skill: what they begin as, when the actor moves, what comes out, how they continue."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_policies_skill import ANYMAL, GO1, TERMS, VELOCITY, a_skill

import policies.training
from envs.actions import ACTION_CLIP
from envs.randomization import preset
from envs.vector_env import VectorEnv
from policies.finite import DivergedError
from policies.off_policy.algorithms import ALGORITHMS, Settings
from policies.off_policy.replay_buffer import OwnedReplayBuffer
from policies.off_policy.training import OffPolicyTraining
from policies.skill import Skill
from policies.starting import Start, seen_by
from policies.threads import one_torch_thread
from policies.training import StoppedError
from policies.vec_env import Sb3VecEnv

one_torch_thread()
NUM_ENVS = 3
SMALL = Settings(critic_hidden=(16,), hidden=(16,), batch_size=16, filled=0.5, warm_up=2, updates=1 / NUM_ENVS)
"""Half of the steps fill the buffer; then one update a control step."""


@pytest.fixture(scope="module", autouse=True)
def _short():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policies.training, "CURVE_EPISODES", 2)
        patch.setattr(policies.training, "CURVE_SECONDS", 0.1)
        yield


def a_start(history: int = 1, architecture: str = "mlp") -> Start:
    skill = a_skill(history)
    if architecture == "conv":
        card = replace(skill.card, architecture="conv", latent=4)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            normalizer, skill = skill.normalizer, Skill(card, TERMS)
        skill.normalizer.load_state_dict(normalizer.state_dict())
    return Start(name="source", skill=skill.requires_grad_(False))


def a_learner(algorithm: str = "sac", steps: int = 24, start: Start | None = None, spec=GO1, seed: int = 0):
    env = VectorEnv(spec, VELOCITY, num_envs=NUM_ENVS, randomization=preset("default"), seed=4, num_threads=1)
    return ALGORITHMS[algorithm](Sb3VecEnv(seen_by(start, env)), steps=steps, start=start, seed=seed, settings=SMALL)


def observations(learner, num_steps: int = 5) -> torch.Tensor:
    """Rows that the learner's worlds give it, (num_steps·num_envs, width)."""
    env = learner.env.env
    rows = [env.reset()] + [env.step(torch.zeros(NUM_ENVS, 12)).observation for _ in range(num_steps - 1)]
    return torch.cat(rows)


def actor(learner) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in learner.policy.actor.named_parameters()}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("history", "architecture"), [(1, "mlp"), (4, "mlp"), (4, "conv")])
def test_a_learner_begins_with_the_actions_of_the_skill_it_starts_from(algorithm, history, architecture):
    start = a_start(history, architecture)
    learner = a_learner(algorithm, start=start)
    rows = observations(learner)
    expected = start.skill(rows[:, : start.skill.card.frame_width * history]).clamp(-ACTION_CLIP, ACTION_CLIP)
    # The share of the clip that artanh leaves: 0.999 · 4 = 3.996.
    torch.testing.assert_close(learner.act(rows), expected, atol=0.0041, rtol=0.0)
    inside = expected.abs() < 3.9
    assert inside.float().mean() > 0.5
    torch.testing.assert_close(learner.act(rows)[inside], expected[inside], atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("history", "architecture"), [(1, "mlp"), (4, "conv")])
def test_the_skill_that_comes_out_acts_as_the_learner_does(algorithm, history, architecture):
    start = a_start(history, architecture)
    learner = a_learner(algorithm, start=start)
    before = actor(learner)
    learner.learn(24)
    assert any((actor(learner)[name] != value).any() for name, value in before.items() if "mu" in name)
    rows, skill = observations(learner), learner.skill("go1")
    acted = skill(rows[:, : skill.card.frame_width * history]).clamp(-ACTION_CLIP, ACTION_CLIP)
    torch.testing.assert_close(acted, learner.act(rows), atol=0.0041, rtol=0.0)
    assert (skill.card.env_steps, skill.card.robot, skill.card.history) == (24, "go1", history)


def test_a_skill_may_continue_on_another_robot_whose_joints_match():
    learner = a_learner(start=a_start(), spec=ANYMAL)
    card = learner.skill("anymal_c").card
    assert (card.robot, card.model_hash) == ("anymal_c", ANYMAL.model_hash)


def test_nothing_is_learned_while_the_buffer_fills_then_the_critics_learn_alone_then_the_actor_moves():
    learner = a_learner(start=a_start())
    before, critic = actor(learner), learner.policy.critic.qf0[0].weight.clone()
    learner.learn(9)  # of 24: the buffer fills up to 12
    assert learner._n_updates == 0
    assert (learner.policy.critic.qf0[0].weight == critic).all()
    learner.learn(3, reset_num_timesteps=False)
    assert learner._n_updates == 3  # two of the critics alone, one of both
    steps = {
        name: int(next(iter(each.state.values()))["step"])
        for name, each in (("actor", learner.policy.actor.optimizer), ("critic", learner.policy.critic.optimizer))
    }
    assert steps == {"actor": 2, "critic": 3}  # of the actor one for the critics' sake, one towards the skill
    # A step of Adam moves a weight by its rate, 3e-4, at most.
    moved = max((actor(learner)[name] - value).abs().max().item() for name, value in before.items())
    assert 1.5e-4 < moved <= 6.03e-4


def test_an_actor_that_is_held_tightly_stays_nearer_to_its_skill():
    distances = {}
    for anchor in (0.0, 1e4):
        start = a_start()
        env = VectorEnv(GO1, VELOCITY, num_envs=NUM_ENVS, randomization=preset("default"), seed=4, num_threads=1)
        settings = replace(SMALL, anchor=anchor, actor_rate=1e-2)
        learner = ALGORITHMS["sac"](Sb3VecEnv(env), steps=90, start=start, settings=settings)
        learner.learn(90)
        rows = torch.from_numpy(learner.replay_buffer.observations[:30]).flatten(0, 1)
        held = start.skill(rows[:, : start.skill.card.frame_width])
        distances[anchor] = (learner.policy.actor.action(rows) - held).abs().mean().item()
    assert distances[1e4] < 0.5 * distances[0.0]


def test_statistics_of_what_the_skill_reads_stay_and_those_of_the_critic_are_learned():
    start = a_start()
    learner = a_learner(start=start)
    width = start.skill.card.frame_width
    learner.learn(15)
    normalizer = learner.policy.parts.normalizer
    assert (normalizer.mean[:width] == start.skill.normalizer.mean).all()
    rows = torch.from_numpy(learner.replay_buffer.observations[:4]).flatten(0, 1)  # what was there at 12 of 24 steps
    dimensionless = ((rows - normalizer.offset) * normalizer.scale)[:, width:]
    torch.testing.assert_close(normalizer.mean[width:], dimensionless.mean(0), atol=1e-4, rtol=1e-4)


def test_a_time_limit_ends_no_episode_in_a_minibatch():
    from gymnasium import spaces

    box = spaces.Box(-1.0, 1.0, (1,), np.float32)
    buffer = OwnedReplayBuffer(8, box, box, device="cpu", n_envs=2, generator=torch.Generator().manual_seed(0))
    one = np.ones((2, 1), np.float32)
    # World 0 fell, world 1 ran out of time.
    infos = [{"TimeLimit.truncated": False}, {"TimeLimit.truncated": True}]
    buffer.add(one * [[3.0], [5.0]], one, one, np.array([0.1, 0.2]), np.array([True, True]), infos)
    sample = buffer.sample(64)
    seen, ended = sample.observations[:, 0].tolist(), sample.dones[:, 0].tolist()
    assert set(zip(seen, ended, strict=True)) == {(3.0, 1.0), (5.0, 0.0)}


def test_a_reward_that_is_not_finite_stops_the_run_and_names_the_world():
    reward = replace(VELOCITY, reward=lambda world, units, dt: torch.tensor([0.0, float("nan"), 0.0]))
    env = VectorEnv(GO1, reward, num_envs=NUM_ENVS, randomization=preset("default"), seed=4, num_threads=1)
    learner = ALGORITHMS["sac"](Sb3VecEnv(env), steps=24, start=a_start(), settings=SMALL)
    with pytest.raises(DivergedError, match=r"non-finite reward in 1 of 3 worlds \(the first: 1\) before 3 steps"):
        learner.learn(24)


def test_global_generators_are_neither_used_nor_seeded():
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    a_learner(start=a_start()).learn(24)
    assert (torch.get_rng_state() == before[0]).all()
    assert (np.random.get_state()[1] == before[1]).all()


def test_from_scratch_the_first_actions_are_small_and_the_result_is_a_skill():
    learner = a_learner("tqc")
    assert learner.act(observations(learner)).abs().max() < 0.1
    learner.learn(24)
    assert learner.skill("go1").card.hidden == (16,)


def a_training(algorithm: str, file, should_stop=lambda: False) -> OffPolicyTraining:
    learner = a_learner(algorithm, steps=36, start=a_start())
    return OffPolicyTraining(learner, 36, file, num_threads=1, curve_points=1, should_stop=should_stop)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("stopped_at", [3, 9])  # control steps of 12: while the buffer fills, and after
def test_a_run_that_was_stopped_continues_bit_for_bit(algorithm, stopped_at, tmp_path):
    straight = a_training(algorithm, tmp_path / "straight")
    straight.run()
    asked = iter(range(100))
    with pytest.raises(StoppedError):
        a_training(algorithm, tmp_path / "stopped", lambda: next(asked) >= stopped_at).run()
    torch.manual_seed(stopped_at)
    resumed = a_training(algorithm, tmp_path / "stopped")
    resumed.run()
    assert resumed.ppo._n_updates == straight.ppo._n_updates > 0
    for name, value in straight.ppo.policy.state_dict().items():
        assert torch.equal(resumed.ppo.policy.state_dict()[name], value), name
    assert torch.equal(resumed.ppo.log_ent_coef, straight.ppo.log_ent_coef)
    assert (resumed.ppo.replay_buffer.observations == straight.ppo.replay_buffer.observations).all()
    assert [point.score for point in resumed.curve] == [point.score for point in straight.curve]


def test_a_checkpoint_of_another_algorithm_is_refused_by_name(tmp_path):
    a_training("sac", tmp_path / "run").run()
    with pytest.raises(ValueError, match="algorithm must be 'tqc', it has 'sac'"):
        a_training("tqc", tmp_path / "run").run()
