"""What robots are called in pictures."""

import os
import textwrap
from pathlib import Path

WIDTH, ROOM = 15, 17
"""Characters of a line, and of a name in a film's caption."""


def short(robot: str) -> str:
    """A robot's name without where it comes from."""
    return Path(robot).name if os.sep in robot else robot.removeprefix("menagerie:")


def brief(robot: str) -> str:
    """The same where there is little room: of a long name the end, which tells members of a family apart."""
    name = short(robot)
    return name if len(name) <= ROOM else f"…{name[1 - ROOM :]}"


def lines(robot: str, width: int = WIDTH) -> str:
    """The same in lines, such as `quadruped` above what is special about it."""
    family, colon, rest = short(robot).partition(":")
    parts = [family, *rest.split(",")] if colon else [family]
    return "\n".join(
        line for part in parts for line in textwrap.wrap(part.replace("_", " ") if colon else part, width) or [part]
    )
