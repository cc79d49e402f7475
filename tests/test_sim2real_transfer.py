"""Transfer strategies: how each begins on the target robot, and that all of them are known by name."""

import pytest
import torch
from test_policies_ppo import Immediately

import envs.tasks
import policies.ppo
import robots
from envs.randomization import preset
from envs.vector_env import VectorEnv
from policies.files import policy_file
from policies.networks import ActorCritic, Layout
from policies.ppo import PPO
from policies.threads import one_torch_thread
from policies.vec_env import Sb3VecEnv
from sim2real.transfer import strategies
from sim2real.transfer.strategies.finetune import ANCHOR, ANCHOR_WEIGHT, WARM_UP
from sim2real.transfer.strategy import Source, put_on

one_torch_thread()
NUM_ENVS = 8
ITERATION = 24 * NUM_ENVS
BUDGET = 100 * ITERATION
HIDDEN = (16, 8)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policies.ppo, "ThreadPoolExecutor", Immediately)
        yield


def an_env(robot: str) -> Sb3VecEnv:
    spec, task = robots.get(robot), envs.tasks.get("velocity")
    return Sb3VecEnv(VectorEnv(spec, task, num_envs=NUM_ENVS, randomization=preset("default"), num_threads=1))


@pytest.fixture(scope="module")
def target():
    return an_env("anymal_c")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Source:
    """What a short training of go1 leaves behind."""
    env, file = an_env("go1"), tmp_path_factory.mktemp("source") / "policy.safetensors"
    kwargs = {"layout": Layout.of(env.env.terms, privileged=False), "hidden": HIDDEN}
    ppo = PPO(ActorCritic, env, policy_kwargs=kwargs).learn(ITERATION)
    shape = {"hidden": list(HIDDEN), "activation": "elu", "privileged": False}
    policy_file.write(file, dict(ppo.policy.state_dict()), shape)
    return Source.load(file)


def actor(ppo: PPO) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in ppo.policy.actor_parameters])


def same_weights(ppo: PPO, source: Source) -> bool:
    state = ppo.policy.state_dict()
    assert state.keys() == source.weights.keys()
    return all(torch.equal(state[name], source.weights[name]) for name in state)


@pytest.mark.parametrize("name", strategies.names())
def test_every_strategy_gives_a_learner_of_the_sources_shape(name, source, target):
    strategy = strategies.get(name)
    ppo = strategy.learner(source, target, BUDGET, 0)
    assert strategy.name == name
    assert strategy.summary
    assert isinstance(ppo, PPO)
    assert ppo.env is target
    assert ppo.policy.hidden == HIDDEN
    assert ppo.num_timesteps == 0


def test_an_unknown_strategy_lists_those_that_exist():
    with pytest.raises(LookupError, match="no transfer strategy named 'magic'; there are finetune, scratch, zero_shot"):
        strategies.get("magic")


@pytest.mark.parametrize("name", ["finetune", "zero_shot"])
def test_a_skill_is_handed_over_whole(name, source, target):
    ppo = strategies.get(name).learner(source, target, BUDGET, 0)
    assert same_weights(ppo, source)
    go1 = an_env("go1")
    units = Layout.of(go1.env.terms, privileged=False)
    assert ppo.policy.normalizer.scale.tolist() != pytest.approx(units.scale)  # the target's own units stay


def test_scratch_begins_fresh(source, target):
    one, other = (strategies.get("scratch").learner(source, target, BUDGET, seed) for seed in (0, 1))
    assert not same_weights(one, source)
    assert not torch.equal(actor(one), actor(other))


def test_only_zero_shot_is_not_trained():
    assert [name for name in strategies.names() if not strategies.get(name).trains] == ["zero_shot"]


def test_fine_tuning_warms_up_the_critic_first(source, target):
    ppo = strategies.get("finetune").learner(source, target, BUDGET, 0)
    before, critic = actor(ppo), ppo.policy.critic[0].weight.detach().clone()
    ppo.learn(int(WARM_UP * BUDGET) - ITERATION + 1)
    assert torch.equal(actor(ppo), before)
    assert not torch.equal(ppo.policy.critic[0].weight, critic)
    ppo.learn(ITERATION, reset_num_timesteps=False)
    assert not torch.equal(actor(ppo), before)


def test_fine_tuning_leaves_the_normalizer_alone(source, target):
    ppo = strategies.get("finetune").learner(source, target, ITERATION, 0).learn(2 * ITERATION)
    for name in ("mean", "std", "count"):
        assert torch.equal(getattr(ppo.policy.normalizer, name), source.weights[f"normalizer.{name}"])


def test_the_anchor_holds_at_first_and_fades_to_nothing(source, target):
    ppo = strategies.get("finetune").learner(source, target, BUDGET, 0)
    observations = torch.zeros(4, target.env.width)
    mean = ppo.policy.action_mean(observations)
    assert ppo.extra_loss(observations, mean).item() == 0.0  # still the source
    deviation = ppo.policy.log_std.detach().exp()
    # A shift by one standard deviation in each of 12 joints: KL = 12·½·1² = 6 nat
    assert ppo.extra_loss(observations, mean + deviation).item() == pytest.approx(6.0 * ANCHOR_WEIGHT, rel=1e-5)
    ppo.num_timesteps = int(0.5 * ANCHOR * BUDGET)
    assert ppo.extra_loss(observations, mean + deviation).item() == pytest.approx(3.0 * ANCHOR_WEIGHT, rel=1e-2)
    ppo.num_timesteps = int(ANCHOR * BUDGET) + 1
    assert ppo.extra_loss(observations, mean + deviation) == 0.0


def test_the_anchor_is_no_part_of_what_is_trained(source, target):
    ppo = strategies.get("finetune").learner(source, target, 1, 0).learn(2 * ITERATION)
    for name, value in ppo.anchor.state_dict().items():
        assert torch.equal(value, source.weights[f"actor.{name}"])


def test_a_privileged_source_stays_privileged(source, target):
    teacher = Source(weights=source.weights, hidden=HIDDEN, privileged=True)
    assert teacher.policy_kwargs(target)["layout"].actor_width == target.env.width
    assert source.policy_kwargs(target)["layout"].actor_width == target.env.actor_width


def test_weights_of_another_shape_are_an_error(source, target):
    ppo = PPO(ActorCritic, target, policy_kwargs=source.policy_kwargs(target) | {"hidden": (4, 4)})
    with pytest.raises(RuntimeError, match="size mismatch"):
        put_on(source, ppo)
