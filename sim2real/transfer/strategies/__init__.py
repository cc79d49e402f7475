"""The folder is the registry: each module here defines `STRATEGY = Strategy(...)`."""

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim2real.transfer.strategy import Strategy


def names() -> list[str]:
    """Names of the strategies, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get(name: str) -> "Strategy":
    """The strategy called `name`.

    Raises:
        LookupError: there is none of that name; the message lists what exists.
    """
    if name not in names():
        raise LookupError(
            f"no transfer strategy named {name!r}; there are {', '.join(names())}. "
            f"To add it, write sim2real/transfer/strategies/{name}.py"
        )
    return importlib.import_module(f"sim2real.transfer.strategies.{name}").STRATEGY
