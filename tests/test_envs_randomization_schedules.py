"""Schedules: ranges that widen with the budget, or with what the policy can stand, and continue from a checkpoint."""

import json
from dataclasses import replace

import pytest
import torch

import robots
from envs.physics.cpu import CpuPhysics
from envs.randomization import Randomizer, delay_samples, preset
from envs.randomization.schedules import Automatic, Curriculum, Fixed, boundaries
from robots.joint_space import joint_space
from robots.model import build_model

NARROW = replace(preset("none"), mass=(0.8, 1.4), friction=(0.4, 0.8), payload=(0.0, 0.2))
"""A range around its nominal value, one beside it, and one that begins at it."""


def test_a_fixed_schedule_is_its_target():
    assert Fixed(NARROW).ranges(0.3, 0.9) == Fixed(NARROW).trial == NARROW


def test_a_curriculum_widens_from_nominal_to_the_target():
    schedule = Curriculum(NARROW, share=0.5)
    begin, middle, end = (schedule.ranges(progress) for progress in (0.0, 0.25, 0.5))
    assert (begin.mass, begin.friction, begin.payload) == ((1.0, 1.0), (0.8, 0.8), (0.0, 0.0))
    assert middle.mass == pytest.approx((0.9, 1.2))
    assert middle.friction == pytest.approx((0.6, 0.8))
    assert middle.payload == pytest.approx((0.0, 0.1))
    assert end.mass == pytest.approx((0.8, 1.4))
    assert schedule.ranges(1.0).friction == pytest.approx((0.4, 0.8))
    assert begin.noise == NARROW.noise


def test_only_ends_that_have_a_way_to_go_are_boundaries():
    assert boundaries(NARROW) == [("mass", "low"), ("mass", "high"), ("friction", "low"), ("payload", "high")]


def test_automatic_randomization_moves_the_boundary_on_trial():
    schedule = Automatic(NARROW, low=0.4, high=0.8, step=0.25)
    schedule.tried = ("mass", "high")
    assert schedule.trial.mass == (1.0, 1.0)
    assert schedule.ranges(0.1, score=0.9).mass == pytest.approx((1.0, 1.1))  # 1 + 0.25 · 0.4
    schedule.tried = ("mass", "high")
    assert schedule.trial.mass == pytest.approx((1.1, 1.1))  # at the boundary, the others from their ranges
    assert schedule.ranges(0.2, score=0.6).mass == pytest.approx((1.0, 1.1))  # between the bars it stays
    schedule.tried = ("mass", "high")
    assert schedule.ranges(0.3, score=0.4).mass == (1.0, 1.0)
    schedule.tried = ("mass", "high")
    assert schedule.ranges(0.4, score=0.1).mass == (1.0, 1.0)  # and no further


def test_automatic_randomization_reaches_the_target_and_stops_there():
    schedule = Automatic(NARROW, low=0.4, high=0.8, step=0.5)
    for _ in range(60):
        found = schedule.ranges(0.5, score=1.0)
    assert found.mass == pytest.approx(NARROW.mass)
    assert found.friction == pytest.approx(NARROW.friction)
    assert found.payload == pytest.approx(NARROW.payload)
    assert schedule.ranges(0.6) == found  # nothing measured, nothing moved


@pytest.mark.parametrize("make", [lambda: Curriculum(NARROW), lambda: Automatic(NARROW, low=0.4, high=0.8)])
def test_a_schedule_continues_from_its_state(make):
    first, second = make(), make()
    for score in (0.9, 0.9, 0.1, 0.9):
        first.ranges(0.2, score)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.trial == first.trial
    for score in (0.9, 0.5, 0.9, 0.1, 0.9):
        assert first.ranges(0.3, score) == second.ranges(0.3, score)


def test_a_randomizer_follows_a_schedule():
    spec = robots.get("go1")
    model = build_model(spec, delay_samples=delay_samples(NARROW, spec))
    worlds = Randomizer(NARROW, CpuPhysics(model, 16, 1), spec, joint_space(spec))
    schedule, generator = Curriculum(NARROW, share=1.0), torch.Generator().manual_seed(0)
    spreads = []
    for progress in (0.0, 0.5, 1.0):
        worlds.set_ranges(schedule.ranges(progress))
        worlds.resample(torch.arange(16), generator)
        spreads.append(float(worlds.values[:, worlds.columns["mass"]].std()))
    assert spreads[0] == 0.0 < spreads[1] < spreads[2]


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="needs a range to widen, and the target has none"):
        Automatic(preset("none"), low=0.4, high=0.8)
    with pytest.raises(ValueError, match=r"low must not exceed high, got 0\.9 and 0\.8"):
        Automatic(NARROW, low=0.9, high=0.8)
    with pytest.raises(ValueError, match=r"share must lie within 0..1 of the budget, got 0"):
        Curriculum(NARROW, share=0.0)
