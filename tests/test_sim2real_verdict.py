from dataclasses import replace

import pytest

from sim2real.statistics import Estimate, TransferMeasures
from sim2real.verdict import RULE, judge

NOTHING = Estimate(0.0, -0.1, 0.1)
UNDECIDED = TransferMeasures(
    jumpstart=NOTHING,
    asymptotic_gain=Estimate(0.0, -0.01, 0.01),
    total_reward=NOTHING,
    transfer_ratio=NOTHING,
    step_saving_ratio=Estimate(1.2, 0.8, 1.9),
    steps_transfer=Estimate(100.0, 90.0, 110.0),
    steps_scratch=Estimate(120.0, 90.0, 150.0),
    threshold=0.6,
    budget=400.0,
    num_seeds=5,
    scratch_flattened=True,
)


def word(**changes: object) -> str:
    return judge(replace(UNDECIDED, **changes)).word


def test_intervals_that_hold_nothing_decide_nothing():
    verdict = judge(UNDECIDED)
    assert verdict.word == "INCONCLUSIVE"
    assert verdict.reason == (
        "lower CI of jumpstart -0.100 is not > 0; lower CI of SSR 0.800 is not > 1; "
        "upper CI of asymptote loss 0.010 < 0.03; upper CI of transfer ratio 0.100 is not < 0"
    )


def test_a_head_start_that_costs_nothing_at_the_end_is_positive():
    assert word(jumpstart=Estimate(0.3, 0.2, 0.4)) == "POSITIVE"
    assert word(step_saving_ratio=Estimate(2.0, 1.1, 3.0)) == "POSITIVE"
    verdict = judge(replace(UNDECIDED, jumpstart=Estimate(0.3, 0.2, 0.4)))
    assert verdict.reason == "lower CI of jumpstart 0.200 > 0; upper CI of asymptote loss 0.010 < 0.03"


def test_a_head_start_that_is_paid_for_at_the_end_is_not_positive():
    # upper CI of the loss is −(−0.04) = 0.04
    worse = Estimate(-0.01, -0.04, 0.02)
    verdict = judge(replace(UNDECIDED, jumpstart=Estimate(0.3, 0.2, 0.4), asymptotic_gain=worse))
    assert verdict.word == "INCONCLUSIVE"
    assert verdict.asymptote_loss == Estimate(0.01, -0.02, 0.04)
    assert "upper CI of asymptote loss 0.040 is not < 0.03" in verdict.reason


def test_less_area_than_scratch_is_negative():
    verdict = judge(replace(UNDECIDED, transfer_ratio=Estimate(-0.2, -0.3, -0.1)))
    assert (verdict.word, verdict.reason) == ("NEGATIVE", "upper CI of transfer ratio -0.100 < 0")


@pytest.mark.parametrize("limit", [Estimate(0.1, 0.0, 0.2), Estimate(0.1, -1e-9, 0.2)])
def test_an_interval_that_touches_zero_is_no_head_start(limit):
    assert word(jumpstart=limit) == "INCONCLUSIVE"


def test_a_transfer_that_is_both_is_inconclusive():
    assert word(jumpstart=Estimate(0.3, 0.2, 0.4), transfer_ratio=Estimate(-0.2, -0.3, -0.1)) == "INCONCLUSIVE"


def test_caveats_go_with_the_reason():
    reason = judge(replace(UNDECIDED, num_seeds=1, scratch_flattened=False)).reason
    assert "one training seed an arm" in reason
    assert "scratch was still rising at the end of the budget, which flatters the transfer" in reason


def test_the_rule_is_printed_as_it_was_agreed():
    assert RULE == (
        "POSITIVE if lower CI of jumpstart > 0 or lower CI SSR > 1, and upper CI of asymptote loss < 0.03; "
        "NEGATIVE if upper CI of transfer ratio < 0; else INCONCLUSIVE."
    )
