"""Files that are either whole or absent: atomic JSON, hashes, and fsync of folders."""

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envs.disk import sync as sync

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Errors of a write that finds no room: disk, quota, or file size limit."""


def place(store: str | os.PathLike[str] | None = None) -> Path:
    """The folder of the store at `store`, else at SIM2REAL_STORE, else `./runs`."""
    chosen = os.fspath(store or os.environ.get("SIM2REAL_STORE") or "runs")
    if "://" in chosen:
        raise ValueError(f"the store must be a local folder, got {chosen!r}; mount it, or pass a path")
    return Path(chosen).expanduser().absolute()


def plain(value: Any) -> Any:
    """`value` as data that JSON holds: numpy scalars as numbers, records as mappings, non-finite numbers as null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # numpy and torch
        return plain(value.tolist())
    from robots.records import encode  # here, so that `doctor` can tell that another `robots` is in the way

    encoded = encode(value)
    if encoded is value:
        raise TypeError(f"expected JSON data, got {type(value).__name__}: {value!r}")
    return plain(encoded)


def read_json(path: Path) -> Any:
    """The JSON data in a file.

    Raises:
        ValueError: the file is not JSON; the message names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: expected JSON, {error}") from error


def write_json(path: Path, data: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def copy(source: Path, target: Path) -> None:
    """Copy a file so that a reader of `target` sees the old file or the new one, never a part."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def sync_tree(folder: Path) -> None:
    """Flush every file in `folder` and every folder's entries to the disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            sync(Path(parent, name))
        sync(Path(parent))


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hashes(folder: Path) -> dict[str, str]:
    """Relative path -> sha256 of every file below `folder`, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


class DiskFullError(OSError):
    """There is no room for a file; the message says where, and what to do."""


@contextlib.contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Turn "no space left" while writing below `folder` into an error that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise DiskFullError(
            f"no room left to write in {folder} ({error.strerror}): free some space, or set SIM2REAL_STORE to a folder "
            f"on another disk; nothing half-written was kept"
        ) from error
