"""The kernels of kernels/ as functions for this processor: compiled once, loaded, called.

kernels/native.h supplies what CUDA has built in, for one thread that computes with vectors. What is
compiled is kept in the cache folder under a name that holds the sources, the compiler and the
processor: another processor, or a newer minicnn, compiles anew.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import platform
import struct
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ...utils.cache import cache_folder
from ...utils.errors import KernelError
from ...utils.language import gettext as _
from ...utils.live_line import LiveLine
from ..compiler import cache_key, compiler, made_aside, run_compiler
from ..fast import threads
from ..kernel_files import C_NAMES, KERNELS, Kernel, read_kernels
from ..processor import processor_identity
from ..window import Window

PURPOSE = "native backend"
FILES = ("direct.cu", "max_pool.cu", "winograd.cu", "winograd_backward.cu", "products.cpp",
         "relu.cu", "optimizers.cu")
# No -ffast-math: NaN and infinities stay what they are.
FLAGS = ("-O3", "-std=c++14", "-fPIC", "-shared", "-fno-math-errno", "-DNATIVE",
         "-DSWITCH=unsigned char", "-pthread")
REALS = ("float32", "float64")
WORD = 8  # bytes
MIN_PART = 1 << 14  # numbers that are worth a thread
MAX_ROW = 1 << 30  # numbers of a row of an image: places in it, and twice as many, fit in 32 bits


def has_kernels(dtype: np.dtype) -> bool:
    """Whether there are kernels for it: float32 or float64, in this machine's byte order."""
    return dtype.isnative and dtype.name in REALS


def rows_fit(window: Window, *channels: int) -> bool:
    """Whether the rows of images with so many channels, padding included, are as short as the
    kernels take them to be."""
    (_, Wd), (left, right), OW = window.size, window.pads[1], window.output_size[1]
    beyond = 8  # the row a tile may reach
    return (max(left + Wd + right, OW) + beyond) * max(channels) < MAX_ROW


Call = tuple[Any, ...]  # a kernel's name and its arguments


def num_threads() -> int:
    """How many threads share the work: one inside a worker of parallel_map, where on_threads has no
    other."""
    return 1 if threads.is_worker() else threads.num_threads()


def workers_for(size: int) -> int:
    """How many threads should go through arrays of so many numbers."""
    return min(num_threads(), max(1, size // MIN_PART))


class Library:
    """The kernels for one dtype, float32 or float64; each is called with its arguments in order.

    Arrays must be contiguous and of that dtype: nothing is checked here, since a call takes only
    microseconds. Python's lock is released meanwhile, so other threads go on. np.errstate does not
    hold here: what overflows becomes infinite without a word.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self._kernels = {name: kernel for file in FILES
                         for name, kernel in read_kernels(KERNELS / file).items()}
        self._packers: dict[str, Callable[..., bytes]] = {}
        self._one_at_a_time = threading.Lock()
        if hasattr(os, "register_at_fork"):  # a thread of the parent may hold the lock
            os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._one_at_a_time = threading.Lock()

    def on_threads(self, parts: Sequence[Sequence[Call]]) -> None:
        """Makes the calls of each part in order, each part on a thread of its own: no part may
        write what another one reads. Inside a worker of parallel_map this thread makes all calls.

        The words hold addresses only; `parts` holds the arrays, and so their memory, until the
        calls have returned.
        """
        packed = [b"".join(self.packer(kernel)(*values) for kernel, *values in part)
                  for part in parts]
        run_parts([b"".join(packed)] if threads.is_worker() else packed)

    def packer(self, name: str) -> Callable[..., bytes]:
        """A function of the kernel's arguments: the words that threads.cpp takes for a call.
        Raises KernelError or OSError if the kernel cannot be compiled."""
        packer = self._packers.get(name)
        if packer is None:
            with self._one_at_a_time:
                kernel = self._kernels[name]
                packer = self._packers.get(name) or words_of(
                    open_library(kernel.file, self.dtype), kernel)
                self._packers[name] = packer
        return packer


@functools.cache
def library(dtype: str) -> Library:
    """The kernels for float32 or float64."""
    return Library(dtype)


def is_available(required: bool = False) -> bool:
    """Whether the kernels are compiled for this processor, or can be; required: raises KernelError
    or OSError if not. The first call on a machine compiles those for float32, which takes seconds.
    """
    try:
        for file in FILES:
            library("float32").packer(next(iter(read_kernels(KERNELS / file))))
        thread_runner()
    except (KernelError, OSError):
        if required:
            raise
        return False
    return True


def words_of(code: ctypes.CDLL, kernel: Kernel) -> Callable[..., bytes]:
    """Library.packer, of a kernel in a loaded library."""
    function = ctypes.cast(getattr(code, f"{kernel.name}_of"), ctypes.c_void_p).value
    words = struct.Struct("qq" + "".join("d" if kind == "real" else "q"
                                         for kind, _name in kernel.parameters))

    def pack(*values: Any) -> bytes:
        return words.pack(function, len(values), *(
            value.__array_interface__["data"][0] if isinstance(value, np.ndarray) else value
            for value in values))
    return pack


def run_parts(parts: Sequence[bytes]) -> None:
    """Runs parts, of words as Library.packer makes them, each on a thread of its own."""
    starts = itertools.accumulate((len(part) // WORD for part in parts), initial=0)
    thread_runner()(b"".join(parts), struct.pack(f"{len(parts) + 1}q", *starts), len(parts))


@functools.cache
def thread_runner() -> Callable[[bytes, bytes, int], None]:
    """run_parts of kernels/threads.cpp, compiled."""
    run = open_library(KERNELS / "threads.cpp", "float32").run_parts
    run.argtypes, run.restype = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_longlong), None
    return run


def open_library(file: Path, dtype: str) -> ctypes.CDLL:
    """A file of kernels/, compiled for this processor, from the cache if it is there."""
    flags = (*FLAGS, for_this_processor(), f"-DREAL={C_NAMES[dtype]}")
    texts = [source.read_text("utf-8") for source in (file, *sorted(KERNELS.glob("*.h")))]
    key = cache_key(*compiler_identity(), processor_identity(), *flags, *texts)
    path = cache_folder() / "kernels" / f"native-{file.stem}-{key}.so"
    try:
        if path.exists():
            with suppress(OSError):  # a damaged one is compiled again
                return ctypes.CDLL(str(path))
        compile_to(path, file, flags)
        return ctypes.CDLL(str(path))
    except OSError:  # a cache that cannot be written, or from which nothing runs
        with tempfile.TemporaryDirectory() as folder:
            compile_to(Path(folder, path.name), file, flags)
            return ctypes.CDLL(str(Path(folder, path.name)))


def compile_to(path: Path, file: Path, flags: tuple[str, ...]) -> None:
    """Compiles the file; `path` appears when it is complete. A terminal shows that it takes time.
    """
    callable_kernels = "".join(f"CALLABLE({name})\n" for name in read_kernels(file))
    line = LiveLine()
    line.draw(_("compiling {file} for this processor, once", file=file.name), 0, now=True)
    try:
        with made_aside(path) as made:
            source = made.with_name("native.cpp")
            source.write_text(f'#include "{file.name}"\n{callable_kernels}', "utf-8")
            run_compiler(file, *flags, f"-I{KERNELS}", str(source), "-o", str(made))
    finally:
        line.close()


def for_this_processor() -> str:
    """The compiler's flag for all instructions that this processor has."""
    return "-march=native" if platform.machine() in ("x86_64", "AMD64") else "-mcpu=native"


@functools.cache
def compiler_identity() -> tuple[str, ...]:
    """Which compiler it is: its path, size and date."""
    path = Path(compiler(PURPOSE)).resolve()
    status = path.stat()
    return str(path), str(status.st_size), str(status.st_mtime_ns)
