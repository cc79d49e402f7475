"""One policy for arms of any number of links: what a joint does by its own measurements, on whatever arm it sits."""

import pytest
import torch
from gymnasium import spaces

import envs.tasks
import robots
from envs import embodiments
from envs.randomization import preset
from policies.evaluation import evaluate
from policies.hyperparameters import Hyperparameters
from policies.members.worlds import Member
from policies.threads import one_torch_thread
from policies.tokens import reflex
from policies.tokens.body import Body
from policies.tokens.generalist import Generalist, GeneralistCard, folded, load_generalist
from policies.tokens.learner import TokenPPO
from policies.tokens.policy import TokenPolicy
from policies.tokens.reflex import LOUD, SLOPE
from policies.tokens.row import BodyRow
from policies.tokens.worlds import BodyWorlds

one_torch_thread()
REACH = envs.tasks.get("reach")
THREE, SEVEN = "arm:links=3", "arm:links=7"
ARMS = ("arm:links=2", THREE, SEVEN, "so101", "panda")
QUANTITIES = ("joint_pos", "joint_vel", "previous_target", "joint_pull")


def terms_on(name: str):
    return embodiments.terms(robots.get(name), REACH)


def body_of(name: str) -> Body:
    return Body.of(robots.get(name), terms_on(name))


def a_policy(*names: str, seed: int = 0, activation: str = "elu") -> TokenPolicy:
    """Of random weights; the reflex's are random too, and its last are not 0."""
    bodies = [body_of(name) for name in names]
    row = BodyRow(bodies, [terms_on(name) for name in names])
    torch.manual_seed(seed)
    policy = TokenPolicy(
        spaces.Box(-9.0, 9.0, (row.width,)),
        spaces.Box(-4.0, 4.0, (max(body.num_joints for body in bodies),)),
        lambda _: 1e-3,
        row=row,
        privileged=False,
        hidden=(32, 24),
        activation=activation,
    )
    with torch.no_grad():
        policy.actor.act.weight.mul_(100.0)
        for parameter in policy.actor.reflex.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return policy


def on_another(policy: TokenPolicy, name: str) -> TokenPolicy:
    """The same weights on one arm, which they were not made with."""
    other = a_policy(name, activation=policy.activation)
    other.load_state_dict(policy.state_dict())
    return other


def passing(policy: TokenPolicy, quantity: str, amount: float) -> TokenPolicy:
    """The policy whose trunk is silent and whose joints pass on one quantity of theirs."""
    with torch.no_grad():
        policy.actor.act.weight.zero_()
        policy.actor.act.bias.zero_()
        fresh = reflex.Reflex(len(QUANTITIES), 2, "elu")
        fresh.act[0, QUANTITIES.index(quantity)] = amount
    policy.actor.reflex = fresh
    return policy


def acts(policy: TokenPolicy, normalized: torch.Tensor) -> torch.Tensor:
    """(n, num_joints) for normalized observations of the only member, (n, width)."""
    with torch.no_grad():
        return policy.action_mean(torch.cat([torch.zeros(len(normalized), 1), normalized], 1))


def rows(name: str, n: int) -> torch.Tensor:
    """Normalized observations, (n, width)."""
    return torch.randn(n, body_of(name).width, generator=torch.Generator().manual_seed(3))


def first_of(name: str, term_name: str) -> int:
    """The first channel of a term."""
    terms = terms_on(name)
    names = [term.name for term in terms]
    return sum(term.width for term in terms[: names.index(term_name)])


def test_only_joints_that_no_role_tells_apart_have_units_of_their_own():
    assert reflex.suits([body_of(name) for name in ARMS])
    velocity = envs.tasks.get("velocity")
    dog, humanoid = (Body.of(robots.get(name), embodiments.terms(robots.get(name), velocity)) for name in ("go1", "g1"))
    assert not reflex.suits([dog])
    assert not reflex.suits([humanoid])  # its arms have no role, its legs have
    assert a_policy(THREE).critic.reflex is None


@pytest.mark.parametrize("activation", ["elu", "tanh", "relu"])
def test_on_every_arm_it_is_an_ordinary_perceptron_whose_layers_have_the_joints_units_too(activation):
    policy = a_policy(THREE, activation=activation)
    for name in ARMS:
        there, terms = on_another(policy, name), terms_on(name)
        body = there.row.bodies[0]
        own = folded(there, body, terms, return_size=2.0)
        # four quantities: position, rate, target and pull of each joint
        assert own.hidden == (32 + 4 * body.num_joints, 24 + 4 * body.num_joints)
        normalized = rows(name, 80)
        with torch.no_grad():
            assert torch.allclose(own.action_mean(normalized), acts(there, normalized), atol=1e-4)
            value = there.value(torch.cat([torch.zeros(80, 1), normalized], 1))
            assert torch.allclose(own.value(normalized), 2.0 * value, atol=1e-4)


@pytest.mark.parametrize("name", ARMS)
def test_a_joint_that_passes_on_its_pull_does_so_on_every_arm(name):
    policy = passing(on_another(a_policy(THREE), name), "joint_pull", 0.25)
    body, normalized = body_of(name), 0.5 * rows(name, 70).clamp(-3.0, 3.0)
    first = first_of(name, "joint_pull")
    pull = normalized[:, first : first + body.num_joints]
    # ELU is straight above 0, where 0.3·pull + 1 is, and what it gives for no pull is taken away: 8 · 0.25 · 0.3 · pull
    assert torch.allclose(acts(policy, normalized), LOUD * 0.25 * SLOPE * pull, atol=1e-5)


def test_what_a_joint_measures_itself_moves_no_other_joint_by_reflex():
    policy = passing(on_another(a_policy(THREE), SEVEN), "previous_target", 1.0)
    normalized, first = 0.1 * rows(SEVEN, 5), first_of(SEVEN, "previous_target")
    before = acts(policy, normalized)
    normalized[:, first + 4] += 1.0
    moved = acts(policy, normalized) - before
    assert torch.allclose(moved[:, 4], torch.tensor(LOUD * SLOPE), atol=1e-5)
    assert moved[:, [0, 1, 2, 3, 5, 6]].abs().max() < 1e-6


def test_a_policy_that_knows_nothing_yet_has_no_reflexes():
    worlds = BodyWorlds([Member.named(f"{THREE}:reach")], num_envs=2, randomization=preset("default"), num_threads=1)
    policy = TokenPPO(worlds, privileged=False, seed=1).policy
    with torch.no_grad():
        with_units = policy.actor.folded(policy.row.bodies)[0]
        policy.actor.reflex = None
        without = policy.actor.folded(policy.row.bodies)[0]
    assert with_units[-2][:, :128].equal(without[-2])
    assert with_units[-2][:, 128:].abs().max() == 0.0
    assert with_units[-1].equal(without[-1])


def a_generalist(policy: TokenPolicy) -> Generalist:
    card = GeneralistCard(
        members=(THREE,),
        task="reach",
        privileged=False,
        hidden=policy.hidden,
        activation=policy.activation,
        terms=tuple(term.name for term in terms_on(THREE)),
    )
    return Generalist(card=card, weights={name: value.clone() for name, value in policy.state_dict().items()})


def test_a_saved_policy_of_three_links_drives_real_arms_and_refuses_legs(tmp_path):
    policy = a_policy(THREE)
    a_generalist(policy).save(tmp_path / "tokens.safetensors")
    generalist = load_generalist(tmp_path / "tokens.safetensors")
    for name in ("so101", "panda"):
        skill = generalist.skill_on(name)
        terms = terms_on(name)
        raw = torch.tensor([[value for term in terms if term.measurable for value in term.offset]]).repeat(3, 1)
        at_rest = torch.zeros(3, body_of(name).width)
        with torch.no_grad():
            assert torch.allclose(skill(raw), acts(on_another(policy, name), at_rest), atol=1e-4)
        assert skill.card.num_joints == robots.get(name).num_joints
    with pytest.raises(ValueError, match="no role in common"):
        generalist.policy_on(robots.get("quadruped:joints_per_leg=2"), REACH)


@pytest.mark.slow
def test_what_was_learned_with_three_links_holds_for_five_and_for_a_panda():
    wanted = Hyperparameters(target_divergence=0.1)
    worlds = BodyWorlds(
        [Member.named(f"{THREE}:reach")],
        num_envs=64,
        randomization=preset("default"),
        seed=1,
        num_threads=1,
        gamma=wanted.gamma,
    )
    ppo = TokenPPO(worlds, privileged=False, hyperparameters=wanted, seed=0)
    ppo.learn(150_000)
    generalist = a_generalist(ppo.policy)

    def score(name: str) -> float:
        player = generalist.skill_on(name).player()
        return evaluate(robots.get(name), REACH, player, episodes=16, seconds=3.0, num_threads=1).score

    own = score(THREE)
    assert own > 0.6
    assert score("arm:links=5") > 0.7 * own  # a policy without reflexes: 0.2
    assert score("panda") > 0.7 * own
