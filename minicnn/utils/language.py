"""The language of the commands and their pages: English, or French on request.

Texts for people are written in English, as gettext("…"). Their translations are in a catalogue,
locale/fr/LC_MESSAGES/minicnn.po; `python -m tests.catalogue` writes from it the minicnn.mo that is
read here. A text that it lacks stays English. The commands choose the language, by --lang or by the
environment; in Python it is English except in the body of `with use_language("fr")`. What machines
read (JSON, CSV, keys, names of files) is always English.
"""

from __future__ import annotations

import gettext as standard
import os
import string
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ArgumentError

DOMAIN = "minicnn"
LOCALE = Path(__file__).parent.parent / "locale"
LANGUAGES = ("en", "fr")
DECIMAL_SIGNS = {"fr": ","}  # of languages that do not write a point
# How other languages write the signs of a formatted number: 1,234.5 is 1 234,5 in French.
SIGNS = {"fr": {".": ",", ",": "\u202f", "%": "\u202f%"}}
# In this order, as gettext has it; LANGUAGE may name several languages.
VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")

_code: ContextVar[str] = ContextVar("language", default="en")
ENGLISH = standard.NullTranslations()
_catalogue: ContextVar[standard.NullTranslations] = ContextVar("catalogue", default=ENGLISH)


@contextmanager
def use_language(code: str) -> Iterator[None]:
    """In the body of the with, texts are in this language: "en" or "fr". Raises ArgumentError for
    another."""
    if code not in LANGUAGES:
        raise ArgumentError(f"language: expected {' or '.join(LANGUAGES)}, received {code!r}. "
                            f"Choose one of them.")
    catalogue = standard.translation(DOMAIN, LOCALE, [code], fallback=True)
    tokens = _code.set(code), _catalogue.set(catalogue)
    try:
        yield
    finally:
        _code.reset(tokens[0])
        _catalogue.reset(tokens[1])


def language() -> str:
    """The code of the language now."""
    return _code.get()


def environment_language(environment: Mapping[str, str] = os.environ) -> str:
    """The language of the user: "fr" for LANG=fr_FR.UTF-8, or LANGUAGE=fr:en. "en" if the variables
    are not set, or name languages that minicnn does not speak."""
    value = next((environment[name] for name in VARIABLES if environment.get(name)), "")
    codes = [word.split(".")[0].split("_")[0].lower() for word in value.split(":")]
    return next((code for code in codes if code in LANGUAGES), "en")


def gettext(text: str, **values: Any) -> str:
    """The text in the language, {fields} filled in from the values: numbers as the language writes
    them, 57.5 in French with a comma."""
    return fill_in(_catalogue.get().gettext(text), values)


def ngettext(singular: str, plural: str, num: int, **values: Any) -> str:
    """gettext of the singular or the plural, whichever `num` takes in the language; {num} is it."""
    return fill_in(_catalogue.get().ngettext(singular, plural, num), {"num": num, **values})


def gettext_noop(text: str) -> str:
    """The text itself: marks a constant for the catalogue, which gettext translates later."""
    return text


def fill_in(text: str, values: Mapping[str, Any]) -> str:
    """The text with its {fields}, as str.format has them, numbers as the language writes them."""
    return _Formatter().vformat(text, (), values) if values else text


def local_number(number: str) -> str:
    """A number that is text already, as the language writes it: 57.5 or 57,5."""
    return number.replace(".", DECIMAL_SIGNS.get(language(), "."))


def catalogue_entries(texts: Sequence[str]) -> dict[str, str]:
    """{text: translation} of those that have one, for the script of a page."""
    translated = {text: _catalogue.get().gettext(text) for text in texts}
    return {text: words for text, words in translated.items() if words != text}


class _Formatter(string.Formatter):
    """str.format with the signs of the language."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """A number with the signs of the language, in the width that was asked for; others as
        usual."""
        text = str(super().format_field(value, format_spec))
        signs = SIGNS.get(language())
        if not signs or not isinstance(value, (int, float, np.number)):
            return text
        written = "".join(signs.get(sign, sign) for sign in text)
        spare = min(len(written) - len(text), len(written) - len(written.lstrip()))
        return written[spare:]
