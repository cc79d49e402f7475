"""Where a policy breaks: the arithmetic of breaking points, and a small map of a robot that stands."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import envs.tasks
import robots
from envs.randomization import preset
from policies.evaluation import no_op
from policies.robustness.axes import CATALOGUE, Axis, at, axes_of, choose_pair
from policies.robustness.conditions import NOMINAL, PUSH, condition, worlds_for
from policies.robustness.robustness_map import breaking, crossing, measure
from policies.threads import one_torch_thread

one_torch_thread()
GO1, VELOCITY = robots.get("go1"), envs.tasks.get("velocity")


def each(*means: float) -> np.ndarray:
    """Two episodes around each mean, the same at every value."""
    return np.array([[mean - 0.1, mean + 0.1] for mean in means])


def test_a_break_lies_where_the_line_between_two_values_crosses_the_threshold():
    # 0.7·0.8 = 0.56 between 0.6 at 2 and 0.2 at 4: a tenth of the way, 2 + 0.1·2
    assert crossing([0.0, 1.0, 2.0, 4.0], np.array([0.8, 0.8, 0.6, 0.2]), math.inf) == pytest.approx(2.2)


def test_a_break_on_the_way_down_is_found_downward():
    # 0.56 between 0.6 at 0.5 and 0.4 at 0.1: a fifth of the way, 0.5 − 0.2·0.4
    assert crossing([1.0, 0.5, 0.1], np.array([0.8, 0.6, 0.4]), -math.inf) == pytest.approx(0.42)


def test_the_first_break_counts_even_if_the_score_recovers():
    assert crossing([0.0, 1.0, 2.0], np.array([1.0, 0.4, 0.9]), math.inf) == pytest.approx(0.5)  # 0.3/0.6


def test_a_score_that_holds_breaks_beyond_what_was_tested():
    assert crossing([0.0, 1.0], np.array([1.0, 0.7]), math.inf) == math.inf  # exactly the threshold still stands
    assert breaking([0.0, 1.0], each(1.0, 0.9)).value is None


def test_a_break_has_an_interval_over_the_episodes():
    # Episodes 0.9 and 1.1 at 0, 0.1 and 0.3 at 1: alone, they break at 0.27/0.8 and 0.33/0.8
    found = breaking([0.0, 1.0], each(1.0, 0.2))
    assert found.value == pytest.approx(0.3 / 0.8)
    assert (found.lo, found.hi) == (pytest.approx(0.27 / 0.8), pytest.approx(0.33 / 0.8))


def test_an_interval_that_reaches_beyond_the_tested_values_has_no_end():
    scores = np.array([[1.0, 1.0], [1.0, 0.2]])  # one episode holds, the other breaks at 0.3/0.8; together at 0.3/0.4
    found = breaking([0.0, 1.0], scores)
    assert found.value == pytest.approx(0.75)
    assert (found.lo, found.hi) == (pytest.approx(0.375), None)
    below = breaking([0.0, -1.0], scores)
    assert (below.value, below.lo, below.hi) == (pytest.approx(-0.75), None, pytest.approx(-0.375))


def test_nothing_breaks_where_nothing_was_tested_or_nothing_was_scored():
    assert breaking([1.0], each(1.0)) is None
    assert breaking([0.0, 1.0], each(0.0, 0.0)) is None


def test_a_robot_has_the_axes_that_can_act_on_it():
    def names(robot: str, task: str) -> set[str]:
        return set(axes_of(worlds_for(robots.get(robot), envs.tasks.get(task), 1, 1)))

    everywhere = {"delay", "payload", "strength", "noise", "sensor_delay"}
    assert names("go1", "velocity") == everywhere | {"friction", PUSH, "slope_x"}
    assert names("so101", "reach") == everywhere | {"slope_x"}
    cheetah = names("gymnasium:HalfCheetah-v5", "gymnasium")
    assert {"surface_friction", "payload"} <= cheetah
    assert not cheetah & {"noise", "sensor_delay", "delay", "friction"}  # its observation is no sensor's reading


def test_values_are_shown_in_units_that_people_know():
    axes = axes_of(worlds_for(GO1, VELOCITY, 1, 1))
    delay = GO1.joints[0].actuator.delay
    assert axes["delay"].shown(2.0) == pytest.approx(2e3 * delay)  # ms
    assert axes["delay"].trained(preset("default")) == pytest.approx((0.0, 2.5e3 * delay))
    assert axes["payload"].shown(0.5) == pytest.approx(0.5 * 12.743, abs=0.01)  # kg
    assert axes["slope_x"].shown(-0.1) == pytest.approx(-10.0)  # %
    assert axes[PUSH].trained(preset("default"))[0] == 0.0


def test_the_nominal_value_is_no_disturbance():
    axes = {axis.name: axis for axis in CATALOGUE}
    assert at((axes["friction"], 1.0), (axes["payload"], 0.0)) == NOMINAL
    assert at((axes["payload"], 0.2), (axes["friction"], 0.3)) == condition(friction=0.3, payload=0.2)


def test_an_axis_must_hold_its_nominal_value():
    with pytest.raises(ValueError, match=r"values must ascend and hold the nominal 1\.0, got \(0\.5, 2\.0\) of kp"):
        Axis(name="kp", title="stiffness", unit="×", nominal=1.0, values=(0.5, 2.0))
    with pytest.raises(ValueError, match="values must ascend"):
        Axis(name="kp", title="stiffness", unit="×", nominal=1.0, values=(1.0, 0.5))


def test_the_pair_is_friction_and_payload_unless_told_or_lacking():
    axes = {axis.name: axis for axis in CATALOGUE}
    assert [axis.name for axis in choose_pair(axes)] == ["friction", "payload"]
    assert [axis.name for axis in choose_pair(axes, ("delay", PUSH))] == ["delay", PUSH]
    assert [axis.name for axis in choose_pair({name: axes[name] for name in ("strength", "payload")})] == [
        "payload",
        "strength",
    ]
    with pytest.raises(ValueError, match=r"axes: no axis 'frction'.*friction.*this robot has delay, "):
        choose_pair(axes, ("frction", "payload"))
    with pytest.raises(ValueError, match="needs two different axes, got delay delay"):
        choose_pair(axes, ("delay", "delay"))


@pytest.fixture(scope="module")
def coarse():
    """Three or four values on each axis."""
    patch = pytest.MonkeyPatch()
    few = {"friction": (0.1, 0.3, 1.0), PUSH: (0.0, 1.0, 2.0), "strength": (0.05, 0.5, 1.0, 1.25)}
    patch.setattr(
        "policies.robustness.axes.CATALOGUE",
        tuple(replace(axis, values=few[axis.name]) for axis in CATALOGUE if axis.name in few),
    )
    yield few
    patch.undo()


def measured(num_threads: int = 2):
    return measure(
        GO1,
        VELOCITY,
        lambda: no_op(GO1, VELOCITY),
        trained=preset("default"),
        pair=(PUSH, "strength"),
        episodes=6,
        seconds=2.0,
        num_threads=num_threads,
    )


@pytest.fixture(scope="module")
def robustness(coarse):
    return measured()[0]


def test_a_standing_robot_breaks_by_pushes_and_by_weakness_but_not_by_ice(robustness):
    axes = robustness.axes
    assert axes["friction"].breaks_below.value is None
    assert axes["friction"].breaks_above is None  # 1 is the greatest value here
    assert 0.0 < axes[PUSH].breaks_above.value < axes[PUSH].points[-1].value
    assert axes[PUSH].points[-1].falls == 6
    assert axes["strength"].breaks_below.value is not None
    assert axes["strength"].breaks_above.value is None


def test_the_undisturbed_score_is_the_same_point_on_every_axis_and_in_the_map(robustness):
    found = [point for sweep in robustness.axes.values() for point in sweep.points if point.value == sweep.nominal]
    assert {point.score for point in found} == {robustness.score}
    assert robustness.threshold == pytest.approx(0.7 * robustness.score)
    row, column = robustness.pair.y.index(1.0), robustness.pair.x.index(0.0)
    assert robustness.pair.points[row][column]["score"] == robustness.score


def test_a_map_of_pairs_crosses_its_axes_where_the_other_is_nominal(robustness):
    pushes = [point.score for point in robustness.axes[PUSH].points]
    strengths = [point.score for point in robustness.axes["strength"].points]
    assert [point["score"] for point in robustness.pair.points[robustness.pair.y.index(1.0)]] == pushes
    assert [row[0]["score"] for row in robustness.pair.points] == strengths


def test_a_map_is_json_and_repeats_itself(robustness):
    assert json.loads(json.dumps(robustness.as_dict(), allow_nan=False))["episodes"] == 6
    assert measured(num_threads=1)[0] == robustness
