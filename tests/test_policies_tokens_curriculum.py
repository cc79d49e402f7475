"""Bodies that vary in training: what is drawn, when it widens, what follows a new body, and exact resume."""

import json
import math
from collections import Counter
from dataclasses import fields, replace

import mujoco
import numpy as np
import pytest
import torch

import envs.tasks
import policies.training
import robots
from envs import embodiments
from envs.randomization import preset
from envs.randomization.sample_log import SampleLog
from policies.members.worlds import Member
from policies.threads import one_torch_thread
from policies.tokens import varied_training
from policies.tokens.body import Body
from policies.tokens.curriculum import KEPT, BodyCurriculum, drawn, family_body, furthest, varying
from policies.tokens.learner import TokenPPO
from policies.tokens.varied_training import VariedTraining
from policies.tokens.worlds import BodyWorlds
from robots import families
from robots.families import Arm, Quadruped
from sim2real import api
from tests.small_stages import small_stages

one_torch_thread()
VELOCITY = envs.tasks.get("velocity")
REAL, FOUR, EIGHT = "go1", "quadruped", "quadruped:joints_per_leg=2,mass=7.0"
NUM_ENVS = 4
ITERATION = 24 * NUM_ENVS
"""Environment steps of one member's rollout."""


@pytest.fixture(scope="module", autouse=True)
def _short():
    with small_stages(NUM_ENVS) as patch:
        patch.setattr(policies.training, "TRIAL_EPISODES", 2)
        patch.setattr(varied_training, "LEAST_SECONDS", 0.1)
        patch.setattr("policies.tokens.curriculum.PAIRS", 2)
        patch.setattr("envs.vector_env.POOL", 4)
        yield


def some_members(*names: str) -> list[Member]:
    return [Member(name, robots.get(name), VELOCITY) for name in names]


def a_curriculum(*names: str, **settings) -> BodyCurriculum:
    made = BodyCurriculum.of(some_members(*names), 0.3, seed=3)
    return replace(made, **settings) if settings else made


def test_every_real_number_but_rates_varies_and_whole_numbers_stay():
    assert {item.name for item in fields(Quadruped)} - set(varying(Quadruped())) == {"legs", "joints_per_leg", *KEPT}
    assert {item.name for item in fields(Arm)} - set(varying(Arm())) == {"links", *KEPT}


@pytest.mark.parametrize("own", [Quadruped(mass=60.0, joints_per_leg=2), Arm(links=3)], ids=["quadruped", "arm"])
def test_drawn_parameters_lie_within_the_radius_and_fill_it(own):
    generator = np.random.default_rng(0)
    bodies = [drawn(own, 0.2, generator) for _ in range(200)]
    for name in varying(own):
        middle = getattr(own, name)
        logarithms = [math.log(getattr(body, name) / middle) for body in bodies] if middle else []
        assert all(abs(value) <= 0.2 + 1e-3 for value in logarithms)  # four digits are kept
        assert not middle or (min(logarithms) < -0.18 and max(logarithms) > 0.18)
        assert middle or {getattr(body, name) for body in bodies} == {0.0}  # a factor of nothing is nothing
    kept = [item.name for item in fields(own) if item.name not in varying(own)]
    assert all(getattr(body, name) == getattr(own, name) for body in bodies for name in kept)


def test_nothing_is_drawn_where_the_radius_is_zero():
    generator = np.random.default_rng(0)
    assert drawn(Quadruped(), 0.0, generator) == Quadruped()
    assert generator.bit_generator.state == np.random.default_rng(0).bit_generator.state


def test_bodies_that_a_family_does_not_allow_are_drawn_again():
    tall = Quadruped(stance=0.96)  # at most 0.97: half of all draws
    assert all(drawn(tall, 0.3, np.random.default_rng(seed)).stance <= 0.97 for seed in range(20))


def test_a_family_that_allows_none_says_so(monkeypatch):
    monkeypatch.setattr("policies.tokens.curriculum.TRIES", 0)
    with pytest.raises(ValueError, match=r"quadruped lies too near to the limits .* none of 0 bodies"):
        drawn(Quadruped(), 0.3, np.random.default_rng(0))


def test_the_furthest_body_stops_where_the_family_does():
    own = Quadruped(stance=0.8)
    up = np.array([float(name == "stance") for name in varying(own)])
    assert furthest(own, 0.1 * up).stance == 0.8841  # 0.8 e^0.1 = 0.88414
    # ln(0.97/0.8) = 0.19268 is 64.2 % of 0.3; the hundred parts are of 1/99, so 63/99: 0.8 e^(0.3·63/99) = 0.9683
    assert furthest(own, 0.3 * up).stance == 0.9683


def test_a_drawn_body_is_a_real_robot():
    spec = families.build(drawn(Quadruped(), 0.3, np.random.default_rng(4)))
    model = mujoco.MjModel.from_xml_path(spec.mjcf)
    body = families.parse(spec.name)
    assert model.nu + model.njnt >= 13  # twelve joints and a floating base
    assert sum(model.body_mass) == pytest.approx(body.mass, rel=1e-6) != pytest.approx(12.0, rel=1e-3)
    assert robots.get(spec.name).model_hash == spec.model_hash


def test_a_radius_grows_while_the_score_holds_and_shrinks_when_it_does_not():
    curriculum, own = a_curriculum(FOUR), Quadruped()
    steps = []
    for score in (0.69, 0.7, 0.9, 0.6, 0.5, 0.2, 0.1, *[1.0] * 6):
        curriculum.judge(0, own, score)
        steps.append(curriculum.widths[0])
    # low 0.5 and high 0.7 count, 0.2 of the way each; never below 0, never beyond 1
    assert steps == [0.0, 0.2, 0.4, 0.4, 0.2, 0.0, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0]


def test_members_of_families_take_turns_and_others_keep_their_bodies():
    curriculum = a_curriculum(REAL, FOUR, EIGHT)
    curriculum.widths = {1: 0.5, 2: 0.0}
    turns = [curriculum.draw() for _ in range(4)]
    assert [member for member, _ in turns] == [1, 2, 1, 2]
    assert turns[1][1] == turns[3][1] == families.parse(EIGHT)  # at radius 0
    own = Quadruped()
    for _, body in turns[::2]:
        assert all(abs(math.log(getattr(body, n) / getattr(own, n))) <= 0.151 for n in ("mass", "kp", "delay"))
    assert turns[0][1] != turns[2][1]


def test_bodies_met_are_counted():
    curriculum = a_curriculum(FOUR)
    for mass in (12.0, 13.0, 13.0, 14.0):  # its own first, and one twice
        curriculum.judge(0, Quadruped(mass=mass), 0.6)
    assert curriculum.met == {0: 3}


def test_a_robot_that_is_of_no_family_or_was_changed_has_no_parameters():
    assert family_body(robots.get(REAL)) is None
    spec = robots.get(FOUR)
    assert family_body(spec) == Quadruped()
    assert family_body(replace(spec, control_hz=25.0)) is None


def test_members_of_no_family_cannot_vary():
    with pytest.raises(ValueError, match=r"bodies vary within a family \(quadruped, arm\), got go1; name one such"):
        a_curriculum(REAL)


@pytest.mark.parametrize(("settings", "message"), [({"low": 0.8}, "low must not exceed"), ({"step": 0.0}, "step must")])
def test_thresholds_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        a_curriculum(FOUR, **settings)


def test_a_restored_curriculum_draws_what_it_would_have_drawn():
    curriculum = a_curriculum(FOUR, EIGHT)
    curriculum.widths = {0: 0.6, 1: 0.2}
    member, body = curriculum.draw()
    curriculum.judge(member, body, 0.9)
    state = json.loads(json.dumps(curriculum.state_dict()))
    again = a_curriculum(FOUR, EIGHT)
    again.load_state_dict(state)
    assert (again.now, again.widths, again.met) == (curriculum.now, curriculum.widths, curriculum.met)
    assert [again.draw() for _ in range(3)] == [curriculum.draw() for _ in range(3)]


def some_worlds(*names: str) -> BodyWorlds:
    return BodyWorlds(some_members(*names), num_envs=NUM_ENVS, randomization=preset("default"), seed=5, num_threads=1)


def a_training(file, iterations: int, should_stop=lambda: False) -> VariedTraining:
    worlds = some_worlds(REAL, FOUR, EIGHT)
    ppo = TokenPPO(worlds, privileged=False, seed=5, policy_kwargs={"hidden": (16, 16)})
    curriculum = a_curriculum(REAL, FOUR, EIGHT, low=0.0, high=0.0)  # every score is high enough
    return VariedTraining(
        curriculum,
        ppo,
        iterations * 3 * ITERATION,
        file,
        num_threads=1,
        curve_points=0,
        should_stop=should_stop,
    )


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> VariedTraining:
    training = a_training(tmp_path_factory.mktemp("straight") / "training.safetensors", 5)
    training.run()
    return training


def test_members_get_new_bodies_one_after_another(straight):
    first, second = robots.get(FOUR).name, robots.get(EIGHT).name
    # 5 rollouts have 4 beginnings behind the first; radii grow by 0.2 of 0.3 = 0.06 from 0
    assert [trial.member.rpartition(":")[0] for trial in straight.trials] == [first, second] * 2
    assert [trial.radius for trial in straight.trials] == pytest.approx([0.0, 0.0, 0.06, 0.06])
    assert [trial.env_steps for trial in straight.trials] == [3 * ITERATION * n for n in range(1, 5)]
    assert straight.curriculum.met == {1: 2, 2: 2}  # at radius 0 it was their own
    assert [worlds.spec.name for worlds in straight.bodies.worlds] == [REAL, *(t.robot for t in straight.trials[-2:])]


def test_everything_follows_a_new_body(straight):
    for worlds, body, terms in zip(
        straight.bodies.worlds, straight.bodies.row.bodies, straight.bodies.row.terms, strict=True
    ):
        own = Body.of(worlds.spec, worlds.terms)
        assert terms == worlds.terms
        assert torch.equal(body.descriptors, own.descriptors)
        assert torch.equal(body.scale, own.scale)
        assert worlds.physics.model.body_mass.sum() == pytest.approx(worlds.spec.mass, rel=1e-3)
    assert straight.tokens.row is straight.bodies.row
    normalizer = straight.tokens.normalizer
    assert all(
        torch.equal(scale[: body.width], body.scale)
        for scale, body in zip(normalizer._scale, straight.bodies.row.bodies, strict=True)
    )


def test_the_range_of_descriptors_holds_the_widest_bodies_from_the_start(straight, tmp_path):
    fresh = a_training(tmp_path / "fresh.safetensors", 1)
    for name in ("low", "high", "known"):
        before, after = (getattr(training.tokens.actor.range, name) for training in (fresh, straight))
        assert torch.equal(before, after)
    masses = {body.mass for body in fresh.curriculum.reach()}
    assert {round(mass, 3) for mass in masses} == {16.2, 8.89, 9.449, 5.186}  # 12 and 7 times e^±0.3, four digits
    told = fresh.tokens.actor.range
    for body in fresh.curriculum.reach():
        own = fresh._body(families.build(body))
        parts = own.parts
        assert bool((parts >= told.low[own.role]).all() and (parts <= told.high[own.role]).all())


def test_a_stopped_run_goes_on_bit_for_bit(straight, tmp_path):
    calls = iter([False] * 3 + [True])
    stopped = a_training(tmp_path / "training.safetensors", 5, lambda: next(calls, False))
    with pytest.raises(policies.training.StoppedError):
        stopped.run()
    assert len(stopped.trials) == 3
    resumed = a_training(tmp_path / "training.safetensors", 5)
    resumed.run()
    assert resumed.trials == straight.trials
    expected = straight.tokens.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.tokens.state_dict().items())
    ours, theirs = resumed.bodies.state_dict(), straight.bodies.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_a_run_that_is_done_stays_as_it_is(straight):
    trials, weights = list(straight.trials), straight.tokens.log_std.clone()
    straight.run()
    assert straight.trials == trials
    assert torch.equal(straight.tokens.log_std, weights)


def test_a_checkpoint_of_bodies_that_vary_less_is_refused(straight, tmp_path):
    other = a_training(straight.file, 5)
    other.curriculum.vary = 0.1
    with pytest.raises(ValueError, match="vary"):
        other.run()


def test_a_new_body_begins_new_episodes_and_nobody_else_does():
    worlds = some_worlds(FOUR, EIGHT)
    training = VariedTraining(
        a_curriculum(FOUR, EIGHT),
        TokenPPO(worlds, privileged=False, seed=5, policy_kwargs={"hidden": (16, 16)}),
        100 * ITERATION,
        None,
        num_threads=1,
    )
    ppo = training.ppo
    ppo._last_obs = before = worlds.reset()
    ppo.episodes.returns[:] = ppo.episodes.lengths[:] = 5
    worlds.scale.returns[:] = 5.0
    worlds.worlds[0].diverged[2] = 3
    other = worlds.worlds[1]
    training._embody(0, families.build(Quadruped(mass=13.0)), seed=1)
    training._begin(0)
    assert worlds.worlds[0].spec.mass == 13.0
    assert worlds.worlds[1] is other
    assert ppo._last_obs[:4].ne(before[:4]).any(1).all()
    assert torch.equal(ppo._last_obs[4:], before[4:])
    assert ppo.episodes.lengths.tolist() == [0] * 4 + [5] * 4
    assert worlds.scale.returns.tolist() == [[0.0] * 4, [5.0] * 4]
    assert worlds.diverged.tolist() == [0, 0, 3, 0] + [0] * 4


def test_a_body_with_other_joints_cannot_take_a_members_place():
    worlds = some_worlds(FOUR)
    with pytest.raises(ValueError, match=r"got quadruped:legs=6 \(18 joints, \d+ channels\) for quadruped \(12, \d+\)"):
        worlds.embody(0, robots.get("quadruped:legs=6"), seed=0)


def test_the_log_of_samples_goes_on_in_the_new_worlds(tmp_path):
    worlds = some_worlds(FOUR)
    randomizer = worlds.worlds[0].randomizer
    log = SampleLog(tmp_path, randomizer.column_names, NUM_ENVS, lambda: 0)
    randomizer.keep_samples(log)
    worlds.embody(0, families.build(Quadruped(mass=13.0)), seed=1)
    assert log.episodes.tolist() == [1] * NUM_ENVS
    worlds.worlds[0].reset()
    assert log.episodes.tolist() == [2] * NUM_ENVS


def test_learning_curves_are_of_the_members_own_robots(straight):
    spec = straight.worlds.members[1].spec
    assert straight.bodies.worlds[1].spec.name != spec.name
    rows = torch.randn(5, Body.of(spec, embodiments.terms(spec, VELOCITY)).width)
    there = straight.on_member(straight._act, 1)(rows)
    straight._embody(1, spec, seed=0)
    try:
        here = straight._act(straight.bodies.row.lift(1, rows))
    finally:
        straight._embody(1, families.build(straight.curriculum.now[1]), seed=0)
    assert torch.allclose(there, here, atol=1e-5)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


def test_the_command_tells_how_many_bodies_were_met_and_leaves_the_members(store, monkeypatch):
    own = BodyCurriculum.of
    monkeypatch.setattr(BodyCurriculum, "of", lambda *args: replace(own(*args), low=0.0, high=0.0))
    members = (f"{REAL}:velocity", f"{FOUR}:velocity")
    result = api.multitask(
        members=members, network="tokens", vary=0.2, steps=8 * ITERATION, num_envs=NUM_ENVS, store=store
    )
    # four rollouts: at the first beginning its own body, then two of radius 0.04 and 0.08, then 0.12 was reached
    assert (result["bodies"], result["vary"]) == (4, pytest.approx(0.12))
    assert Counter(trial["member"] for trial in result["trials"]) == {"quadruped:velocity": 3}
    assert {member["robot"] for member in result["members"].values()} == {REAL, FOUR}
    folded = api.fold(run=result["run"], to=FOUR, store=store)
    assert folded["seen"]
    assert folded["score"] == pytest.approx(result["members"]["quadruped:velocity"]["score"], abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vary": 0.3}, "vary must be 0 for an mlp, got 0.3: only tokens are told of the body"),
        ({"vary": -0.1, "network": "tokens"}, "vary must be >= 0"),
        ({"vary": 1.5, "network": "tokens"}, "vary must be <= 1"),
    ],
)
def test_how_much_bodies_vary_is_checked_before_anything_starts(store, settings, message):
    with pytest.raises(ValueError, match=message):
        api.multitask(members=("quadruped:velocity", "go1:velocity"), store=store, **settings)
