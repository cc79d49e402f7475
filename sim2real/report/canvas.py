"""Figures as SVG inside the page, in its font and in its colours by their variables: they follow light and dark."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from sim2real.report.html import Html

INK, MUTED, GRID, PAPER = "#0a0a01", "#0a0a02", "#0a0a03", "#0a0a04"
BLUE, ORANGE, GREEN, RED = "#0a0a05", "#0a0a06", "#0a0a07", "#0a0a08"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    PAPER: "--card",
    BLUE: "--blue",
    ORANGE: "--orange",
    GREEN: "--green",
    RED: "--red",
}
"""What matplotlib draws in these colours takes those of the page."""
PRINTED = {
    INK: "#0f172a",
    MUTED: "#5b6779",
    GRID: "#e3e8ef",
    PAPER: "#ffffff",
    BLUE: "#2563eb",
    ORANGE: "#d9580d",
    GREEN: "#0a7d57",
    RED: "#c62828",
}
"""The same for pictures of their own: those of the page on white paper."""
WIDTH = 9.6
"""Of a plot [inch]; the page scales it."""
BACKDROP = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
"""Behind words that lie on curves."""
STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "ytick.major.size": 0,
    "text.color": INK,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
}


@contextmanager
def figure(height: float, colours: Mapping[str, str] | None = None) -> Iterator[Figure]:
    """A figure as wide as the page, of a height [inch], in the page's style and in its colours, or in `colours`."""
    taken: Mapping[Any, Any] = colours or {}
    with mpl.rc_context({name: taken.get(value, value) for name, value in STYLE.items()}):
        yield Figure(figsize=(WIDTH, height))


def png(drawn: Figure, path: Path) -> None:
    """Write a figure in printed colours as a picture on white paper."""
    drawn.savefig(path, dpi=150, facecolor=PRINTED[PAPER], metadata={"Software": None})


def svg(drawn: Figure, name: str) -> Html:
    """The figure as an element of the page; `name` keeps its ids apart from those of other plots."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    markup = buffer.getvalue()
    markup = markup[markup.index("<svg") :]
    markup = re.sub(r"<metadata>.*?</metadata>", "", markup, flags=re.DOTALL)
    markup = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img" class="plot">', markup, count=1
    )
    markup = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font)", markup)
    markup = re.sub(r'<g id="[^"]*"', "<g", markup)  # nobody refers to groups, and their names repeat
    for colour, variable in VARIABLES.items():
        markup = markup.replace(colour, f"var({variable})")
    return Html(markup)
