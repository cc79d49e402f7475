"""The family map: a row for each skill, a column for each robot, the score where they meet.

Drawn from the result of a `family` stage, in the colours of the page or in those of a picture of its own.
"""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sim2real.report import canvas, formats
from sim2real.report.canvas import GRID, INK, MUTED, PRINTED
from sim2real.report.cells import Cells, Ink, box
from sim2real.report.family_names import lines
from sim2real.report.html import Html

ROW, NAME, NOTE, EDGE = 0.62, 0.19, 0.165, 0.12
"""Heights of a row, of a line of a robot's name, of a line of a note below, and of the margin [inch]."""
LEFT = 2.45
"""Room for the names of skills [inch]."""
WIDEST = 1.7
"""A cell is never wider [inch]."""
LETTERS = 145
"""In a line of a note."""
LONGEST = 28
"""Letters of a skill's name."""
MOST = 6
"""Reasons that are written below the map."""
COLOURS = "viridis"


def save_picture(result: dict[str, Any], path: Path) -> None:
    """Write the map as a picture (.png)."""
    with canvas.figure(_height(result), PRINTED) as figure:
        _draw(figure, result, PRINTED.__getitem__)
        canvas.png(figure, path)


def plot(result: dict[str, Any]) -> Html:
    """The same for the page."""
    with canvas.figure(_height(result)) as figure:
        _draw(figure, result, lambda colour: colour)
        return canvas.svg(figure, "family")


def _head(result: dict[str, Any]) -> float:
    """Height of the names of the robots [inch]."""
    return EDGE + NAME * (1 + max(lines(robot["name"]).count("\n") + 1 for robot in result["robots"]))


def _height(result: dict[str, Any]) -> float:
    return _head(result) + ROW * (len(result["sources"]) + 1) + _foot(result)


def _foot(result: dict[str, Any]) -> float:
    """Height of the notes [inch]."""
    return 2.0 * EDGE + NOTE * (_notes(result).count("\n") + 1)


def _notes(result: dict[str, Any]) -> str:
    """What the signs mean, and why pairs are refused."""
    told = [f"{number}  {reason}" for reason, number in list(numbered(result).items())[:MOST]]
    told += ["further reasons are in the result"] if len(numbered(result)) > MOST else []
    return "\n".join(textwrap.fill(note, LETTERS, subsequent_indent="    ") for note in [_signs(result), *told])


def numbered(result: dict[str, Any]) -> dict[str, int]:
    """Reason why a pair is refused -> its number on the map."""
    reasons = [cell["reason"] for row in result["cells"] for cell in row if cell["refused"]]
    return {reason: place + 1 for place, reason in enumerate(dict.fromkeys(reasons))}


def _draw(figure: Figure, result: dict[str, Any], ink: Ink) -> None:
    height, rows, robots = figure.get_figheight(), len(result["sources"]), result["robots"]
    width = min(WIDEST * len(robots), canvas.WIDTH - LEFT - EDGE)
    place = (LEFT / canvas.WIDTH, _foot(result) / height, width / canvas.WIDTH, ROW * (rows + 1) / height)
    axes = figure.add_axes(place)
    cells, numbers = Cells(axes, rows + 1, len(robots), COLOURS), numbered(result)
    for row, (source, line) in enumerate(zip(result["sources"], result["cells"], strict=True)):
        name, what = source["title"].rsplit(": ", 1)
        _draw_source(axes, row, name, what, ink)
        for column, cell in enumerate(line):
            if cell["refused"]:
                _draw_refusal(axes, row, column, numbers[cell["reason"]], ink)
            else:
                _draw_score(cells, row, column, cell, framed=robots[column]["name"] in source["learned_on"])
    _draw_source(axes, rows, "standing still", "no skill at all", ink)
    for column, robot in enumerate(robots):
        if robot["no_op"] is not None:
            _draw_score(cells, rows, column, {"score": robot["no_op"], "normalized": None}, framed=False)
        _draw_robot(axes, column, robot, ink)
    axes.axhline(rows - 0.5, color=ink(INK), linewidth=1.0)
    notes: dict[str, Any] = {"fontsize": 8.5, "va": "bottom", "linespacing": 1.35, "color": ink(MUTED)}
    figure.text(EDGE / canvas.WIDTH, EDGE / height, _notes(result), **notes)


def _signs(result: dict[str, Any]) -> str:
    words = f"Score over {result['episodes']} episodes of {result['seconds']:g} s, 1 is best. Framed: learned on it."
    if any(cell.get("normalized") is not None for row in result["cells"] for cell in row):
        words += "  N: 0 as standing still, 1 as the robot’s own skill."
    return words


def _draw_refusal(axes: Axes, row: int, column: int, number: int, ink: Ink) -> None:
    axes.add_patch(box(row, column, 1.0, facecolor="none", edgecolor=ink(GRID), hatch="////", linewidth=0))
    paper = {"facecolor": ink(canvas.PAPER), "edgecolor": "none", "pad": 1.5}
    axes.text(column, row, f"refused ({number})", ha="center", va="center", fontsize=8.5, color=ink(MUTED), bbox=paper)


def _draw_score(cells: Cells, row: int, column: int, cell: dict[str, Any], *, framed: bool) -> None:
    """A score, and N below it where there is one."""
    share, normalized = float(np.clip(cell["score"], 0.0, 1.0)), cell["normalized"]
    cells.fill(row, column, share)
    cells.write(row, column, formats.score(cell["score"]), share, size=11.0, down=0.0 if normalized is None else -0.13)
    if normalized is not None:
        cells.write(row, column, f"N {formats.score(normalized)}", share, size=8.0, down=0.24)
    if framed:
        cells.axes.add_patch(box(row, column, 0.92, facecolor="none", edgecolor=cells.letters(share), linewidth=1.4))


def _draw_robot(axes: Axes, column: int, robot: dict[str, Any], ink: Ink) -> None:
    """A robot's name and size above its column."""
    size = f"{robot['joints']} joints, {robot['mass']:.3g} kg"
    above: dict[str, Any] = {
        "xycoords": "data",
        "textcoords": "offset points",
        "ha": "center",
        "va": "bottom",
        "annotation_clip": False,
    }
    axes.annotate(size, (column, -0.5), (0, 3), fontsize=7.5, color=ink(MUTED), **above)
    axes.annotate(lines(robot["name"]), (column, -0.5), (0, 15), fontsize=9, fontweight="bold", color=ink(INK), **above)


def _draw_source(axes: Axes, row: int, name: str, what: str, ink: Ink) -> None:
    """A skill's name left of its row."""
    beside: dict[str, Any] = {
        "xycoords": "data",
        "textcoords": "offset points",
        "ha": "right",
        "annotation_clip": False,
    }
    name = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    axes.annotate(name, (-0.5, row), (-8, 1), va="bottom", fontsize=9, fontweight="bold", color=ink(INK), **beside)
    axes.annotate(what, (-0.5, row), (-8, -2), va="top", fontsize=8, color=ink(MUTED), **beside)
