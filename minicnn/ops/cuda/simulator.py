"""The device "cuda-sim": the CUDA kernels of kernels/, compiled for the processor.

kernels/simulator.h supplies what CUDA has built in, kernels/simulator.cpp runs the grid. Arrays
are NumPy's, of a class of their own that mixes with plain ones as little as CuPy's would; new ones
hold NaN, so that whatever a kernel forgets to write shows. Slow but strict: a kernel that reads or
writes outside its arrays, or whose result depends on the order of its threads, is reported with its
name, block and thread.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...utils.cache import cache_folder
from ...utils.errors import ArgumentError, KernelError
from ..compiler import cache_key, compiler, made_aside, run_compiler

FLAGS = ("-O1", "-g", "-fPIC", "-Wall", "-Wextra",
         "-Wno-unknown-pragmas", "-fsanitize=bounds,signed-integer-overflow,shift,"
         "integer-divide-by-zero", "-fsanitize-undefined-trap-on-error")
# Our own kernels need no more than C++ 14, whose <cmath> is shorter to read; a reader's file may be
# written in C++ 17, as CUDA 12 takes it.
OURS, READERS = "-std=c++14", "-std=c++17"
SHARED_MEMORY = 227 * 1024  # bytes of it that a block may ask for: as on an H100
# The one declaration that no macro can make C++ of: extern __shared__ real tiles[];
EXTERN_SHARED = re.compile(r"extern\s+__shared__\s+(?:__align__\(\d+\)\s+)?(\w[\w ]*?)\s+(\w+)\s*"
                           r"\[\s*\]\s*;")
runs = 1  # of a launch; the 2nd with blocks and threads backwards, others shuffled: all must agree
log: list[Any] | None = None  # where each launch leaves its accesses, for accesses.py
_one_at_a_time = threading.Lock()  # all libraries share the stacks and the signals' handlers
_stacks = ctypes.c_void_p()  # of a block's threads


# Arrays

class SimArray(np.ndarray):
    """A NumPy array that only combines with its own kind and with numbers, as CuPy's arrays do. It
    is less strict than CuPy: np.asarray gives a plain array, and errors are ours, not CuPy's."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        refuse_plain((*inputs, *kwargs.get("out", ())), ufunc.__name__)
        result = getattr(ufunc, method)(*plain(inputs), **plain(kwargs))
        return kwargs["out"][0] if "out" in kwargs else wrapped(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        refuse_plain((*args, *kwargs.values()), function.__name__)
        result = wrapped(function(*plain(args), **plain(kwargs)))
        return poisoned(result) if function is np.empty_like else result

    def __setitem__(self, key: Any, value: Any) -> None:
        refuse_plain((value,), "assignment")
        super().__setitem__(key, value)


def refuse_plain(values: Sequence[Any], what: str) -> None:
    """Raises if a plain NumPy array is among the values."""
    for value in values:
        if isinstance(value, (tuple, list)):
            refuse_plain(value, what)
        elif isinstance(value, np.ndarray) and not isinstance(value, SimArray):
            raise ArgumentError(f"{what}: expected all arrays on one device, received one on "
                                f"cuda-sim and one on cpu. Move one of them with to_device.")


def plain(value: Any) -> Any:
    """The same memory seen as plain NumPy arrays, in tuples, lists and dicts too."""
    if isinstance(value, SimArray):
        return value.view(np.ndarray)
    if isinstance(value, (tuple, list)):
        return type(value)(plain(v) for v in value)
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def wrapped(value: Any) -> Any:
    """NumPy's arrays and numbers as SimArrays, as CuPy gives arrays of no dimensions."""
    if isinstance(value, (tuple, list)):
        return type(value)(wrapped(v) for v in value)
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value).view(SimArray)
    return value


def poisoned(x: np.ndarray) -> np.ndarray:
    """x with every byte 255: NaN in floats."""
    plain(x).reshape(-1).view(np.uint8)[...] = 255
    return x


class _Module:
    """NumPy as the module of this device: np.zeros makes a SimArray, np.empty one of NaN."""

    def __getattr__(self, name: str) -> Any:
        function = getattr(np, name)
        if not callable(function) or isinstance(function, type):
            return function

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if name not in ("array", "asarray", "ascontiguousarray"):  # these bring arrays over
                refuse_plain((*args, *kwargs.values()), name)
            result = wrapped(function(*plain(args), **plain(kwargs)))
            return poisoned(result) if name in ("empty", "empty_like") else result
        return call


xp = _Module()


# Compiling and launching

@functools.cache
def library(file: Path, names: tuple[str, ...], options: tuple[str, ...], folder: Path,
            digest: str, recorded: bool = False) -> ctypes.CDLL:
    """The compiled kernels `names` of a .cu file, from the cache if they are there.

    folder: where simulator.h and simulator.cpp are. digest: a hash of the kernels' sources.
    recorded: with every access noted (accesses.py). Raises KernelError with the compiler's message.
    """
    flags = (*FLAGS, *os.environ.get("MINICNN_SIM_FLAGS", "").split())
    scheduler = scheduler_object(folder, (OURS, *flags))
    link = ["-shared", "-x", "none", str(scheduler)]
    if os.uname().sysname == "Linux":
        link.append("-Wl,-Bsymbolic")  # a kernel's name means this file's
    ours = folder in file.parents
    flags = (OURS if ours else READERS, *flags)
    compiling = (*flags, *options, "-include", str(folder / "simulator.h"), "-x", "c++")
    # Of our files only what they say counts, not where they lie: a second copy of the project finds
    # what the first one has compiled. A reader's file may include others that nobody knows of.
    key = cache_key(*flags, *(option for option in options if not option.startswith("-I")), *names,
                    digest, scheduler.name, str(recorded),
                    "" if ours else str(file.parent.resolve()))
    path = cache_folder() / "kernels" / f"{file.stem}-{key}.so"
    if not path.exists():
        text = source_text(file) + "".join(f"SIMULATE({name})\n" for name in names)
        with made_aside(path) as made:
            source, part = made.with_name(file.name), made.with_suffix(".o")
            source.write_text(text)
            if recorded:  # linked in a step of its own, without ThreadSanitizer itself
                run_compiler(file, *compiling, "-fsanitize=thread", "-c", str(source), "-o",
                             str(part))
                run_compiler(file, *link, str(part), "-o", str(made))
            else:
                run_compiler(file, *compiling, str(source), *link, "-o", str(made))
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise KernelError(f"{file}: expected a kernel that can be loaded, received: {error}. "
                          f"Define what it names.") from error


def scheduler_object(folder: Path, flags: tuple[str, ...]) -> Path:
    """simulator.cpp of this folder, compiled, from the cache if it is there: the part of every
    kernel's library that runs the grid."""
    source = folder / "simulator.cpp"
    texts = (file.read_text("utf-8") for file in (source, *sorted(folder.glob("simulator*.h"))))
    path = cache_folder() / "kernels" / f"simulator-{cache_key(compiler(), *flags, *texts)}.o"
    if not path.exists():
        with made_aside(path) as made:
            run_compiler(source, *flags, "-x", "c++", "-c", str(source), "-o", str(made))
    return path


def source_text(file: Path) -> str:
    """A line that includes the file; or its text, rewritten, if it has dynamic shared memory."""
    text = file.read_text(encoding="utf-8")
    if not EXTERN_SHARED.search(text):
        return f'#include "{file.resolve()}"\n'
    text = EXTERN_SHARED.sub(r"\1* const \2 = (\1*)simulator::dynamic_shared;", text)
    return f'#line 1 "{file.resolve()}"\n{text}\n'


class _Array(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("bytes", ctypes.c_int64), ("writable", ctypes.c_int),
                ("copy", ctypes.c_void_p), ("start", ctypes.c_void_p), ("length", ctypes.c_int64)]


class _Report(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char * 400), ("array", ctypes.c_int), ("offset", ctypes.c_int64)]


def run(code: ctypes.CDLL, name: str, grid: Sequence[int], block: Sequence[int],
        values: Sequence[tuple[str, Any, bool]], only: int = -1, shared_memory: int = 0) -> None:
    """One launch. values: (name, contiguous SimArray or NumPy number, may it be written).

    only: the number of a block, to run that one alone. shared_memory: the bytes of the kernel's
    extern __shared__ array. Raises KernelError if the kernel does what it must not, with every
    array as it was, but for those of 1 GiB and more.
    """
    arrays = [(n, a, w) for n, a, w in values if isinstance(a, np.ndarray)]
    table = (_Array * max(1, len(arrays)))(
        *(_Array(a.ctypes.data, a.nbytes, w) for _, a, w in arrays))
    numbers = [np.array(v) for _, v, _ in values if not isinstance(v, np.ndarray)]
    places, pointers, k = iter(numbers), [], 0
    for _, value, _ in values:
        if isinstance(value, np.ndarray):
            pointers.append(ctypes.addressof(table[k]) + _Array.copy.offset)
            k += 1
        else:
            pointers.append(next(places).ctypes.data)
    report = _Report()
    size = (ctypes.c_uint * 7)(*grid, *block, shared_memory)
    with _one_at_a_time:
        if log is not None:
            code.simulator_forget()
        wrong = code.simulate(getattr(code, f"simulate_{name}"),
                              (ctypes.c_void_p * len(pointers))(*pointers), table, len(arrays),
                              size, runs if log is None else 1, ctypes.c_int64(only),
                              ctypes.byref(_stacks), ctypes.byref(report))
        if log is not None:
            log.append((name, [n for n, _, _ in arrays], _accesses(code)))
    if wrong:
        where = ""
        if report.array >= 0:
            n, a, _ = arrays[report.array]
            where = f" {n}" if report.offset == -2**63 else f" {n}[{report.offset // a.itemsize}]"
            where += f" of {a.size} elements"
        raise KernelError(f"{name}: expected every thread to keep to its arrays; "
                          f"{report.text.decode()}{where}. Check its indices and barriers.")


# One access of one thread, as simulator_record.h notes it.
ACCESS = np.dtype([("instruction", np.uint64), ("offset", np.int64), ("block", np.uint32),
                   ("thread", np.uint16), ("array", np.int16), ("bytes", np.uint16),
                   ("writes", np.uint16)], align=True)


def _accesses(code: ctypes.CDLL) -> np.ndarray:
    """What the library has recorded of its last launch, in chronological order."""
    code.simulator_accesses.restype = ctypes.c_int64
    first = ctypes.c_void_p()
    count = code.simulator_accesses(ctypes.byref(first))
    return np.frombuffer(ctypes.string_at(first, count * ACCESS.itemsize), ACCESS).copy()
