"""Recipes: YAML files that say which stages a campaign has.

    name: quickstart
    stages:
      teacher: {kind: train, robot: go1, privileged: true, resources: {cpus: 2}}
      student: {kind: distill, run: teacher}

A RUN argument that is another stage's name refers to its result. Every key is checked: an unknown one is an error that
names the nearest valid one.
"""

import re
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from robots.records import decode, nearest
from sim2real.campaign.resources import Resources
from sim2real.campaign.store import RESERVED
from sim2real.commands import KINDS, Kind, option

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
FOLDERS = (Path("launch"), Path(sys.prefix, "share", "sim2real", "launch"))
"""Where a recipe is looked for that is given by its name."""


@dataclass(frozen=True, kw_only=True)
class Handling:
    """What a recipe may say about any stage, beside the arguments of its kind; none of it changes the result."""

    resources: Resources = field(default_factory=Resources)
    retries: int = 2
    """Further attempts when the stage's process dies."""
    timeout_s: float | None = None
    """Longest time for the stage [s]."""

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise ValueError(f"retries must be >= 0, got {self.retries}")
        if self.timeout_s is not None and self.timeout_s <= 0.0:
            raise ValueError(f"timeout_s must be > 0 [s], got {self.timeout_s}")


@dataclass(frozen=True, kw_only=True)
class RecipeStage:
    """A stage as the recipe says it: RUN arguments are still texts."""

    kind: Kind
    command: Any
    handling: Handling = field(default_factory=Handling)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A campaign."""

    name: str
    """Of the folder in the store that tells its last run."""
    stages: dict[str, RecipeStage]


@dataclass(frozen=True, kw_only=True)
class _File:
    name: str
    stages: dict[str, Any]

    def __post_init__(self) -> None:
        for name in (self.name, *self.stages):
            if not NAME.fullmatch(str(name)):
                raise ValueError(f"a name must be letters, digits, - and _, starting with a letter, got {name!r}")
        if self.name in RESERVED:
            raise ValueError(f"name must not be {self.name!r}: the store keeps {', '.join(RESERVED)} for itself")
        if not self.stages:
            raise ValueError("stages must name at least one stage")


def locate(recipe: str) -> Path:
    """The file of a recipe given by path, or by name if it is in `launch/`.

    Raises:
        FileNotFoundError: there is none; the message lists the recipes of `launch/`.
    """
    candidates = [Path(recipe), *(folder / f"{recipe}.yaml" for folder in FOLDERS)]
    for path in candidates:
        if path.is_file():
            return path
    known = sorted({path.stem for folder in FOLDERS for path in folder.glob("*.yaml")})
    there = f"; launch/ has {', '.join(known)}" if known else ""
    raise FileNotFoundError(f"no recipe {recipe!r}{nearest(Path(recipe).stem, known)}{there}")


def load(path: Path, kinds: dict[str, Kind] = KINDS) -> Recipe:
    """The recipe in a file.

    Raises:
        ValueError: it is not YAML, or a key or value is wrong; the message says where.
    """
    return parse(read_yaml(path), where=path.name, kinds=kinds)


def read_yaml(path: Path) -> Any:
    """The data in a YAML file, whose mappings must not name a key twice.

    Raises:
        ValueError: it is not YAML; the message says where.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name}: expected YAML, {' '.join(str(error).split())}") from error


def parse(data: Any, where: str, kinds: dict[str, Kind] = KINDS) -> Recipe:
    """The recipe that `data` describes; see `load`."""
    file = decode(_File, data, where)
    stages = {name: _stage(stage, f"{where}: stages.{name}", kinds) for name, stage in file.stages.items()}
    return Recipe(name=file.name, stages=stages)


def _stage(data: Any, where: str, kinds: dict[str, Kind]) -> RecipeStage:
    if not isinstance(data, dict) or "kind" not in data:
        raise ValueError(f"{where}: expected a mapping with a kind, one of {', '.join(kinds)}; got {data!r}")
    kind = kinds.get(data["kind"]) if isinstance(data["kind"], str) else None
    if kind is None:
        known = ", ".join(kinds)
        raise ValueError(f"{where}: no kind {data['kind']!r}{nearest(data['kind'], kinds)}; kinds are {known}")
    handled, arguments = _names(Handling), {option(name): name for name in _names(kind.command)}
    for key in data:
        if key not in {"kind", *handled, *arguments}:
            valid = ["kind", *arguments, *handled]
            raise ValueError(f"{where}: unknown key {key!r}{nearest(key, valid)}; valid keys are {', '.join(valid)}")
    given = {name: data[key] for key, name in arguments.items() if key in data}
    command: Any = decode(kind.command, given, where)
    handling = decode(Handling, {name: data[name] for name in handled if name in data}, where)
    return RecipeStage(kind=kind, command=command, handling=handling)


def _names(record: type) -> list[str]:
    return [field.name for field in fields(record)]


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key named twice, of which the plain loader keeps the last in silence."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} occurs twice", node.start_mark)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
