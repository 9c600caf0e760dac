"""Where one algorithm overtakes another: constants of the rules, measured once on each machine.

Rules select the algorithm of a convolution from its sizes (ops/fast/conv.py, ops/native/conv.py).
From how many channels or tiles on one algorithm is faster than another they cannot know: that
depends on the processor's caches and registers. So the first process that computes on a machine
measures it, in about a second, at sizes on both sides of the usual limits (probes.py of the
backend). What comes out is kept in the cache folder, for this processor, this number of threads and
this code: later runs select the same algorithms, and so compute the same numbers to the last bit.
To measure anew, delete the folder `tuning` there. MINICNN_TUNING=0 takes the usual constants
instead and measures nothing.

Whatever is selected, results differ by rounding alone: by about 1e-5 of the largest number in
float32, the error of Winograd's algorithm (ops/winograd.py).
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..utils.cache import cache_folder
from ..utils.language import gettext as _
from ..utils.live_line import LiveLine
from .compiler import cache_key
from .kernel_files import KERNELS
from .processor import processor_identity

Value = TypeVar("Value", int, float)

MARGIN = 1.1  # another constant than the usual one must be faster by a tenth: less may be chance
ROUNDS = 7    # of measurements in turn


@dataclasses.dataclass(frozen=True)
class Constants:
    """Of the rules. The defaults, the usual constants, are those of an Intel Xeon with AVX-512.

    over_im2col: Winograd's algorithm needs so many channels and filters to be faster than im2col.
    over_direct: the same against the direct convolution, which native has for few channels.
    saving:      and so many times as many multiplications by the definition as by the algorithm.
    block_tiles: of native, the tiles that a thread computes before the next ones.
    few_tiles:   of native: with fewer the threads share the filters, otherwise the rows of tiles.
    """

    over_im2col: int = 32
    over_direct: int = 32
    saving: float = 2.0
    block_tiles: int = 112
    few_tiles: int = 96


USUAL = Constants()
_measured: dict[tuple[str, int], Constants] = {}  # by backend and threads, in this process
_one_at_a_time = threading.Lock()
_given: ContextVar[Constants | None] = ContextVar("minicnn_constants", default=None)


def constants(backend: str) -> Constants:
    """Those that "fast" or "native" goes by on this machine; the first call ever measures them.

    A worker of parallel_map, whose neighbours compute meanwhile, measures nothing: until the thread
    that shares the work has asked, it goes by the usual ones.
    """
    if given := _given.get():
        return given
    from .fast.threads import is_worker, num_threads  # ops/fast imports this module

    key = backend, num_threads()
    if key not in _measured:
        if is_worker():
            return USUAL
        with _one_at_a_time:
            if key not in _measured:
                _measured[key] = read_or_measure(backend)
    return _measured[key]


def _renew_lock() -> None:
    global _one_at_a_time
    _one_at_a_time = threading.Lock()


if hasattr(os, "register_at_fork"):  # a thread of the parent may hold the lock
    os.register_at_fork(after_in_child=_renew_lock)


@contextmanager
def use_constants(given: Constants) -> Iterator[None]:
    """Within this block the rules of all backends go by these."""
    token = _given.set(given)
    try:
        yield
    finally:
        _given.reset(token)


def read_or_measure(backend: str) -> Constants:
    """From the cache folder; measured if nothing is there, or nothing that can be read.

    The usual ones as long as they cannot be kept there: every run would measure anew, and two runs
    might differ in their last digits.
    """
    if os.environ.get("MINICNN_TUNING") == "0":
        return USUAL
    path = cache_folder() / "tuning" / f"{backend}-{key_of(backend)}.json"
    if cached := read_constants(path):
        return cached
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            return keep(measure(backend), Path(folder, path.name), path)
    except OSError:
        return USUAL


def keep(measured: Constants, made: Path, path: Path) -> Constants:
    """Writes them to `made`, and links that as `path`; what is kept there: the constants of the
    process that was first, if several have measured at once."""
    made.write_text(json.dumps(dataclasses.asdict(measured), indent=1), "utf-8")
    if read_constants(path) is None:
        path.unlink(missing_ok=True)  # a damaged one
    try:
        os.link(made, path)
    except FileExistsError:  # another process was first
        pass
    except OSError:  # a file system without links
        made.replace(path)
    return read_constants(path) or measured


def key_of(backend: str) -> str:
    """A name for the processor, the number of threads, NumPy, its BLAS, the compiler and the code
    that is measured."""
    from .fast.threads import blas_libraries, num_threads  # ops/fast imports this module

    ops = Path(__file__).parent
    files = [file for folder in {ops, ops / "fast", ops / backend} for file in folder.glob("*.py")]
    blas = [f"{library.internal_api} {library.version}"
            for library in blas_libraries().lib_controllers]
    compiled_by: tuple[str, ...] = ()
    if backend == "native":
        files += [*KERNELS.glob("*.h"), *KERNELS.glob("*.cpp"), *KERNELS.glob("*.cu")]
        compiled_by = import_module(".native.library", __package__).compiler_identity()
    return cache_key(processor_identity(), str(num_threads()), np.__version__, *blas, *compiled_by,
                     *(file.read_text("utf-8") for file in sorted(files)))


def read_constants(path: Path) -> Constants | None:
    """What a file of the cache says; None if it is not there, or damaged."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    usual = dataclasses.asdict(USUAL)
    if not (isinstance(values, dict) and values.keys() == usual.keys()
            and all(is_constant(values[name], usual[name]) for name in usual)):
        return None
    return Constants(**values)


def is_constant(value: Any, usual: Value) -> bool:
    """Whether it is a number of the usual one's type, above 0."""
    return type(value) is type(usual) and value > 0


def measure(backend: str) -> Constants:
    """Measures them; a terminal shows that it takes time."""
    line = LiveLine()
    line.draw(_("measuring this processor, once"), 0, now=True)
    try:
        with use_constants(USUAL):
            return import_module(f".{backend}.probes", __package__).measured_constants()
    finally:
        line.close()


def break_even(sizes: Sequence[Value], speedup: Callable[[Value], float], usual: Value) -> Value:
    """The smallest of the sizes from which on an algorithm is faster than the other one, where
    speedup(size) is the other one's time / its time. The search begins at the usual size, goes down
    as long as the next smaller one is faster by MARGIN, and up as long as this one is slower by it;
    the largest size is taken without being measured. sizes: ascending."""
    k = sizes.index(usual)
    while k > 0 and speedup(sizes[k - 1]) > MARGIN:
        k -= 1
    if sizes[k] == usual:
        while k < len(sizes) - 1 and speedup(sizes[k]) < 1 / MARGIN:
            k += 1
    return sizes[k]


def speedup(run: Callable[[], object], other: Callable[[], object]) -> float:
    """Time of `other` / time of `run` over ROUNDS measurements in turn, after a call of each that
    is not counted: the quartile that is nearer to 1, or 1 if it lies between the two. So where
    something else uses the processor, and the measurements scatter, the usual constants stay."""
    run(), other()
    low, _, high = statistics.quantiles(seconds(other) / seconds(run) for _ in range(ROUNDS))
    return low if low > 1 else min(high, 1.0)


def seconds(run: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
