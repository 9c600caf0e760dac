"""The error for an option that would be ignored."""

from __future__ import annotations

from ..utils.errors import ArgumentError


def unused_option(option: str, only: str, received: object) -> ArgumentError:
    """The error for an option that counts with `only` alone. received: its value, or what is there
    instead of `only`."""
    return ArgumentError(f"{option}: expected only with {only}, received {received}. Leave it out.")
