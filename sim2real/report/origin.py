"""The section on where the numbers come from: versions, keys, seeds, and the commands that make them again."""

import shlex
from dataclasses import MISSING, fields
from typing import Any

from sim2real.commands import KINDS, arguments, option
from sim2real.report import formats
from sim2real.report.html import Html, table, tag
from sim2real.report.results import Result
from sim2real.report.story import Story


def section(story: Story) -> Html:
    """Everything needed to get the same numbers again."""
    return tag(
        "section",
        tag("h2", "Where this comes from"),
        tag(
            "p",
            "Results are kept by the hash of all that they depend on; on a CPU, the same key means the same weights.",
        ),
        _stages(story),
        tag("h3", "Make it again"),
        tag("pre", tag("code", "\n".join(commands(story)))),
        tag("h3", "Versions"),
        *_versions(story),
    )


def commands(story: Story) -> list[str]:
    """A command line for each result, those it was made from by the names of their links."""
    names = _links(story)
    return [_command(result, names) for result in story.results]


def _links(story: Story) -> dict[str, str]:
    """Key -> a name of its own."""
    names: dict[str, str] = {}
    for result in story.results:
        count = 2
        name = result.name
        while name in names.values():
            name, count = f"{result.name}-{count}", count + 1
        names[result.key or str(result.folder)] = name
    return names


def _command(result: Result, names: dict[str, str]) -> str:
    link = names[result.key or str(result.folder)]
    placed = _placed(result)
    words = [
        "sim2real",
        result.kind,
        *_positional(result, names),
        *(text for texts in placed.values() for text in texts),
    ]
    for name, value in {**_sources(result, names), **result.params}.items():
        words += [] if name in placed else _option(name, value)
    return shlex.join([*words, "--out", link])


def _positional(result: Result, names: dict[str, str]) -> list[str]:
    if result.kind not in KINDS:
        return []
    given = [result.inputs.get(name) for name in arguments(KINDS[result.kind].command, "RUN")]
    keys = [key for value in given for key in (value if isinstance(value, list) else [value])]
    return [names.get(key, key) for key in keys if isinstance(key, str)]


def _placed(result: Result) -> dict[str, list[str]]:
    """Parameters that are told by their place, after the results."""
    if result.kind not in KINDS:
        return {}
    command = KINDS[result.kind].command
    robots = arguments(command, "ROBOT")
    needed = [field.name for field in fields(command) if field.default is MISSING and field.name not in robots]
    return {name: _texts(result.params[name]) for name in needed if name in result.params}


def _texts(value: Any) -> list[str]:
    return [str(each) for each in (value if isinstance(value, (list, tuple)) else [value])]


def _sources(result: Result, names: dict[str, str]) -> dict[str, str]:
    """Results that are given by an option."""
    given = arguments(KINDS[result.kind].command, "SOURCE") if result.kind in KINDS else []
    keys = {name: str(result.inputs[name]) for name in given if name in result.inputs}
    return {name: names.get(key, key) for name, key in keys.items()}


def _option(name: str, value: Any) -> list[str]:
    flag = option(name).replace("_", "-")
    if value is None or value == "" or (isinstance(value, (list, tuple)) and not value):
        return []
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", *_texts(value)]


def _stages(story: Story) -> Html:
    rows = [
        (
            result.name,
            result.kind,
            result.key[:12],
            str(result.params.get("seed", formats.MISSING)),
            formats.duration(result.seconds),
            str(result.provenance.get("executor", formats.MISSING)),
            _commit(result),
            str(result.provenance.get("finished", formats.MISSING))[:16].replace("T", " "),
        )
        for result in story.results
    ]
    return table(("stage", "kind", "key", "seed", "took", "executor", "code", "finished (UTC)"), rows)


def _commit(result: Result) -> str:
    """Shortened; + marks code that differed from the commit."""
    commit = str(result.provenance.get("commit") or formats.MISSING)
    return commit[:10] + ("+" if commit.endswith("+") else "")


def _versions(story: Story) -> list[Html]:
    found: dict[str, set[str]] = {}
    for result in story.results:
        for name, version in (result.provenance.get("versions") or {}).items():
            found.setdefault(name, set()).add(str(version or "not installed"))
    listed = ", ".join(f"{name} {' / '.join(sorted(versions))}" for name, versions in found.items())
    hosts = [result.provenance.get("host") or {} for result in story.results]
    machines = dict.fromkeys(
        f"{host.get('cores', '?')} cores, {host.get('machine', '?')}, {host.get('system', '?')}"
        for host in hosts
        if host
    )
    return [tag("p", line) for line in (listed, "; ".join(machines)) if line]
