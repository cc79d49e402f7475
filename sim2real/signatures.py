"""The commands that make keys and sign bundles."""

import os
from pathlib import Path
from typing import Any

from policies import keys, signing
from policies.bundle import read
from sim2real.campaign.store import RUN_JSON

KEY_VARIABLE = "SIM2REAL_SIGNING_KEY"


def sign(file: str, key: str | None, to: str | None) -> dict[str, Any]:
    """Sign the bundle `file`, in place or into `to`; see `sim2real.commands.Sign`.

    Raises:
        FileNotFoundError: there is no such bundle or key, or no folder for what is written.
        ValueError: no key was given, the file is no bundle, or it is part of a result, which nobody changes.
    """
    path, private = Path(file), key or os.environ.get(KEY_VARIABLE)
    if not private:
        raise ValueError(f"--key must name a private key, or {KEY_VARIABLE}; to make one: sim2real keygen FILE")
    for needed in (path, Path(private)):
        if not needed.is_file():
            raise FileNotFoundError(f"no file {str(needed)!r} in {Path.cwd()}")
    written = Path(to) if to else path
    if not written.absolute().parent.is_dir():
        raise FileNotFoundError(f"--to {written}: there is no folder {written.absolute().parent}")
    if (written.absolute().parent / RUN_JSON).exists():
        raise ValueError(f"{written} lies in a result, whose files are never changed: name another file with --to")
    digest = signing.sign(path, Path(private), written)
    standing = signing.verify(read(written))
    return {"file": str(written), "digest": digest, "key": standing.key, "trusted_as": standing.trusted_as}


def keygen(file: str) -> dict[str, Any]:
    """Make a key; see `sim2real.commands.Keygen`.

    Raises:
        ValueError: the file exists; a key is never overwritten.
    """
    try:
        name, public = keys.generate(Path(file))
    except FileExistsError as error:
        raise ValueError(str(error)) from error
    return {"key": name, "private": file, "public": str(public), "trusted_folder": str(keys.trusted_folder())}
