"""What options take: numbers within bounds, and words of a list. The errors name the option, what
is expected, and an example."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ..utils.errors import ArgumentError
from ..utils.suggest import GUESS_SIMILARITY, closest_names


@dataclass(frozen=True)
class Value(ABC):
    """A converter for argparse. example: a value that the error of a wrong one suggests."""

    example: str

    @abstractmethod
    def __str__(self) -> str:
        """What is expected, for an error."""

    @abstractmethod
    def __call__(self, text: object) -> object:
        """The value of a word of the command line, or of run.json; raises ValueError."""

    def error(self, flag: str, received: object) -> ArgumentError:
        """The error for another value."""
        return ArgumentError(f"{flag}: expected {self}, received {received!r}. Write {flag} "
                             f"{self.example}, for example.")


@dataclass(frozen=True)
class Integer(Value):
    """A whole number of at least `minimum`."""

    minimum: int = 1

    def __str__(self) -> str:
        return f"a whole number of at least {self.minimum}"

    def __call__(self, text: object) -> int:
        """Raises ValueError for anything else, 3.0 included."""
        number = int(str(text))
        if number < self.minimum:
            raise ValueError(text)
        return number


@dataclass(frozen=True)
class Number(Value):
    """A number from `minimum` to `maximum`. open_below, open_above: whether it has to differ from
    the one or the other."""

    minimum: float = 0.0
    maximum: float = math.inf
    open_below: bool = False
    open_above: bool = False

    def __str__(self) -> str:
        if self.maximum == math.inf:
            return f"a number {'above' if self.open_below else 'of at least'} {self.minimum:g}"
        if self.open_below and self.open_above:
            return f"a number between {self.minimum:g} and {self.maximum:g}"
        below = f"to below {self.maximum:g}" if self.open_above else f"to {self.maximum:g}"
        return f"a number from {self.minimum:g} {below}"

    def __call__(self, text: object) -> float:
        """Raises ValueError for NaN and infinity, too."""
        number = float(str(text))
        too_low = number <= self.minimum if self.open_below else number < self.minimum
        too_high = number >= self.maximum if self.open_above else number > self.maximum
        if not math.isfinite(number) or too_low or too_high:
            raise ValueError(text)
        return number


@dataclass(frozen=True)
class Word(Value):
    """One of a few words. empty: whether "" stands for none of them, as in run.json."""

    words: tuple[str, ...]
    empty: bool = False

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"

    def __call__(self, text: object) -> str:
        """Raises ValueError for another word."""
        if text not in self.words and not (self.empty and text == ""):
            raise ValueError(text)
        return str(text)

    def error(self, flag: str, received: object) -> ArgumentError:
        """The error for another word; it suggests the nearest one."""
        nearest = closest_names(str(received), self.words, 1, GUESS_SIMILARITY)
        advice = (f"Did you mean {nearest[0]}?" if nearest else
                  f"Write {flag} {self.example}, for example.")
        return ArgumentError(f"{flag}: expected {self}, received {received!r}. {advice}")


def words(names: Iterable[str], example: str, empty: bool = False) -> Word:
    """A Word of these names."""
    return Word(example, tuple(names), empty)


SHARE = Number("0.25", maximum=1, open_below=True, open_above=True)  # of photos
SHARE_OR_NONE = Number("0.25", maximum=1, open_above=True)
SEED = Integer("0", 0)
BATCH_SIZE = Integer("32")


@contextmanager
def errors_name_options(options: Mapping[str, str]) -> Iterator[None]:
    """An ArgumentError of the body that begins with one of these names, of an argument or a
    function, is raised again with the option instead: {"take": "--per-class"}."""
    try:
        yield
    except ArgumentError as error:
        name, colon, rest = str(error).partition(": ")
        if not colon or name not in options:
            raise
        raise ArgumentError(f"{options[name]}: {rest}") from error
