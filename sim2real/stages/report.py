"""Explain results in one self-contained HTML file, with a film of each robot."""

from pathlib import Path
from typing import Any

from sim2real.campaign.stage import Stage
from sim2real.commands import Report
from sim2real.report.document import document
from sim2real.report.results import Result
from sim2real.report.story import Story
from sim2real.report.video import Films, shoot

REPORT = "report.html"
FILMING = 0.9
"""Rough share of the work that filming is."""


def report(command: Report, stage: Stage) -> dict[str, Any]:
    """Write `report.html`; see `sim2real.commands.Report`."""
    folders = stage.inputs["runs"]
    story = Story(tuple(Result.read(folder) for folder in ((folders,) if isinstance(folders, Path) else folders)))
    films = _films(command, story, stage)
    if stage.should_stop():
        return {}
    html = document(story, films, command.title)
    (stage.out / REPORT).write_text(html, encoding="utf-8")
    return {"report": REPORT, "videos": len(films.made), "opengl": films.opengl, "note": films.note}


def _films(command: Report, story: Story, stage: Stage) -> Films:
    if not command.video:
        return Films(note="videos were turned off")
    films = shoot(
        story,
        stage.out,
        cpus=stage.cpus,
        report=lambda fraction: stage.report(FILMING * fraction),
        should_stop=stage.should_stop,
    )
    if films.opengl is False:
        again = f"Then remove this report from the store (out/{stage.checkpoint.name}) and run it again."
        return Films(opengl=False, note=f"{films.note} {again}")
    return films
