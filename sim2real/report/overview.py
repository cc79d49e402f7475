"""The first screen: title, one paragraph, big numbers, and every score on one ladder."""

import numpy as np

from sim2real.report import formats, plots, tiles
from sim2real.report.crossing import is_refused
from sim2real.report.handover import verdict_of
from sim2real.report.html import Html, tag
from sim2real.report.results import Result, learned
from sim2real.report.story import Story
from sim2real.statistics import bootstrap

SCORE = (
    "Velocity score: 1 where the robot moves exactly as it is told, 0 from a fall on; the mean over fixed episodes of "
    "random commands. Thick bars: 95 % bootstrap intervals. Grey ticks: the robot standing still."
)


def header(story: Story, title: str) -> Html:
    """Title, paragraph and tiles."""
    shown = [tile for result in story.results if (tile := tiles.tile(result, story))]
    return tag(
        "header",
        tag("p", "sim2real report", class_="eyebrow"),
        tag("h1", title),
        tag("p", summary(story), class_="lead"),
        tag("div", *shown, class_="tiles") if shown else "",
    )


def summary(story: Story) -> str:
    """What was learned and what survived, for somebody who reads nothing else."""
    tellers = {
        "train": _trained,
        "distill": _distilled,
        "export": _exported,
        "rehearse": _rehearsed,
        "transfer": _transferred,
    }
    told = [tellers[result.kind](result, story) for result in story.results if result.kind in tellers]
    return " ".join(filter(None, told))


def ladder(story: Story) -> Html:
    """Every score of the story, in its order."""
    rungs = [rung for result in story.results for rung in _rungs(result, story)]
    if len(rungs) < 2:
        return Html("")
    figure = tag("figure", plots.score_ladder(rungs), tag("figcaption", SCORE))
    return tag("section", tag("h2", "What survived the trip"), figure)


def _trained(result: Result, story: Story) -> str:
    score = result.number("score")
    if score is None:
        return ""
    took = f" in {formats.duration(result.number('seconds'))} of training" if result.number("seconds") else ""
    still = f" (standing still: {formats.score(no_op)})" if (no_op := result.number("no_op")) is not None else ""
    return f"{story.robot(result)} {learned(result)}{took}: velocity score {formats.score(score)} of 1{still}."


def _distilled(result: Result, story: Story) -> str:
    ratio = result.number("ratio")
    if ratio is None:
        return ""
    body = f", in the body of {story.robot(result)}," if result.text("teacher_robot") else ","
    return f"With the sensors of a real robot alone{body} a student keeps {formats.percent(ratio)} of that."


def _exported(result: Result, story: Story) -> str:
    return (
        f"The policy of {story.robot(result)} may not leave the simulator: a gate refused it."
        if is_refused(result)
        else ""
    )


def _rehearsed(result: Result, story: Story) -> str:
    retained, count = result.number("retained"), len(result.numbers("score_per_reality"))
    if retained is None:
        return ""
    return f"{formats.percent(retained)} of its simulated score survives {count} sealed realities it was never shown."


def _transferred(result: Result, story: Story) -> str:
    verdict = verdict_of(result)
    if verdict is None:
        return ""
    outcome = {
        "POSITIVE": "which pays: it beats learning from scratch",
        "NEGATIVE": "which does harm: learning from scratch is better",
        "INCONCLUSIVE": "without a proven advantage over learning from scratch",
    }
    if verdict.word == "REFUSED":
        return f"{story.robot(result)} cannot take the skill over: the gate refused it."
    return f"{story.robot(result)} then takes the skill over, {outcome.get(verdict.word, verdict.word)}."


def _rungs(result: Result, story: Story) -> list[plots.Rung]:
    robot = story.robot(result)
    sees = "sees the simulator’s truth" if result.metrics.get("privileged") is True else "real sensors"
    notes = {
        "train": f"{robot}, {sees}",
        "fold": f"{robot}, {sees}",
        "member": f"{robot}, {sees}",
        "distill": f"{robot}, real sensors",
        "rehearse": f"{robot}, {len(result.numbers('score_per_reality'))} hidden dynamics",
        "evaluate": robot,
    }
    if result.kind == "transfer":
        return _transfer_rungs(result, story)
    score, scores = result.number("score"), result.numbers("score_per_reality")
    if result.kind not in notes or score is None:
        return []
    pair = result.interval("score_ci")
    if result.kind == "rehearse" and len(scores) > 1:
        found = bootstrap(scores, rng=np.random.default_rng(0))
        pair = (found.lo, found.hi)
    return [_rung(story, robot, _label(result), notes[result.kind], score, pair)]


def _transfer_rungs(result: Result, story: Story) -> list[plots.Rung]:
    robot, source = story.robot(result), story.source(result) or "source"
    trained = robot if _budget(result) is None else f"{robot}, {formats.steps(_budget(result))} steps"
    arms = [
        ("zero-shot", f"{robot}, skill of {source} as it is", "zero_shot"),
        ("after transfer", trained, "score"),
        ("from scratch", trained, "scratch_score"),
    ]
    return [
        _rung(story, robot, label, note, score, result.interval(f"{name}_ci"))
        for label, note, name in arms
        if (score := result.number(name)) is not None
    ]


def _rung(
    story: Story, robot: str, label: str, note: str, score: float, pair: tuple[float, float] | None
) -> plots.Rung:
    return plots.Rung(
        label=label, note=note, score=score, interval=pair, colour=story.colour(robot), no_op=story.no_op(robot)
    )


def _label(result: Result) -> str:
    plain = {
        "train": "training",
        "fold": "policy for any joints",
        "member": "member of several",
        "distill": "student",
        "rehearse": "sealed realities",
        "evaluate": "evaluation",
    }
    return plain[result.kind] if result.name in (result.kind, "") else result.name


def _budget(result: Result) -> float | None:
    budget = result.params.get("budget")
    return float(budget) if isinstance(budget, (int, float)) else None
