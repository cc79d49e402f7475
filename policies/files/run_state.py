"""What every run's checkpoint holds beside its own state: the global generators, what the run is about, versions.

A checkpoint of another robot, task or network is refused by name; one that other versions wrote is read, and said.
"""

import importlib.metadata
import logging
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from envs.state_dicts import Tensors, prefixed, without_prefix
from policies.files import checkpoint
from policies.files.generators import global_state, restore_global_state

LOG = logging.getLogger(__name__)
GLOBALS = "globals"
PACKAGES = ("torch", "mujoco", "numpy", "stable-baselines3", "gymnasium")
"""Whose versions decide the last bits of a run."""
Say = Callable[[str], None]


def save_run(
    file: Path,
    kind: str,
    tensors: Tensors,
    record: dict[str, Any],
    about: dict[str, Any],
    how: dict[str, str] | None = None,
) -> None:
    """Write the checkpoint of a run; the last `checkpoint.KEPT` stay.

    Args:
        file: Of the newest.
        kind: Of the run, such as "training".
        tensors: Its own state.
        record: The rest of it, as JSON data.
        about: What may not change: robot, model hash, task, sizes; JSON data.
        how: What decides the last bits besides versions, such as the device.
    """
    states, words = global_state()
    own = {"kind": kind, "about": about, "versions": versions() | (how or {}), GLOBALS: words}
    checkpoint.save(file, tensors | prefixed(GLOBALS, states), record | own, keep=checkpoint.KEPT)


def load_run(
    file: Path, kind: str, about: dict[str, Any], say: Say = LOG.warning, how: dict[str, str] | None = None
) -> tuple[Tensors, dict[str, Any]]:
    """The newest whole checkpoint of a run; the global generators go on where they were. Arguments as of `save_run`.

    Raises:
        ValueError: damaged, of an unknown schema, of another kind of run, or about something else.
    """
    checkpoint.sweep(file)
    tensors, record = checkpoint.load_latest(file, say)
    if record.get("kind") != kind:
        raise ValueError(f"checkpoint {file} must be of a {kind}, got {record.get('kind')!r}; {_anew(file)}")
    _refuse_another(file, record.get("about", {}), about)
    _tell_changes(record.get("versions", {}), versions() | (how or {}), say)
    if GLOBALS in record:
        restore_global_state(without_prefix(GLOBALS, tensors), record[GLOBALS])
    return tensors, record


def versions() -> dict[str, str]:
    """Of what computes, and the machine's architecture."""
    return {name: importlib.metadata.version(name) for name in PACKAGES} | {"machine": platform.machine()}


def _refuse_another(file: Path, saved: dict[str, Any], about: dict[str, Any]) -> None:
    for name, value in about.items():
        if name in saved and saved[name] != value:
            raise ValueError(
                f"checkpoint {file} is of another run: {name.replace('_', ' ')} must be {value!r}, it has "
                f"{saved[name]!r}; start it as it was started, or {_anew(file)}"
            )


def _anew(file: Path) -> str:
    """What to do; an older checkpoint takes the place of one that is deleted alone."""
    return f"delete {file.stem}*{file.suffix} in its folder to start anew"


def _tell_changes(saved: dict[str, str], now: dict[str, str], say: Say) -> None:
    changed = [f"{name} {saved[name]} is now {now[name]}" for name in now if saved.get(name, now[name]) != now[name]]
    if changed:
        say(f"going on under other conditions, so not bit for bit as without a break: {', '.join(changed)}")
