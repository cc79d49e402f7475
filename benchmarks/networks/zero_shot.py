"""What policies of both networks do on bodies they never met, and which network is kept by that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.networks.effort import Effort
from benchmarks.networks.learning import NETWORKS, score, source, train, zero_shot
from benchmarks.report import Report
from benchmarks.transfer import references
from benchmarks.transfer.bodies import SOURCES, Body
from benchmarks.transfer.effort import EFFORTS
from benchmarks.transfer.scores import SEED, Cells, over_bodies
from benchmarks.transfer.work import Piece, Work
from sim2real.statistics import Array, Estimate, bootstrap, iqm

WORTH = 0.05
"""How much better attention must be to be kept."""
LEAST_SEEDS = 2
"""For an interval."""
Scores = dict[int, dict[str, float]]
"""Seed -> body -> score of a policy that never met it."""
Normalizers = Mapping[str, Callable[[float], float]]
"""Body -> from score to N."""


def measure(effort: Effort, work: Work, report: Report) -> None:
    """Train both networks seed by seed, score them on bodies they never met, and add what came of it."""
    scores: dict[int, dict[str, Scores]] = {count: {name: {} for name in NETWORKS} for count in effort.sources}
    for seed in effort.seeds:
        for count, steps in effort.sources.items():
            for name in NETWORKS:
                found = _scored(source(name, SOURCES[count], steps, seed), effort.unseen, work)
                if len(found) == len(effort.unseen):
                    scores[count][name][seed] = found
    add(scores, _normalizers(effort, work), report)
    report.configurations["zero_shot"] = "sources learned " + ", ".join(
        f"{count}: {steps:,} steps" for count, steps in effort.sources.items()
    )


def _scored(piece: Piece, bodies: Sequence[Body], work: Work) -> dict[str, float]:
    """Body -> score of what is there."""
    if not work.do(piece, train):
        return {}
    results = {body.label: work.do(zero_shot(piece, body), score(piece, body)) for body in bodies}
    return {label: result["score"] for label, result in results.items() if result}


def _normalizers(effort: Effort, work: Work) -> Normalizers | None:
    """Those of all bodies; nothing unless each has specialists."""
    known = references.known(effort.unseen, EFFORTS["full"], replace(work, minutes=0.0))
    if len(known) < len(effort.unseen):
        return None
    return {label: own.reference().normalized for label, own in known.items()}


def add(scores: Mapping[int, Mapping[str, Scores]], normalizers: Normalizers | None, report: Report) -> None:
    """Add rows, ratios and the verdict, from scores: how many sources -> network -> seed -> body."""
    units: dict[str, Normalizers | None] = {"score": None}
    if normalizers:
        units["N"] = normalizers
    else:
        report.skipped["zero_shot in N"] = "not all of these bodies have specialists yet: python -m benchmarks.transfer"
    for count, each in scores.items():
        sources = f"{count}_source{'s' if count > 1 else ''}"
        seeds = tuple(seed for seed in each["generated"] if seed in each["attention"])
        if not seeds:
            report.skipped[f"zero_shot/{sources}"] = "no seed of both networks is done yet"
            continue
        for unit, to_unit in units.items():
            cells = {name: _cells(own, seeds, to_unit) for name, own in each.items()}
            gained = _add(f"{sources}{'_N' if to_unit else ''}", unit, cells, seeds, report)
            if count == max(scores):
                report.configurations["kept"] = verdict(gained, unit, len(seeds))


def _cells(scores: Scores, seeds: Sequence[int], to_unit: Normalizers | None) -> Cells:
    return {
        label: [to_unit[label](scores[seed][label]) if to_unit else scores[seed][label] for seed in seeds]
        for label in scores[seeds[0]]
    }


def _add(name: str, unit: str, cells: Mapping[str, Cells], seeds: tuple[int, ...], report: Report) -> Estimate:
    """Add rows of both networks; what attention gains."""
    for network, own in cells.items():
        report.estimate(f"zero_shot_{network}_{name}", f"{unit}, IQM", over_bodies(own), seeds)
        for label, values in own.items():
            report.add(f"zero_shot_{network}_{name}/{label}", unit, list(values), seeds)
    gained = gain(cells["generated"], cells["attention"])
    report.estimate(f"zero_shot_gain_{name}", f"{unit}, IQM", gained, seeds)
    report.ratios[f"zero_shot_gain_{name}"] = gained.value
    return gained


def gain(generated: Cells, attention: Cells) -> Estimate:
    """Interquartile mean over bodies and seeds of attention less that of generated weights; seeds are resampled."""

    def difference(values: Array) -> Array:
        ours, theirs = np.split(values, 2, axis=-1)
        return np.asarray(iqm(theirs) - iqm(ours))

    strata = [*generated.values(), *(attention[label] for label in generated)]
    return bootstrap(*strata, rng=np.random.default_rng(SEED), statistic=difference)


def verdict(gained: Estimate, unit: str, num_seeds: int) -> str:
    """Which network is kept, and why; one seed has no interval."""
    better = gained.lo >= WORTH and num_seeds >= LEAST_SEEDS
    interval = f"{gained.lo:+.3f} to {gained.hi:+.3f}" if num_seeds >= LEAST_SEEDS else "one seed, no interval"
    return f"{'attention' if better else 'generated weights'}: attention has {gained.value:+.3f} ({interval}) {unit}"
