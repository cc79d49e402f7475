"""What every benchmark prints and writes: rows of figures, and ratios between rows of one run.

{"schema": 1, "command": "benchmarks.NAME", "ok": true, "result": {"rows", "ratios", "machine"}, "provenance"}
"""

import argparse
import statistics
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.machine import Machine
from sim2real.campaign.files import write_json
from sim2real.campaign.provenance import commit, now, provenance
from sim2real.statistics import Bound, Estimate

SCHEMA = 1
Tier = Literal["smoke", "ci", "full"]
"""How long a benchmark takes: does it work; figures in a minute or two; figures to quote."""
Origin = Literal["measured", "recorded"]
"""In this run, or in an earlier one."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure."""

    name: str
    value: float
    """Median over repetitions; of an estimate what its unit says."""
    unit: str
    lo: float
    """Least; of an estimate the lower end of its 95 % interval."""
    hi: float
    """Greatest; the upper end."""
    bound: Bound = "="
    """≥ or ≤ where the truth lies beyond `value`."""
    source: Origin = "measured"
    seeds: tuple[int, ...] = ()
    commit: str | None = field(default_factory=commit)


def row(name: str, unit: str, values: Sequence[float], seeds: tuple[int, ...] = (), source: Origin = "measured") -> Row:
    """The figure of repeated measurements."""
    middle = statistics.median(values)
    return Row(name=name, value=middle, unit=unit, lo=min(values), hi=max(values), seeds=seeds, source=source)


@dataclass
class Report:
    """The figures of one run."""

    rows: list[Row] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    """What was not measured -> why."""
    configurations: dict[str, str] = field(default_factory=dict)
    """Beginning of the names of rows -> what was run for them."""

    def add(
        self,
        name: str,
        unit: str,
        values: Sequence[float],
        seeds: tuple[int, ...] = (),
        source: Origin = "measured",
    ) -> None:
        """Add the row of repeated measurements."""
        self.rows.append(row(name, unit, values, seeds, source))

    def estimate(self, name: str, unit: str, found: Estimate, seeds: tuple[int, ...] = ()) -> None:
        """Add the row of an estimate with its interval."""
        self.rows.append(
            Row(name=name, value=found.value, unit=unit, lo=found.lo, hi=found.hi, bound=found.bound, seeds=seeds)
        )

    def compare(self, name: str, ours: Sequence[float], theirs: Sequence[float], seeds: tuple[int, ...] = ()) -> None:
        """Add a ratio: the median over pairs that were measured one after the other, and its row."""
        self.add(name, "×", [one / other for one, other in zip(ours, theirs, strict=True)], seeds)
        self.ratios[name] = self.rows[-1].value

    def table(self) -> str:
        """For people: every row, aligned."""
        lines = [
            (
                row.name,
                row.bound.strip("=") + _number(row.value),
                f"{_number(row.lo)} – {_number(row.hi)}",
                row.unit + (" (recorded)" if row.source == "recorded" else ""),
            )
            for row in self.rows
        ]
        widths = [max(len(line[column]) for line in [*lines, HEADINGS]) for column in range(4)]
        notes = [f"{name}: {text}" for name, text in self.configurations.items()]
        notes += [f"skipped: {name}: {reason}" for name, reason in self.skipped.items()]
        return "\n".join([*(_line(line, widths) for line in [HEADINGS, *lines]), *notes])


HEADINGS = ("figure", "median", "least – greatest", "unit")


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    name, *numbers, unit = cells
    aligned = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=False)]
    return "  ".join([name.ljust(widths[0]), *aligned, unit]).rstrip()


def _number(value: float) -> str:
    """Three significant digits at least, thousands apart."""
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


Part = Callable[[Tier, Report], None]
"""Adds its figures to a report."""


def run(
    name: str,
    parts: Mapping[str, Part],
    argv: Sequence[str] | None = None,
    on_device: Callable[[Tier, str], Report] | None = None,
) -> None:
    """The command line of a benchmark: measure, print the table, write the JSON.

    Args:
        name: Of the benchmark.
        parts: What it measures, by name; `--part NAME` leaves the others out.
        argv: Arguments; those of the process if left out.
        on_device: What it measures instead under `--device NAME`; it has no such option if left out.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--tier", choices=typing.get_args(Tier), default="full", help="smoke: only see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what machines read")
    if on_device:
        parser.add_argument("--device", metavar="NAME", help="measure an engine instead: cuda, cuda:1, warp-cpu, cpu")
    parser.add_argument("--part", choices=parts, action="append", help="measure this part alone; may be repeated")
    given = parser.parse_args(argv)
    machine, started = Machine(), now()
    if on_device and given.device:
        report = on_device(given.tier, given.device)
    else:
        report = measure({name: parts[name] for name in given.part or parts}, given.tier)
    print(machine.sentence(), report.table(), sep="\n")
    if given.json:
        write_json(
            given.json, envelope(name, given.tier, report, machine) | {"provenance": provenance("inline", started)}
        )


def measure(parts: Mapping[str, Part], tier: Tier) -> Report:
    """The figures of all parts, one after the other."""
    report = Report()
    for part in parts.values():
        part(tier, report)
    return report


def envelope(name: str, tier: Tier, report: Report, machine: Machine) -> dict[str, Any]:
    """What machines read, provenance left out."""
    rows = [asdict(row) for row in report.rows]
    result = {"tier": tier, "rows": rows, "ratios": report.ratios, "skipped": report.skipped}
    result["configurations"] = report.configurations
    result["machine"] = machine.record()
    return {"schema": SCHEMA, "command": f"benchmarks.{name}", "ok": True, "result": result}
