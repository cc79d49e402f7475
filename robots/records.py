"""Frozen dataclasses to plain JSON data and back, strictly.

One decoder serves robot folders, policy contracts and recipes: an unknown key is an error that names the nearest
valid one, a value of the wrong type names its place. Floats survive a round trip at full precision.
"""

import dataclasses
import difflib
import math
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Dataclasses, tuples, mappings and paths as dicts, lists and strings that `json.dumps` accepts."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def decode(cls: type[T], data: Any, where: str = "") -> T:
    """The `cls` that `data` describes.

    Raises:
        ValueError: an unknown or missing key, or a value of the wrong type, with its place.
    """
    return _decode(cls, data, where or cls.__name__)


def _decode(kind: Any, data: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return data
    if origin in (typing.Union, types.UnionType):
        return _decode_union(arguments, data, where)
    if origin is typing.Literal:
        return _check(data in arguments, data, where, f"one of {', '.join(map(str, arguments))}", data)
    if origin in (tuple, list):
        _check(isinstance(data, (list, tuple)), data, where, "a list", None)
        return _decode_sequence(origin, arguments, data, where)
    if origin is dict:
        _check(isinstance(data, dict), data, where, "a mapping", None)
        return {key: _decode(arguments[1], item, f"{where}.{key}") for key, item in data.items()}
    if dataclasses.is_dataclass(kind):
        return _decode_record(typing.cast(type, kind), data, where)
    return _decode_scalar(kind, data, where)


def _decode_scalar(kind: Any, data: Any, where: str) -> Any:
    if kind is float:
        return float(
            _check(isinstance(data, (int, float)) and not isinstance(data, bool), data, where, "a number", data)
        )
    if kind is int:
        return _check(isinstance(data, int) and not isinstance(data, bool), data, where, "a whole number", data)
    if kind is Path:
        return Path(_check(isinstance(data, (str, Path)), data, where, "a path", data))
    expected = {bool: "true or false", str: "text"}.get(kind, getattr(kind, "__name__", str(kind)))
    return _check(isinstance(data, kind), data, where, expected, data)


def _decode_sequence(origin: Any, arguments: tuple, data: Any, where: str) -> Any:
    if origin is list or (len(arguments) == 2 and arguments[1] is Ellipsis):
        return origin(_decode(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(data))
    _check(len(data) == len(arguments), data, where, f"{len(arguments)} values", None)
    return tuple(
        _decode(kind, item, f"{where}[{index}]") for index, (kind, item) in enumerate(zip(arguments, data, strict=True))
    )


def _decode_union(arguments: tuple, data: Any, where: str) -> Any:
    if data is None and type(None) in arguments:
        return None
    errors = []
    for kind in arguments:
        if kind is type(None):
            continue
        try:
            return _decode(kind, data, where)
        except ValueError as error:
            errors.append(str(error))
    raise ValueError("; or ".join(errors))


def _decode_record(cls: type, data: Any, where: str) -> Any:
    _check(isinstance(data, dict), data, where, f"a mapping of {cls.__name__}", None)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in data:
        if key not in fields:
            raise ValueError(f"{where}: unknown key {key!r}{nearest(key, fields)}; valid keys are {', '.join(fields)}")
    missing = [
        name
        for name, field in fields.items()
        if name not in data and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(f"{where}: missing {', '.join(missing)}")
    hints = typing.get_type_hints(cls)
    values = {name: _decode(hints[name], data[name], f"{where}.{name}") for name in data}
    try:
        return cls(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def require_finite(value: Any, where: str = "") -> None:
    """Refuse NaN and infinity anywhere in a dataclass or tuple: no comparison catches NaN.

    Raises:
        ValueError: with the place of the number.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} must be a finite number, got {value}")
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            require_finite(getattr(value, field.name), f"{where}.{field.name}".lstrip("."))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            require_finite(item, f"{where}[{index}]")


def require_not_negative(value: Any, *names: str) -> None:
    """Refuse fields of `value` below zero.

    Raises:
        ValueError: with the field and what came.
    """
    for name in names:
        if getattr(value, name) < 0.0:
            raise ValueError(f"{name} must be >= 0, got {getattr(value, name)}")


def nearest(word: str, valid: typing.Iterable[str]) -> str:
    """`, did you mean 'x'?` for the valid word closest to `word`, or nothing."""
    close = difflib.get_close_matches(str(word), list(valid), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""


def _check(good: bool, data: Any, where: str, expected: str, value: Any) -> Any:
    if not good:
        raise ValueError(f"{where}: expected {expected}, got {data!r}")
    return value
