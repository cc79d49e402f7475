"""What is in a file that sim2real wrote or reads: a result, a campaign, a recipe, a bundle."""

from pathlib import Path
from typing import Any

from robots.records import encode
from sim2real.campaign.bundles import ZOO
from sim2real.campaign.recipe import load
from sim2real.campaign.store import RUN_JSON, Store, read_record

LONG = 1000
"""Characters of a text above which only its length is told."""


def inspect(file: str, store: Store) -> dict[str, Any]:
    """The content of `file` as JSON data, its hashes checked.

    Raises:
        LookupError: there is no such file or result.
        ValueError: it is damaged, or of a kind that is not known.
    """
    path = Path(file)
    if file.startswith(ZOO):
        return _skill_of_zoo(file.removeprefix(ZOO))
    if path.suffix == ".s2r":
        return _bundle(path)
    if path.suffix in (".yaml", ".yml"):
        recipe = load(_existing(path))
        stages = {
            name: {"kind": stage.kind.name, **encode(stage.command), **encode(stage.handling)}
            for name, stage in recipe.stages.items()
        }
        return {"what": "recipe", "name": recipe.name, "stages": stages}
    folder = path.parent if path.name == RUN_JSON else path
    if (folder / RUN_JSON).is_file() and "key" not in read_record(folder):
        return {"what": "campaign", **read_record(folder)}
    if folder.is_file():
        raise ValueError(f"{file}: expected a RUN, a recipe (.yaml) or a bundle (.s2r)")
    found = store.find(str(folder))
    return {"what": "result", "folder": str(found.folder), **read_record(found.folder)}


def _skill_of_zoo(name: str) -> dict[str, Any]:
    from policies import zoo

    path = zoo.bundle_path(name)
    zoo.verify(path)
    return {"what": "skill of the zoo", "bundle": str(path), **zoo.card(name)}


def _bundle(path: Path) -> dict[str, Any]:
    from policies import signing
    from policies.bundle import read

    bundle = read(_existing(path))
    standing = signing.verify(bundle)
    told = {name: _summary(value) for name, value in vars(bundle).items() if name not in ("members", "signature")}
    signature = {"key": standing.key, "trusted": standing.trusted, "trusted_as": standing.trusted_as}
    return {"what": "bundle", "signature": signature if standing.key else None, **told}


def _summary(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, str) and len(value) > LONG:
        return f"{len(value)} characters"
    if hasattr(value, "shape"):
        return f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, dict):
        return {str(name): _summary(item) for name, item in value.items()}
    return encode(value)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"no file {str(path)!r} in {Path.cwd()}")
    return path
