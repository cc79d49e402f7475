"""Real robots: a go1's skill on others, at once and after half a minute of training, beside what the go1 scores.

- `real_zero_shot_NETWORK/ROBOT`, `real_tuned_NETWORK/ROBOT`: score there over the teacher's score on its own robot;
  `real_scratch_NETWORK/ROBOT` is that of as many steps from scratch.
- `real_tuning_seconds_NETWORK/ROBOT`: of PPO, evaluations left out, on whatever else the machine did meanwhile.
"""

from collections.abc import Callable, Mapping

import robots
from benchmarks.report import Report
from benchmarks.transfer import handing, runs
from benchmarks.transfer.bodies import GO1, Body
from benchmarks.transfer.effort import NOT_IN_TIER, Effort
from benchmarks.transfer.family import TOKENS, source
from benchmarks.transfer.work import Piece, Work

MLP = "mlp"


def plain(steps: int, seed: int) -> Piece:
    """A plain network that learns go1, with what hardware measures."""
    return runs.command("train", f"go1 mlp {seed}", GO1, robot=GO1.robot, steps=steps, seed=seed)


SOURCES: Mapping[str, Callable[[int, int], Piece]] = {
    MLP: plain,
    TOKENS: lambda steps, seed: source((GO1,), steps, seed),
}
"""Network -> the policy of a go1, for environment steps and a seed."""


def measure(effort: Effort, work: Work, report: Report) -> None:
    """Add the rows of each robot."""
    if not effort.real:
        report.skipped["real"] = NOT_IN_TIER
        return
    bodies = [body for body in effort.real if _at_hand(body, report)]
    shares: dict[str, dict[int, float]] = {}
    for seed in effort.seeds:
        for network, make in SOURCES.items():
            piece = make(effort.go1_steps, seed)
            teacher = work.do(piece, runs.run)
            for body in bodies if teacher else ():
                result = handing.give(piece, body, effort.tuning, seed, work)
                if result and teacher:
                    _note(shares, f"{network}/{body.label}", seed, result, teacher["score"])
    for name, own in shares.items():
        report.add(name, "s" if "seconds" in name else "of the teacher's score", list(own.values()), tuple(own))
    wanted = [f"real_tuned_{network}/{body.label}" for network in SOURCES for body in bodies]
    for name in wanted:
        if name not in shares:
            report.skipped[name] = "not measured yet"
    report.configurations["real"] = (
        f"go1 learns {effort.go1_steps:,} steps, then {effort.tuning:,} steps of PPO on the other robot; score there "
        "over the teacher's on go1"
    )


def _at_hand(body: Body, report: Report) -> bool:
    """Whether a robot can be had here: those of the Menagerie are fetched."""
    try:
        robots.get(body.robot)
    except LookupError as error:
        report.skipped[f"real/{body.label}"] = str(error)
        return False
    return True


def _note(shares: dict[str, dict[int, float]], where: str, seed: int, result: dict, teacher: float) -> None:
    for what, value in (
        ("zero_shot", result["zero_shot"] / teacher),
        ("tuned", result["score"] / teacher),
        ("scratch", result["scratch_score"] / teacher),
        ("tuning_seconds", handing.training_seconds(result)),
    ):
        shares.setdefault(f"real_{what}_{where}", {})[seed] = value
