"""HTML elements as text. Everything that is not markup already is escaped, so that names cannot
become tags."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from ..utils.language import fill_in, local_number
from ..utils.language import gettext as _

EMPTY = frozenset(("img", "image", "use", "br", "input", "line", "circle", "rect",
                   "path"))  # without an end tag


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(text: object) -> Markup:
    """The text with <, >, &, quotes and bytes that are no UTF-8 escaped; Markup unchanged."""
    if isinstance(text, Markup):
        return text
    return Markup(html.escape(str(text).encode("utf-8", "backslashreplace").decode()))


def element(name: str, *children: object, **attributes: object) -> Markup:
    """<name attributes>children</name>.

    attributes: class_ is class, aria_label is aria-label, True has no value, None and False are
    left out. children: Markup is taken as it is, other objects are escaped, None is left out.
    """
    pairs = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        pairs.append(f" {attribute}" if value is True else f' {attribute}="{escape(value)}"')
    begin = f"<{name}{''.join(pairs)}>"
    if name in EMPTY:
        return Markup(begin.replace(">", "/>") if not pairs else begin[:-1] + "/>")
    return Markup(f"{begin}{join(children)}</{name}>")


def join(parts: Iterable[object]) -> Markup:
    """The parts one after the other, escaped; None is left out."""
    return Markup("".join(escape(part) for part in parts if part is not None))


def section(identifier: str, title: str, *children: object) -> Markup:
    """A section with a heading."""
    return element("section", element("h2", title), *children, id=identifier)


def bullets(lines: Sequence[str]) -> Markup:
    """A list of lines."""
    return element("ul", *(element("li", line) for line in lines), class_="lines")


def folded(title: str, *children: object, **attributes: object) -> Markup:
    """What is shown after a click on its title; that needs no JavaScript."""
    return element("details", element("summary", title), *children, **attributes)


def table(head: Sequence[object], rows: Iterable[Sequence[object]], kind: str = "stack"
          ) -> Markup:
    """A table. On a phone each row of a "stack" becomes a block: its name above its numbers, which
    have the names of their columns beside them."""
    body = [element("tr", element("th", row[0], scope="row"), *(
        element("td", cell, data_label=label) for label, cell in zip(head[1:], row[1:],
                                                                     strict=True)))
        for row in rows]
    return element("table", element("thead", element("tr", *(
        element("th", word, scope="col") for word in head))), element("tbody", *body), class_=kind)


def number_text(value: float) -> str:
    """Three digits, whole from 100 on, with a minus sign: 16,910; 43.5; −6.24."""
    text = fill_in("{value:,.0f}", {"value": abs(value)}) if 100 <= abs(value) < 1e9 else (
        local_number(f"{abs(value):.3g}"))
    return f"−{text}" if value < 0 else text


def percent(share: float | None, digits: int = 1) -> str:
    """0.85 -> "85.0 %"; None -> "–"."""
    if share is None:
        return "–"
    return _("{number} %", number=local_number(f"{100 * share:.{digits}f}"))
