"""The store: results by content, each a folder that is either whole or absent.

- `out/KEY/`: a committed result: the stage's files and `run.json`.
- `ckpt/KEY/`: what an unfinished stage needs to go on; dropped when its result is committed.
- `tmp/KEY-ATTEMPT/`: what an attempt has written so far; becomes `out/KEY` by a rename.
- `RECIPE/`: of the last run of a recipe: `run.json`, `report.html`, a link to each stage's result.
"""

import os
import re
import secrets
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robots.records import nearest
from sim2real.campaign import bundles
from sim2real.campaign.files import hashes, place, read_json, sync, sync_tree, write_json
from sim2real.campaign.keys import KEY_LENGTH

RUN_JSON = "run.json"
SCHEMA = 1
RESERVED = ("out", "ckpt", "tmp")
MIN_PREFIX = 6


@dataclass(frozen=True)
class Found:
    """A committed result."""

    key: str
    folder: Path


@dataclass(frozen=True)
class Store:
    """A folder of results."""

    root: Path

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> "Store":
        """The store at `path`, else at SIM2REAL_STORE, else `./runs`."""
        return cls(place(path))

    def out(self, key: str) -> Path:
        return self.root / "out" / key

    def checkpoint(self, key: str) -> Path:
        return self.root / "ckpt" / key

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    def has(self, key: str) -> bool:
        return (self.out(key) / RUN_JSON).is_file()

    def record(self, key: str) -> dict[str, Any]:
        """`run.json` of a committed result."""
        return read_record(self.out(key))

    def begin(self, key: str) -> Path:
        """A new empty attempt folder; its name tells the process that fills it."""
        attempt = self.tmp / f"{key}-{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
        attempt.mkdir(parents=True)
        self.checkpoint(key).mkdir(parents=True, exist_ok=True)
        (self.root / "out").mkdir(exist_ok=True)
        return attempt

    def commit(self, attempt: Path, key: str, record: dict[str, Any]) -> bool:
        """Make the attempt the result of `key`; False if another attempt did so first."""
        write_json(attempt / RUN_JSON, {**record, "files": hashes(attempt)})
        sync_tree(attempt)
        try:
            attempt.rename(self.out(key))
        except OSError:
            if not self.has(key):
                raise
            shutil.rmtree(attempt, ignore_errors=True)
            return False
        sync(self.root / "out")
        return True

    def sweep(self, key: str) -> None:
        """Remove what attempts at `key` left behind whose process on this host is gone."""
        for attempt in self.tmp.glob(f"{key}-*"):
            owner, pid, _ = attempt.name.rsplit(".", 2)
            if owner == f"{key}-{socket.gethostname()}" and not _is_alive(int(pid)):
                shutil.rmtree(attempt, ignore_errors=True)

    def find(self, run: str) -> Found:
        """The result that a RUN names: a folder with `run.json`, a key (prefix), `latest:STAGE`, or a bundle.

        Raises:
            LookupError: nothing or too much matches.
            ValueError: the result's files are not those that were committed.
        """
        found = self._find(run)
        verify(found.folder)
        return found

    def _find(self, run: str) -> Found:
        if run.startswith("latest:"):
            return self._latest(run.removeprefix("latest:"))
        if bundles.is_bundle(run):
            return bundles.import_bundle(run, self)
        if (Path(run) / RUN_JSON).is_file():
            return _found_in(Path(run).resolve())
        if re.fullmatch(rf"[0-9a-f]{{{MIN_PREFIX},{KEY_LENGTH}}}", run):
            return self._by_prefix(run)
        raise LookupError(
            f"no result {run!r}: expected a folder with {RUN_JSON}, a key of the store {self.root} (at least "
            f"{MIN_PREFIX} digits), latest:STAGE, zoo:NAME, or a bundle (.s2r)"
        )

    def _by_prefix(self, prefix: str) -> Found:
        matches = [path for path in (self.root / "out").glob(f"{prefix}*") if self.has(path.name)]
        if len(matches) != 1:
            named = ", ".join(sorted(path.name for path in matches)) or "none does"
            raise LookupError(f"expected one result in {self.root} whose key starts with {prefix}; {named}")
        return Found(matches[0].name, matches[0])

    def _latest(self, stage: str) -> Found:
        named = sorted(self._named(), key=lambda entry: entry[0])
        matches = [key for _, names, key in named if stage in names and self.has(key)]
        if not matches:
            known = sorted({name for _, names, _ in named for name in names})
            there = f"there are {', '.join(known)}" if known else "the store is empty"
            raise LookupError(f"no stage {stage!r} in the store {self.root}{nearest(stage, known)}; {there}")
        return Found(matches[-1], self.out(matches[-1]))

    def _named(self) -> list[tuple[str, set[str], str]]:
        """Time, names and key of each result: by its own run, and by the recipes that reused it under other names."""
        entries = []
        for path in self.root.glob(f"out/*/{RUN_JSON}"):
            record = read_record(path.parent)
            entries.append((record["provenance"]["finished"], {record["name"], record["kind"]}, record["key"]))
        for path in self.root.glob(f"*/{RUN_JSON}"):
            record = read_record(path.parent)
            stages = record["result"].get("stages", [])  # none: a link to a stage's result
            entries += [(record["provenance"]["finished"], {stage["name"]}, stage["key"]) for stage in stages]
        return entries


def read_record(folder: Path) -> dict[str, Any]:
    """`run.json` of a result or a campaign.

    Raises:
        ValueError: it is not JSON, or of another schema.
    """
    record = read_json(folder / RUN_JSON)
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"{folder / RUN_JSON}: schema must be {SCHEMA}, got {schema!r}; update sim2real to read it")
    return record


def verify(folder: Path) -> None:
    """Check that a result's files are those that were committed.

    Raises:
        ValueError: a file is missing or changed; the message names it.
    """
    expected = read_record(folder)["files"]
    present = {name: digest for name, digest in hashes(folder).items() if name != RUN_JSON}
    for name in sorted(expected):
        if present.get(name) != expected[name]:
            what = "changed" if name in present else "is missing"
            raise ValueError(f"{folder / name} {what} since the result was committed; remove {folder} to make it again")


def _found_in(folder: Path) -> Found:
    record = read_record(folder)
    if "key" not in record:
        stages = ", ".join(str(folder / stage["name"]) for stage in record["result"]["stages"])
        raise LookupError(f"{folder} is a campaign, not a stage's result; name one of its stages: {stages}")
    return Found(record["key"], folder)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
