"""How precisely a GPU multiplies float32 matrices: all bits of float32, or TF32 on tensor cores.

    with mc.ops.precision.use_precision("tf32"): …     or MINICNN_PRECISION=tf32 in the environment

TF32 rounds the factors to 10 bits after the leading one (float32 has 23) and adds up in
float32: several times as fast on GPUs of compute capability 8.0 and higher, and the error of a
product is about 3e-4 of the largest result instead of 5e-7. It is off unless asked for. It does not
apply to float64, to NumPy's arrays, and to the transformed tiles of Winograd's algorithm, which
would magnify the error more than tenfold. cuda-sim rounds in the same way, so that the effect on a
network can be seen without a GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..utils.errors import ArgumentError

PRECISIONS = ("float32", "tf32")
_chosen: ContextVar[str | None] = ContextVar("minicnn_precision", default=None)


@contextmanager
def use_precision(name: str) -> Iterator[None]:
    """Within this block a GPU multiplies matrices in "float32" or in "tf32"."""
    if name not in PRECISIONS:
        raise ArgumentError(f"ops.use_precision: expected {' or '.join(PRECISIONS)}, received "
                            f"{name!r}.")
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def current_precision() -> str:
    """"float32" or "tf32". Raises ArgumentError if MINICNN_PRECISION is neither."""
    name = _chosen.get() or os.environ.get("MINICNN_PRECISION") or "float32"
    if name not in PRECISIONS:
        raise ArgumentError(f"MINICNN_PRECISION: expected {' or '.join(PRECISIONS)}, received "
                            f"{name!r}. Unset it, or set one of these.")
    return name
