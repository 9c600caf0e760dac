"""HTML as text: elements whose texts and attributes are escaped, so that names stay names."""

from __future__ import annotations

from html import escape

VOID = ("img", "image", "rect", "use")  # elements without children


class Markup(str):
    """HTML that is inserted as it is; any other text is escaped."""

    __slots__ = ()


def element(tag: str, *children: str | None, **attributes: object) -> Markup:
    """<tag attributes>children</tag>. None leaves a child out, None and False an attribute; True is
    an attribute without a value. class_ becomes class, data_at data-at, viewBox stays."""
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        name = key.rstrip("_").replace("_", "-")
        written.append(f" {name}" if value is True else f' {name}="{escape(str(value))}"')
    inside = join(*children)
    if tag in VOID:
        return Markup(f"<{tag}{''.join(written)}/>")
    return Markup(f"<{tag}{''.join(written)}>{inside}</{tag}>")


def join(*children: str | None) -> Markup:
    """The children one after the other, escaped unless they are Markup."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child)
                          for child in children if child is not None))
