"""The section on a transfer: curves against scratch, five measures, and the verdict with its rule."""

from dataclasses import dataclass

import numpy as np

from sim2real import verdict as verdicts
from sim2real.report import formats, plots
from sim2real.report.canvas import INK
from sim2real.report.html import Html, table, tag, text
from sim2real.report.results import Result
from sim2real.report.story import Story
from sim2real.statistics import Bound, Curve, Estimate, TransferMeasures, learned_threshold, transfer_measures

TONES = {"POSITIVE": "good", "NEGATIVE": "bad", "INCONCLUSIVE": "open", "REFUSED": "bad"}


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
    """What the result says, else what the rule says of its curves."""
    if result.metrics.get("refused") is True:
        return Told("REFUSED", result.text("reason"))
    if result.text("verdict"):
        return Told(result.text("verdict"), result.text("reason"))
    measures = measures_of(result)
    if measures is None:
        return None
    judged = verdicts.judge(measures)
    return Told(judged.word, judged.reason)


def measures_of(result: Result) -> TransferMeasures | None:
    """The measures of the curves in a result; None if it holds no two curves that can be compared."""
    arms = _arms(result)
    if arms is None:
        return None
    threshold = result.number("threshold")
    if threshold is None:
        threshold = learned_threshold(float(arms[1].mean[-1]), result.number("no_op") or 0.0)
    try:
        return transfer_measures(*arms, threshold=threshold, rng=np.random.default_rng(0))
    except ValueError:
        return None


def saving(result: Result) -> Estimate | None:
    """The step-saving ratio: as the result has it, else as its curves have it."""
    measures, value = measures_of(result), result.number("step_saving_ratio")
    computed = measures.step_saving_ratio if measures else None
    if value is None:
        return computed
    lo, hi = result.interval("step_saving_ratio_ci") or ((computed.lo, computed.hi) if computed else (value, value))
    return Estimate(value, lo, hi, computed.bound if computed else "=")


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
    no_op, measures = result.number("no_op"), measures_of(result)
    levels = [] if no_op is None else [plots.Level(label=f"standing still {formats.score(no_op)}", score=no_op)]
    if measures is not None:
        levels.append(plots.Level(label=f"learned {formats.score(measures.threshold)}", score=measures.threshold))
    drawn = plots.learning_curves(
        lines, levels=levels, start=float(arms[0].mean[0]), saving=_arrow(measures, in_words(saving(result)))
    )
    seeds = " and training seeds" if measures and measures.num_seeds > 1 else ""
    caption = (
        f"Equal budgets; both arms meet the same {arms[1].num_episodes} short episodes all along, bands are 95 % "
        f"bootstrap intervals over them{seeds}. Scores elsewhere are from full evaluations. “Learned”: the threshold, "
        "nine tenths of what the better arm adds to standing still."
    )
    return tag("figure", drawn, tag("figcaption", caption))


def _arrow(measures: TransferMeasures | None, saved: str) -> tuple[float, float, float, str] | None:
    """Between the steps at which the arms reach the threshold, if transfer is first and its lead can be seen."""
    if measures is None or not saved:
        return None
    soon, late = measures.steps_transfer.value, measures.steps_scratch.value
    if late - soon < 0.1 * measures.budget:
        return None
    return soon, late, measures.threshold, saved


def _measure_table(result: Result) -> Html:
    measures = measures_of(result)
    rows = [
        ("Jumpstart", *_signed(result, "jumpstart", measures), "score at the start, transfer − scratch"),
        (
            "Asymptotic gain",
            *_signed(result, "asymptotic_gain", measures),
            "mean score over the last fifth of the budget",
        ),
        ("Total reward", *_signed(result, "total_reward", measures), "area between the curves, per step"),
        (
            "Transfer ratio",
            *_signed(result, "transfer_ratio", measures),
            "(area of transfer − area of scratch) ÷ area of scratch",
        ),
        *_threshold_rows(result, measures),
    ]
    known = [row for row in rows if row[1] != formats.MISSING]
    if not known:
        return Html("")
    return text(
        tag("h3", "Measures of Taylor & Stone (2009)"), table(("", "value", "95 % interval", "what it is"), known)
    )


def _signed(result: Result, name: str, measures: TransferMeasures | None) -> tuple[str, str]:
    """Value and interval: as the result has them, else as its curves have them."""
    computed: Estimate | None = getattr(measures, name, None)
    value, pair = result.number(name), result.interval(f"{name}_ci")
    if computed is not None:
        value = computed.value if value is None else value
        pair = pair or (computed.lo, computed.hi)
    return formats.signed(value), formats.interval(pair)


def _threshold_rows(result: Result, measures: TransferMeasures | None) -> list[tuple[str, str, str, str]]:
    rows, saved = [], saving(result)
    if measures is not None:
        soon, late = measures.steps_transfer, measures.steps_scratch
        shown, within = (
            f"{_steps(soon)} instead of {_steps(late)}",
            f"{formats.steps(soon.lo)} … {formats.steps(soon.hi)}",
        )
        meaning = (
            f"steps to the score {formats.score(measures.threshold)}; ≥ not in the budget, ≤ before it was looked at"
        )
        rows.append(("Time to threshold", shown, within, meaning))
    if saved is not None:
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
