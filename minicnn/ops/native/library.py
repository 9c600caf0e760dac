"""The kernels of kernels/*.cu as functions for this processor: compiled once, loaded, called.

kernels/native.h supplies what CUDA has built in, for one thread that computes with vectors. What is
compiled is kept in the cache folder under a name that holds the sources, the compiler and the
processor: another processor, or a newer minicnn, compiles anew.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ...utils.cache import cache_folder
from ...utils.errors import KernelError
from ...utils.language import gettext as _
from ...utils.live_line import LiveLine
from ..compiler import cache_key, compiler, made_aside, run_compiler
from ..kernel_files import C_NAMES, KERNELS, Kernel, read_kernels
from ..window import Window

PURPOSE = "native backend"
FILES = ("direct.cu", "max_pool.cu", "winograd.cu", "winograd_backward.cu", "products.cpp",
         "relu.cu", "optimizers.cu")
# No -ffast-math: NaN and infinities stay what they are.
FLAGS = ("-O3", "-std=c++14", "-fPIC", "-shared", "-fno-math-errno", "-DNATIVE",
         "-DSWITCH=unsigned char")
C_TYPES: dict[str, Any] = {"int": ctypes.c_int, "int64": ctypes.c_longlong}
REALS: dict[str, Any] = {"float32": ctypes.c_float, "float64": ctypes.c_double}


MAX_ROW = 1 << 30  # numbers of a row of an image: places in it are counted in 32 bits


def has_kernels(dtype: np.dtype) -> bool:
    """Whether there are kernels for it: float32 or float64, in this machine's byte order."""
    return dtype.isnative and dtype.name in REALS


def rows_fit(window: Window, *channels: int) -> bool:
    """Whether the rows of images with so many channels, padding included, are as short as the
    kernels take them to be."""
    (_, Wd), (left, right), OW = window.size, window.pads[1], window.output_size[1]
    return max(left + Wd + right + 8, OW + 8) * max(channels) < MAX_ROW  # 8: of the last tile


class Library:
    """The kernels for one dtype, float32 or float64; each is called with its arguments in order.

    Arrays must be contiguous and of that dtype: nothing is checked here, since a call takes only
    microseconds. ctypes releases Python's lock, so other threads go on. np.errstate does not hold
    here: what overflows becomes infinite without a word.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self._kernels = {name: kernel for file in FILES
                         for name, kernel in read_kernels(KERNELS / file).items()}
        self._functions: dict[str, Callable[..., None]] = {}
        self._one_at_a_time = threading.Lock()
        if hasattr(os, "register_at_fork"):  # a thread of the parent may hold the lock
            os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._one_at_a_time = threading.Lock()

    def __call__(self, kernel: str, *values: Any) -> None:
        (self._functions.get(kernel) or self.compiled(kernel))(*values)

    def compiled(self, name: str) -> Callable[..., None]:
        """The kernel as a function. Raises KernelError or OSError if it cannot be compiled."""
        with self._one_at_a_time:
            if name not in self._functions:
                kernel = self._kernels[name]
                self._functions[name] = as_function(open_library(kernel.file, self.dtype),
                                                    kernel, REALS[self.dtype])
        return self._functions[name]


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
            library("float32").compiled(next(iter(read_kernels(KERNELS / file))))
    except (KernelError, OSError):
        if required:
            raise
        return False
    return True


def as_function(code: ctypes.CDLL, kernel: Kernel, real: Any) -> Callable[..., None]:
    """A kernel as a function of arrays and numbers."""
    compiled = getattr(code, kernel.name)
    compiled.restype = None
    compiled.argtypes = [ctypes.c_void_p if "*" in kind else real if kind == "real"
                         else C_TYPES[kind] for kind, _name in kernel.parameters]

    def call(*values: Any) -> None:
        compiled(*(value.ctypes.data if isinstance(value, np.ndarray) else value
                   for value in values))
    return call


def open_library(file: Path, dtype: str) -> ctypes.CDLL:
    """A .cu file, compiled for this processor, from the cache if it is there."""
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
    line = LiveLine()
    line.draw(_("compiling {file} for this processor, once", file=file.name), 0, now=True)
    try:
        with made_aside(path) as made:
            run_compiler(file, *flags, f"-I{KERNELS}", "-x", "c++", str(file), "-o", str(made))
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


@functools.cache
def processor_identity() -> str:
    """What this processor can do: a library for another one might hold an instruction that this one
    lacks."""
    try:  # Linux
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()} {os.uname().version}"
    wanted = ("model name", "flags",  # x86
              "CPU implementer", "CPU part", "Features",  # ARM
              "cpu", "isa", "machine")  # POWER, RISC-V
    known = {line for line in lines if line.startswith(wanted) and "MHz" not in line}
    return "\n".join([platform.machine(), *sorted(known)])
