"""Captions burnt into a film: what the robot is asked to do, and what it does."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sim2real.report.walk import PROGRAMME, Walk

BAR = 34
"""Height of the caption bar [pixel]."""
INK, FAINT, ALARM = (255, 255, 255, 255), (203, 213, 225, 255), (248, 113, 113, 255)
UNITS = ("m/s", "m/s", "rad/s")


class Captions:
    """Draws over images of one width [pixel]; at the top, since players cover the bottom."""

    def __init__(self, width: int) -> None:
        self.width = width

    def draw(self, image: NDArray[np.uint8], shrink: int, walk: Walk, tick: int) -> Image.Image:
        """The image, `shrink` times smaller, with the caption of a tick."""
        picture = Image.fromarray(image).reduce(shrink)
        pen = ImageDraw.Draw(picture, "RGBA")
        middle = BAR / 2
        pen.rectangle((0, 0, self.width, BAR), fill=(15, 23, 42, 205))
        label, ink = ("fell", ALARM) if walk.fell[tick] else (PROGRAMME[walk.act[tick]].label, INK)
        pen.text((14, middle), label, fill=ink, font=_font(16), anchor="lm")
        pen.text((self.width - 14, middle), _speeds(walk, tick), fill=FAINT, font=_font(14), anchor="rm")
        return picture


def _speeds(walk: Walk, tick: int) -> str:
    axis = PROGRAMME[walk.act[tick]].axis
    asked, done = walk.command[tick, axis], walk.velocity[tick, axis]
    if asked == 0.0:
        done = abs(done)
    return f"asked {asked:.2f}   does {done:.2f} {UNITS[axis]}".replace("-0.00", "0.00")


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)
