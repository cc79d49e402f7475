"""What is this machine? Robot specifications, models, and the protocols real robots speak.

The folder `robots/zoo` is the registry: each module there defines `ROBOT = RobotSpec(...)`.
"""

import importlib
import pkgutil
from importlib.metadata import entry_points
from pathlib import Path

from robots.spec import RobotSpec, load_folder

SOURCES = "sim2real.robots"
"""Group of entry points that add sources of robots: functions from REST of `NAME:REST` to a RobotSpec."""


def names() -> list[str]:
    """Names of the robots in `robots/zoo`, sorted."""
    import robots.zoo

    return sorted(module.name for module in pkgutil.iter_modules(robots.zoo.__path__))


def get(name: str) -> RobotSpec:
    """The robot called `name`: a zoo name, `menagerie:NAME`, a member of a family as in `quadruped:leg_length=0.2`, or
    a folder with `robot.json` and its MJCF.

    Raises:
        LookupError: no such robot; the message lists what exists.
        ValueError: a family has no such parameter; the message lists those it has. A folder's robot is wrong.
        FileNotFoundError: a file that a folder's robot needs is missing.
    """
    if name in names():
        return importlib.import_module(f"robots.zoo.{name}").ROBOT
    if name.startswith("menagerie:"):
        from robots.menagerie import from_menagerie

        return from_menagerie(name.removeprefix("menagerie:"))
    if name.partition(":")[0] in ("quadruped", "arm"):
        from robots import families

        return families.build(families.parse(name))
    source, _, rest = name.partition(":")
    for plug_in in entry_points(group=SOURCES, name=source):
        return plug_in.load()(rest)
    if Path(name).exists():
        return _from_folder(Path(name))
    raise LookupError(
        f"no robot named {name!r}; there are {', '.join(names())}. Any MuJoCo Menagerie robot works as menagerie:NAME, "
        f"parametric ones as quadruped:leg_length=0.2,mass=12 or arm:links=4, and so does a folder with robot.json and "
        f"its MJCF. To add one, write robots/zoo/{name}.py"
    )


def _from_folder(folder: Path) -> RobotSpec:
    """The robot in a folder, compiled once: what is wrong with it is said now, not after training has begun."""
    if not (folder / "robot.json").is_file():
        raise FileNotFoundError(
            f"{folder} has no robot.json, which says what the MJCF cannot: gains, delays, noise. Write one with "
            f"RobotSpec.save_folder, or derive it from an MJCF with robots.convert.convert"
        )
    from robots.model import build_model

    spec = load_folder(folder)
    build_model(spec)
    return spec
