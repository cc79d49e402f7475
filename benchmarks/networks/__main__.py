"""Two policies over joints beside each other: generated weights (`policies.tokens`), and attention-pooled tokens.

    python -m benchmarks.networks [--tier smoke|ci|full] [--part cost|zero_shot] [--minutes M] [--json FILE]

- `iteration_NETWORK`: CPU time of a rollout and its update, in 256 worlds of the default quadruped; `decision_NETWORK`:
  of one action from one observation, by torch. A plain network takes turns with both, in one process, on one thread.
- `zero_shot_NETWORK_K_sources`: what a policy that learned K bodies does on bodies it never met, untrained; IQM over
  bodies × seeds, of scores, and of N where all those bodies have specialists (`benchmarks.transfer`).
- `zero_shot_gain_K_sources`: of attention over generated weights.

Same bodies, worlds, learner, hyperparameters, steps and seeds. Generated weights stay unless attention's N (without
specialists: score) with the most sources is better by `zero_shot.WORTH`, at the lower end of its interval.
What takes minutes is done in pieces, kept beside those of `benchmarks.transfer`: call it again, and it goes on where it
was. `--minutes` stops after the piece that passes them; the table then names what is not there.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence

from benchmarks.machine import Machine
from benchmarks.networks import cost, zero_shot
from benchmarks.networks.effort import EFFORTS, Effort
from benchmarks.report import Report, envelope
from benchmarks.transfer.work import Work, add_arguments
from sim2real.campaign.files import write_json
from sim2real.campaign.provenance import now, provenance

PARTS: Mapping[str, Callable[[Effort, Work, Report], None]] = {
    "cost": cost.measure,
    "zero_shot": zero_shot.measure,
}


def main(argv: Sequence[str] | None = None) -> None:
    """The command line: measure, print the table, write the JSON."""
    given = _parser().parse_args(argv)
    machine, started = Machine(), now()
    work = Work.asked(given)
    report = Report()
    for part in given.part or PARTS:
        PARTS[part](EFFORTS[given.tier], work, report)
    print(machine.sentence(), report.table(), sep="\n")
    if given.json:
        record = envelope("networks", given.tier, report, machine)
        write_json(given.json, record | {"provenance": provenance("inline", started)})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks")
    parser.add_argument("--part", choices=PARTS, action="append", help="measure this part alone; may be repeated")
    add_arguments(parser)
    return parser


if __name__ == "__main__":
    main()
