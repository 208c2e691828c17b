"""HTML that is put together from parts; what is not markup is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape


class Html(str):
    """Markup; any other text that becomes part of markup is escaped."""

    __slots__ = ()


Attributes = Mapping[str, str]
NONE: Attributes = {}


def tag(name: str, attributes: Attributes = NONE, *children: str) -> Html:
    """An element with its attributes and children, in their order."""
    return Html(f"<{name}{_attributes(attributes)}>{joined(children)}</{name}>")


def lone(name: str, attributes: Attributes = NONE) -> Html:
    """An element that has no end, as `meta`."""
    return Html(f"<{name}{_attributes(attributes)}>")


def joined(parts: Iterable[str]) -> Html:
    """Parts one behind the other."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def _attributes(attributes: Attributes) -> str:
    return "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())


def table(
    caption: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    texts: int = 1,
    classes: str = "sortable",
) -> Html:
    """A table whose first `texts` columns are words and the others figures; the last of these names the row."""
    head = tag("tr", NONE, *(tag("th", _cell(i, texts) | {"scope": "col"}, h) for i, h in enumerate(headings)))
    body = (
        tag(
            "tr",
            NONE,
            *(
                tag("th", _cell(i, texts) | {"scope": "row"}, cell)
                if i == texts - 1
                else tag("td", _cell(i, texts), cell)
                for i, cell in enumerate(row)
            ),
        )
        for row in rows
    )
    parts = (tag("caption", NONE, caption), tag("thead", NONE, head), tag("tbody", NONE, *body))
    region = {"class": "wide", "role": "region", "aria-label": caption, "tabindex": "0"}
    return tag("div", region, tag("table", {"class": classes}, *parts))


def _cell(i: int, texts: int) -> dict[str, str]:
    return {} if i < texts else {"class": "n"}


def folded(summary: str, *children: str) -> Html:
    """What is opened by a click or a key, without a script."""
    return tag("details", NONE, tag("summary", NONE, summary), *children)
