"""The command line: one sub-command for each dataclass in `sim2real.commands`, calling the function of `sim2real.api`.

Exit codes: 0 done, 1 failed, 2 bad input, 3 refused by a gate, 130 interrupted. An error is one sentence on standard
error; `--debug` adds the traceback.
"""

import argparse
import ast
import dataclasses
import inspect
import os
import sys
import traceback
import types
import typing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from sim2real import api, commands

DONE, FAILED, BAD_INPUT, REFUSED, INTERRUPTED = 0, 1, 2, 3, 130


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = vars(parser().parse_args(argv))
    name, debug, json_file = given.pop("command"), given.pop("debug"), given.pop("json")
    started, result, error = datetime.now(UTC), None, None
    try:
        _check_writable(json_file)
        result = _call(name, given)
        code = _code(name, result)
        _show(name, result)
    except (Exception, KeyboardInterrupt) as raised:
        error, result = raised, getattr(raised, "result", None)
        code = _explain(name, raised, debug)
    if json_file:
        try:
            _write(json_file, _envelope(name, given, started, code, result, error))
        except (OSError, TypeError) as raised:
            code = max(code, _explain(name, raised, debug))
    return code


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = _Parser(prog="sim2real", description="Carry a robot skill from simulation to a controller and across robots.")
    top.add_argument("--version", action="version", version=_version())
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    documented = _field_docstrings()
    for name, command in commands.COMMANDS.items():
        summary = (command.__doc__ or "").strip()
        sub = subparsers.add_parser(name, help=summary, description=summary, argument_default=argparse.SUPPRESS)
        hints = typing.get_type_hints(command)
        for field in dataclasses.fields(command):
            _add_argument(sub, field, hints[field.name], documented[command.__name__][field.name], command)
        _add_common(sub, inspect.signature(_function(name)).parameters)
    return top


class _Parser(argparse.ArgumentParser):
    """Reports a wrong argument in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def _add_argument(sub: argparse.ArgumentParser, field: dataclasses.Field, hint: Any, text: str, command: type) -> None:
    """An argument for a field: by position if it is required and no robot, else an option."""
    required = field.default is dataclasses.MISSING
    default = "" if required or field.default in (None, "", ()) else f" (default: {field.default})"
    options: dict[str, Any] = {"help": (text + default).replace("%", "%%"), **_values(hint)}
    if required and field.name not in commands.arguments(command, "ROBOT"):
        sub.add_argument(field.name, metavar=_metavar(field.name), **options)
    elif field.default == () and field.name in commands.arguments(command, "RUN"):
        sub.add_argument(field.name, metavar=_metavar(field.name), **options | {"nargs": "*"})
    else:
        name = commands.option(field.name)
        if not {"action", "choices", "metavar"} & options.keys():
            options["metavar"] = name.upper()
        sub.add_argument(f"--{name.replace('_', '-')}", dest=field.name, required=required, **options)


def _values(hint: Any) -> dict[str, Any]:
    """How argparse reads a value of this type."""
    if typing.get_origin(hint) is typing.Literal:
        return {"choices": typing.get_args(hint)}
    if typing.get_origin(hint) is tuple:
        return {**_values(typing.get_args(hint)[0]), "nargs": "+"}
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        hint = typing.get_args(hint)[0]
    return {"type": hint, "metavar": {int: "N", float: "X"}.get(hint, "TEXT")} if hint is not str else {}


def _metavar(name: str) -> str:
    return {"runs": "RUN", "more": "RUN"}.get(name, name.upper())


def _add_common(sub: argparse.ArgumentParser, accepted: typing.Mapping[str, Any]) -> None:
    if "store" in accepted:
        sub.add_argument("--store", metavar="DIR", help="where results are kept (default: SIM2REAL_STORE, or ./runs)")
    if "out" in accepted:
        sub.add_argument("--out", metavar="DIR", help="link to the committed result")
    sub.add_argument("--json", metavar="FILE", type=Path, default=None, help="write what machines read")
    sub.add_argument("--debug", action="store_true", default=False, help="show the traceback of an error")


def _function(name: str) -> Any:
    return getattr(api, name.replace("-", "_"))


def _call(name: str, given: dict[str, Any]) -> Any:
    function = _function(name)
    watched = {"progress": True} if "progress" in inspect.signature(function).parameters else {}
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return function(**values, **watched)


def _show(name: str, result: Any) -> None:
    from sim2real.campaign import summary

    try:
        summary.show(name, result)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _code(name: str, result: Any) -> int:
    if (name == "doctor" and not result["healthy"]) or (name == "verify-randomization" and not result["proved"]):
        return FAILED
    results = [stage["metrics"] or {} for stage in result["stages"]] if name == "run" else [result]
    return REFUSED if any(given.get("refused") is True for given in results) else DONE


def _explain(name: str, error: BaseException, debug: bool) -> int:
    """Say what went wrong; returns the exit code."""
    if debug:
        print(getattr(error, "details", "") or "".join(traceback.format_exception(error)), file=sys.stderr)
    code = _error_code(error)
    print(f"sim2real {name}: {_sentence(error, code)}", file=sys.stderr)
    return code


def _error_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    from sim2real.campaign.job import is_bad_input

    return BAD_INPUT if getattr(error, "bad_input", False) or is_bad_input(error) else FAILED


def _sentence(error: BaseException, code: int) -> str:
    text = " ".join(str(error).split())
    if code == INTERRUPTED:
        return text or "interrupted"
    if isinstance(error, ImportError):
        return f"{text}; sim2real doctor says what is missing or shadowed"
    if code == BAD_INPUT or isinstance(error, (RuntimeError, OSError)):
        return text or type(error).__name__
    return f"{type(error).__name__}: {text} (this is a bug; --debug shows where)"


def _check_writable(json_file: Path | None) -> None:
    if json_file and not json_file.absolute().parent.is_dir():
        raise FileNotFoundError(f"--json {json_file}: there is no folder {json_file.absolute().parent}")


def _envelope(
    name: str, given: dict[str, Any], started: datetime, code: int, result: Any, error: BaseException | None
) -> dict[str, Any]:
    """What machines read of any command."""
    from sim2real.campaign.files import plain
    from sim2real.campaign.provenance import provenance

    executor = given.get("executor", getattr(commands.COMMANDS[name], "executor", "inline"))
    envelope = {
        "schema": 1,
        "command": name,
        "ok": code in (DONE, REFUSED),
        "refused": code == REFUSED,
        "result": plain(result),
        "provenance": provenance(executor, started),
    }
    if error is None:
        return envelope
    return {**envelope, "error": {"type": type(error).__name__, "message": _sentence(error, code)}}


def _write(path: Path, data: dict[str, Any]) -> None:
    from sim2real.campaign.files import explain_full_disk, write_json

    with explain_full_disk(path.absolute().parent):
        write_json(path, data)


def _version() -> str:
    from sim2real.campaign.provenance import version

    return f"sim2real {version('sim2real') or '(not installed)'}"


def _field_docstrings() -> dict[str, dict[str, str]]:
    """Class name -> field name -> the docstring that follows the field in the source."""
    tree = ast.parse(inspect.getsource(commands))
    return {node.name: _documented(node) for node in tree.body if isinstance(node, ast.ClassDef)}


def _documented(node: ast.ClassDef) -> dict[str, str]:
    texts = {}
    for statement, following in zip(node.body, node.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
            texts[ast.unparse(statement.target)] = str(ast.literal_eval(following.value))
    return texts


if __name__ == "__main__":
    sys.exit(main())
