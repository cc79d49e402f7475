"""Maps of coloured cells with numbers in them: rows from above, columns from the left."""

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from sim2real.report.canvas import INK, PRINTED

Ink = Callable[[str], str]
"""From a colour of the page to the one that is drawn with."""
DARK = 0.45
"""Luminance below which a colour takes white letters, as a share of white's."""


class Cells:
    """Draws cells into axes; what they show is a share from 0 to 1."""

    def __init__(self, axes: Axes, rows: int, columns: int, colours: str) -> None:
        self.axes, self.colours = axes, mpl.colormaps[colours]
        axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), xticks=[], yticks=[])
        axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        axes.spines["bottom"].set_visible(False)

    def fill(self, row: int, column: int, share: float) -> None:
        colour = mpl.colors.to_hex(self.colours(share))
        self.axes.add_patch(box(row, column, 1.0, facecolor=colour, edgecolor=colour, linewidth=0.4))

    def write(self, row: int, column: int, words: str, share: float, *, size: float, down: float = 0.0) -> None:
        """Words on the colour of a share, by so much of a row below the middle; letters bold from 10 on."""
        weight = "bold" if size >= 10.0 else "normal"
        looks: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "fontsize": size,
            "fontweight": weight,
            "color": self.letters(share),
        }
        self.axes.text(column, row + down, words, **looks)

    def letters(self, share: float) -> str:
        """A colour that is seen on that of a share."""
        red, green, blue, _ = self.colours(share)
        return "#ffffff" if 0.299 * red + 0.587 * green + 0.114 * blue < DARK else PRINTED[INK]


def box(row: int, column: int, size: float, **looks: Any) -> Rectangle:
    """A cell, or a smaller rectangle in it."""
    return Rectangle((column - size / 2.0, row - size / 2.0), size, size, **looks)
