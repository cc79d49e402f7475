"""The section on where the numbers come from: versions, keys, seeds, and the commands that make them again."""

import shlex
from typing import Any

from sim2real.commands import KINDS, arguments
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
    words = ["sim2real", result.kind, *_positional(result, names)]
    for name, value in result.params.items():
        words += _option(name, value)
    return shlex.join([*words, "--out", link])


def _positional(result: Result, names: dict[str, str]) -> list[str]:
    if result.kind not in KINDS:
        return []
    given = [result.inputs.get(name) for name in arguments(KINDS[result.kind].command, "RUN")]
    keys = [key for value in given for key in (value if isinstance(value, list) else [value])]
    return [names.get(key, key) for key in keys if isinstance(key, str)]


def _option(name: str, value: Any) -> list[str]:
    flag = name.replace("_", "-")
    if value is None or value == "":
        return []
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    values = value if isinstance(value, (list, tuple)) else [value]
    return [f"--{flag}", *map(str, values)]


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
