"""PPO that begins from a skill, and worlds that show a history: what is kept, what waits, what is refused."""

from dataclasses import replace

import pytest
import torch
from test_policies_off_policy import a_start
from test_policies_ppo import Immediately
from test_policies_skill import ANYMAL, GO1, TERMS, VELOCITY, a_skill

import policies.ppo
import policies.training
import robots
from envs.randomization import preset
from envs.vector_env import VectorEnv
from policies.bundle import Bundle, BundleError
from policies.bundled import skill_of_bundle
from policies.hyperparameters import TUNED
from policies.skill import Skill
from policies.stacked import StackedTraining, StackedWorlds, trained_skill
from policies.starting import Continued, Start, chosen, joint_mismatch, refuse, seen_by
from policies.threads import one_torch_thread
from policies.training import StoppedError
from policies.vec_env import Sb3VecEnv
from tests.deploy_bundles import busy_weights, contract, encoder_weights

one_torch_thread()
NUM_ENVS = 4
ITERATION = 24 * NUM_ENVS


@pytest.fixture(scope="module", autouse=True)
def _on_one_thread():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policies.ppo, "ThreadPoolExecutor", Immediately)
        yield


def an_env(num_envs: int = NUM_ENVS, seed: int = 4) -> VectorEnv:
    return VectorEnv(GO1, VELOCITY, num_envs=num_envs, randomization=preset("default"), seed=seed, num_threads=1)


def a_learner(start: Start, steps: int = 20 * ITERATION) -> Continued:
    wanted = chosen(TUNED, GO1, VELOCITY, start)
    return Continued(Sb3VecEnv(seen_by(start, an_env())), start, steps, hyperparameters=wanted, seed=2)


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return [value.detach().clone() for value in module.parameters()]


def moved(before: list[torch.Tensor], module: torch.nn.Module) -> bool:
    return any(not torch.equal(old, new) for old, new in zip(before, module.parameters(), strict=True))


@pytest.mark.parametrize(("history", "architecture"), [(1, "mlp"), (4, "mlp"), (4, "conv")])
def test_a_learner_begins_with_the_actions_of_the_skill_and_gives_it_back(history, architecture):
    start = a_start(history, architecture)
    learner = a_learner(start)
    rows = torch.as_tensor(learner.env.reset())
    expected = start.skill(rows[:, : history * start.skill.card.frame_width])
    torch.testing.assert_close(learner.policy._predict(rows, deterministic=True), expected)
    skill = trained_skill(learner.policy, learner.env.env, robot="go1", env_steps=7)
    torch.testing.assert_close(skill(rows[:, : history * skill.card.frame_width]), expected)
    assert skill.card == replace(
        start.skill.card, env_steps=7, randomization=preset("default"), model_hash=GO1.model_hash
    )


@pytest.mark.parametrize("history", [1, 4])
def test_a_fresh_critic_learns_alone_for_four_rollouts_before_the_actor_moves(history):
    learner = a_learner(a_start(history))
    actor, critic = weights(learner.policy.actor), weights(learner.policy.critic)
    assert learner.warm_up == 4 * ITERATION
    learner.learn(4 * ITERATION)
    assert not moved(actor, learner.policy.actor)
    assert moved(critic, learner.policy.critic)
    learner.learn(ITERATION, reset_num_timesteps=False)
    assert moved(actor, learner.policy.actor)


def test_the_warm_up_is_at_most_a_quarter_of_the_steps():
    assert a_learner(a_start(), steps=4 * ITERATION).warm_up == ITERATION


def test_what_a_skill_reads_is_normalized_as_ever_while_the_critics_channels_learn():
    start = a_start()
    learner, width = a_learner(start), start.skill.card.frame_width
    learner.learn(2 * ITERATION)
    normalizer = learner.policy.normalizer
    assert torch.equal(normalizer.mean[:width], start.skill.normalizer.mean)
    assert torch.equal(normalizer.std[:width], start.skill.normalizer.std)
    assert (normalizer.mean[width:] != 0.0).any()


def a_start_with_critic(task: str = "velocity") -> Start:
    """As a training run leaves it: a privileged actor, its critic, its exploration."""
    start = Start(name="run", skill=a_skill(privileged=True))
    policy = a_learner(start).policy
    with torch.no_grad():
        policy.log_std.fill_(-2.0)
    state = {name: value.clone() for name, value in policy.state_dict().items()}
    skill = a_skill(privileged=True)
    skill.card = replace(skill.card, task=task)
    return Start(name="run", skill=skill, policy=state)


def test_a_critic_of_the_same_robot_and_task_goes_on_at_once():
    start = a_start_with_critic()
    learner = a_learner(start)
    assert learner.warm_up == 0
    for name, value in learner.policy.state_dict().items():
        assert torch.equal(value, start.policy[name]), name
    actor = weights(learner.policy.actor)
    learner.learn(ITERATION)
    assert moved(actor, learner.policy.actor)


def test_a_critic_of_another_task_is_warmed_up_again():
    assert a_learner(a_start_with_critic(task="stand_up")).warm_up == 4 * ITERATION


def test_the_actor_of_a_start_explores_as_trainings_end_and_learns_slowly():
    wanted = chosen(TUNED, GO1, VELOCITY, a_start())
    assert (wanted.initial_std, wanted.learning_rate, wanted.hidden) == (0.3, 3e-4, (32, 16))


def test_another_network_than_the_skills_is_refused(tmp_path):
    file = tmp_path / "wide.yaml"
    file.write_text("hidden: [64, 64]\n")
    start = a_start()
    with pytest.raises(ValueError, match=r"source has hidden \(32, 16\), the hyperparameters ask for \(64, 64\)"):
        Continued(Sb3VecEnv(an_env()), start, 100, hyperparameters=chosen(str(file), GO1, VELOCITY, start), seed=0)
    file.write_text("num_epochs: 2\n")
    assert chosen(str(file), GO1, VELOCITY, start).hidden == (32, 16)
    with pytest.raises(LookupError, match="no hyperparameters named 'best'; there are 'tuned'"):
        chosen("best", GO1, VELOCITY, start)


def test_an_actor_that_reads_something_else_is_refused_with_both_sides_named():
    start = Start(name="teacher", skill=a_skill(privileged=True))
    measurable = sum(term.width for term in TERMS if term.measurable)
    everything = sum(term.width for term in TERMS)
    expected = rf"teacher reads {everything} channels \(.*base_velocity 3.*would read {measurable} channels.*add --priv"
    with pytest.raises(ValueError, match=expected):
        refuse(start, GO1, VELOCITY, privileged=False)
    with pytest.raises(ValueError, match=rf"reads {measurable} channels .*read {everything} .*leave out --privileged"):
        refuse(a_start(), GO1, VELOCITY, privileged=True)
    refuse(start, ANYMAL, VELOCITY, privileged=True)


def test_a_robot_with_other_joints_is_refused_with_both_sides_named():
    with pytest.raises(ValueError, match=r"source: .*legs of the joints differ: go1 has 12 .*, g1 has 2\d"):
        refuse(a_start(), robots.get("g1"), VELOCITY, privileged=False)
    assert joint_mismatch(GO1, ANYMAL) == ""


def test_a_recurrent_skill_is_refused():
    card = replace(a_skill().card, architecture="gru", memory=4, latent=2)
    with pytest.raises(ValueError, match=r"source is recurrent \(gru, memory 4\).*start from its teacher"):
        refuse(Start(name="source", skill=Skill(card, TERMS)), GO1, VELOCITY, privileged=False)


def a_training(file, should_stop=lambda: False) -> StackedTraining:
    learner = a_learner(a_start(4), steps=4 * ITERATION)
    return StackedTraining(learner, 4 * ITERATION, file, num_threads=1, curve_points=1, should_stop=should_stop)


@pytest.mark.parametrize("stopped_at", [1, 3])  # rollouts of 4: while the critic warms up, and after
def test_a_stopped_training_of_a_skill_with_history_continues_bit_for_bit(stopped_at, tmp_path, monkeypatch):
    monkeypatch.setattr(policies.training, "CURVE_EPISODES", 2)
    monkeypatch.setattr(policies.training, "CURVE_SECONDS", 0.1)
    straight = a_training(tmp_path / "straight")
    straight.run()
    asked = iter(range(100))
    with pytest.raises(StoppedError):
        a_training(tmp_path / "stopped", lambda: next(asked) >= stopped_at).run()
    resumed = a_training(tmp_path / "stopped")
    resumed.run()
    for name, value in straight.ppo.policy.state_dict().items():
        assert torch.equal(resumed.ppo.policy.state_dict()[name], value), name
    assert [point.score for point in resumed.curve] == [point.score for point in straight.curve]


def test_stacked_worlds_show_the_last_frames_of_the_worlds_below_and_the_last_of_an_episode():
    below, worlds = an_env(num_envs=64), StackedWorlds(an_env(num_envs=64), 3)
    width, action = below.actor_width, torch.zeros(64, 12)
    below.observation()  # as the stack does at first: both have drawn as much noise
    rows = [below.reset()]
    stacked = worlds.reset()
    assert torch.equal(stacked[:, : 3 * width], rows[0][:, :width].repeat(1, 3))  # an episode repeats its first frame
    assert torch.equal(stacked[:, 3 * width :], rows[0][:, width:])
    old = torch.zeros(64)  # control steps since a world's episode began
    while True:
        step, seen = below.step(action), worlds.step(action)
        done, old = step.terminated | step.truncated, old + 1.0
        if (done & (old >= 3)).any():
            break
        rows.append(step.observation)
        old[done] = 0.0
    kept = done & (old >= 3)
    newest = [rows[-2][kept, :width], rows[-1][kept, :width], step.final_observation[kept, :width]]
    assert torch.equal(seen.final_observation[kept, : 3 * width], torch.cat(newest, 1))
    assert torch.equal(seen.observation[done, : 3 * width], step.observation[done, :width].repeat(1, 3))


def test_stacked_worlds_continue_where_their_state_was_taken():
    action = torch.zeros(NUM_ENVS, 12)
    worlds = StackedWorlds(an_env(), 3)
    for _ in range(4):
        worlds.step(action)
    state = worlds.state_dict()
    expected = [worlds.step(action).observation for _ in range(3)]
    other = StackedWorlds(an_env(seed=9), 3)
    other.load_state_dict(state)
    for row in expected:
        assert torch.equal(other.step(action).observation, row)


@pytest.mark.parametrize(
    ("history", "network"), [(1, {}), (4, {"activation": "tanh"}), (6, {"architecture": "conv"})], ids=str
)
def test_a_skill_comes_back_from_its_bundle(history, network):
    agreed = contract(history=history, **network)
    weights = encoder_weights(agreed) if network.get("architecture") else busy_weights(agreed)
    skill = skill_of_bundle(a_bundle(agreed, weights))
    assert (skill.card.history, skill.card.activation) == (history, agreed.activation)
    exported = skill.export_weights()
    assert set(exported) == set(weights)
    assert all((exported[name] == value).all() for name, value in weights.items())


def test_a_bundle_whose_weights_do_not_fit_is_refused_by_name():
    agreed = contract()
    weights = busy_weights(agreed)
    weights["actor.1.bias"] = weights["actor.1.bias"][:5]
    with pytest.raises(BundleError, match=r"actor\.1\.(bias|weight) has shape"):
        skill_of_bundle(a_bundle(agreed, weights))


def a_bundle(agreed, weights) -> Bundle:
    return Bundle(contract=agreed, onnx=b"", weights=weights, robot=GO1, mjcf_text="")
