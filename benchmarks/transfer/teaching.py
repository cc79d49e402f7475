"""A robot that teaches a robot: go1's teacher labels what the other body meets, beside kickstarting and from scratch.

All arms take equal steps in the student's body, and their actors see what hardware measures:
- `teaching_N/ROBOT`: `sim2real distill --student robot:R` from a privileged teacher.
- `kickstarting_N/ROBOT`, `scratch_N/ROBOT`: the two arms of `sim2real transfer` of a go1's ordinary policy.
N counts as 1 what specialists of the robot reach.
"""

from collections.abc import Mapping

from benchmarks.report import Report
from benchmarks.transfer import handing, real, runs
from benchmarks.transfer.bodies import GO1, TAUGHT, Body
from benchmarks.transfer.effort import NOT_IN_TIER, Effort
from benchmarks.transfer.references import known
from benchmarks.transfer.work import Piece, Work

ARMS = ("teaching", "kickstarting", "scratch")


def teacher(steps: int, seed: int) -> Piece:
    """A go1's policy that sees more than hardware measures."""
    label = f"go1 teacher {seed}"
    return runs.command("train", label, GO1, robot=GO1.robot, steps=steps, seed=seed, privileged=True)


def taught(by: Piece, body: Body, steps: int, seed: int) -> Piece:
    """A student in `body`."""
    arguments = {"run": by, "student": f"robot:{body.robot}", "steps": steps, "seed": seed}
    return runs.command("distill", f"{by.label} teaches {body.label} {seed}", body, **arguments)


def measure(effort: Effort, work: Work, report: Report) -> None:
    """Add the rows of each robot."""
    if not effort.teaching:
        report.skipped["teaching"] = NOT_IN_TIER
        return
    scores: dict[str, dict[str, dict[int, float]]] = {arm: {body.label: {} for body in TAUGHT} for arm in ARMS}
    for seed in effort.seeds:
        for body in TAUGHT:
            for arm, score in _scores(body, seed, effort, work).items():
                scores[arm][body.label][seed] = score
    references = known(TAUGHT, effort, work)
    for arm in ARMS:
        for label, own in scores[arm].items():
            if own and label in references:
                n = references[label].reference().normalized
                report.add(f"{arm}_N/{label}", "N", [n(score) for score in own.values()], tuple(own))
            else:
                report.skipped[f"{arm}_N/{label}"] = "no score yet" if not own else "no specialist yet"
    report.configurations["teaching"] = f"{effort.teaching:,} steps in the student's body for every arm"


def _scores(body: Body, seed: int, effort: Effort, work: Work) -> Mapping[str, float]:
    """Of the arms that are done."""
    found: dict[str, float] = {}
    piece = teacher(effort.go1_steps, seed)
    if work.do(piece, runs.run):
        student = work.do(taught(piece, body, effort.teaching, seed), runs.run)
        found |= {"teaching": student["score"]} if student else {}
    piece = real.plain(effort.go1_steps, seed)
    if work.do(piece, runs.run):
        result = handing.give(piece, body, effort.teaching, seed, work)
        found |= {"kickstarting": result["score"], "scratch": result["scratch_score"]} if result else {}
    return found
