"""Who may work on what: a driver's lease on its stages, and one attempt at a time per key.

A driver keeps a lease file and renews it. Its stages, in whatever process or host, go on while the file is there and
fresh: removing it asks them to stop at their next checkpoint, and so does a driver that died. Both guards save work
only; that a result is whole rests on the commit's rename.
"""

import contextlib
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

RENEW_PERIOD = 5.0
"""[s]"""
LOST_AFTER = 120.0
"""Time without a renewal after which the driver counts as gone [s]; network file systems show changes late."""


class Lease:
    """The driver's side."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_stale(folder)
        self.path = folder / f"lease-{secrets.token_hex(6)}"
        self.path.touch()
        self.revoked = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.revoke()
        self._closed.set()
        self._thread.join()

    def revoke(self) -> None:
        """Ask all stages to save a checkpoint and return; a signal handler may call this."""
        self.revoked = True
        self.path.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._closed.wait(RENEW_PERIOD):
            with contextlib.suppress(OSError):
                os.utime(self.path)


class LeaseView:
    """A stage's side."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._renewed = 0
        self._seen = time.monotonic()

    def __reduce__(self) -> tuple[type["LeaseView"], tuple[Path]]:
        """Another process begins with a view of its own: clocks differ from host to host."""
        return LeaseView, (self._path,)

    def lost(self) -> bool:
        """Whether the driver asked to stop, or has not renewed its lease for long."""
        try:
            renewed = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return True
        except OSError:  # a network file system that hiccups is no order to stop
            return False
        if renewed != self._renewed:
            self._renewed, self._seen = renewed, time.monotonic()
        return time.monotonic() - self._seen > LOST_AFTER


@contextlib.contextmanager
def exclusive(path: Path, give_up: Callable[[], bool], period: float = 0.2) -> Iterator[bool]:
    """Hold the lock file `path`, waiting for whoever has it; False if `give_up` said so first.

    The kernel releases the lock of a process that dies. Where the file system has no locks, everyone holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        while not _lock(file.fileno()):
            if give_up():
                yield False
                return
            time.sleep(period)
        yield True


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _remove_stale(folder: Path) -> None:
    """Remove leases that their drivers left behind when they were killed."""
    for path in folder.glob("lease-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > 86_400:
                path.unlink()
