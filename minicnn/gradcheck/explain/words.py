"""What the rules share: axes in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from ...utils.language import gettext


def subsets(n: int) -> Iterator[tuple[int, ...]]:
    """Of the axes 0 … n − 1, the smallest first, none empty."""
    return (axes for size in range(1, n + 1) for axes in combinations(range(n), size))


def join_words(words: Iterable[object]) -> str:
    """a, b and c."""
    *others, last = map(str, words)
    if not others:
        return last
    return gettext("{words} and {last}", words=", ".join(others), last=last)
