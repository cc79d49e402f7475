"""Plots of scores: learning curves, ladders of scores, sealed realities, losses.

Curves carry their names at their ends instead of a legend. Scores are 0 to 1; steps are environment steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sim2real.report import canvas, formats
from sim2real.report.canvas import BACKDROP, BLUE, GRID, INK, MUTED, PAPER
from sim2real.report.html import Html
from sim2real.statistics import Curve

LABEL_GAP = 0.06
"""Least distance of two labels at the ends of curves [score]."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A learning curve in a plot."""

    label: str
    curve: Curve
    colour: str


@dataclass(frozen=True, kw_only=True)
class Level:
    """A horizontal line with a name."""

    label: str
    score: float


class Name(NamedTuple):
    """What is written at the right edge, at the height of a score."""

    label: str
    score: float
    colour: str


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A score with its interval in a ladder of scores."""

    label: str
    note: str
    score: float
    interval: tuple[float, float] | None
    colour: str
    no_op: float | None = None


def learning_curves(
    lines: Sequence[Line],
    *,
    levels: Sequence[Level] = (),
    start: float | None = None,
    final: tuple[float, tuple[float, float] | None] | None = None,
    saving: tuple[float, float, float, str] | None = None,
) -> Html:
    """Scores over steps, with bands of 95 %.

    Args:
        lines: The curves.
        levels: Scores to compare with.
        start: A score before any step on the new robot: the zero-shot point of the first line.
        final: Score and interval of a fuller evaluation at the end of the first line.
        saving: Where two curves reach a threshold: (steps, steps, score, label).
    """
    with canvas.figure(3.6) as figure:
        axes = figure.add_axes((0.065, 0.15, 0.72, 0.8))
        for line in lines:
            _draw_curve(axes, line)
        for level in levels:
            axes.axhline(level.score, color=MUTED, linewidth=1.0, linestyle=(0, (3, 3)), zorder=1)
        if start is not None:
            _draw_start(axes, start, lines[0].colour)
        if saving:
            _draw_saving(axes, *saving)
        _score_axis(axes)
        last = max(line.curve.env_steps[-1] for line in lines)
        axes.set_xlim(0.0, last)
        axes.xaxis.set_major_formatter(lambda value, _: formats.steps(value) if value else "0")
        axes.set_xlabel("environment steps")
        names = _names(lines, levels)
        if final is not None:
            _draw_final(axes, last, *final, colour=lines[0].colour)
            names.append(Name(f"full evaluation {formats.score(final[0])}", final[0], lines[0].colour))
        _label_ends(axes, names)
        return canvas.svg(figure, f"learning {[line.label for line in lines]}")


def score_ladder(rungs: Sequence[Rung]) -> Html:
    """One score below the other with its interval, and what doing nothing scores on the same robot."""
    with canvas.figure(0.55 + 0.46 * len(rungs)) as figure:
        bottom = 0.42 / figure.get_figheight()
        axes = figure.add_axes((0.29, bottom, 0.64, 0.97 - bottom))
        for row, rung in enumerate(rungs):
            _draw_rung(axes, len(rungs) - 1 - row, rung)
        if rungs[0].no_op is not None:
            top = len(rungs) - 1 + 0.3
            axes.text(rungs[0].no_op, top, "standing still", ha="center", va="bottom", color=MUTED, fontsize=8)
        axes.set(xlim=(0.0, 1.0), ylim=(-0.6, len(rungs) - 0.3), yticks=[], xlabel="velocity score")
        axes.set_xticks(np.arange(0.0, 1.01, 0.2))
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        return canvas.svg(figure, f"ladder {[rung.label for rung in rungs]}")


def reality_bars(scores: Sequence[float], *, simulated: float | None, worst_quarter: float | None, colour: str) -> Html:
    """A bar for each sealed reality, beside what the simulator promised."""
    with canvas.figure(2.7) as figure:
        axes = figure.add_axes((0.065, 0.2, 0.72, 0.75))
        places = np.arange(len(scores))
        axes.bar(places, scores, width=0.66, color=colour, zorder=2)
        for place, value in enumerate(scores):
            _write_in_bar(axes, place, value)
        levels = [
            Level(label=f"{name} {formats.score(value)}", score=value)
            for name, value in (("simulator", simulated), ("worst quarter", worst_quarter))
            if value is not None
        ]
        for level in levels:
            axes.axhline(level.score, color=MUTED, linewidth=1.2, linestyle=(0, (3, 3)), zorder=3)
        _score_axis(axes)
        axes.set_xlim(-0.6, len(scores) - 0.4)
        axes.set_xticks(places, [str(place + 1) for place in places])
        axes.tick_params(axis="x", length=0)
        axes.set_xlabel("sealed reality")
        _label_ends(axes, _names((), levels))
        return canvas.svg(figure, "realities")


def _write_in_bar(axes: Axes, place: float, value: float) -> None:
    """At the foot of the bar, below the lines that cross it; above a bar that is too low."""
    height, colour = (0.035, PAPER) if value > 0.15 else (value + 0.02, INK)
    axes.text(place, height, formats.score(value), ha="center", va="bottom", color=colour, fontweight="bold")


def loss_curve(env_steps: Sequence[float], losses: Sequence[float]) -> Html:
    """How far a student is from its teacher, over steps; logarithmic where it falls far."""
    with canvas.figure(2.2) as figure:
        axes = figure.add_axes((0.065, 0.22, 0.72, 0.72))
        axes.plot(env_steps, losses, color=BLUE)
        if max(losses) > 10.0 * min(losses):
            axes.set_yscale("log")
            axes.minorticks_off()
        else:
            axes.set_ylim(0.0, 1.15 * max(losses))
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.set_xlim(0.0, env_steps[-1])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_major_formatter(lambda value, _: formats.steps(value) if value else "0")
        axes.set(xlabel="environment steps", ylabel="imitation loss [1]")
        axes.annotate(
            f"{losses[-1]:.2g}",
            (env_steps[-1], losses[-1]),
            (8, 0),
            textcoords="offset points",
            va="center",
            color=BLUE,
        )
        return canvas.svg(figure, "loss")


def _draw_curve(axes: Axes, line: Line) -> None:
    curve = line.curve
    if curve.num_episodes > 1 or curve.num_seeds > 1:
        low, high = curve.band(np.random.default_rng(0))
        axes.fill_between(curve.env_steps, low, high, color=line.colour, alpha=0.16, linewidth=0)
    axes.plot(curve.env_steps, curve.mean, "-o", color=line.colour, markersize=3.2, clip_on=False, zorder=4)


def _draw_final(axes: Axes, steps: float, score: float, interval: tuple[float, float] | None, *, colour: str) -> None:
    low, high = interval or (score, score)
    axes.plot([steps, steps], [low, high], color=colour, linewidth=7, alpha=0.28, clip_on=False, zorder=5)
    axes.plot(steps, score, "o", color=colour, markersize=8, clip_on=False, zorder=6)


def _draw_start(axes: Axes, score: float, colour: str) -> None:
    axes.plot(0.0, score, "D", color=colour, markersize=7, clip_on=False, zorder=5)
    name = f"zero-shot {formats.score(score)}"
    axes.annotate(
        name,
        (0.0, score),
        (10, 20),
        textcoords="offset points",
        va="center",
        color=colour,
        fontweight="bold",
        bbox=BACKDROP,
        zorder=7,
    )


def _draw_saving(axes: Axes, soon: float, late: float, score: float, label: str) -> None:
    arrow = {"arrowstyle": "<->", "color": INK, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (soon, score), (late, score), arrowprops=arrow, zorder=6)
    middle = (soon + late) / 2
    axes.text(middle, score + 0.03, label, ha="center", va="bottom", fontweight="bold", bbox=BACKDROP, zorder=7)


def _draw_rung(axes: Axes, height: float, rung: Rung) -> None:
    low, high = rung.interval or (rung.score, rung.score)
    axes.plot([low, high], [height, height], color=rung.colour, linewidth=7, alpha=0.28, zorder=3)
    axes.plot(rung.score, height, "o", color=rung.colour, markersize=8, zorder=4)
    value = formats.score(rung.score)
    axes.text(max(high, rung.score) + 0.018, height, value, va="center", fontweight="bold", bbox=BACKDROP, zorder=5)
    axes.text(-0.02, height + 0.02, rung.label, ha="right", va="bottom", fontweight="bold", clip_on=False)
    axes.text(-0.02, height - 0.04, rung.note, ha="right", va="top", color=MUTED, fontsize=8, clip_on=False)
    if rung.no_op is not None:
        axes.plot([rung.no_op] * 2, [height - 0.28, height + 0.28], color=MUTED, linewidth=1.6, zorder=2)


def _score_axis(axes: Axes) -> None:
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks(np.arange(0.0, 1.01, 0.2))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_ylabel("velocity score")


def _names(lines: Sequence[Line], levels: Sequence[Level]) -> list[Name]:
    ends = [(line, float(line.curve.mean[-1])) for line in lines]
    named = [Name(f"{line.label} {formats.score(end)}", end, line.colour) for line, end in ends]
    return named + [Name(level.label, level.score, MUTED) for level in levels]


def _label_ends(axes: Axes, names: Sequence[Name]) -> None:
    """Write names at the right edge, moved apart where they would touch."""
    heights = _spread(np.array([name.score for name in names]))
    for name, height in zip(names, heights, strict=True):
        axes.annotate(
            name.label,
            (1.0, height),
            (12, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            color=name.colour,
            fontweight="normal" if name.colour == MUTED else "bold",
            annotation_clip=False,
        )


def _spread(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The heights, moved until no two are closer than `LABEL_GAP`."""
    order, moved = np.argsort(heights), heights.astype(float).copy()
    for _ in range(50):
        for low, high in pairwise(order):
            overlap = LABEL_GAP - (moved[high] - moved[low])
            if overlap > 1e-6:
                moved[low] -= overlap / 2
                moved[high] += overlap / 2
    return moved
