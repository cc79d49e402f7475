"""How policies perceive and drive a class of robots; the folder is the registry.

Each module here defines `EMBODIMENT`, a class that keeps to `envs.embodiments.embodiment.Embodiment`.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from envs.embodiments.embodiment import Embodiment
    from envs.observations import Term
    from envs.task import TaskSpec
    from robots.spec import RobotSpec


def names() -> list[str]:
    """Names of the embodiments, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "embodiment")


def get(name: str) -> "type[Embodiment]":
    """The embodiment called `name`.

    Raises:
        LookupError: there is none of that name.
    """
    if name not in names():
        raise LookupError(
            f"no embodiment named {name!r}; there are {', '.join(names())}. To add it, write envs/embodiments/{name}.py"
        )
    return importlib.import_module(f"envs.embodiments.{name}").EMBODIMENT


def terms(spec: "RobotSpec", task: "TaskSpec") -> "tuple[Term, ...]":
    """What an observation of `task` on `spec` holds: measurable terms first, then privileged ones."""
    from envs.observations import hidden_term
    from envs.randomization import hidden_width
    from robots.joint_space import joint_space

    actor, privileged = get(task.embodiment).terms(spec, joint_space(spec), task)
    return actor + privileged + hidden_term(hidden_width(spec))
