"""Did you mean …? The names that come closest to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MIN_SIMILARITY = 0.4  # of 0 … 1, difflib's ratio: below it, a suggestion only confuses


def closest_names(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` of the names that are most similar to `name`, the closest first.

    Case is ignored. [] if none is similar.
    """
    by_folded = {known.casefold(): known for known in names}
    matches = difflib.get_close_matches(name.casefold(), by_folded, count, MIN_SIMILARITY)
    return [by_folded[match] for match in matches]
