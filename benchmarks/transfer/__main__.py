"""One policy for many bodies, robots that teach robots, and maps between closed loops: what transfer is worth.

    python -m benchmarks.transfer --part bodies|map [--tier smoke|ci|full] [--rows NAME...] [--minutes M] [--json FILE]

Rows of `bodies`:
- `cost`: a training step and a decision of the policy over joints beside the plain network's.
- `family`: unseen quadrupeds, zero-shot.
- `joints`: another number of joints.
- `real`: a go1's skill on other robots.
- `teaching`: a robot that teaches a robot, beside kickstarting and from scratch.
- `arms`: from three links to others, and to real arms.

What takes long is done in pieces that are kept in WORK, `./runs/benchmarks/transfer` if left out: call it again, as
often as you like, and it goes on where it was. `--minutes` stops after the piece that passes them; the table then holds
what is there, and names what is not. It goes seed by seed. One core, beside other work: `nice taskset -c 0 python …`.
"""

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.machine import Machine
from benchmarks.report import Report, Tier, envelope
from benchmarks.transfer import arms, cost, family, joints, real, teaching
from benchmarks.transfer.effort import EFFORTS, Effort
from benchmarks.transfer.references import SPECIALISTS, record
from benchmarks.transfer.work import Work, add_arguments
from sim2real.campaign.files import write_json
from sim2real.campaign.provenance import now, provenance

ROWS: Mapping[str, Callable[[Effort, Work, Report], None]] = {
    "cost": cost.measure,
    "family": family.measure,
    "joints": joints.measure,
    "real": real.measure,
    "teaching": teaching.measure,
    "arms": arms.measure,
}
AT_ONCE = ("cost",)
"""Rows that compare what ran side by side: measured each time, for all repetitions."""
PARTS = ("bodies", "map")


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: measure, print the table, write the JSON."""
    given = _parser().parse_args(argv)
    machine, started = Machine(), now()
    work = Work.asked(given)
    if given.part == "bodies":
        report, more = bodies(given.tier, given.rows or list(ROWS), work)
    else:
        report, more = maps(given.tier), {}
    print(machine.sentence(), report.table(), sep="\n")
    if given.json:
        written = envelope("transfer", given.tier, report, machine)
        written["result"] |= {"part": given.part} | more
        write_json(given.json, written | {"provenance": provenance("inline", started)})


def bodies(tier: Tier, rows: Sequence[str], work: Work) -> tuple[Report, dict[str, Any]]:
    """The figures of the chosen rows, and what is to be recorded of specialists."""
    effort, report = EFFORTS[tier], Report()
    for seeds in range(1, max(len(effort.seeds), len(effort.specialists))):
        for name in rows:
            if name not in AT_ONCE:
                ROWS[name](effort.first(seeds), work, Report())
    for name in rows:
        ROWS[name](effort, work, report)
    trained = record(effort, dataclasses.replace(work, minutes=0.0)) if effort.specialists else {}
    return report, {SPECIALISTS: trained} if trained else {}


def maps(tier: Tier) -> Report:
    """The figures of the dynamic map; the ratio is that of the row of its name."""
    from benchmarks.transfer import dynamic_map

    report = Report(rows=list(dynamic_map.rows(tier)))
    report.ratios |= {row.name: row.value for row in report.rows if row.name == "dynamic_map_error_cut"}
    return report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer")
    parser.add_argument("--part", choices=PARTS, required=True, help="what to measure")
    parser.add_argument("--rows", choices=ROWS, nargs="+", help="of bodies: these alone")
    add_arguments(parser)
    return parser


if __name__ == "__main__":
    main()
