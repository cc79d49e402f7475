"""What members are called: ROBOT:TASK. Imports nothing heavy: the command line checks names before anything starts."""


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
    return name.replace(":", "-")
