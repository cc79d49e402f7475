"""Captions burnt into a film: what the robot is asked to do, and what it does."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

BAR = 34
"""Height of the caption bar [pixel]."""
INK, FAINT, ALARM = (255, 255, 255, 255), (203, 213, 225, 255), (248, 113, 113, 255)


@dataclass(frozen=True)
class Caption:
    """Words over one image: what happens on the left, figures on the right."""

    label: str
    figures: str = ""
    alarm: bool = False


class Captions:
    """Draws over images of one width [pixel]; at the top, since players cover the bottom."""

    def __init__(self, width: int) -> None:
        self.width = width

    def draw(self, image: NDArray[np.uint8], shrink: int, caption: Caption) -> Image.Image:
        """The image, `shrink` times smaller, with a caption."""
        picture = Image.fromarray(image).reduce(shrink)
        pen = ImageDraw.Draw(picture, "RGBA")
        middle = BAR / 2
        pen.rectangle((0, 0, self.width, BAR), fill=(15, 23, 42, 205))
        pen.text((14, middle), caption.label, fill=ALARM if caption.alarm else INK, font=_font(16), anchor="lm")
        pen.text((self.width - 14, middle), caption.figures, fill=FAINT, font=_font(14), anchor="rm")
        return picture


@cache
def _font(size: int) -> Any:
    return ImageFont.load_default(size)
