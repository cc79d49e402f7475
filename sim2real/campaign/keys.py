"""Stage keys: two stages with equal keys have equal results.

A key hashes the kind and its version, the parameters, the keys of the inputs and the content of external files: a
robot counts by its model hash, so an edited MJCF changes the key. Names, resources, host, executor and package
versions are not part of it.
"""

import hashlib
import importlib.util
import json
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import robots
from robots.records import encode, nearest
from sim2real.campaign.files import sha256
from sim2real.commands import Kind, arguments

KEY_LENGTH = 24
Command = TypeVar("Command")


def task_names() -> list[str]:
    """Names of the modules in `envs/tasks`, found without importing them."""
    spec = importlib.util.find_spec("envs")
    folders = spec.submodule_search_locations if spec else None
    paths = [path for folder in folders or () for path in Path(folder, "tasks").glob("*.py")]
    return sorted(path.stem for path in paths if not path.stem.startswith("_"))


def checked(command: Command) -> Command:
    """The command with its robot and file paths made absolute.

    Raises:
        LookupError: a robot or task does not exist; the message lists what does.
        FileNotFoundError: a file does not exist.
    """
    changes: dict[str, Any] = {}
    for name, value in _given(command, "ROBOT"):
        robots.get(value)
        changes[name] = os.path.abspath(value) if Path(value, "robot.json").is_file() else value
    for _, value in _given(command, "TASK"):
        if value not in task_names():
            known = task_names()
            raise LookupError(f"no task named {value!r}{nearest(value, known)}; tasks are {', '.join(known)}")
    for name, value in _given(command, "NAME|FILE"):
        if _is_path(value):
            if not Path(value).is_file():
                raise FileNotFoundError(f"{name}: no file {value!r} in {Path.cwd()}")
            changes[name] = os.path.abspath(value)
    return replace(command, **changes)  # type: ignore[type-var]


def stage_key(kind: Kind, command: Any, inputs: dict[str, str | tuple[str, ...]]) -> str:
    """Key of the stage that runs `command` on the results with the keys `inputs`."""
    content = {"kind": kind.name, "version": kind.version, "params": _identity(command), "inputs": encode(inputs)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def params(command: Any) -> dict[str, Any]:
    """The parameters of a command as JSON data, without its inputs."""
    runs = arguments(type(command), "RUN")
    return {field.name: encode(getattr(command, field.name)) for field in fields(command) if field.name not in runs}


def _identity(command: Any) -> dict[str, Any]:
    """The parameters with robots and files replaced by hashes of what they hold."""
    identity = params(command)
    for name, value in _given(command, "ROBOT"):
        identity[name] = {"model_hash": robots.get(value).model_hash}
    for name, value in _given(command, "NAME|FILE"):
        if _is_path(value):
            identity[name] = {"sha256": sha256(Path(value))}
    return identity


def _given(command: Any, marker: str) -> list[tuple[str, str]]:
    values = [(name, getattr(command, name)) for name in arguments(type(command), marker)]
    return [(name, value) for name, value in values if value is not None]


def _is_path(value: str) -> bool:
    return os.sep in value or bool(Path(value).suffix)
