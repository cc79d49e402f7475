"""Pictures of where a policy breaks: its score along every axis, and over a pair of them.

Drawn from the `robustness` of an evaluation's result, in the colours of the page or in those of a picture of its own.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sim2real.campaign import scoreboard
from sim2real.report import canvas, formats
from sim2real.report.canvas import BLUE, GRID, INK, MUTED, ORANGE, PRINTED, RED
from sim2real.report.html import Html

COLUMNS = 3
HEAD, PANEL, MAP = 0.3, 1.95, 4.1
"""Heights of the line that explains the signs, of a row of small plots, and of the map [inch]."""
LEFT, RIGHT, GAP = 0.06, 0.985, 0.045
"""Edges of the plots and the space between them, in shares of the width."""
Ink = Callable[[str], str]
"""From a colour of the page to the one that is drawn with."""


def save_picture(robustness: dict[str, Any], path: Path) -> None:
    """Write everything as one picture (.png)."""
    with canvas.figure(_height(robustness), PRINTED) as figure:
        _draw(figure, robustness, PRINTED.__getitem__)
        canvas.png(figure, path)


def plot(robustness: dict[str, Any]) -> Html:
    """The same for the page."""
    with canvas.figure(_height(robustness)) as figure:
        _draw(figure, robustness, lambda colour: colour)
        return canvas.svg(figure, "robustness")


def _height(robustness: dict[str, Any]) -> float:
    return HEAD + -(-len(robustness["axes"]) // COLUMNS) * PANEL + MAP


def _signs(robustness: dict[str, Any]) -> str:
    """What is drawn, in words."""
    words = "Score with 95 % band; dot: undisturbed; orange: trained range"
    if robustness["threshold"] is None:
        return words
    share = formats.percent(robustness["threshold"] / robustness["score"])
    return f"{words}; red: falls below {share} of the undisturbed {formats.score(robustness['score'])}"


def _draw(figure: Figure, robustness: dict[str, Any], ink: Ink) -> None:
    height, width = figure.get_figheight(), (RIGHT - LEFT - (COLUMNS - 1) * GAP) / COLUMNS
    lowest, highest = _range(robustness)
    figure.text(LEFT, 1.0 - 0.12 / height, _signs(robustness), va="top", fontsize=8.5, color=ink(MUTED))
    for index, sweep in enumerate(robustness["axes"].values()):
        row, column = divmod(index, COLUMNS)
        bottom = height - HEAD - (row + 1) * PANEL + 0.35
        place = (LEFT + column * (width + GAP), bottom / height, width, (PANEL - 0.7) / height)
        axes = figure.add_axes(place)
        _draw_sweep(axes, sweep, robustness["threshold"], ink)
        axes.set(ylim=(lowest, highest), ylabel="score" if column == 0 else None)
        axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(3))
    axes = figure.add_axes((0.12, 0.55 / height, 0.865, (MAP - 1.0) / height))
    _draw_map(axes, robustness, ink)


def _range(robustness: dict[str, Any]) -> tuple[float, float]:
    """Scores to show: 0 to 1, and what lies beyond."""
    points = [point for sweep in robustness["axes"].values() for point in sweep["points"]]
    return min([0.0, *(point["lo"] for point in points)]), max([1.0, *(point["hi"] for point in points)])


def _draw_sweep(axes: Axes, sweep: Mapping[str, Any], threshold: float | None, ink: Ink) -> None:
    """Score with its interval over the values; the trained range is shaded, breaks are marked."""
    points = sweep["points"]
    values, scores = [point["value"] for point in points], [point["score"] for point in points]
    low, high = sweep["trained"]
    if low < high:
        axes.axvspan(low, high, color=ink(ORANGE), alpha=0.16, linewidth=0, zorder=0)
    else:
        axes.axvline(low, color=ink(ORANGE), alpha=0.4, linewidth=2.5, zorder=0)
    if threshold is not None:
        axes.axhline(threshold, color=ink(MUTED), linewidth=1.0, linestyle=(0, (3, 3)), zorder=1)
    lo, hi = [point["lo"] for point in points], [point["hi"] for point in points]
    axes.fill_between(values, lo, hi, color=ink(BLUE), alpha=0.16, linewidth=0, zorder=2)
    axes.plot(values, scores, "-o", color=ink(BLUE), markersize=3.2, linewidth=1.6, clip_on=False, zorder=4)
    axes.plot(sweep["nominal"], scores[values.index(sweep["nominal"])], "o", color=ink(INK), markersize=5, zorder=5)
    axes.set_xlim(min(values[0], low), max(values[-1], high))
    found = [sweep[side] for side in ("breaks_below", "breaks_above") if (sweep[side] or {}).get("value") is not None]
    for one in found:
        _mark_break(axes, one, threshold or 0.0, "" if len(found) > 1 else "breaks at ", ink)
    unit = "" if sweep["unit"] == "1" else f" [{sweep['unit']}]"
    axes.set_title(f"{sweep['title']}{unit}", loc="left", fontsize=9.5, fontweight="bold", color=ink(INK))
    axes.grid(axis="y", color=ink(GRID), linewidth=0.8)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    axes.set_axisbelow(True)


def _mark_break(axes: Axes, found: Mapping[str, Any], threshold: float, words: str, ink: Ink) -> None:
    """A line where the score breaks, its interval across it, and the value in words."""
    left, right = axes.get_xlim()
    low, high = (edge if found[name] is None else found[name] for name, edge in (("lo", left), ("hi", right)))
    axes.plot([low, high], [threshold] * 2, color=ink(RED), linewidth=6, alpha=0.25, zorder=3, solid_capstyle="butt")
    axes.axvline(found["value"], color=ink(RED), linewidth=1.2, zorder=3)
    crowded = found["value"] > left + 0.55 * (right - left)
    axes.annotate(
        f"{words}{scoreboard.rough(found['value'])}",
        (found["value"], 0.0),
        (-4 if crowded else 4, 4),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="right" if crowded else "left",
        va="bottom",
        fontsize=8,
        fontweight="bold",
        color=ink(RED),
        zorder=6,
    )


def _draw_map(axes: Axes, robustness: dict[str, Any], ink: Ink) -> None:
    """Scores of pairs as coloured cells; a line parts what is broken from what is not."""
    pair, threshold = robustness["pair"], robustness["threshold"]
    scores = np.array([[point["score"] for point in row] for row in pair["points"]])
    colours, top = mpl.colormaps["viridis"], max(1.0, float(scores.max()))
    bottom = min(0.0, float(scores.min()))
    edges = [np.arange(size + 1) - 0.5 for size in scores.shape[::-1]]
    axes.pcolormesh(*edges, scores, cmap=colours, vmin=bottom, vmax=top, linewidth=0, rasterized=False)
    for (row, column), score in np.ndenumerate(scores):
        light = (score - bottom) / (top - bottom) > 0.6
        colour = PRINTED[INK] if light else "#ffffff"
        axes.text(column, row, formats.score(score), ha="center", va="center", fontsize=8, color=colour)
    if threshold is not None:
        _draw_border(axes, scores < threshold, ink)
    for axis, values, label in ((axes.xaxis, pair["x"], 0), (axes.yaxis, pair["y"], 1)):
        axis.set_ticks(range(len(values)), list(map(scoreboard.plain, values)))
        unit = "" if pair["units"][label] == "1" else f" [{pair['units'][label]}]"
        axis.set_label_text(f"{pair['titles'][label]}{unit}")
    axes.tick_params(length=0)
    axes.spines["bottom"].set_visible(False)
    note = "" if threshold is None else f", a line where it falls below {formats.score(threshold)}"
    axes.set_title(f"score over both{note}", loc="left", fontsize=9.5, fontweight="bold", color=ink(INK))


def _draw_border(axes: Axes, broken: np.ndarray, ink: Ink) -> None:
    """The edges between cells that are broken and cells that are not."""
    for row, column in np.argwhere(broken[:, 1:] != broken[:, :-1]):
        axes.plot([column + 0.5] * 2, [row - 0.5, row + 0.5], color=ink(RED), linewidth=2.4, zorder=5)
    for row, column in np.argwhere(broken[1:] != broken[:-1]):
        axes.plot([column - 0.5, column + 0.5], [row + 0.5] * 2, color=ink(RED), linewidth=2.4, zorder=5)
