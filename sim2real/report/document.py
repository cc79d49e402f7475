"""The report as one HTML document, in the order of the story."""

from collections.abc import Callable

from sim2real.report import crossing, evaluation, family_page, formats, handover, learning, origin, overview
from sim2real.report.html import Html, data_url, page, tag
from sim2real.report.results import Result
from sim2real.report.story import Story
from sim2real.report.video import Film, Films

SECTIONS: dict[str, Callable[[Result, Story], Html]] = {
    "train": learning.training,
    "distill": learning.distillation,
    "evaluate": evaluation.section,
    "export": crossing.export,
    "rehearse": crossing.rehearsal,
    "transfer": handover.section,
    "family": family_page.section,
}
"""Kind of stage -> its section; a kind that is not here shows its plain numbers."""


def document(story: Story, films: Films, title: str = "") -> Html:
    """The whole page."""
    heading = title or story.title
    sections = [SECTIONS.get(result.kind, learning.other)(result, story) for result in story.results]
    return page(
        heading,
        overview.header(story, heading),
        _films(films, story),
        overview.ladder(story),
        *sections,
        origin.section(story),
        tag("footer", "This file needs nothing else: plots, videos and styles are inside. Made by sim2real."),
    )


def _films(films: Films, story: Story) -> Html:
    """Videos side by side, or why there are none."""
    note = tag("p", films.note, class_="note") if films.note else Html("")
    if not films.made:
        failed = films.opengl is False or films.films
        return tag("section", tag("h2", "No videos"), note) if failed else Html("")
    shown = tag("div", *(_film(film, story) for film in films.made), class_="films")
    asked = tag(
        "p", "The same programme for every robot, in its own units: forward, turn, sideways, stand.", class_="note"
    )
    return tag("section", tag("h2", "See it walk"), asked, shown, note)


def _film(film: Film, story: Story) -> Html:
    player = tag(
        "video",
        src=data_url(film.path.read_bytes(), "video/mp4"),
        autoplay=True,
        loop=True,
        muted=True,
        playsinline=True,
        controls=True,
    )
    return tag("figure", player, tag("figcaption", tag("strong", film.robot), f": {_credits(film, story)}"))


def _credits(film: Film, story: Story) -> str:
    """Whose skill is seen, and how good it is."""
    result, score = film.result, film.result.number("score")
    blind = result.metrics.get("privileged") is not True
    sees = "real sensors only" if blind else "sees the simulator’s truth"
    kinds = {
        "train": sees if blind else f"teacher, {sees}",
        "fold": f"policy for any joints, {sees}",
        "member": f"member of several, {sees}",
        "distill": "student, real sensors only",
        "transfer": f"skill of {story.source(result) or 'another robot'}, transferred",
    }
    facts = [kinds[result.kind]]
    facts += [f"velocity score {formats.score(score)}"] if score is not None else []
    facts += [f"{formats.plural(film.falls, 'fall')} in this film"] if film.falls else []
    return ", ".join(facts)
