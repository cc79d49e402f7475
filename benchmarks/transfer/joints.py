"""Another number of joints: what a policy over joints does on such a body at once, and what training then saves.

From the default quadruped to the same body without abduction, back, and to one with a pair of legs more:
- `joint_count_zero_shot/PAIR`: score at once, between doing nothing, 0, and the better of both arms' ends, 1.
- `joint_count_step_saving/PAIR`: steps to learn it from scratch over those that start from the policy.
- `joint_count_end/PAIR`: score at the end of training, less that from scratch.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from benchmarks.report import Report
from benchmarks.transfer import handing, runs
from benchmarks.transfer.bodies import DOG, HEXAPOD, LEAN, Body
from benchmarks.transfer.effort import NOT_IN_TIER, Effort
from benchmarks.transfer.family import source
from benchmarks.transfer.scores import step_saving
from benchmarks.transfer.work import Work

PAIRS: Mapping[str, tuple[Body, Body]] = MappingProxyType(
    {"12 to 8": (DOG, LEAN), "8 to 12": (LEAN, DOG), "quadruped to hexapod": (DOG, HEXAPOD)}
)

LEARNED = 0.05
"""Score above doing nothing below which an arm has learned nothing, and a share of it has no meaning."""


def measure(effort: Effort, work: Work, report: Report) -> None:
    """Add the rows of each pair, and the least saving."""
    results: dict[str, dict[int, dict[str, Any]]] = {}
    for seed in effort.seeds:
        for name in effort.pairs:
            teacher, body = PAIRS[name]
            piece = source([teacher], effort.sources[1], seed)
            if work.do(piece, runs.run):
                result = handing.give(piece, body, effort.joints, seed, work)
                if result:
                    results.setdefault(name, {})[seed] = result
    for name in PAIRS:
        if name in effort.pairs:
            _add(name, results.get(name, {}), report)
        else:
            report.skipped[f"joint_count/{name}"] = NOT_IN_TIER
    savings = [row for row in report.rows if row.name.startswith("joint_count_step_saving/")]
    if len(savings) == len(PAIRS):
        report.ratios["joint_count_step_saving"] = min(row.value for row in savings)
    report.configurations["joint_count"] = (
        f"one source body, {effort.sources[1]:,} steps; {effort.joints:,} steps of either arm; the ratio is the least "
        "saving of the pairs"
    )


def _add(name: str, results: Mapping[int, dict[str, Any]], report: Report) -> None:
    if not results:
        report.skipped[f"joint_count/{name}"] = "not measured yet"
        return
    seeds, every = tuple(results), list(results.values())
    if all(learned(each) > LEARNED for each in every):
        shares = [reached(each) for each in every]
        report.add(f"joint_count_zero_shot/{name}", "of what training reaches", shares, seeds)
    else:
        report.skipped[f"joint_count_zero_shot/{name}"] = "neither arm learned anything there"
    report.estimate(f"joint_count_step_saving/{name}", "×", step_saving(every), seeds)
    gains = [each["score"] - each["scratch_score"] for each in every]
    report.add(f"joint_count_end/{name}", "score over scratch's", gains, seeds)


def learned(result: Mapping[str, Any]) -> float:
    """What the better arm ends with above doing nothing."""
    return float(max(result["score"], result["scratch_score"]) - result["no_op"])


def reached(result: Mapping[str, Any]) -> float:
    """The score at once: 0 is that of doing nothing, 1 the end of the better arm."""
    return float(result["zero_shot"] - result["no_op"]) / learned(result)
