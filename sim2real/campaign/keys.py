"""Stage keys: two stages with equal keys have equal results.

A key hashes the kind and its version, the parameters, the keys of the inputs and the content of external files: a
robot counts by its model hash, so an edited MJCF changes the key. Names, resources, host, executor and package
versions are not part of it.
"""

import hashlib
import importlib.util
import json
import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import robots
from policies.members.names import parts
from robots.records import encode, nearest
from sim2real.campaign.files import sha256
from sim2real.commands import BODY, Kind, arguments, body, option

KEY_LENGTH = 24
ARCHIVE = ".zip"
"""What the file of another program ends with, among the values of a SOURCE; the others are RUNs."""
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
        changes[name] = _each(_checked_robot, value)
    for name, value in _bodies(command):
        changes[name] = BODY + _checked_robot(value)
    for _, value in _given(command, "TASK"):
        _check_task(value)
    for name, value in _given(command, "ROBOT:TASK"):
        changes[name] = tuple(_checked_member(member) for member in value)
    for name, value in _files(command):
        if not Path(value).is_file():
            raise FileNotFoundError(f"{option(name)}: no file {value!r} in {Path.cwd()}")
        changes[name] = os.path.abspath(value)
    return replace(command, **changes)  # type: ignore[type-var]


def _each(change: Callable[[str], Any], value: str | tuple[str, ...]) -> Any:
    """A value changed, or each of several."""
    return change(value) if isinstance(value, str) else tuple(map(change, value))


def _checked_robot(name: str) -> str:
    robots.get(name)
    is_folder = os.path.isfile(os.path.join(name, "robot.json"))  # pathlib raises for names longer than a file's
    return os.path.abspath(name) if is_folder else name


def _check_task(name: str) -> None:
    if name not in task_names():
        known = task_names()
        raise LookupError(f"no task named {name!r}{nearest(name, known)}; tasks are {', '.join(known)}")


def _checked_member(name: str) -> str:
    robot, task = parts(name)
    _check_task(task)
    return f"{_checked_robot(robot)}:{task}"


def stage_key(kind: Kind, command: Any, inputs: dict[str, str | tuple[str, ...]]) -> str:
    """Key of the stage that runs `command` on the results with the keys `inputs`."""
    content = {"kind": kind.name, "version": kind.version, "params": _identity(command), "inputs": encode(inputs)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def params(command: Any) -> dict[str, Any]:
    """The parameters of a command as JSON data, without its inputs."""
    files = [name for name, _ in _files(command)]
    inputs = {name for marker in ("RUN", "SOURCE") for name in arguments(type(command), marker) if name not in files}
    return {field.name: encode(getattr(command, field.name)) for field in fields(command) if field.name not in inputs}


def _identity(command: Any) -> dict[str, Any]:
    """The parameters with robots and files replaced by hashes of what they hold."""
    identity = params(command)
    for name, value in _given(command, "ROBOT"):
        identity[name] = _each(lambda robot: {"model_hash": robots.get(robot).model_hash}, value)
    for name, value in _bodies(command):
        identity[name] = {"body": robots.get(value).model_hash}
    for name, value in _given(command, "ROBOT:TASK"):
        members = [parts(member) for member in value]
        identity[name] = [{"model_hash": robots.get(robot).model_hash, "task": task} for robot, task in members]
    for name, value in _files(command):
        identity[name] = {"sha256": sha256(Path(value))} | _beside(Path(value))
    return identity


def _beside(file: Path) -> dict[str, str]:
    """Hash of the statistics that belong to an archive, if there are any."""
    if file.suffix != ARCHIVE:
        return {}
    from policies.files.sb3_statistics import statistics_file

    found = statistics_file(file)
    return {"statistics": sha256(found)} if found else {}


def runs(command: Any) -> dict[str, str | tuple[str, ...]]:
    """Name of each argument that is given and stands for a RUN -> its value."""
    given = _given(command, "RUN") + _given(command, "SOURCE")
    return {name: value for name, value in given if (name, value) not in _files(command)}


def _files(command: Any) -> list[tuple[str, str]]:
    """Arguments that are files, which count by their content."""
    named = [(name, value) for name, value in _given(command, "NAME|FILE") if _is_path(value)]
    return named + [(name, value) for name, value in _given(command, "SOURCE") if value.endswith(ARCHIVE)]


def _given(command: Any, marker: str) -> list[tuple[str, Any]]:
    values = [(name, getattr(command, name)) for name in arguments(type(command), marker)]
    return [(name, value) for name, value in values if value is not None]


def _bodies(command: Any) -> list[tuple[str, str]]:
    """Arguments that are students with a body of their own, and its robot."""
    return [(name, body(value)) for name, value in _given(command, "STUDENT") if body(value)]


def _is_path(value: str) -> bool:
    return os.sep in value or bool(Path(value).suffix)
