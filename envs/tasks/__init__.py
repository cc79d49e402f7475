"""The folder is the registry: each module here defines `TASK = TaskSpec(...)`."""

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envs.task import TaskSpec


def names() -> list[str]:
    """Names of the tasks, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get(name: str) -> "TaskSpec":
    """The task called `name`.

    Raises:
        LookupError: there is none of that name; the message lists what exists.
    """
    if name not in names():
        raise LookupError(
            f"no task named {name!r}; there are {', '.join(names())}. To add it, write envs/tasks/{name}.py"
        )
    return importlib.import_module(f"envs.tasks.{name}").TASK
