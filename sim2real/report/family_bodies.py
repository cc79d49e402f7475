"""How bodies differ: a picture of the descriptors that lie farthest apart, from the result of a `family` stage."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from sim2real.report import canvas
from sim2real.report.canvas import INK, MUTED
from sim2real.report.cells import Cells
from sim2real.report.family_names import lines
from sim2real.report.html import Html

COLOURS, STRONGEST = "PuOr", 1.6
"""Deviation from the mean, in root mean squares, that has the strongest colour."""
ROW, NAME, WIDTH, LEFT = 0.3, 0.2, 1.2, 2.45
"""Heights of a row and of a line of a name, width of a column, room for the descriptors' names [inch]."""


def plot(result: dict[str, Any]) -> Html:
    """The descriptors, a row for each; empty where there are none, or only one robot."""
    told, robots = result["descriptors"], result["robots"]
    if not told or len(robots) < 2:
        return Html("")
    head = 0.1 + NAME * max(lines(robot["name"]).count("\n") + 1 for robot in robots)
    with canvas.figure(head + ROW * len(told) + 0.1) as figure:
        height, width = figure.get_figheight(), min(WIDTH * len(robots), canvas.WIDTH - LEFT - 0.1)
        place = (LEFT / canvas.WIDTH, 0.05 / height, width / canvas.WIDTH, ROW * len(told) / height)
        _draw(figure.add_axes(place), told, robots)
        return canvas.svg(figure, "bodies")


def _draw(axes: Axes, told: list[dict[str, Any]], robots: list[dict[str, Any]]) -> None:
    cells = Cells(axes, len(told), len(robots), COLOURS)
    for row, one in enumerate(told):
        for column, (value, deviation) in enumerate(zip(one["values"], one["deviations"], strict=True)):
            share = float(np.clip(0.5 + 0.5 * deviation / STRONGEST, 0.1, 0.9))
            cells.fill(row, column, share)
            cells.write(row, column, f"{value:.3g}".replace("-", "−"), share, size=8.5)
    names = [f"{one['channel'].replace('_', ' ')}, {one['role']}" for one in told]
    axes.set_yticks(range(len(told)), names, color=INK)
    axes.set_xticks(range(len(robots)), [lines(robot["name"]) for robot in robots], color=MUTED, fontsize=8.5)
