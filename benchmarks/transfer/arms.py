"""Arms: a policy over joints that learned to reach with three links, on other numbers of links and on real arms.

- `arms_zero_shot/ARM`: N at once; 1 is a specialist of that arm. The ratio is the mean of the middle half of them.
- `arms_tuned/ARM`: N of real arms after some training there, and `arms_tuning_seconds/ARM`.
"""

from benchmarks.report import Report
from benchmarks.transfer import handing, runs
from benchmarks.transfer.bodies import ARM_SOURCE
from benchmarks.transfer.effort import Effort
from benchmarks.transfer.family import source
from benchmarks.transfer.references import known
from benchmarks.transfer.scores import over_bodies
from benchmarks.transfer.specialists import NUM_WORLDS
from benchmarks.transfer.work import Work


def measure(effort: Effort, work: Work, report: Report) -> None:
    """Add the rows of all arms."""
    bodies = (*effort.arms, *effort.real_arms)
    scores: dict[str, dict[int, float]] = {body.label: {} for body in bodies}
    tuned: dict[str, dict[int, tuple[float, float]]] = {body.label: {} for body in effort.real_arms}
    for seed in effort.seeds:
        piece = source([ARM_SOURCE], effort.arm_source, seed, num_envs=NUM_WORLDS[ARM_SOURCE.task])
        if not work.do(piece, runs.run):
            continue
        for body in bodies:
            if result := work.do(runs.zero_shot(piece, body), runs.score):
                scores[body.label][seed] = result["score"]
        for body in effort.real_arms:
            if result := handing.give(piece, body, effort.arm_tuning, seed, work):
                tuned[body.label][seed] = result["score"], handing.training_seconds(result)
    references = {label: own.reference() for label, own in known(bodies, effort, work).items()}
    for label, own in scores.items():
        if not own or label not in references:
            report.skipped[f"arms_zero_shot/{label}"] = "there is no score or specialist yet"
            continue
        n, seeds = references[label].normalized, tuple(own)
        report.add(f"arms_zero_shot/{label}", "N", [n(score) for score in own.values()], seeds)
        if after := tuned.get(label):
            report.add(f"arms_tuned/{label}", "N", [n(score) for score, _ in after.values()], tuple(after))
            report.add(f"arms_tuning_seconds/{label}", "s", [seconds for _, seconds in after.values()], tuple(after))
    _add_all(scores, references, effort, report)


def _add_all(scores: dict[str, dict[int, float]], references: dict, effort: Effort, report: Report) -> None:
    """All parametric arms together, over the seeds that each has."""
    labels = [body.label for body in effort.arms]
    seeds = tuple(seed for seed in effort.seeds if all(seed in scores[label] for label in labels))
    if seeds and all(label in references for label in labels):
        cells = {label: [references[label].normalized(scores[label][seed]) for seed in seeds] for label in labels}
        unit = f"N, IQM of {len(labels)} arms x {len(seeds)} seeds"
        report.estimate("arms_zero_shot", unit, over_bodies(cells), seeds)
        report.ratios["arms_zero_shot"] = report.rows[-1].value
    report.configurations["arms"] = f"three links learn {effort.arm_source:,} steps; tuning: {effort.arm_tuning:,}"
