"""Pretrained skills: the folder is the registry. `NAME.s2r` is a signed bundle, `NAME.json` beside it its card.

Each is trained by the recipe that its card names, and signed with the key whose public half is in `keys/`.
"""

import json
from pathlib import Path
from typing import Any

from robots.records import nearest

FOLDER = Path(__file__).parent
MAX_BYTES = 300_000
"""Of a bundle: small enough to travel with the code."""


def names(folder: Path = FOLDER) -> list[str]:
    """Names of the skills, sorted."""
    return sorted(path.stem for path in folder.glob("*.s2r"))


def bundle_path(name: str, folder: Path = FOLDER) -> Path:
    """The bundle of the skill called `name`.

    Raises:
        LookupError: there is none of that name; the message lists what exists.
    """
    known = names(folder)
    if name not in known:
        raise LookupError(
            f"no skill {name!r} in the zoo{nearest(name, known)}; there are {', '.join(known) or 'none'}. "
            "To add one: python -m policies.zoo.add --help"
        )
    return folder / f"{name}.s2r"


def card(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """What is to be known of a skill: robot, units, rate, contract, scores, recipe, licence, learning curve."""
    return json.loads(bundle_path(name, folder).with_suffix(".json").read_text(encoding="utf-8"))


def summary(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """A row of `sim2real zoo`."""
    told = card(name, folder)
    kept = {key: told[key] for key in ("name", "robot", "task", "digest", "bytes", "recipe")}
    return kept | {"score": told["scores"]["score"], "score_ci": told["scores"]["score_ci"]}


def verify(path: Path) -> None:
    """Refuse a bundle that is not signed with the key of the zoo.

    Raises:
        ValueError: it is not, or it was changed since.
    """
    from policies import bundle, keys, signing

    own = {
        keys.key_id(keys.load_public(file).public_bytes_raw()): file.stem
        for file in keys.ZOO_KEYS.glob(f"*{keys.SUFFIX}")
    }
    signing.verify(bundle.read(path), require_signature=True, trusted=own)
