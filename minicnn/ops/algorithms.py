"""Forcing one algorithm of the convolution instead of the selected one, to compare them.

    with use_algorithm("winograd"): …

All give the same numbers up to rounding; ops/fast/conv.py and ops/cuda/conv.py say which is
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
    """Within this block every convolution of fast, native and a GPU uses this algorithm."""
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


def input_gradient_window(window: Window) -> Window | None:
    """With strides 1 the gradient dx of a convolution is one itself, of dz with the kernels rotated
    by 180°: its windows on dz, padded by K − 1 − P. None if there is none."""
    (KH, KW), ((top, bottom), (left, right)) = window.kernel, window.pads
    pads = (KH - 1 - top, KH - 1 - bottom), (KW - 1 - left, KW - 1 - right)
    if window.strides != (1, 1) or min(*pads[0], *pads[1]) < 0:
        return None
    return Window(window.kernel, window.strides, pads, window.output_size)
