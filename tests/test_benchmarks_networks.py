"""Both policies over joints keep their word about joints, and the arithmetic of which one is kept."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import envs.tasks
from benchmarks.networks import __main__ as networks
from benchmarks.networks.attention_tokens import DECODED, KEYS, VALUES, elu
from benchmarks.networks.learning import NETWORKS, actor_on, learner_of, source
from benchmarks.networks.zero_shot import add, gain, verdict
from benchmarks.report import Report
from benchmarks.transfer.bodies import DOG, LEAN, UNSEEN
from envs import embodiments
from envs.make import make_worlds
from envs.randomization import preset
from policies.hyperparameters import for_task
from policies.networks import blank
from policies.tokens.body import Body, Reading
from policies.tokens.row import BodyRow
from sim2real.statistics import Estimate

TASK = envs.tasks.get(DOG.task)
BY_NAME = pytest.mark.parametrize("name", NETWORKS)


def parts(body):
    terms = embodiments.terms(body.spec, TASK)
    return Body.of(body.spec, terms), terms


def policy_of(name, *members, seed=0):
    """A policy over `members`, its weights drawn so that everything matters."""
    bodies, terms = zip(*members, strict=True)
    row = BodyRow(bodies, terms)
    joints = max(body.num_joints for body in bodies)
    kind = NETWORKS[name].policy_of_members
    wanted = for_task(DOG.spec, TASK)
    policy = blank(kind, row.width, joints, wanted.hidden, wanted.activation, row=row, privileged=False)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return policy


def shared(source, policy):
    """`policy` with the weights and the range of `source`."""
    policy.load_state_dict(source.state_dict())
    return policy


def rows_of(body, member=0, count=3, seed=1):
    """(count, 1 + width) normalized rows."""
    channels = torch.randn((count, body.width), generator=torch.Generator().manual_seed(seed))
    return torch.cat([torch.full((count, 1), float(member)), channels], 1)


def reordered(body: Body, order: list[int]) -> Body:
    """The same robot whose joints come in another order; its row is told by the same channels."""

    def read(reading: Reading) -> Reading:
        by_joint = reading.joint.view(body.width if reading is body.known else len(reading.statistic), len(order), -1)
        return replace(reading, joint=by_joint[:, order].flatten(1))

    return replace(
        body,
        descriptors=body.descriptors[order],
        role=body.role[order],
        weight=body.weight[order],
        measured=read(body.measured),
        known=read(body.known),
    )


@BY_NAME
@torch.no_grad()
def test_joints_in_another_order_act_as_before(name):
    body, terms = parts(DOG)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3)).tolist()
    policy, rows = policy_of(name, (body, terms)), rows_of(body)
    other = shared(policy, policy_of(name, (reordered(body, order), terms), seed=5))
    action = policy.action_mean(rows)
    assert action.std(1).min() > 0.01  # joints differ, so that an order can be told
    torch.testing.assert_close(other.action_mean(rows), action[:, order])
    torch.testing.assert_close(other.value(rows), policy.value(rows))


@BY_NAME
@torch.no_grad()
def test_joints_that_a_body_does_not_have_have_no_influence(name):
    dog, lean = parts(DOG), parts(LEAN)
    both = policy_of(name, dog, lean)
    alone = shared(both, policy_of(name, lean, seed=5))
    rows = rows_of(lean[0], member=1)
    padding = dog[0].width - lean[0].width
    assert padding > 0
    empty, full = (torch.cat([rows, torch.full((3, padding), filled)], 1) for filled in (0.0, 7.0))
    action = both.action_mean(empty)
    assert (action[:, 8:] == 0.0).all()
    assert both.action_mean(full).equal(action)
    assert both.value(full).equal(both.value(empty))
    own = torch.cat([torch.zeros(3, 1), rows[:, 1:]], 1)
    torch.testing.assert_close(alone.action_mean(own), action[:, :8])
    torch.testing.assert_close(alone.value(own), both.value(empty))


@BY_NAME
@torch.no_grad()
def test_joints_of_a_kind_never_trained_rest_and_are_not_listened_to(name):
    dog, lean = parts(DOG), parts(LEAN)  # nobody abducts a leg of the second
    policy = shared(policy_of(name, lean), policy_of(name, dog, seed=5))
    abducts = dog[0].role == 0
    assert int(abducts.sum()) == 4
    rows = rows_of(dog[0])
    action = policy.action_mean(rows)
    assert (action[:, abducts] == 0.0).all()
    assert (action[:, ~abducts] != 0.0).all()
    quantities = dog[0].measured.joint.view(len(dog[0].measured.statistic), 12, -1)
    names = dog[0].measured.channels.joint
    own = [index for index, quantity in enumerate(names) if not quantity.startswith("clock")]
    theirs = (quantities[:, abducts][:, :, own] != 0.0).any(2).any(1).nonzero()[:, 0]
    assert len(theirs) == 4 * len(own)
    changed = rows.clone()
    changed[:, 1 + theirs] += 5.0
    assert policy.action_mean(changed).equal(action)


@BY_NAME
@torch.no_grad()
def test_rows_of_several_bodies_may_come_in_any_order(name):
    dog, lean = parts(DOG), parts(LEAN)
    policy = policy_of(name, dog, lean)
    padding = torch.zeros(3, dog[0].width - lean[0].width)
    rows = torch.cat([rows_of(dog[0]), torch.cat([rows_of(lean[0], member=1), padding], 1)])
    order = [4, 0, 5, 2, 1, 3]
    torch.testing.assert_close(policy.action_mean(rows[order]), policy.action_mean(rows)[order])


@torch.no_grad()
def test_attention_is_what_its_formula_says():
    body, terms = parts(LEAN)
    policy = policy_of("attention", (body, terms))
    net, row = policy.actor, rows_of(body, count=1)
    told = net.told([body])[0]
    torch.testing.assert_close(told.share.sum(0), torch.ones(KEYS))
    channels = row[0, 1 : 1 + len(body.measured.statistic)]
    states = (channels @ body.measured.joint).view(8, -1)
    said = torch.nn.functional.elu(states @ net.value.weight.T + net.value.bias)
    pooled = torch.stack([sum(told.share[j, k] * said[j] for j in range(8)) for k in range(KEYS)])
    assert pooled.shape == (KEYS, VALUES)
    core = torch.nn.functional.elu(net.core(torch.cat([pooled.T.flatten(), channels @ body.measured.base])[None])[0])
    for joint, state in enumerate(states):
        decoded = net.of_core(core) + net.of_state.weight @ state + told.bias[joint]
        assert decoded.shape == (DECODED,)
        expected = (net.last.weight @ torch.nn.functional.elu(decoded) + net.last.bias)[0]
        torch.testing.assert_close(policy.action_mean(row)[0, joint], expected)


def test_the_quick_elu_is_torchs_with_its_gradient():
    x = torch.linspace(-3.0, 3.0, 41)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    weights = torch.linspace(1.0, 2.0, 41)
    (elu(ours) * weights).sum().backward()
    (torch.nn.functional.elu(theirs) * weights).sum().backward()
    torch.testing.assert_close(elu(x), torch.nn.functional.elu(x))
    torch.testing.assert_close(ours.grad, theirs.grad)


@BY_NAME
def test_a_policy_acts_on_a_body_it_never_met(name):
    policy = policy_of(name, parts(DOG))
    body = UNSEEN[4]
    actor = actor_on(NETWORKS[name].policy_of_members, policy.state_dict(), body)
    worlds = make_worlds(body.spec, TASK, num_envs=2, randomization=preset("none"), seed=0, num_threads=1)
    action = actor(worlds.reset())
    assert action.shape == (2, 8)
    assert action.isfinite().all()
    assert (action != 0.0).all()


def test_the_gain_is_between_interquartile_means():
    generated = {"a": [0.0, 0.4], "b": [0.6, 0.8]}
    attention = {"b": [0.9, 0.9], "a": [0.1, 0.5]}
    # middle halves: (0.4 + 0.6) / 2 = 0.5, and (0.5 + 0.9) / 2 = 0.7
    assert gain(generated, attention).value == pytest.approx(0.2)


def test_the_interval_of_the_gain_resamples_seeds_within_bodies_of_both():
    found = gain({"a": [0.2, 0.2], "b": [0.6, 0.6]}, {"a": [0.3, 0.3], "b": [0.9, 0.9]})
    assert (found.lo, found.value, found.hi) == pytest.approx((0.2, 0.2, 0.2))  # (0.3 + 0.9) / 2 − 0.4
    wide = gain({"a": [0.2, 0.2]}, {"a": [0.2, 0.8]})
    assert (wide.lo, wide.hi) == pytest.approx((0.0, 0.6))  # both the first, both the second


def test_attention_is_kept_only_where_its_whole_interval_is_worth_it():
    assert verdict(Estimate(0.08, 0.05, 0.11), "N", 2) == "attention: attention has +0.080 (+0.050 to +0.110) N"
    assert verdict(Estimate(0.2, 0.04, 0.3), "N", 2).startswith("generated weights")
    assert verdict(Estimate(-0.3, -0.4, -0.2), "N", 2).startswith("generated weights")


def test_one_seed_has_no_interval_and_changes_nothing():
    found = verdict(Estimate(0.2, 0.2, 0.2), "N", 1)
    assert found == "generated weights: attention has +0.200 (one seed, no interval) N"


SCORES = {
    4: {"generated": {0: {"a": 0.4, "b": 0.6}}, "attention": {0: {"a": 0.5, "b": 0.8}, 1: {"a": 0.0, "b": 0.0}}},
    1: {"generated": {}, "attention": {0: {"a": 0.3, "b": 0.3}}},
}


def test_networks_are_compared_by_the_seeds_that_both_have():
    found = Report()
    add(SCORES, None, found)
    assert found.ratios == {"zero_shot_gain_4_sources": pytest.approx(0.15)}  # (0.5 + 0.8) / 2 − (0.4 + 0.6) / 2
    assert found.skipped["zero_shot/1_source"] == "no seed of both networks is done yet"
    assert {row.seeds for row in found.rows} == {(0,)}


def test_without_specialists_scores_decide_and_n_is_named_as_missing():
    found = Report()
    add(SCORES, None, found)
    assert found.configurations["kept"].endswith("attention has +0.150 (one seed, no interval) score")
    assert "zero_shot in N" in found.skipped


def test_with_specialists_n_decides():
    found = Report()
    add(SCORES, {"a": lambda score: 2.0 * (score - 0.2), "b": lambda score: score - 0.2}, found)
    rows = {row.name: row for row in found.rows}
    assert rows["zero_shot_generated_4_sources_N"].value == pytest.approx(0.4)  # 0.4 and 0.4
    assert rows["zero_shot_attention_4_sources_N/a"].value == pytest.approx(0.6)
    assert found.ratios["zero_shot_gain_4_sources_N"] == pytest.approx(0.2)  # 0.6 and 0.6 less that
    assert found.configurations["kept"].endswith("N")


def test_without_time_nothing_is_trained_and_all_is_named(tmp_path, capsys):
    file = tmp_path / "found.json"
    networks.main(["--part", "zero_shot", "--minutes", "0", "--work", str(tmp_path / "work"), "--json", str(file)])
    result = json.loads(file.read_text())["result"]
    assert (result["rows"], result["ratios"]) == ([], {})
    assert set(result["skipped"]) == {"zero_shot in N", "zero_shot/4_sources", "zero_shot/1_source"}
    assert "skipped: zero_shot/4_sources" in capsys.readouterr().out


def test_both_networks_learn_from_the_same_worlds():
    first, second = (learner_of(source(name, [LEAN], 100, 3), 1) for name in NETWORKS)
    np.testing.assert_array_equal(first.env.reset(), second.env.reset())
    assert first.hyperparameters == second.hyperparameters
    assert type(first.policy) is not type(second.policy)
