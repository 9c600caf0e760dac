"""Batches on their way to a GPU, one ahead of the kernels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..ops import module_of


def prefetch_to_gpu(batches: Iterable[tuple]) -> Iterator[tuple]:
    """The batches (x, …) with x on the GPU, each copied while the one before it is computed.

    The copy goes from pinned memory on a stream of its own, beside the kernels. It waits for work
    that was queued before it, which may still use the memory that x gets.
    """
    cupy = module_of("cuda")
    import cupyx

    stream = cupy.cuda.Stream(non_blocking=True)

    def start_copy(x: Any, *rest: Any) -> tuple:
        pinned = cupyx.empty_pinned(x.shape, x.dtype)
        pinned[...] = x
        y = cupy.empty(x.shape, x.dtype)
        stream.wait_event(cupy.cuda.get_current_stream().record())
        y.set(pinned, stream)
        return pinned, stream.record(), y, rest

    following: tuple | None = None
    try:
        for batch in batches:
            current, following = following, start_copy(*batch)
            if current:
                yield _finish_copy(*current)
        if following:
            yield _finish_copy(*following)
    finally:
        stream.synchronize()  # a copy that is no longer wanted still needs its memory


def _finish_copy(pinned: Any, copied: Any, y: Any, rest: tuple) -> tuple:
    copied.synchronize()  # on the host, so that the pinned memory may be freed
    return y, *rest
