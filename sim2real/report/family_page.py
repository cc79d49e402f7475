"""The page of a family: the map, the films, how the bodies differ, and what each joint attends to."""

import shlex
from typing import Any

from sim2real.report import attention, family_bodies, family_map, formats
from sim2real.report.family_names import short
from sim2real.report.family_video import FamilyFilm, FamilyFilms
from sim2real.report.html import Html, data_url, facts, table, tag
from sim2real.report.html import page as whole
from sim2real.report.results import Result
from sim2real.report.story import Story, joined

ASKED = (
    "Every robot is asked the same in its own units (forward, turn, sideways, stand), is filmed at its own scale, and "
    "stands on tiles of twice its own length L: dynamically similar robots look alike."
)
EARNED = (
    "Each row: of what moves this joint’s action in the states that the policy visits, the share in % that each sense "
    "has (integrated gradients; a sense’s inputs are added up with their signs). Below: the same by joint. The larger "
    "and darker a joint, the more its angle, rate and last target move the ringed joint, or all joints together."
)
BODIES = (
    "Without units: lengths in L, masses in m, torques in mgL, times in √(L/g). Mean over the joints of a role; the "
    "descriptors that lie farthest apart come first. Purple is above the mean of these robots, orange below."
)


def page(result: dict[str, Any], films: FamilyFilms) -> Html:
    """The whole page."""
    title = "Who drives whom"
    header = tag(
        "header",
        tag("p", "sim2real family", class_="eyebrow"),
        tag("h1", title),
        tag("p", summary(result), class_="lead"),
    )
    footer = tag("footer", "This file needs nothing else: plots, videos and styles are inside. Made by sim2real.")
    return whole(title, header, _map(result), _films(films), _bodies(result), *_attention(result), footer)


def section(result: Result, story: Story) -> Html:
    """The map as a part of a report on several results."""
    if not result.metrics.get("cells"):
        return Html("")
    return tag("section", tag("h2", "Who drives whom"), tag("p", summary(result.metrics)), *_map_parts(result.metrics))


def summary(result: dict[str, Any]) -> str:
    """What the map says, for somebody who reads nothing else."""
    cells = [cell for row in result["cells"] for cell in row]
    driven = [cell for cell in cells if not cell["refused"]]
    better = [cell for row in result["cells"] for cell, idle in _beside_idle(row, result) if cell["score"] > idle]
    skills, robots = formats.plural(len(result["sources"]), "skill"), formats.plural(len(result["robots"]), "robot")
    told = f"{skills} on {robots}: of {formats.plural(len(cells), 'pair')} {len(cells) - len(driven)} refused"
    told += f", {len(better)} better than standing still, {len(driven) - len(better)} not."
    return " ".join(filter(None, [told, _farthest(result)]))


def _beside_idle(row: list[dict[str, Any]], result: dict[str, Any]) -> list[tuple[dict[str, Any], float]]:
    """The cells of a row that have a score, each with that of standing still."""
    pairs = zip(row, result["robots"], strict=True)
    return [(cell, robot["no_op"]) for cell, robot in pairs if not cell["refused"]]


def _farthest(result: dict[str, Any]) -> str:
    """The best score of a skill on a robot that it did not learn on."""
    abroad = [
        (cell["score"], source["title"], robot)
        for source, row in zip(result["sources"], result["cells"], strict=True)
        for cell, robot in zip(row, result["robots"], strict=True)
        if not cell["refused"] and robot["name"] not in source["learned_on"]
    ]
    if not abroad:
        return ""
    score, title, robot = max(abroad, key=lambda found: found[0])
    return (
        f"The best on a robot it never saw: “{title}” on {short(robot['name'])}, {formats.score(score)} "
        f"(standing still {formats.score(robot['no_op'])})."
    )


def _map(result: dict[str, Any]) -> Html:
    return tag("section", tag("h2", "The map"), *_map_parts(result), _again(result))


def _map_parts(result: dict[str, Any]) -> list[Html]:
    """The picture, and every reason why a pair was refused."""
    parts, reasons = [tag("figure", family_map.plot(result))], family_map.numbered(result)
    if len(reasons) <= family_map.MOST:
        return parts
    rows = [(f"({number})", reason) for reason, number in reasons.items()]
    return [*parts, tag("details", tag("summary", "Why pairs were refused"), table(("", "because"), rows))]


def _again(result: dict[str, Any]) -> Html:
    keys = dict.fromkeys(source["key"] for source in result["sources"])
    robots = [robot["name"] for robot in result["robots"]]
    length = ["--episodes", str(result["episodes"]), "--seconds", f"{result['seconds']:g}"]
    line = shlex.join(["sim2real", "family", *keys, "--robots", *robots, *length])
    return tag("details", tag("summary", "Make it again"), tag("pre", tag("code", line)))


def _films(films: FamilyFilms) -> Html:
    note = tag("p", films.note, class_="note") if films.note else Html("")
    if not films.made:
        return Html("") if films.opengl is None else tag("section", tag("h2", "No videos"), note)
    shown = [tag("div", tag("h3", film.title), _player(film)) for film in films.made]
    return tag("section", tag("h2", "See them move"), tag("p", ASKED, class_="note"), *shown, note)


def _player(film: FamilyFilm) -> Html:
    video = tag(
        "video",
        src=data_url(film.path.read_bytes(), "video/mp4"),
        controls=True,
        autoplay=True,
        loop=True,
        muted=True,
        playsinline=True,
    )
    fallen = [f"{short(robot)} {falls}" for robot, falls in film.falls.items() if falls]
    told = f"Falls in this film: {', '.join(fallen)}." if fallen else "Nobody falls in this film."
    return tag("figure", video, tag("figcaption", told))


def _bodies(result: dict[str, Any]) -> Html:
    drawn = family_bodies.plot(result)
    if not drawn:
        return Html("")
    return tag("section", tag("h2", "How the bodies differ"), tag("p", BODIES), tag("figure", drawn))


def _attention(result: dict[str, Any]) -> list[Html]:
    """A section for each robot; what the picture says is told once."""
    found = []
    for place, told in enumerate(result["attention"]):
        heading = f"What the joints of {short(told['robot'])} attend to"
        words = [tag("p", f"Driven by “{result['sources'][told['source']]['title']}”.", class_="note")]
        words += [tag("p", EARNED)] if place == 0 else []
        drawn = tag("figure", attention.plot(told))
        found.append(tag("section", tag("h2", heading), *words, drawn, _check(told)))
    return found


def _check(told: dict[str, Any]) -> Html:
    """Whether deleting what the policy is said to listen to hurts more than deleting something else."""
    deletion = told["deletion"]
    top, others, draws = deletion["top_drop"], deletion["random_drop"], len(deletion["random_scores"])
    times = f" ({top / others:.1f}×)" if top > 0.0 and others > 0.0 else ""
    rows = [
        ("Readings with the most attribution", joined(deletion["deleted"])),
        ("Score", formats.score(deletion["score"])),
        ("Without those readings, their mean in their place", formats.score(deletion["top_score"])),
        (f"Without as many random ones, mean of {draws} draws", formats.score(deletion["score"] - others)),
        ("Lost by the first; by the others", f"{formats.score(top)}; {formats.score(others)}{times}"),
        ("States the attribution is a mean over", formats.count(told["states"])),
        ("Left unexplained by the quadrature", f"{100.0 * told['incompleteness']:.2g} %"),
    ]
    return tag("div", tag("h3", "Is that so? Sensor readings deleted"), facts(rows))
