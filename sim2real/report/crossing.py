"""Sections on the way out of the simulator: export, and rehearsal in sealed realities."""

import json
import math
from typing import Any

import numpy as np

from sim2real.report import formats, plots
from sim2real.report.html import Html, facts, table, tag
from sim2real.report.results import Result
from sim2real.report.story import Story
from sim2real.statistics import bootstrap

REHEARSAL = "rehearsal.json"
"""What a rehearsal writes once it is over, the opened seals with it."""


def export(result: Result, story: Story) -> Html:
    """The files a controller runs, and whether they agree."""
    robot, worst = story.robot(result), parity(result)
    if is_refused(result):
        heading = tag("h2", f"Export: {robot} ", tag("span", "REFUSED", class_="badge bad"))
        told = tag("p", f"The gate let no file out: {result.text('reason') or 'it gave no reason'}.")
        return tag("section", heading, told)
    finding = (
        "The files that a controller runs. Each runtime gets the same recorded observations; all must give the same "
        "joint targets, or nothing is written."
    )
    rows = [
        ("Largest difference, ONNX Runtime − torch", formats.radians(result.number("onnx_vs_torch"))),
        ("Largest difference, numpy − torch", formats.radians(result.number("numpy_vs_torch"))),
        ("Recorded observations", formats.count(result.number("observations"))),
        ("Parameters", formats.count(result.number("parameters"))),
        ("Size of the bundle", _kilobytes(result.number("bytes"))),
        ("Bundle (sha256)", result.text("digest")[:16] or formats.MISSING),
    ]
    badge = tag("span", "runtimes agree", class_="badge good") if worst is not None else Html("")
    return tag("section", tag("h2", f"Export: {robot} ", badge), tag("p", finding), facts(rows))


def is_refused(result: Result) -> bool:
    """Whether the gate refused to let a policy out."""
    return result.metrics.get("refused") is True


def parity(result: Result) -> float | None:
    """Largest difference between runtimes [rad]."""
    found = [result.number(name) for name in ("onnx_vs_torch", "numpy_vs_torch", "c_vs_torch")]
    known = [value for value in found if value is not None]
    return max(known) if known else None


def rehearsal(result: Result, story: Story) -> Html:
    """How the exported policy fared where nobody had trained it."""
    robot, scores = story.robot(result), result.numbers("score_per_reality")
    finding = (
        "The exported policy drives a robot in another process, over the robot's network protocol. That process hides "
        "how its robot differs from the simulator: masses, friction, motors that lag, weaken and answer late, crooked "
        "and noisy sensors. What was hidden is told only after the run."
    )
    parts = [
        tag("h2", f"Rehearsal in sealed realities: {robot}" if robot else "Rehearsal in sealed realities"),
        tag("p", finding),
    ]
    if scores:
        drawn = plots.reality_bars(
            scores,
            simulated=result.number("sim_score"),
            worst_quarter=result.number("cvar25"),
            colour=story.colour(robot),
        )
        parts.append(tag("figure", drawn, tag("figcaption", result.text("score_kind"))))
    return tag("section", *parts, facts(_rehearsal_rows(result)), _seals(result))


def _rehearsal_rows(result: Result) -> list[tuple[str, str]]:
    tick, ticks, late = result.mapping("tick_us"), result.number("ticks"), result.number("late_ticks")
    times = " / ".join(
        f"{tick[name]:.0f}" for name in ("p50", "p99", "p999") if isinstance(tick.get(name), (int, float))
    )
    covered = result.number("predicted_coverage")
    chance = f" ({formats.percent(covered)} sure)" if covered else ""
    return [
        ("Score in sealed realities", _score(result)),
        ("Score in the simulator", formats.score(result.number("sim_score"))),
        ("Kept of the simulated score", formats.percent(result.number("retained"))),
        ("Worst quarter of the realities (CVaR 25 %)", formats.score(result.number("cvar25"))),
        (f"A further reality lies within{chance}", formats.interval(result.interval("predicted"))),
        ("Yaw score", formats.score(result.number("yaw_score"))),
        ("Falls", _share(result.number("falls"), result.number("episodes"), "episodes")),
        ("Guards that tripped", formats.count(result.number("trips"))),
        ("Guards that tripped against the wall clock", formats.count(result.number("real_time_trips"))),
        ("Late ticks against the wall clock", _share(late, ticks, "ticks")),
        ("Control rate [Hz]", formats.MISSING if (rate := result.number("rate_hz")) is None else f"{rate:.1f}"),
        ("Tick [µs]: median / 99 % / 99.9 %", times or formats.MISSING),
        ("Scheduler", result.text("scheduler") or formats.MISSING),
        ("Time on the robot", formats.duration(result.number("seconds_real"))),
    ]


def _score(result: Result) -> str:
    scores, score = result.numbers("score_per_reality"), result.number("score")
    if score is None or len(scores) < 2:
        return formats.score(score)
    found = bootstrap(scores, rng=np.random.default_rng(0))
    return f"{formats.score(score)} ({formats.estimate_interval(found)})"


def _seals(result: Result) -> Html:
    """The opened seals: one row for each reality."""
    path = result.folder / REHEARSAL
    try:
        told = json.loads(path.read_text(encoding="utf-8"))["realities"]
        rows = [_seal(number, trial) for number, trial in enumerate(told, 1)]
    except (OSError, ValueError, KeyError, TypeError):
        return Html("")
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[row.get(name, formats.MISSING) for name in names] for row in rows]
    opened = table(names, cells, dense=True)
    return tag("details", tag("summary", "What the sealed realities contained"), opened)


def _seal(number: int, trial: dict[str, Any]) -> dict[str, str]:
    episodes = trial["episodes"]
    row = {
        "reality": str(number),
        "score": formats.score(sum(episode["score"] for episode in episodes) / len(episodes)),
        "falls": str(sum(bool(episode["fell"]) for episode in episodes)),
    }
    return row | {_column(name): _entry(name, value) for name, value in _flat(trial["hidden"]).items()}


def _flat(hidden: dict[str, Any]) -> dict[str, Any]:
    """Groups within the record taken apart."""
    nested = [value.items() if isinstance(value, dict) else [(name, value)] for name, value in hidden.items()]
    return {name: value for pairs in nested for name, value in pairs}


UNITS = {
    "mass": ("mass", 1.0, "×"),
    "payload": ("payload", 100.0, "% m"),
    "com_offset": ("centre of mass off by", 100.0, "% L"),
    "friction": ("ground friction", 1.0, ""),
    "softness": ("ground softness", 1e3, "ms"),
    "damping": ("joint damping", 1.0, "×"),
    "friction_loss": ("joint friction", 1.0, "×"),
    "lag": ("motor lag", 1e3, "ms"),
    "delay": ("delay", 1e3, "ms"),
    "jitter": ("jitter", 1e3, "ms"),
    "strength": ("motor strength", 1.0, "×"),
    "sag": ("battery sag", 100.0, "%"),
    "encoder_bias": ("worst encoder bias", 1e3, "mrad"),
    "gyro_bias": ("worst gyro bias", 1e3, "mrad/s"),
    "mounting": ("IMU tilt", 180.0 / math.pi, "°"),
    "noise": ("sensor noise", 1.0, "×"),
}
"""Name in the record -> name here, factor to the unit here, unit."""
LENGTHS = ("com_offset", "mounting")
"""Vectors whose length matters; of others the largest component."""


def _column(name: str) -> str:
    return UNITS.get(name, (name.replace("_", " "),))[0]


def _entry(name: str, value: Any) -> str:
    _, factor, unit = UNITS.get(name, ("", 1.0, ""))
    if isinstance(value, (list, tuple)):
        value = math.hypot(*value) if name in LENGTHS else max(map(abs, value), default=0.0)
    if not isinstance(value, (int, float)):
        return str(value)
    return f"{factor * value:.3g} {unit}".strip()


def _share(part: float | None, whole: float | None, things: str) -> str:
    if part is None:
        return formats.MISSING
    return formats.count(part) + (f" of {formats.count(whole)} {things}" if whole else "")


def _kilobytes(value: float | None) -> str:
    return formats.MISSING if value is None else f"{value / 1e3:.0f} kB"
