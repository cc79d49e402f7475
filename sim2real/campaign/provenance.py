"""Where and with what a result was made: versions, code commit, machine, times."""

import functools
import importlib.metadata
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sim2real.campaign.resources import cores

PACKAGES = ("sim2real", "mujoco", "torch", "stable-baselines3", "numpy", "gymnasium", "onnxruntime", "ray")


def provenance(executor: str, started: datetime) -> dict[str, Any]:
    """The record that goes with every result; `started` is in UTC."""
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "commit": commit(),
        "host": {"cores": cores(), "machine": platform.machine(), "system": platform.system()},
        "executor": executor,
        "started": started.isoformat(timespec="milliseconds"),
        "finished": now().isoformat(timespec="milliseconds"),
    }


def now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)


def version(package: str) -> str | None:
    """Installed version, without importing the package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def commit() -> str | None:
    """Commit of the checkout this code runs from, with `+` if files differ from it; None outside of git."""
    here = Path(__file__).parents[2]
    if not (here / ".git").exists():
        return None
    head = _git(here, "rev-parse", "HEAD")
    return head and head + ("+" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
