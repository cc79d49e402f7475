"""What a command prints when it is done: a few lines for people, on standard output."""

import json
from collections.abc import Sequence
from typing import Any


def show(command: str, result: dict[str, Any]) -> None:
    """Print the result of a command."""
    printers = {
        "run": _campaign,
        "evaluate": _evaluation,
        "family": _family,
        "inspect": _inspection,
        "sign": _signed,
        "keygen": _key,
        "view": _view,
        "match": _match,
        "verify-randomization": _verification,
        "zoo": _zoo,
        "robots": _robots,
        "tasks": _tasks,
        "doctor": _doctor,
    }
    printers.get(command, _stage)(result)


def _stage(result: dict[str, Any]) -> None:
    """One line for each number, then where the result is."""
    shown = {name: value for name, value in result.items() if name not in ("run", "key", "cached")}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        print(f"{name:<{width}}  {_short(value)}")
    print(f"{'from the store' if result['cached'] else 'result'}: {result['run']}")


def _evaluation(result: dict[str, Any]) -> None:
    """The tables first: what is asked for most stands last, above the prompt."""
    from sim2real.campaign import scoreboard

    for line in scoreboard.lines(result):
        print(line)
    _stage({name: value for name, value in result.items() if name not in scoreboard.TABLES})


def _family(result: dict[str, Any]) -> None:
    """The map as a table: a row for each skill, and standing still below."""
    rows = [("score [N]", *(robot["name"] for robot in result["robots"]))]
    for source, cells in zip(result["sources"], result["cells"], strict=True):
        rows.append((source["title"], *map(_crossed, cells)))
    idle = [robot["no_op"] for robot in result["robots"]]
    rows.append(("standing still", *("" if score is None else f"{score:.2f}" for score in idle)))
    _table(rows)
    reasons = [cell["reason"] for cells in result["cells"] for cell in cells if cell["refused"]]
    for reason in dict.fromkeys(reasons):
        print(f"refused: {reason}")
    if result["note"]:
        print(result["note"])
    print(f"page: {result['page']}")
    print(f"{'from the store' if result['cached'] else 'result'}: {result['run']}")


def _crossed(cell: dict[str, Any]) -> str:
    """A skill on a robot."""
    if cell["refused"]:
        return "refused"
    return f"{cell['score']:.2f}" + ("" if cell["normalized"] is None else f" [{cell['normalized']:.2f}]")


def _campaign(result: dict[str, Any]) -> None:
    statuses = [stage["status"] for stage in result["stages"]]
    counts = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    print(f"{len(statuses)} stages: {counts}, in {result['seconds']:.1f} s")
    for stage in result["stages"]:
        if (stage["metrics"] or {}).get("refused") is True:
            print(f"{stage['name']} was refused: {stage['metrics'].get('reason', 'without a reason')}")
    print(f"result: {result['folder']}/run.json")
    if result["report"]:
        print(f"report: {result['report']}")


def _inspection(result: dict[str, Any]) -> None:
    print(json.dumps(result, indent=2))


def _signed(result: dict[str, Any]) -> None:
    trusted = f"trusted here as {result['trusted_as']!r}" if result["trusted_as"] else "not trusted here"
    print(f"signed by key {result['key']}, {trusted}: {result['file']} (digest {result['digest'][:16]})")


def _key(result: dict[str, Any]) -> None:
    print(f"key {result['key']}\nprivate, keep it secret: {result['private']}")
    print(f"public: {result['public']}; to trust it, copy it to {result['trusted_folder']}")


def _view(result: dict[str, Any]) -> None:
    if "video" in result:
        print(f"film: {result['video']} ({result['seconds']:.1f} s, {result['frames']} images)")
    else:
        print(f"closed after {result['seconds']:.1f} s of simulated time")


def _match(result: dict[str, Any]) -> None:
    rows = [(result["source"], result["target"], "sign", "distance", "confidence")]
    rows += [
        (pair["source"], pair["target"], f"{pair['sign']:+d}", f"{pair['distance']:.2f}", f"{pair['confidence']:.2f}")
        for pair in result["pairs"]
    ]
    rows += [(joint, "-", "", "", "") for joint in result["unmatched_source"]]
    rows += [("-", joint, "", "", "") for joint in result["unmatched_target"]]
    _table(rows)
    alone = len(result["unmatched_source"]) + len(result["unmatched_target"])
    counts = f"{len(result['pairs'])} pairs, {alone} joints without a partner"
    print(f"{counts}; distance of the robots {result['distance']:.2f}")
    if "folder" in result:
        print(f"robot: {result['folder']}")


def _verification(result: dict[str, Any]) -> None:
    rows = [("term", "status", "claims", "found", "effect on the motion, or on what is measured")]
    rows += [tuple(term[key] for key in ("term", "status", "claims", "found", "effect")) for term in result["terms"]]
    _table(rows)
    statuses = [term["status"] for term in result["terms"]]
    print(", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses)))
    for problem in result["problems"]:
        print(f"FAILED {problem}")


def _zoo(result: dict[str, Any]) -> None:
    print(f"{'skill':<16} {'robot':<12} {'task':<16} score [95 % interval]  kB   recipe")
    for skill in result["skills"]:
        low, high = skill["score_ci"]
        score = f"{skill['score']:.3f} [{low:.3f}, {high:.3f}]"
        named = f"{skill['name']:<16} {skill['robot']:<12} {skill['task']:<16}"
        print(f"{named} {score:<21}  {skill['bytes'] / 1000:<4.0f} {skill['recipe']}")
    print("each is a RUN called zoo:NAME; sim2real inspect zoo:NAME prints its card")


def _robots(result: dict[str, Any]) -> None:
    print(f"{'robot':<12} {'kind':<10} joints  mass [kg]  L [m]")
    for robot in result["robots"]:
        name, kind = robot["name"], robot["kind"]
        print(f"{name:<12} {kind:<10} {robot['joints']:>6}  {robot['mass']:>9.2f}  {robot['length']:.3f}")
    print("also: menagerie:NAME, or a folder with robot.json and its MJCF")


def _tasks(result: dict[str, Any]) -> None:
    for task in result["tasks"]:
        print(task["name"])


def _doctor(result: dict[str, Any]) -> None:
    width = max(len(check["name"]) for check in result["checks"])
    for check in result["checks"]:
        print(f"{check['status']:<8} {check['name']:<{width}}  {check['found']}")
        if check["status"] != "ok" and check["mend"]:
            print(f"{'':<9}{'':<{width}}  mend: {check['mend']}")
    print("ready" if result["healthy"] else "not ready: mend what is missing above")


def _table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their longest text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_short, value))}]" if len(value) <= 8 else f"{len(value)} values"
    if isinstance(value, dict):
        return f"{len(value)} entries: {', '.join(list(value)[:8])}"
    return str(value)
