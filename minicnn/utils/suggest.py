"""Did you mean …? The names that come closest to a mistyped one."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from .errors import ArgumentError

MIN_SIMILARITY = 0.4  # of 0 … 1, difflib's ratio: below it, a suggestion only confuses
GUESS_SIMILARITY = 0.6  # of a single guess, "Did you mean …?": perhaps none of the names is meant


def closest_names(name: str, names: Iterable[str], count: int = 3,
                  similarity: float = MIN_SIMILARITY) -> list[str]:
    """Up to `count` of the names that are most similar to `name`, the closest first.

    Case is ignored. [] if none is similar.
    """
    by_folded = {known.casefold(): known for known in names}
    matches = difflib.get_close_matches(name.casefold(), by_folded, count, similarity)
    return [by_folded[match] for match in matches]


def layer_index(name: str, names: Sequence[str], model: str) -> int:
    """Place of the layer `name` among the layers' names. Raises ArgumentError, which names `model`
    and the layers with the most similar names, if there is none."""
    if name not in names:
        nearest = closest_names(str(name), names) or names
        raise ArgumentError(f"{model}: expected the name of a layer, received {name!r}. "
                            f"Nearest: {', '.join(nearest)}.")
    return names.index(name)


def suggest_path(path: str | os.PathLike) -> str:
    """" Did you mean runs/photos-1?" for a path that does not exist: what lies in the same folder,
    or in runs/ if no folder is named, and has the most similar name. "" if nothing is similar."""
    wanted = Path(path)
    siblings: dict[str, Path] = {}
    for folder in [wanted.parent, *[Path("runs")] * (wanted.parent == Path())]:
        with suppress(OSError):
            for entry in folder.iterdir():
                if entry.name.isprintable() and not entry.name.startswith("."):
                    siblings.setdefault(entry.name, entry)
    nearest = closest_names(wanted.name, siblings, 1, GUESS_SIMILARITY)
    return f" Did you mean {siblings[nearest[0]]}?" if nearest else ""
