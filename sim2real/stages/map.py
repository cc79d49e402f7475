"""Identify the dynamic map between two robots from a log of each, and say what it is worth on the rest of the logs."""

from pathlib import Path
from typing import Any

from sim2real.campaign.stage import Stage
from sim2real.commands import Map
from sim2real.dynamic_map.errors import measure
from sim2real.dynamic_map.identify import Identified, identify_both
from sim2real.dynamic_map.logs import SHORTEST, Log, check_moves, load_log
from sim2real.dynamic_map.mapping import DynamicMap

MAP = "map.json"
SHARE = 0.7
"""Of a log, to identify from if no duration is given."""
LEAST_HELD_OUT = 0.5
"""[s]"""


def map(command: Map, stage: Stage) -> dict[str, Any]:
    """Identify both closed loops; see `sim2real.commands.Map`."""
    logs = [load_log(Path(path)) for path in (command.source, command.target)]
    source_log, target_log = logs
    _check_alike(source_log, target_log)
    source_fit, target_fit = (_first(log, command.seconds, name) for log, name in zip(logs, NAMES, strict=True))
    source, target = identify_both([source_fit], [target_fit])
    errors = measure(source.loop, target.loop, source_log, target_log, (source_fit.seconds, target_fit.seconds))
    result = {
        "joints": target_log.num_joints,
        "source_order": source.loop.terms.order,
        "target_order": target.loop.terms.order,
        "target_relative_degree": target.loop.relative_degree,
        "source_terms": source.loop.terms.kind,
        "target_terms": target.loop.terms.kind,
        "source_delay_s": source.loop.delay,
        "target_delay_s": target.loop.delay,
        "source_seconds": source_fit.seconds,
        "target_seconds": target_fit.seconds,
        "held_out_seconds": errors.seconds,
        "direct_rad": errors.direct,
        "static_gain_rad": errors.static_gain,
        "dynamic_rad": errors.dynamic,
        "error_cut": errors.cut,
        "candidates": {"source": _candidates(source), "target": _candidates(target)},
        "map": MAP,
    }
    found = DynamicMap(source=source.loop, target=target.loop, dt=target_log.dt)
    result["preview_s"] = found.preview * found.dt
    found.save(stage.out / MAP, result=result)
    return result


NAMES = ("source", "target")


def _check_alike(source: Log, target: Log) -> None:
    if source.num_joints != target.num_joints:
        raise ValueError(
            f"logs must have the same joints in the same order, got {source.num_joints} of the source and "
            f"{target.num_joints} of the target; leave out those without a counterpart"
        )


def _first(log: Log, seconds: float, name: str) -> Log:
    """The part to identify from."""
    asked = seconds or SHARE * log.seconds
    if asked < SHORTEST:
        raise ValueError(
            f"{name}: seconds must be {SHORTEST} or more to identify from, got {asked:.2f} of {log.seconds:.2f} s"
        )
    if asked > log.seconds - LEAST_HELD_OUT:
        raise ValueError(
            f"{name}: seconds must leave {LEAST_HELD_OUT} s of the log to check, got {asked:.2f} of "
            f"{log.seconds:.2f} s; take fewer, or record more"
        )
    first = log.between(0.0, asked)
    try:
        check_moves(first.command, first.position)
    except ValueError as error:
        raise ValueError(f"{name}: in the first {asked:.2f} s, {error}") from error
    return first


def _candidates(found: Identified) -> list[dict[str, Any]]:
    """What was tried: structures, and their errors on parts of the log they were not fitted to."""
    return [
        {"terms": one.kind, "order": one.order, "zeros": one.zeros, "delay_s": one.delay, "error": one.error}
        for one in found.candidates
    ]
