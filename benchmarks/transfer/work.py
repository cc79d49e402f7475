"""Pieces of a benchmark that takes hours: each has a folder by its content, is done once, and survives a kill.

WORK/KIND/LABEL-KEY/ holds `result.json` once the piece is done, and what it left; a piece that was cut off goes on from
its checkpoints. Several processes may share a folder: who works on a piece has its lock.
"""

import argparse
import fcntl
import hashlib
import json
import re
import time
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.report import Tier
from sim2real.campaign.files import place, read_json, write_json
from sim2real.campaign.provenance import commit
from sim2real.campaign.resources import cores

RESULT = "result.json"
KEY_LENGTH = 10


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Something to be measured once."""

    kind: str
    what: dict[str, Any]
    """All that decides its result, as JSON data; robots by name and model hash."""
    label: str
    """How people tell it apart."""

    @property
    def key(self) -> str:
        """Of its content; the label is no part of it."""
        text = json.dumps([self.kind, self.what], sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]

    @property
    def name(self) -> str:
        """Of its folder, under that of its kind."""
        return f"{re.sub('[^a-z0-9]+', '-', self.label.lower()).strip('-')}-{self.key}"


Doing = Callable[[Piece, Path, "Work"], dict[str, Any] | None]
"""Does a piece in its folder; nothing if it was cut off, to be called again."""


@dataclass
class Work:
    """The pieces in a folder, and how long there is to do more of them."""

    root: Path = field(default_factory=lambda: place() / "benchmarks" / "transfer")
    minutes: float = float("inf")
    """After which no piece begins and those that can be cut off are [min]."""
    num_threads: int = field(default_factory=cores)
    """Of physics."""
    began: float = field(default_factory=time.monotonic)

    @staticmethod
    def asked(given: argparse.Namespace) -> "Work":
        """What the arguments of `add_arguments` ask for."""
        return Work(minutes=given.minutes, **({"root": given.work} if given.work else {}))

    @property
    def over(self) -> bool:
        """Whether time is up."""
        return time.monotonic() - self.began >= 60.0 * self.minutes

    @property
    def store(self) -> Path:
        """Of the results of commands."""
        return self.root / "store"

    def folder(self, piece: Piece) -> Path:
        """Where a piece is, done or not."""
        known = (self.root / piece.kind).glob(f"*-{piece.key}")  # by whatever label
        return next(known, self.root / piece.kind / piece.name)

    def result(self, piece: Piece) -> dict[str, Any] | None:
        """What came of a piece; None while it is not done."""
        return self.result_in(self.folder(piece))

    @staticmethod
    def result_in(folder: Path) -> dict[str, Any] | None:
        """What came of the piece in a folder; None while it is not done."""
        file = folder / RESULT
        return read_json(file)["result"] if file.is_file() else None

    def do(self, piece: Piece, doing: Doing) -> dict[str, Any] | None:
        """The result of a piece, which is done now unless it is already, time is up or another process is at it."""
        if self.over or self.result(piece) is not None:
            return self.result(piece)
        folder = self.folder(piece)
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder) as mine:
            if mine and self.result(piece) is None:  # another process may have done it in the meantime
                started = time.perf_counter()
                result = doing(piece, folder, self)
                if result is not None:
                    record: dict[str, Any] = {"kind": piece.kind, "label": piece.label, "what": piece.what}
                    record |= {"commit": commit(), "seconds": time.perf_counter() - started, "result": result}
                    write_json(folder / RESULT, record)
        return self.result(piece)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much to do, where pieces are kept, and where to write."""
    parser.add_argument("--tier", choices=typing.get_args(Tier), default="full", help="smoke: only see that it works")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after the piece that passes these")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where pieces are kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what machines read")


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether the folder is this process's for the while; a lock ends with its process."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
