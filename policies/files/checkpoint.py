"""Checkpoints: one safetensors file of named tensors with a JSON record in its header, replaced atomically.

Nothing is pickled. A file holds all that continues a run bit for bit: weights, optimizer moments, generators, counters,
environment and physics. Its record carries a schema and a hash of everything in the file; files of older schemas are
migrated as they are read. Of a run the last few are kept: FILE.safetensors, FILE.1.safetensors before it, and so on.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as deserialize
from safetensors.torch import save as serialize

from envs.disk import sync
from envs.state_dicts import Tensors
from policies.files.migrations import MIGRATIONS

SCHEMA = 2
KEPT = 3
"""Checkpoints of a run that are kept, the newest included."""
LOG = logging.getLogger(__name__)


class DamagedError(ValueError):
    """A file is not what was written."""


def save(path: Path, tensors: Tensors, record: dict[str, Any], *, keep: int = 1) -> None:
    """Write a checkpoint by rename: readers see the old one or the new one, never half of one.

    Args:
        path: Of the newest.
        tensors: What it holds, by name.
        record: What it holds besides, as JSON data.
        keep: Files to keep, this one included; those before it get the names that `candidates` gives.

    Raises:
        OSError: there is no room; what was there stays. (`safetensors.save_file` would raise an error of its own.)
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write_through(temporary, pack(tensors, record))
        _move_down(path, keep)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def pack(tensors: Tensors, record: dict[str, Any]) -> bytes:
    """The bytes of a checkpoint; equal contents give equal bytes."""
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    whole = json.loads(json.dumps({"schema": SCHEMA, **record}))  # as it will be read
    whole["sha256"] = _digest(own, whole)
    return serialize(own, {"record": json.dumps(whole)})


def load(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and record of a checkpoint, as the present schema has them.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it is not what was written.
        ValueError: of an unknown schema.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path}")
    return unpack(path.read_bytes(), str(path))


def unpack(data: bytes, path: str) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and record of the bytes of a checkpoint that is called `path`; errors as of `load`."""
    try:
        tensors = deserialize(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        record = json.loads(header.get("__metadata__", {}).get("record", "{}"))
    except Exception as error:  # safetensors raises its own untyped errors
        raise _damaged(path, str(error)) from error
    return _migrated(path, tensors, record)


def _migrated(path: str, tensors: Tensors, record: dict[str, Any]) -> tuple[Tensors, dict[str, Any]]:
    schema, digest = record.get("schema"), record.pop("sha256", None)
    if digest not in (None, _digest(tensors, record)):  # looked at first: the wrong bit may be in the schema
        raise _damaged(path, "its content is not what was written")
    if schema != SCHEMA and schema not in MIGRATIONS:
        raise ValueError(
            f"checkpoint {path}: schema must be {SCHEMA}, or {', '.join(map(str, MIGRATIONS))} which is migrated; got "
            f"{schema!r}: update sim2real if a newer one wrote it, or train again"
        )
    if digest is None and schema != 1:
        raise _damaged(path, "its hash is missing")
    while record["schema"] != SCHEMA:
        tensors, record = MIGRATIONS[record["schema"]](tensors, record)
    return tensors, record


def candidates(path: Path) -> list[Path]:
    """Where the checkpoints of a run are, the newest first; not all need exist."""
    return [path, *(path.with_name(f"{path.stem}.{age}{path.suffix}") for age in range(1, KEPT))]


def exists(path: Path) -> bool:
    """Whether a run has any checkpoint."""
    return any(candidate.is_file() for candidate in candidates(path))


def load_latest(path: Path, say: Callable[[str], None] = LOG.warning) -> tuple[Tensors, dict[str, Any]]:
    """The newest checkpoint of a run that is whole; `say` is told of those that are not.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: none is whole.
        ValueError: of an unknown schema.
    """
    damage: DamagedError | None = None
    for candidate in [each for each in candidates(path) if each.is_file()]:
        try:
            loaded = load(candidate)
        except DamagedError as error:
            damage = damage or error
            continue
        if candidate != path:
            reason = f" ({damage})" if damage else f", since {path.name} is missing"
            say(f"going on from the earlier checkpoint {candidate.name}{reason}")
        return loaded
    raise damage or FileNotFoundError(f"no checkpoint {path}")


def sweep(path: Path) -> None:
    """Remove what killed attempts at writing `path` left behind; for the one process that runs it."""
    for leftover in path.parent.glob(f".{path.name}.*"):
        leftover.unlink(missing_ok=True)


def _damaged(path: str, what: str) -> DamagedError:
    return DamagedError(f"checkpoint {path} is damaged ({what}); delete it to start that stage anew")


def _digest(tensors: Tensors, record: dict[str, Any]) -> str:
    """sha256 of names, types, shapes and numbers of all tensors, and of the record."""
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _write_through(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it."""
    path.write_bytes(data)
    sync(path)


def _move_down(path: Path, keep: int) -> None:
    """Give every checkpoint the name of the one before it; the newest keeps its own too, until it is replaced."""
    names = candidates(path)[: max(1, min(keep, KEPT))]
    for newer, older in reversed(list(pairwise(names[1:]))):
        if newer.is_file():
            os.replace(newer, older)
    if len(names) > 1 and path.is_file():
        second = path.with_name(f".{path.name}.{os.getpid()}.older")
        try:
            second.unlink(missing_ok=True)  # of a killed process that had this number
            os.link(path, second)
            os.replace(second, names[1])
        except OSError:  # a file system without hard links
            os.replace(path, names[1])
        finally:
            second.unlink(missing_ok=True)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """Adam's moments and step counts by parameter index."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value) for index, values in state.items() for name, value in values.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors, learning_rate: float) -> None:
    """Put back what `optimizer_tensors` gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": [group | {"lr": learning_rate} for group in groups]})
