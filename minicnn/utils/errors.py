"""The errors of minicnn, and the checks of arguments that raise them most often.

Each message says where, what was expected, what was received and what to do.
"""

from __future__ import annotations

import numpy as np

MAX_MESSAGE = 1_000  # characters of a FileError's message


class MiniCNNError(Exception):
    """Base class of all minicnn errors; the command line prints the message and exits with 2."""


class ArgumentError(MiniCNNError, ValueError):
    """An argument that does not fit: a name, an option, a dtype, a label."""


class ShapeError(ArgumentError):
    """An array whose shape does not fit."""


class FileError(MiniCNNError):
    """A file or folder that cannot be used: weights, models, photos, downloads.

    Its message is one printable line, whatever names an untrusted file contains.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) > MAX_MESSAGE:
            text = f"{text[:MAX_MESSAGE - 200]} … {text[-200:]}"
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class NotFiniteError(MiniCNNError, ArithmeticError):
    """Numbers that became NaN or infinite during training."""

    model: object = None  # the network with its last finite weights, if they are known


class KernelError(MiniCNNError):
    """A CUDA kernel that does not compile, or that does something forbidden when it runs."""


def is_int(value: object, least: int) -> bool:
    """Is it an int (NumPy's too, but not a bool) of at least `least`?"""
    return (isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            and int(value) >= least)


def check_int(value: int, what: str, least: int = 1) -> int:
    """value as an int of at least `least`; raises ArgumentError for anything else."""
    if not is_int(value, least):
        raise ArgumentError(f"{what}: expected an int of at least {least}, received {value!r}.")
    return int(value)


def as_pair(value: int | tuple[int, int], what: str, least: int = 1) -> tuple[int, int]:
    """3 -> (3, 3); (3, 5) -> (3, 5); raises ArgumentError for anything else."""
    values = value if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2 or not all(is_int(v, least) for v in values):
        raise ArgumentError(f"{what}: expected an int of at least {least}, or two of them, "
                            f"received {value!r}.")
    return int(values[0]), int(values[1])
