"""The section on an evaluation: scores, what was asked for, and where the policy breaks."""

from typing import Any

from sim2real.campaign import scoreboard
from sim2real.report import formats, robustness
from sim2real.report.html import Html, facts, table, tag
from sim2real.report.learning import score_rows
from sim2real.report.results import Result
from sim2real.report.story import Story

CRITERIA = {
    "motion": "asked to",
    "vx": "asked to walk",
    "vy": "asked to walk sideways",
    "yaw_rate": "asked to turn",
    "ground": "ground",
    "level": "level of the ground",
    "distance": "distance of the target",
}
"""Criterion of a breakdown -> what a reader calls it."""


def section(result: Result, story: Story) -> Html:
    """Scores of a policy on fixed episodes."""
    parts = [tag("h2", f"Evaluation: {story.robot(result)}"), facts(score_rows(result)), breakdown(result)]
    found = result.mapping("robustness")
    return tag("section", *parts, *([_robustness(found)] if found.get("axes") and found.get("pair") else []))


def breakdown(result: Result) -> Html:
    """A table of scores by what was asked for."""
    rows = [
        (
            f"{CRITERIA.get(criterion, criterion)}: {name}",
            formats.score(group["score"]),
            formats.interval(tuple(group["score_ci"])),
            formats.score(group["yaw_score"]),
            f"{group['falls']} of {group['episodes']}",
        )
        for criterion, groups in result.mapping("breakdown").items()
        for name, group in groups.items()
    ]
    if not rows:
        return Html("")
    words = tag("p", "The same episodes, split again by each thing that was asked for.", class_="note")
    return tag(
        "div", tag("h3", "By what was asked for"), words, table(("", "score", "95 %", "yaw score", "falls"), rows)
    )


def _robustness(found: dict[str, Any]) -> Html:
    """Where it breaks: a picture, and the same in numbers."""
    caption = (
        "One property at a time is disturbed, in the same episodes, all else as in the nominal simulation; a push is a "
        "sudden change of the base's velocity every two seconds. Below: two properties at once."
    )
    return tag(
        "div",
        tag("h3", "Where it breaks"),
        tag("figure", robustness.plot(found), tag("figcaption", caption)),
        table(scoreboard.BREAK_COLUMNS, map(scoreboard.break_row, found["axes"].values())),
    )
