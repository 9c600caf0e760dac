"""Taking one algorithm of the convolution instead of the selected one, to compare them.

    with use_algorithm("winograd"): …

All give the same numbers but for rounding; ops/fast/conv.py and ops/cuda/conv.py say which is
selected when.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..utils.errors import ArgumentError
from .window import Window

ALGORITHMS = ("im2col", "implicit_gemm", "winograd")
_forced: ContextVar[str | None] = ContextVar("minicnn_convolution_algorithm", default=None)


@contextmanager
def use_algorithm(name: str) -> Iterator[None]:
    """Within this block every convolution of the fast backend and of a GPU is computed so."""
    if name not in ALGORITHMS:
        raise ArgumentError(f"use_algorithm: expected one of {', '.join(ALGORITHMS)}, "
                            f"received {name!r}.")
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


def forced_algorithm(window: Window) -> str | None:
    """The algorithm of the surrounding use_algorithm; None outside.

    Raises ArgumentError if it cannot compute this convolution.
    """
    name = _forced.get()
    if name == "winograd" and (window.kernel, window.strides) != ((3, 3), (1, 1)):
        raise ArgumentError(f"use_algorithm: expected kernel_size 3 and strides 1 for 'winograd', "
                            f"received {window.kernel} and {window.strides}. Leave it out for "
                            f"this layer.")
    return name
