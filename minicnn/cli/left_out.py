"""What a command prints about the files of a folder that it does not use."""

from __future__ import annotations

from collections.abc import Sequence

from ..data.listing import OtherFile, group_by_kind
from ..utils.language import ngettext
from .terminal import say


def print_left_out(others: Sequence[OtherFile], unread: Sequence[str]) -> list[str]:
    """Prints how many files are left out and why, a line for each kind; nothing if there are none.

    others: the files that are no photos. unread: why photos of the folder cannot be read.
    Returns the lines for a page, which names all files.
    """
    if others or unread:
        say(ngettext("{num} file is left out:", "{num} files are left out:",
                     len(others) + len(unread)))
        for line in [*unread, *group_by_kind(others)]:
            say(f"  {line}")
    return [*unread, *group_by_kind(others, limit=None)]
