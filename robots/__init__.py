"""What is this machine? Robot specifications, models, and the protocols real robots speak.

The folder `robots/zoo` is the registry: each module there defines `ROBOT = RobotSpec(...)`.
"""

import importlib
import pkgutil
from pathlib import Path

from robots.spec import RobotSpec, load_folder


def names() -> list[str]:
    """Names of the robots in `robots/zoo`, sorted."""
    import robots.zoo

    return sorted(module.name for module in pkgutil.iter_modules(robots.zoo.__path__))


def get(name: str) -> RobotSpec:
    """The robot called `name`: a zoo name, `menagerie:NAME`, or a folder with `robot.json` and its MJCF.

    Raises:
        LookupError: no such robot; the message lists what exists.
    """
    if name in names():
        return importlib.import_module(f"robots.zoo.{name}").ROBOT
    if name.startswith("menagerie:"):
        from robots.menagerie import from_menagerie

        return from_menagerie(name.removeprefix("menagerie:"))
    if (Path(name) / "robot.json").is_file():
        return load_folder(Path(name))
    raise LookupError(
        f"no robot named {name!r}; there are {', '.join(names())}. Any MuJoCo Menagerie robot works as menagerie:NAME, "
        f"and so does a folder with robot.json and its MJCF. To add one, write robots/zoo/{name}.py"
    )
