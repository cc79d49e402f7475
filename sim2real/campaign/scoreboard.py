"""Tables of an evaluation as lines of text: scores by what was asked for, and where a policy breaks."""

from collections.abc import Sequence
from typing import Any

TABLES = ("breakdown", "robustness")
"""Parts of a result that are shown here."""
BREAK_COLUMNS = ("", "nominal", "trained", "breaks below", "breaks above")
"""Columns of the table of where a policy breaks."""


def lines(result: dict[str, Any]) -> list[str]:
    """Both tables, as far as there are any."""
    found = breakdown(result.get("breakdown") or {})
    if robustness := result.get("robustness"):
        found += [*breaks(robustness), "", *sweeps(robustness), "", *pairs(robustness["pair"]), ""]
    return found


def breakdown(criteria: dict[str, Any]) -> list[str]:
    """A line for each group of episodes."""
    rows = [("by", "", "score", "95 %", "yaw", "falls")]
    for criterion, groups in criteria.items():
        for index, (name, group) in enumerate(groups.items()):
            low, high = group["score_ci"]
            yaw = "" if group["yaw_score"] is None else f"{group['yaw_score']:.2f}"
            fallen = f"{group['falls']} of {group['episodes']}"
            rows.append(
                (criterion if index == 0 else "", name, f"{group['score']:.2f}", f"{low:.2f}…{high:.2f}", yaw, fallen)
            )
    return [*aligned(rows), ""] if len(rows) > 1 else []


def breaks(robustness: dict[str, Any]) -> list[str]:
    """A line for each axis: where the score falls too low."""
    means = "" if robustness["threshold"] is None else f": the score falls below {robustness['threshold']:.2f}"
    head = f"where it breaks{means} (undisturbed {robustness['score']:.2f}, {_episodes(robustness)})"
    return [head, *aligned([BREAK_COLUMNS, *map(break_row, robustness["axes"].values())])]


def break_row(sweep: dict[str, Any]) -> tuple[str, ...]:
    """The cells of an axis, as `BREAK_COLUMNS` calls them."""
    return (
        f"{sweep['title']} [{sweep['unit']}]",
        plain(sweep["nominal"]),
        "…".join(map(plain, dict.fromkeys(sweep["trained"]))),
        place(sweep["breaks_below"], sweep["points"][0]["value"]),
        place(sweep["breaks_above"], sweep["points"][-1]["value"]),
    )


def place(given: dict[str, Any] | None, end: float) -> str:
    """Such as `9 (6.9…11)`, or that it does not break up to `end`, the last value that was tried."""
    if given is None:
        return "–"
    known = [rough(given[name]) for name in ("lo", "hi") if given[name] is not None]
    if given["value"] is None:
        return f"not up to {plain(end)}" + (f", perhaps at {known[0]}" if known else "")
    low, high = ("beyond" if given[name] is None else rough(given[name]) for name in ("lo", "hi"))
    return f"{rough(given['value'])} ({low}…{high})"


def plain(value: float) -> str:
    """Three significant digits."""
    return f"{float(f'{value:.3g}'):g}".replace("-", "−")


def rough(value: float) -> str:
    """Two significant digits: an interval says how little more would mean."""
    return f"{float(f'{value:.2g}'):g}".replace("-", "−")


def sweeps(robustness: dict[str, Any]) -> list[str]:
    """Two lines for each axis: its values, and the scores there."""
    rows: list[tuple[str, ...]] = []
    for sweep in robustness["axes"].values():
        rows.append((f"{sweep['title']} [{sweep['unit']}]", *(plain(point["value"]) for point in sweep["points"])))
        rows.append(("  score", *(f"{point['score']:.2f}" for point in sweep["points"])))
    widest = max((len(row) for row in rows), default=0)
    return aligned([row + ("",) * (widest - len(row)) for row in rows])


def pairs(pair: dict[str, Any]) -> list[str]:
    """The map: a line for each value of the second axis, the greatest on top as in the picture."""
    (across, up), (x_unit, y_unit) = pair["titles"], pair["units"]
    cells = [[f"{point['score']:.2f}" for point in row] for row in pair["points"]]
    rows = [(plain(y), *row) for y, row in zip(pair["y"], cells, strict=True)]
    foot = ("", *map(plain, pair["x"]))
    return [f"score over {up} [{y_unit}] and, to the right, {across} [{x_unit}]", *aligned([*rows[::-1], foot])]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns side by side, wide enough for their longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _episodes(robustness: dict[str, Any]) -> str:
    return f"{robustness['episodes']} episodes of {robustness['seconds']:g} s each"
