"""PPO for students: the actor is the student to the bit, its memory is an input, and a stopped run goes on exactly."""

import copy

import pytest
import torch
from test_policies_distillation import NUM_ENVS, STUDENTS, a_skill, an_env

import policies.training
from policies.files import checkpoint
from policies.skill import Skill
from policies.students.finetuning import FineTuning, StudentWorlds, fine_tuning
from policies.training import StoppedError

ITERATION = 24 * NUM_ENVS


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(policies.training, "CURVE_EPISODES", 2)
    monkeypatch.setattr(policies.training, "CURVE_SECONDS", 0.1)


def a_student(encoder: str) -> Skill:
    env = an_env()
    return a_skill(env, 1, privileged=False, frame_width=env.actor_width, **STUDENTS[encoder])


def a_run(file, encoder: str = "gru", num_iterations: int = 4, should_stop=lambda: False) -> FineTuning:
    steps = num_iterations * ITERATION
    student = a_student(encoder)
    return fine_tuning(
        student, an_env(), steps, seed=3, file=file, num_threads=1, curve_points=1, should_stop=should_stop
    )


@pytest.mark.parametrize("encoder", sorted(STUDENTS))
def test_the_learner_begins_as_the_student_and_sees_what_it_sees(encoder, tmp_path):
    run = a_run(tmp_path / "run.safetensors", encoder)
    policy, worlds = run.ppo.policy, run.env.env
    player = copy.deepcopy(run.student).player()
    row, started = worlds.reset(), None
    for _ in range(12):
        with torch.no_grad():
            action = policy._predict(row, deterministic=True)
        torch.testing.assert_close(action, player(row, started))
        step = worlds.step(action)
        row, started = step.observation, step.terminated | step.truncated
    assert row.shape == (NUM_ENVS, worlds.width)


def test_the_critic_reads_the_worlds_row_and_not_the_students_memory(tmp_path):
    run = a_run(tmp_path / "run.safetensors")
    policy, worlds = run.ppo.policy, run.env.env
    row = worlds.observation()
    other = row.clone()
    other[:, worlds.worlds.width :] += 1.0
    with torch.no_grad():
        assert torch.equal(policy.predict_values(row), policy.predict_values(other))
        assert not torch.equal(policy._predict(row, deterministic=True), policy._predict(other, deterministic=True))


def test_the_critic_learns_alone_at_first_and_the_students_normalizer_never(tmp_path):
    run = a_run(tmp_path / "run.safetensors", num_iterations=14)
    before = copy.deepcopy(run.ppo.policy.state_dict())
    asked = []
    run.should_stop = lambda: asked.append(1) or len(asked) == 3  # two rollouts of fourteen, warm-up is more
    with pytest.raises(StoppedError):
        run.run()
    changed = {name for name, value in run.ppo.policy.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith(("critic.", "normalizer.")) for name in changed)
    run.should_stop = lambda: False
    run.run()
    changed = {name for name, value in run.ppo.policy.state_dict().items() if not torch.equal(value, before[name])}
    assert {"actor.encoder.gru.weight_hh", "actor.actor.0.weight"} <= changed
    assert not [name for name in changed if name.startswith("actor.normalizer")]


def test_a_critic_that_is_given_is_what_the_learner_begins_with_and_soon_trusts(tmp_path):
    known = a_run(tmp_path / "known.safetensors").ppo.policy
    with torch.no_grad():
        known.critic[-1].bias.add_(1.0)
        known.normalizer.update(an_env().observation())
    values = {name: value for name, value in known.state_dict().items() if not name.startswith("actor.")}
    run = fine_tuning(a_student("mlp"), an_env(), 100 * ITERATION, values=values, file=tmp_path / "run.safetensors")
    row = run.env.env.observation()
    with torch.no_grad():
        theirs, ours = (policy.predict_values(row[:, : an_env().width]) for policy in (known, run.ppo.policy))
    torch.testing.assert_close(ours, theirs)
    assert run.ppo.warm_up == 4 * ITERATION  # four rollouts; 15 % of the steps were fifteen


@pytest.mark.parametrize(
    "encoder", ["gru", pytest.param("conv", marks=pytest.mark.slow), pytest.param("mlp", marks=pytest.mark.slow)]
)
def test_a_stopped_fine_tuning_goes_on_bit_for_bit(encoder, tmp_path):
    straight = a_run(tmp_path / "straight.safetensors", encoder)
    straight.run()
    answers = iter([False, False, True])
    with pytest.raises(StoppedError):
        a_run(tmp_path / "run.safetensors", encoder, should_stop=lambda: next(answers)).run()
    resumed = a_run(tmp_path / "run.safetensors", encoder)
    resumed.run()
    expected, found = (checkpoint.load(run.file)[0] for run in (straight, resumed))
    own = [name for name in expected if not name.startswith("globals")]
    assert [name for name in own if not torch.equal(expected[name], found[name])] == []
    assert [point.episode_scores for point in resumed.curve] == [point.episode_scores for point in straight.curve]


def test_worlds_of_a_student_are_the_worlds_it_was_given_in_all_else():
    env = an_env()
    worlds = StudentWorlds(env, a_student("conv"))
    assert (worlds.spec, worlds.num_envs, worlds.actor_width) == (env.spec, NUM_ENVS, env.actor_width)
    assert worlds.width == env.width + 5 * env.actor_width
    with pytest.raises(AttributeError, match="nonsense"):
        _ = worlds.nonsense
