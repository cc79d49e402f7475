import numpy as np
import pytest

from sim2real.statistics import (
    Curve,
    area_under_curve,
    bootstrap,
    has_flattened,
    iqm,
    learned_threshold,
    plateau,
    steps_to_threshold,
    transfer_measures,
)

STEPS = np.array([0.0, 100.0, 200.0, 300.0, 400.0])
TRANSFER = [0.5, 0.7, 0.8, 0.8, 0.8]
SCRATCH = [0.1, 0.3, 0.5, 0.7, 0.7]


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def points(scores, episode_scores=None, env_steps=STEPS):
    """Points of a curve; every episode scores the mean unless `episode_scores` says otherwise."""
    episodes = episode_scores or [[score, score] for score in scores]
    return [
        {"env_steps": int(steps), "score": score, "episode_scores": each}
        for steps, score, each in zip(env_steps, scores, episodes, strict=True)
    ]


def measures(transfer=TRANSFER, scratch=SCRATCH, threshold=0.6):
    return transfer_measures(Curve.of(points(transfer)), Curve.of(points(scratch)), threshold=threshold, rng=rng())


def test_the_interquartile_mean_is_that_of_the_middle_half():
    assert iqm(np.array([7.0, 0.0, 1.0, 6.0, 2.0, 5.0, 3.0, 4.0])) == pytest.approx(3.5)  # (2 + 3 + 4 + 5) / 4
    # of 5 values, 1.25 are cut at each side: (0.75·1 + 2 + 0.75·3) / 2.5
    assert iqm(np.array([0.0, 1.0, 2.0, 3.0, 100.0])) == pytest.approx(2.0)
    assert iqm(np.array([[1.0, 1.0], [2.0, 4.0]])).tolist() == [1.0, 3.0]


def test_a_bootstrap_interval_of_a_mean_is_that_of_its_standard_error():
    values = np.repeat([0.0, 1.0], 200)
    found = bootstrap(values, rng=rng())
    assert found.value == 0.5
    # 0.5 ± 1.96 · 0.5 / √400
    assert (found.lo, found.hi) == (pytest.approx(0.451, abs=0.006), pytest.approx(0.549, abs=0.006))


def test_strata_are_resampled_within_themselves():
    found = bootstrap([0.2] * 5, [0.8] * 5, rng=rng())
    assert (found.lo, found.value, found.hi) == (pytest.approx(0.5),) * 3  # mixing them would spread it
    with pytest.raises(ValueError, match=r"each stratum needs values, \(n,\), got shapes \[\(0,\)\]"):
        bootstrap([], rng=rng())


def test_the_same_generator_gives_the_same_interval():
    values = np.linspace(0.0, 1.0, 30)
    assert bootstrap(values, rng=rng(), statistic=iqm) == bootstrap(values, rng=rng(), statistic=iqm)


def test_the_area_under_a_curve_is_that_of_its_trapezoids():
    # (0.1+0.3)/2·100 + (0.3+0.5)/2·100 + (0.5+0.7)/2·100 + 0.7·100
    assert area_under_curve(STEPS, np.array(SCRATCH)) == pytest.approx(20 + 40 + 60 + 70)


def test_steps_to_a_threshold_lie_on_the_line_between_points():
    curves = np.array([SCRATCH, [0.6] * 5, [0.1] * 5])
    steps, censored = steps_to_threshold(STEPS, curves, 0.6)
    # between 0.5 at 200 and 0.7 at 300; at once; never, so at least 400
    assert steps.tolist() == [pytest.approx(250.0), 0.0, 400.0]
    assert censored.tolist() == [False, False, True]


def test_the_plateau_is_the_mean_over_the_last_fifth():
    # last fifth of 0..400: from 320, where the line from 0.5 (300) to 1.0 (400) is at 0.6: (0.6 + 1.0) / 2
    assert plateau(STEPS, np.array([0.0, 0.0, 0.0, 0.5, 1.0])) == pytest.approx(0.8)


def test_a_curve_has_flattened_when_its_last_fifth_adds_less_than_a_twentieth_of_its_range():
    assert has_flattened(Curve.of(points(SCRATCH)))  # adds 0.7 − 0.7
    assert not has_flattened(Curve.of(points([0.1, 0.2, 0.3, 0.4, 0.5])))  # adds 0.08 of a range of 0.4
    assert has_flattened(Curve.of(points([0.3] * 5)))


def test_five_measures_of_a_transfer_by_hand():
    found = measures()
    assert found.jumpstart.value == pytest.approx(0.4)  # 0.5 − 0.1
    assert found.asymptotic_gain.value == pytest.approx(0.1)  # 0.8 − 0.7 over the last fifth
    # areas: 60 + 75 + 80 + 80 = 295 against 190
    assert found.total_reward.value == pytest.approx(105 / 400)
    assert found.transfer_ratio.value == pytest.approx(105 / 190)
    # 0.6 is reached at 50 (halfway from 0.5 to 0.7) and at 250; but evaluations lie 100 apart
    assert (found.steps_transfer.value, found.steps_transfer.bound) == (100.0, "≤")
    assert (found.steps_scratch.value, found.steps_scratch.bound) == (pytest.approx(250.0), "=")
    assert (found.step_saving_ratio.value, found.step_saving_ratio.bound) == (pytest.approx(2.5), "≥")
    assert (found.threshold, found.budget, found.num_seeds, found.scratch_flattened) == (0.6, 400.0, 1, True)
    # episodes that all score the same leave no doubt
    assert (found.jumpstart.lo, found.jumpstart.hi) == (pytest.approx(0.4), pytest.approx(0.4))


@pytest.mark.parametrize(
    ("threshold", "ratio", "bound"),
    [
        (0.65, 275 / 100, "≥"),  # 75 with transfer, sooner than can be told; scratch at 275
        (0.75, 400 / 150, "≥"),  # scratch never gets there
        (0.9, 1.0, "?"),  # nobody does
        (0.05, 1.0, "?"),  # both at once
    ],
)
def test_a_step_saving_ratio_says_when_it_is_only_a_bound(threshold, ratio, bound):
    found = measures(threshold=threshold).step_saving_ratio
    assert (found.value, found.bound) == (pytest.approx(ratio), bound)


def test_a_transfer_that_never_arrives_bounds_the_ratio_from_above():
    found = measures(transfer=SCRATCH, scratch=TRANSFER, threshold=0.75)
    assert (found.step_saving_ratio.value, found.step_saving_ratio.bound) == (pytest.approx(150 / 400), "≤")
    assert found.steps_transfer.bound == "≥"


def test_arms_are_compared_on_the_steps_that_both_cover():
    sparse = points([0.1, 0.5, 0.7], env_steps=[0, 200, 300])
    found = transfer_measures(Curve.of(points(TRANSFER)), Curve.of(sparse), threshold=0.6, rng=rng())
    assert found.budget == 300.0
    # scratch: (0.1 + 0.5)/2·200 + (0.5 + 0.7)/2·100 = 120; transfer: 60 + 75 + 80 = 215
    assert found.transfer_ratio.value == pytest.approx(95 / 120)


def test_episodes_are_paired_between_the_arms():
    # episodes differ by 0.9 in difficulty, yet transfer gains exactly 0.1 on each
    hard, easy = 0.05, 0.95
    scratch = points([0.5] * 5, [[hard, easy]] * 5)
    transfer = points([0.6] * 5, [[hard + 0.1, easy + 0.1]] * 5)
    found = transfer_measures(Curve.of(transfer), Curve.of(scratch), threshold=0.5, rng=rng())
    assert (found.jumpstart.lo, found.jumpstart.hi) == (pytest.approx(0.1), pytest.approx(0.1))


def test_training_seeds_are_resampled_too():
    lucky, unlucky = points([0.9] * 5), points([0.5] * 5)
    found = transfer_measures(
        Curve.of(lucky, unlucky), Curve.of(points([0.2] * 5), points([0.2] * 5)), threshold=0.4, rng=rng()
    )
    assert found.num_seeds == 2
    # half of all resamples of two seeds hold one of each: 0.7 − 0.2; a quarter hold one twice
    assert (found.jumpstart.lo, found.jumpstart.hi) == (pytest.approx(0.3), pytest.approx(0.7))


def test_a_band_has_the_width_of_the_episodes_spread():
    curve = Curve.of(points([0.5] * 5, [[0.0, 1.0] * 200] * 5))
    low, high = curve.band(rng())
    assert low == pytest.approx([0.451] * 5, abs=0.006)  # as above: 0.5 ± 1.96 · 0.5 / √400
    assert high == pytest.approx([0.549] * 5, abs=0.006)


def test_a_curve_without_episodes_has_no_width():
    curve = Curve.of([{"env_steps": 0, "score": 0.2}, {"env_steps": 10, "score": 0.4}])
    assert (curve.num_episodes, curve.mean.tolist()) == (1, [0.2, 0.4])


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="the curves share no range of steps: they meet from 0 to 0"):
        transfer_measures(Curve.of(points(TRANSFER)), Curve.of(points([0.1], env_steps=[0])), threshold=0.5, rng=rng())
    with pytest.raises(ValueError, match="the control scored nothing at all"):
        measures(scratch=[0.0] * 5)
    with pytest.raises(ValueError, match=r"env_steps must increase, got \[0.0, 0.0\]"):
        Curve.of(points([0.1, 0.2], env_steps=[0, 0]))
    with pytest.raises(ValueError, match="every seed must be evaluated at the same env_steps"):
        Curve.of(points([0.1, 0.2], env_steps=[0, 1]), points([0.1, 0.2], env_steps=[0, 2]))


def test_a_task_is_learned_at_nine_tenths_of_what_a_specialist_adds():
    assert learned_threshold(0.8, 0.3) == pytest.approx(0.75)  # 0.3 + 0.9 · 0.5


def test_the_result_holds_plain_numbers_under_their_documented_names():
    plain = measures().as_result()
    assert plain["step_saving_ratio"] == pytest.approx(2.5)
    assert plain["step_saving_ratio_bound"] == "≥"
    assert plain["transfer_ratio_ci"] == [pytest.approx(105 / 190)] * 2
    assert all(isinstance(value, (float, str, list, bool)) for value in plain.values())
