"""What members are called: ROBOT:TASK. Imports nothing heavy: the command line checks names before anything starts."""

from hashlib import sha256

LONGEST, KEPT = 160, 120
"""Characters of a folder's name, of at most 255, and those of a longer one that it keeps."""


def parts(name: str) -> tuple[str, str]:
    """Robot and task of ROBOT:TASK; the robot's own name may hold colons.

    Raises:
        ValueError: it is no ROBOT:TASK.
    """
    robot, colon, task = name.rpartition(":")
    if not (robot and colon and task):
        raise ValueError(f"a member must be ROBOT:TASK, such as go1:velocity, got {name!r}")
    return robot, task


def folder(name: str) -> str:
    """Name of the folder that holds a member's files."""
    return shortened(name.replace(":", "-"))


def shortened(name: str) -> str:
    """A name for a file; a long one, such as that of a body told by all its numbers, ends in a hash."""
    return name if len(name) <= LONGEST else f"{name[:KEPT]}-{sha256(name.encode()).hexdigest()[:12]}"
