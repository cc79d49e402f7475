"""The big numbers of a report: one tile for each result that has one."""

from sim2real.report import formats
from sim2real.report.crossing import is_refused, parity
from sim2real.report.handover import in_words, measure, verdict_of
from sim2real.report.html import Html, tag
from sim2real.report.results import Result, learned
from sim2real.report.story import Story, joined


def tile(result: Result, story: Story) -> Html:
    makers = {
        "train": _trained,
        "evaluate": _evaluated,
        "distill": _distilled,
        "export": _exported,
        "rehearse": _rehearsed,
        "transfer": _transferred,
    }
    return makers[result.kind](result, story) if result.kind in makers else Html("")


def _make_tile(what: str, number: str, means: str, tone: str = "") -> Html:
    return tag(
        "div",
        tag("p", what, class_="what"),
        tag("p", number, class_=f"number {tone}".strip()),
        tag("p", means, class_="means"),
        class_="tile",
    )


def _trained(result: Result, story: Story) -> Html:
    if (score := result.number("score")) is None:
        return Html("")
    took = [formats.duration(result.number("seconds")), f"{formats.steps(result.number('env_steps'))} steps"]
    known = [part for part in took if formats.MISSING not in part]
    still = f"; standing still scores {formats.score(no_op)}" if (no_op := result.number("no_op")) is not None else ""
    means = f"velocity score, 1 is best{'; ' + ', '.join(known) if known else ''}{still}"
    return _make_tile(f"{story.robot(result)} {learned(result)}", formats.score(score), means)


def _evaluated(result: Result, story: Story) -> Html:
    if (score := result.number("score")) is None:
        return Html("")
    falls = formats.plural(result.number("falls") or 0, "fall")
    return _make_tile(f"{story.robot(result)} evaluated", formats.score(score), f"velocity score, 1 is best; {falls}")


def _distilled(result: Result, story: Story) -> Html:
    if (ratio := result.number("ratio")) is None:
        return Html("")
    means = f"student {formats.score(result.number('score'))}, teacher {formats.score(result.number('teacher_score'))}"
    kept = f"kept on {story.robot(result)} with real sensors only" if result.text("teacher_robot") else ""
    return _make_tile(kept or "kept with real sensors only", formats.percent(ratio), means)


def _exported(result: Result, story: Story) -> Html:
    if is_refused(result):
        return _make_tile(f"export of {story.robot(result)}", "REFUSED", result.text("reason"), "word bad")
    if (worst := parity(result)) is None:
        return Html("")
    means = "difference of joint targets, at most, between torch, ONNX Runtime and numpy"
    return _make_tile("lost in export", formats.radians(worst), means, "word")


def _rehearsed(result: Result, story: Story) -> Html:
    retained, realities = result.number("retained"), result.numbers("score_per_reality")
    if retained is None:
        return Html("")
    facts = [
        f"score {formats.score(result.number('score'))}",
        f"worst quarter {formats.score(result.number('cvar25'))}",
    ]
    facts += [formats.plural(falls, "fall")] if (falls := result.number("falls")) is not None else []
    facts += [formats.plural(late, "late tick")] if (late := result.number("late_ticks")) is not None else []
    return _make_tile(f"kept in {len(realities)} sealed realities", formats.percent(retained), ", ".join(facts))


def _transferred(result: Result, story: Story) -> Html:
    told = verdict_of(result)
    if told is None:
        return Html("")
    start, saved = result.number("zero_shot"), in_words(measure(result, "step_saving_ratio"))
    facts = [f"starts at {formats.score(start)} untrained"] if start is not None else []
    facts += [f"{saved} than from scratch"] if saved else []
    journey = f"{story.source(result)} → {story.robot(result)}" if story.source(result) else story.robot(result)
    return _make_tile(f"transfer {journey}", told.word, joined(facts), f"word {told.tone}")
