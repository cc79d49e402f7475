"""A family of quadrupeds: what a policy that learned some bodies does on bodies it never met, without training.

- `family_zero_shot_K_sources`: N of a policy over joints that learned K bodies together; IQM over bodies × seeds.
- `…_worst`: N of the worst body, mean over seeds; `…/BODY`: of each body.
- `family_zero_shot_mlp`: the same of a plain network that learned one body, on the bodies with the same joints.
- `specialist_NETWORK/BODY`: scores of what was trained on the body itself.
"""

from collections.abc import Sequence
from typing import Any

from benchmarks.report import Report
from benchmarks.transfer import runs, specialists
from benchmarks.transfer.bodies import SOURCES, Body
from benchmarks.transfer.effort import Effort
from benchmarks.transfer.references import Known, known
from benchmarks.transfer.scores import Cells, over_bodies, worst
from benchmarks.transfer.work import Piece, Work
from policies.starting import joint_mismatch

TOKENS = "tokens"


def measure(effort: Effort, work: Work, report: Report) -> None:
    """Add the rows of the family."""
    scored = {count: _scored(count, steps, effort, work) for count, steps in effort.sources.items()}
    plain = _plain(effort, work) if effort.specialists else {}
    references = known(effort.unseen, effort, work)
    _add_specialists(references, report)
    for count, scores in scored.items():
        _add(_name(count), scores, effort, references, report)
    if plain:
        _add("family_zero_shot_mlp", plain, effort, references, report)
    most = _name(max(effort.sources))
    for row in report.rows:
        if row.name in (most, f"{most}_worst"):
            report.ratios["family_zero_shot_" + ("worst" if row.name.endswith("worst") else "iqm")] = row.value
    report.configurations["family_zero_shot"] = (
        "N, intervals from a bootstrap over seeds within bodies; sources learned "
        + ", ".join(f"{count}: {steps:,} steps" for count, steps in effort.sources.items())
        + "; ratios are of the row with the most sources"
    )


def _name(count: int) -> str:
    """Of the row of policies that learned so many bodies."""
    return f"family_zero_shot_{count}_source{'s' if count > 1 else ''}"


def source(bodies: Sequence[Body], steps: int, seed: int, **more: Any) -> Piece:
    """One policy over joints that learns all of `bodies`; `more` are further arguments of `sim2real.api.multitask`."""
    return runs.command(
        "multitask",
        f"{len(bodies)} x {bodies[0].label} {TOKENS} {seed}",
        *bodies,
        members=[body.member for body in bodies],
        network=TOKENS,
        seed=seed,
        steps=steps,
        **more,
    )


Scores = dict[str, dict[int, float]]
"""Body -> seed -> score of a policy that never met it."""


def _scored(count: int, steps: int, effort: Effort, work: Work) -> Scores:
    scores: Scores = {body.label: {} for body in effort.unseen}
    for seed in effort.seeds:
        piece = source(SOURCES[count], steps, seed)
        if work.do(piece, runs.run):
            _score(piece, effort.unseen, seed, work, scores)
    return scores


def _plain(effort: Effort, work: Work) -> Scores:
    """The same of a plain network on bodies that have the joints of its own."""
    own = SOURCES[1][0]
    bodies = [body for body in effort.unseen if not joint_mismatch(own.spec, body.spec)]
    scores: Scores = {body.label: {} for body in bodies}
    for seed in effort.seeds:
        piece = specialists.specialist(own, "mlp", seed)
        if work.do(piece, specialists.do):
            _score(piece, bodies, seed, work, scores)
    return scores


def _score(piece: Piece, bodies: Sequence[Body], seed: int, work: Work, scores: Scores) -> None:
    for body in bodies:
        result = work.do(runs.zero_shot(piece, body), runs.score)
        if result:
            scores[body.label][seed] = result["score"]


def _add(name: str, scores: Scores, effort: Effort, references: dict[str, Known], report: Report) -> None:
    """Rows of what is there, over the seeds that every body has; what is missing is named."""
    seeds = tuple(seed for seed in effort.seeds if all(seed in own for own in scores.values()))
    lacking = [label for label in scores if label not in references]
    if lacking or not seeds:
        report.skipped[name] = (
            f"no specialist of {'; '.join(lacking)} yet" if lacking else "no policy was scored on all bodies yet"
        )
        return
    cells: Cells = {
        label: [references[label].reference().normalized(own[seed]) for seed in seeds] for label, own in scores.items()
    }
    unit = f"N, IQM of {len(cells)} bodies x {len(seeds)} seeds"
    report.estimate(name, unit, over_bodies(cells), seeds)
    label, least = worst(cells)
    report.estimate(f"{name}_worst", f"N, {label}", least, seeds)
    for label, values in cells.items():
        report.add(f"{name}/{label}", "N", values, seeds)


def _add_specialists(references: dict[str, Known], report: Report) -> None:
    """The specialists that there are, and which of them count as 1."""
    for label, own in references.items():
        for network, scores in own.scores.items():
            report.add(f"specialist_{network}/{label}", "score", list(scores.values()), tuple(scores), own.source)
        best = own.reference()
        late = f"; not flat at the greatest budget: {', '.join(own.unfinished)}" if own.unfinished else ""
        report.configurations[f"N of {label}"] = (
            f"1 is {best.specialist:.3f}, of {best.seeds} {best.network} specialists; 0 is {best.no_op:.3f}{late}"
        )
