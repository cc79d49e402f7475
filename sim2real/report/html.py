"""HTML by small functions: text is escaped, what is `Html` already is not."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from sim2real.report.formats import MISSING

STYLE = Path(__file__).with_name("page.css")


class Html(str):
    """Markup; everything else is text."""

    __slots__ = ()


def text(*parts: str) -> Html:
    """The parts one after the other, escaped where they are text."""
    return Html("".join(part if isinstance(part, Html) else escape(part, quote=False) for part in parts))


def tag(name: str, /, *parts: str, **attributes: str | bool) -> Html:
    """An element; `class_` stands for `class`, `_` in an attribute's name for `-`, True for an attribute alone."""
    return Html(f"<{name}{_attributes(attributes)}>{text(*parts)}</{name}>")


def void(name: str, /, **attributes: str | bool) -> Html:
    """An element without content, such as `meta`."""
    return Html(f"<{name}{_attributes(attributes)}>")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, dense: bool = False) -> Html:
    """A table that scrolls sideways where it is too wide; the first cell of a row is its name."""
    cells = [tag("tr", *(tag("td" if index else "th", cell) for index, cell in enumerate(row))) for row in rows]
    header = tag("tr", *(tag("th", cell, scope="col") for cell in head))
    whole = tag("table", tag("thead", header), tag("tbody", *cells), class_="dense" if dense else False)
    return tag("div", whole, class_="scroll")


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Names and values in as many columns as fit; values that are missing are left out."""
    rows = [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs if value != MISSING]
    return tag("dl", *rows, class_="facts") if rows else Html("")


def data_url(data: bytes, kind: str) -> str:
    """`data:` address that holds the bytes themselves."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def page(title: str, *parts: str) -> Html:
    """A whole document that needs nothing else."""
    head = tag(
        "head",
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(STYLE.read_text(encoding="utf-8"))),
    )
    return Html(f"<!doctype html>\n{tag('html', head, tag('body', tag('main', *parts)), lang='en')}\n")


def _attributes(attributes: dict[str, str | bool]) -> str:
    pairs = [(name.strip("_").replace("_", "-"), value) for name, value in attributes.items() if value is not False]
    return "".join(f" {name}" if value is True else f' {name}="{escape(str(value))}"' for name, value in pairs)
