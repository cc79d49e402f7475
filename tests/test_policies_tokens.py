"""One policy for any joints: what a body is to it, how it folds, what it ignores, and what it refuses."""

from dataclasses import replace

import pytest
import torch
from gymnasium import spaces

import envs.tasks
import policies.training
import robots
from envs import embodiments
from envs.make import make_worlds
from envs.observations import Term
from envs.randomization import preset
from policies.files import checkpoint
from policies.members.training import MemberTraining
from policies.members.worlds import Member
from policies.perceptron import Perceptron, run_layers
from policies.threads import one_torch_thread
from policies.tokens.body import DESCRIPTORS, Body, refuse_different
from policies.tokens.descriptor_range import QUIET, DescriptorRange
from policies.tokens.generalist import Generalist, GeneralistCard, folded, load_generalist
from policies.tokens.learner import TokenPPO
from policies.tokens.normalizer import SharedNormalizer
from policies.tokens.policy import TokenPolicy, by_member
from policies.tokens.row import BodyRow
from policies.tokens.worlds import BodyWorlds
from robots.descriptors import ROLES
from robots.similarity import scaled

one_torch_thread()
VELOCITY = envs.tasks.get("velocity")
FOUR, EIGHT, SIX_LEGS = "go1", "quadruped:joints_per_leg=2", "quadruped:legs=6"
NAMES = (FOUR, EIGHT, SIX_LEGS)
NUM_ENVS = 4


@pytest.fixture(scope="module", autouse=True)
def _short():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policies.training, "CURVE_EPISODES", 2)
        patch.setattr(policies.training, "CURVE_SECONDS", 0.1)
        yield


def terms_on(spec) -> tuple[Term, ...]:
    return embodiments.terms(spec, VELOCITY)


def a_policy(*specs, privileged: bool = False, seed: int = 0) -> TokenPolicy:
    """Of random weights, its last layer as large as the others."""
    terms = [terms_on(spec) for spec in specs]
    bodies = [Body.of(spec, own) for spec, own in zip(specs, terms, strict=True)]
    row, joints = BodyRow(bodies, terms), max(body.num_joints for body in bodies)
    torch.manual_seed(seed)
    policy = TokenPolicy(
        spaces.Box(-9.0, 9.0, (row.width,)),
        spaces.Box(-4.0, 4.0, (joints,)),
        lambda _: 1e-3,
        row=row,
        privileged=privileged,
        hidden=(32, 24),
    )
    with torch.no_grad():
        policy.actor.act.weight.mul_(100.0)
    return policy


def on_another(policy: TokenPolicy, spec) -> TokenPolicy:
    """The same weights on one other robot, which they were not made with."""
    other = a_policy(spec, privileged=policy.privileged)
    other.load_state_dict(policy.state_dict())
    return other


def rows_of(spec, n: int, seed: int = 1) -> torch.Tensor:
    """Raw rows, (n, width), about the nominal pose."""
    terms = terms_on(spec)
    offset, scale = (torch.tensor([v for term in terms for v in getattr(term, name)]) for name in ("offset", "scale"))
    return offset + torch.randn(n, len(offset), generator=torch.Generator().manual_seed(seed)) / scale


def acts(policy: TokenPolicy, spec, raw: torch.Tensor, member: int = 0) -> torch.Tensor:
    with torch.no_grad():
        normalized = policy.normalizer(policy.row.lift(member, raw))
        return policy.action_mean(normalized)[:, : spec.num_joints]


@pytest.mark.parametrize("privileged", [False, True])
def test_on_every_body_it_is_an_ordinary_perceptron(privileged):
    specs = [robots.get(name) for name in NAMES]
    policy = a_policy(*specs, privileged=privileged)
    raws = [rows_of(spec, 80) for spec in specs]
    policy.normalizer.update(torch.cat([policy.row.lift(i, raw) for i, raw in enumerate(raws)]))
    for index, (spec, raw) in enumerate(zip(specs, raws, strict=True)):
        body, terms = policy.row.bodies[index], policy.row.terms[index]
        own = folded(policy, body, terms, return_size=3.0)
        with torch.no_grad():
            seen, common = own.normalizer(raw), policy.normalizer(policy.row.lift(index, raw))
            assert torch.allclose(own.action_mean(seen), acts(policy, spec, raw, index), atol=1e-5)
            assert torch.allclose(own.value(seen), 3.0 * policy.value(common), atol=1e-4)
        assert own.action_mean(seen).std() > 0.01  # and says something at all


def test_the_order_of_a_robots_joints_makes_no_difference():
    spec = robots.get(FOUR)
    order = [7, 2, 0, 11, 5, 3, 1, 9, 4, 8, 10, 6]
    shuffled = replace(spec, joints=tuple(spec.joints[joint] for joint in order))
    policy = a_policy(spec)
    raw, mixed, first = rows_of(spec, 5), rows_of(shuffled, 5), 0
    for term in terms_on(spec):
        own = raw[:, first : first + term.width]
        mixed[:, first : first + term.width] = own[:, order] if term.frame.startswith("joint") else own
        first += term.width
    here, there = acts(policy, spec, raw), acts(on_another(policy, shuffled), shuffled, mixed)
    assert torch.allclose(there, here[:, order], atol=1e-5)


def test_dynamically_similar_robots_have_the_same_perceptron(tmp_path):
    spec = robots.get(FOUR)
    giant = scaled(spec, tmp_path, length=3.0, mass=20.0, gravity=1.0)
    policy = a_policy(spec)
    made = [on_another(policy, each).actor.folded([Body.of(each, terms_on(each))])[0] for each in (spec, giant)]
    for own, other in zip(*made, strict=True):
        assert torch.allclose(own, other, atol=1e-4)


def test_a_joint_that_is_absent_has_no_columns_and_no_outputs():
    policy = a_policy(robots.get("quadruped:"), robots.get(EIGHT))
    weights = [policy.actor.folded([body])[0] for body in policy.row.bodies]
    # gravity, gyro, command | position, rate and target of each joint | clock
    assert [made[0].shape[1] for made in weights] == [9 + 3 * 12 + 2, 9 + 3 * 8 + 2]
    assert [made[-1].shape[0] for made in weights] == [12, 8]


def test_the_joints_of_a_role_together_count_as_much_on_every_robot():
    bodies = [Body.of(robots.get(name), terms_on(robots.get(name))) for name in NAMES]
    assert bodies[0].weight.tolist() == [1.0] * 12  # four joints of each role
    assert bodies[1].weight.tolist() == [1.0] * 8
    assert bodies[2].weight.tolist() == pytest.approx([4.0 / 6.0] * 18)


def test_descriptors_beyond_what_was_seen_count_as_the_nearest_that_was():
    dog, giant = (robots.get(f"quadruped:leg_length={length},kp={kp}") for length, kp in ((0.4, 1.0), (0.4, 1.5)))
    seen, known = (Body.of(spec, terms_on(spec)) for spec in (dog, giant))
    limits, kp = DescriptorRange(), len(ROLES) + len(DESCRIPTORS) + DESCRIPTORS.index("kp")
    limits.include(seen)
    assert limits(known)[:, kp].abs().max() == 0.0  # one value was seen: nothing is known of others
    limits.include(known)
    assert limits(seen)[:, kp].tolist() == pytest.approx([-QUIET] * 12)
    beyond = Body.of(*((spec := robots.get("quadruped:kp=3.0")), terms_on(spec)))
    assert limits(beyond)[:, kp].tolist() == pytest.approx([QUIET] * 12)


def test_what_tells_joints_apart_is_told_apart_from_what_tells_bodies_apart():
    spec = robots.get("quadruped:")
    body = Body.of(spec, terms_on(spec))
    side, length = DESCRIPTORS.index("side_left"), DESCRIPTORS.index("link_length")
    own, mean = body.parts.chunk(2, 1)
    assert own[:, side].abs().tolist() == [0.5] * 12  # left and right are 1 and 0 about ½
    assert mean[:, side].tolist() == [0.5] * 12
    assert own[:, length].abs().max() < 1e-6  # all four legs are alike
    assert torch.allclose(own + mean, body.descriptors, atol=1e-6)


def test_joints_of_a_role_that_was_never_seen_are_held_in_the_nominal_pose_and_not_listened_to():
    eight, twelve = robots.get(EIGHT), robots.get("quadruped:")
    policy = on_another(a_policy(eight), twelve)
    raw = rows_of(twelve, 3)
    action = acts(policy, twelve, raw)
    abduct = policy.row.bodies[0].role == ROLES.index("abduct")
    assert abduct.sum() == 4
    assert action[:, abduct].abs().max() == 0.0
    assert action[:, ~abduct].abs().min() > 0.0
    raw[:, 9:21][:, abduct] += 1.0  # their positions
    assert torch.equal(acts(policy, twelve, raw), action)


def test_statistics_are_one_number_for_a_quantity_and_role_of_all_bodies():
    specs = [robots.get(EIGHT), robots.get("quadruped:joints_per_leg=2,mass=20")]
    bodies = [Body.of(spec, terms_on(spec)) for spec in specs]
    normalizer = SharedNormalizer(bodies)
    row = BodyRow(bodies, [terms_on(spec) for spec in specs])
    raws = [rows_of(spec, 50, seed) for seed, spec in enumerate(specs)]
    normalizer.update(torch.cat([row.lift(index, raw) for index, raw in enumerate(raws)]))
    swing = bodies[0].known.statistic == normalizer.names.index("joint_pos/swing")
    values = torch.cat([((raw - body.offset) * body.scale)[:, swing] for raw, body in zip(raws, bodies, strict=True)])
    mean, std = normalizer.of(bodies[0])
    assert mean[swing][0].item() == pytest.approx(values.mean().item(), abs=1e-5)
    assert std[swing][0].item() == pytest.approx(values.std(unbiased=False).item(), rel=1e-4)


def test_a_role_without_statistics_has_those_of_all_roles_together():
    normalizer = SharedNormalizer([Body.of(robots.get("quadruped:"), terms_on(robots.get("quadruped:")))])
    names = normalizer.names
    for role, mean, std in (("swing", 1.0, 3.0), ("extend", 3.0, 4.0)):
        index = names.index(f"joint_vel/{role}")
        normalizer.mean[index], normalizer.std[index], normalizer.count[index] = mean, std, 10.0
    filled = [values[names.index("joint_vel/abduct")].item() for values in normalizer._filled()]
    assert filled == pytest.approx([2.0, 12.5**0.5])  # (1 + 3)/2, √((9 + 16)/2)


def test_rows_come_back_in_the_order_they_were_given():
    rows = torch.tensor([[1.0, 5.0], [0.0, 6.0], [1.0, 7.0], [0.0, 8.0]])
    done = by_member(rows, 2, lambda member, own: own[:, 1:] * 10.0**member)
    assert done[:, 0].tolist() == [50.0, 6.0, 70.0, 8.0]


def test_layers_that_come_from_elsewhere_run_as_a_perceptron_does():
    net = Perceptron([5, 7, 3], "tanh")
    for n in (3, 100):  # below and above what the pass written by hand takes
        x = torch.randn(n, 5)
        assert torch.allclose(run_layers(x, "tanh", list(net.parameters())), net(x), atol=1e-6)


def some_worlds(*names: str) -> BodyWorlds:
    members = [Member(name, robots.get(name), VELOCITY) for name in names]
    return BodyWorlds(members, num_envs=NUM_ENVS, randomization=preset("default"), seed=5, num_threads=1)


def a_learner(*names: str) -> TokenPPO:
    return TokenPPO(some_worlds(*names), privileged=False, seed=5, policy_kwargs={"hidden": (16, 16)})


def test_every_minibatch_has_equally_many_samples_of_each_body_side_by_side():
    ppo = a_learner(FOUR, EIGHT)
    samples = 24 * 2 * NUM_ENVS
    minibatches = ppo._shuffled(samples)
    assert len(minibatches) == 6
    assert sorted(torch.cat(minibatches).tolist()) == list(range(samples))
    for rows in minibatches:  # sample t·8 + w is of world w, and worlds 4 to 7 are those of the second body
        member = (rows % (2 * NUM_ENVS)) // NUM_ENVS
        assert member.tolist() == [0] * (len(rows) // 2) + [1] * (len(rows) // 2)


def test_joints_that_a_body_does_not_have_count_nothing():
    ppo = a_learner(FOUR, EIGHT)
    policy, row = ppo.policy, ppo.policy.row
    raw = rows_of(robots.get(EIGHT), 2)
    normalized = policy.normalizer(row.lift(1, raw))
    mean, log_std = policy.action_mean(normalized), policy.spread(normalized, policy.log_std)
    assert mean[:, 8:].abs().max() == 0.0
    assert log_std[:, 8:].abs().max() == 0.0
    action = mean + 0.3
    gradient = torch.autograd.grad(policy.log_prob(action, mean, log_std).sum(), policy.log_std)[0]
    # two rows, four joints a role: d/dlogσ = Σ (0.3/σ)² − 1, σ = 0.7; 8-joint bodies neither abduct nor do others
    each = 2 * 4 * ((0.3 / 0.7) ** 2 - 1.0)
    assert gradient.tolist() == pytest.approx([0.0, each, each, 0.0], rel=1e-4)


def a_training(file, iterations: int, should_stop=lambda: False) -> MemberTraining:
    ppo = a_learner(FOUR, EIGHT)
    steps = iterations * 24 * 2 * NUM_ENVS
    return MemberTraining(ppo, steps, file, num_threads=1, curve_points=0, should_stop=should_stop)


def test_a_training_learns_every_part_and_goes_on_bit_for_bit(tmp_path):
    straight = a_training(tmp_path / "straight.safetensors", 3)
    before = {name: value.clone() for name, value in straight.ppo.policy.state_dict().items()}
    straight.run()
    after = straight.ppo.policy.state_dict()
    fixed = {name for name in before if torch.equal(before[name], after[name])}
    assert {name.rpartition(".")[2] for name in fixed} <= {"low", "high", "known", "factor"}  # all else moved
    calls = iter([False, True])
    stopped = a_training(tmp_path / "stopped.safetensors", 3, lambda: next(calls, False))
    with pytest.raises(policies.training.StoppedError):
        stopped.run()
    resumed = a_training(tmp_path / "stopped.safetensors", 3)
    resumed.run()
    assert all(torch.equal(value, after[name]) for name, value in resumed.ppo.policy.state_dict().items())


def a_generalist(*names: str, privileged: bool = False) -> Generalist:
    specs = [robots.get(name) for name in names]
    policy = a_policy(*specs, privileged=privileged)
    card = GeneralistCard(
        members=names,
        task="velocity",
        privileged=privileged,
        hidden=(32, 24),
        activation="elu",
        terms=tuple(term.name for term in terms_on(specs[0])),
    )
    return Generalist(card=card, weights={name: value.clone() for name, value in policy.state_dict().items()})


def test_a_file_holds_all_that_a_new_body_needs(tmp_path):
    generalist = a_generalist(FOUR)
    generalist.save(tmp_path / "tokens.safetensors")
    again = load_generalist(tmp_path / "tokens.safetensors")
    assert again.card == generalist.card
    spec = robots.get("anymal_c")
    worlds = make_worlds(spec, VELOCITY, num_envs=3, randomization=preset("none"), seed=1, num_threads=1)
    observation = worlds.reset()
    skills = [each.skill_on("anymal_c") for each in (generalist, again)]
    assert skills[0].card.model_hash == spec.model_hash
    assert torch.equal(*(skill.player()(observation) for skill in skills))


def test_robots_that_it_cannot_drive_are_refused_by_name():
    generalist = a_generalist(FOUR)
    with pytest.raises(ValueError, match=r"abduct a leg or swing one or extend one, arm.* has only joints that do"):
        generalist.refuse(robots.get("arm:links=3"), envs.tasks.get("velocity"))
    with pytest.raises(ValueError, match="this policy knows 'velocity', got 'velocity_rough'"):
        generalist.policy_on(robots.get(FOUR), envs.tasks.get("velocity_rough"))
    spec = robots.get(FOUR)
    motors = [replace(joint.actuator, control="torque", kp=0.0, kd=0.0) for joint in spec.joints]
    joints = [replace(joint, actuator=motor) for joint, motor in zip(spec.joints, motors, strict=True)]
    torques = replace(spec, joints=tuple(joints))
    with pytest.raises(ValueError, match=r"go1 drives FL_hip_joint, .* by torque"):
        Body.of(torques, terms_on(spec))


def test_joints_without_a_role_in_a_leg_do_not_make_an_arm_of_a_humanoid():
    humanoid = a_generalist("g1")  # waist and arms do something else, as all joints of a panda do
    with pytest.raises(ValueError, match=r"task 'velocity' is for robots that stand on feet; panda is of kind arm"):
        humanoid.policy_on(robots.get("panda"))


def test_bodies_that_are_observed_differently_cannot_be_learned_together():
    specs = [robots.get(FOUR), robots.get(EIGHT)]
    terms = [terms_on(spec) for spec in specs]
    fewer = tuple(term for term in terms[1] if term.name != "gyro")
    with pytest.raises(ValueError, match=r"gyro\.0, gyro\.1, gyro\.2 are told of only one of go1 and quadruped"):
        refuse_different([Body.of(specs[0], terms[0]), Body.of(specs[1], fewer)])


def test_weights_of_another_shape_are_refused():
    generalist = a_generalist(FOUR)
    other = replace(generalist, weights=generalist.weights | {"actor.range.low": torch.zeros(4, 3)})
    with pytest.raises(ValueError, match=r"not those that this version makes \((?s:.*)actor.range.low"):
        other.skill_on("anymal_c")


def test_another_file_is_no_policy_over_joints(tmp_path):
    checkpoint.save(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {"kind": "policy"})
    with pytest.raises(ValueError, match="must hold a policy over joints, got a file of kind 'policy'"):
        load_generalist(tmp_path / "x.safetensors")
