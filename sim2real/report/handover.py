"""The section on a transfer: curves against scratch, five measures, and the verdict with its rule."""

from dataclasses import dataclass
from typing import get_args

from sim2real import verdict as verdicts
from sim2real.report import formats, plots
from sim2real.report.canvas import INK
from sim2real.report.html import Html, table, tag, text
from sim2real.report.results import Result
from sim2real.report.story import Story
from sim2real.statistics import Bound, Curve, Estimate

TONES = {"POSITIVE": "good", "NEGATIVE": "bad", "INCONCLUSIVE": "open", "REFUSED": "bad"}
BOUNDS: dict[str, Bound] = {bound: bound for bound in get_args(Bound)}
GAPS = {
    "jumpstart": ("Jumpstart", "score at the start, transfer − scratch"),
    "asymptotic_gain": ("Asymptotic gain", "mean score over the last fifth of the budget"),
    "total_reward": ("Total reward", "area between the curves, per step"),
    "transfer_ratio": ("Transfer ratio", "(area of transfer − area of scratch) ÷ area of scratch"),
}
"""Key of a measure that is a gap -> its name and what it is."""


@dataclass(frozen=True)
class Told:
    """A verdict as it is shown."""

    word: str
    reason: str

    @property
    def tone(self) -> str:
        return TONES.get(self.word, "open")


def section(result: Result, story: Story) -> Html:
    """Everything about one transfer."""
    robot, source = story.robot(result), story.source(result)
    heading = f"Transfer: {source} → {robot}" if source else f"Transfer to {robot}"
    parts = [tag("h2", heading), tag("p", _finding(result, robot, source))]
    parts += [_curves(result, story), _measure_table(result), _verdict(result)]
    return tag("section", *filter(None, parts))


def verdict_of(result: Result) -> Told | None:
    """What the result says; None if it says nothing."""
    if result.metrics.get("refused") is True:
        return Told("REFUSED", result.text("reason"))
    return Told(result.text("verdict"), result.text("reason")) if result.text("verdict") else None


def measure(result: Result, name: str) -> Estimate | None:
    """A measure with its interval; None if the result lacks one of them."""
    value, pair = result.number(name), result.interval(f"{name}_ci")
    return (
        None if value is None or pair is None else Estimate(value, *pair, BOUNDS.get(result.text(f"{name}_bound"), "="))
    )


def in_words(saved: Estimate | None) -> str:
    """Such as `≥ 3.1× fewer steps`; empty if nothing is known."""
    if saved is None or saved.bound == "?" or saved.value <= 0.0:
        return ""
    if saved.value >= 1.0:
        return f"{formats.ratio(saved.value, saved.bound)} fewer steps"
    turned: dict[Bound, Bound] = {"≥": "≤", "≤": "≥"}
    return f"{formats.ratio(1.0 / saved.value, turned.get(saved.bound, saved.bound))} more steps"


def _arms(result: Result) -> tuple[Curve, Curve] | None:
    transfer, scratch = (result.curve(name, within="curves") for name in ("transfer", "scratch"))
    return (transfer, scratch) if transfer is not None and scratch is not None else None


def _finding(result: Result, robot: str, source: str) -> Html:
    start, end, scratch = (result.number(name) for name in ("zero_shot", "score", "scratch_score"))
    if result.metrics.get("refused") is True:
        return text(f"The skill of {source or 'the source'} was not put on {robot}: the gate refused it.")
    parts = [f"{robot} begins with what {source or 'another robot'} learned instead of nothing."]
    if start is not None:
        parts.append(f" Without a single step of training on {robot} it scores {formats.score(start)}.")
    if end is not None and scratch is not None:
        parts.append(
            f" After the same budget, transfer ends at {formats.score(end)}, scratch at {formats.score(scratch)}."
        )
    if result.text("strategy"):
        parts.append(f" Strategy: {result.text('strategy')}.")
    return text(*parts)


def _curves(result: Result, story: Story) -> Html:
    arms, robot = _arms(result), story.robot(result)
    if arms is None:
        return Html("")
    lines = [
        plots.Line(label="transfer", curve=arms[0], colour=story.colour(robot)),
        plots.Line(label="from scratch", curve=arms[1], colour=INK),
    ]
    no_op, threshold = result.number("no_op"), result.number("threshold")
    levels = [] if no_op is None else [plots.Level(label=f"standing still {formats.score(no_op)}", score=no_op)]
    levels += [] if threshold is None else [plots.Level(label=f"learned {formats.score(threshold)}", score=threshold)]
    drawn = plots.learning_curves(
        lines, levels=levels, start=float(arms[0].mean[0]), saving=_arrow(result, float(arms[1].env_steps[-1]))
    )
    seeds = " and training seeds" if min(arm.num_seeds for arm in arms) > 1 else ""
    caption = (
        f"Equal budgets; both arms meet the same {arms[1].num_episodes} short episodes all along, bands are 95 % "
        f"bootstrap intervals over them{seeds}. Scores elsewhere are from full evaluations. “Learned”: the threshold, "
        "nine tenths of what the better arm adds to standing still."
    )
    return tag("figure", drawn, tag("figcaption", caption))


def _arrow(result: Result, budget: float) -> tuple[float, float, float, str] | None:
    """Between the steps at which the arms reach the threshold, if transfer is first and its lead can be seen."""
    soon, late = (result.number(name) for name in ("steps_transfer", "steps_scratch"))
    threshold, saved = result.number("threshold"), in_words(measure(result, "step_saving_ratio"))
    if soon is None or late is None or threshold is None or not saved or late - soon < 0.1 * budget:
        return None
    return soon, late, threshold, saved


def _measure_table(result: Result) -> Html:
    gaps = [
        (name, formats.signed(found.value), formats.estimate_interval(found), meaning)
        for key, (name, meaning) in GAPS.items()
        if (found := measure(result, key))
    ]
    rows = [*gaps, *_threshold_rows(result)]
    if not rows:
        return Html("")
    head = ("", "value", "95 % interval", "what it is")
    return text(tag("h3", "Measures of Taylor & Stone (2009)"), table(head, rows))


def _threshold_rows(result: Result) -> list[tuple[str, str, str, str]]:
    rows = []
    soon, late, saved = (measure(result, name) for name in ("steps_transfer", "steps_scratch", "step_saving_ratio"))
    if soon and late:
        shown = f"{_steps(soon)} instead of {_steps(late)}"
        within = f"{formats.steps(soon.lo)} … {formats.steps(soon.hi)}"
        threshold = formats.score(result.number("threshold"))
        meaning = f"steps to the score {threshold}; ≥ not in the budget, ≤ before it was looked at"
        rows.append(("Time to threshold", shown, within, meaning))
    if saved:
        shown = "neither arrived" if saved.bound == "?" else formats.ratio(saved.value, saved.bound)
        meaning = "steps from scratch ÷ steps with transfer"
        rows.append(("Step-saving ratio", shown, formats.estimate_interval(saved, 1), meaning))
    return rows


def _steps(estimate: Estimate) -> str:
    return f"{'' if estimate.bound == '=' else estimate.bound + ' '}{formats.steps(estimate.value)}"


def _verdict(result: Result) -> Html:
    told = verdict_of(result)
    if told is None:
        return Html("")
    rule = tag("blockquote", tag("p", verdicts.RULE), tag("p", verdicts.TERMS, class_="note"))
    badge = tag("span", told.word, class_=f"badge {told.tone}")
    return text(tag("h3", "Verdict ", badge), tag("p", told.reason), "" if told.word == "REFUSED" else rule)
