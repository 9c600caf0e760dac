"""A stand-in for CuPy on a machine without a GPU, as strict as CuPy 14.2.

It computes with NumPy, but its arrays are not numpy.ndarray, and it refuses what CuPy refuses:
np.asarray(x) and arithmetic with a NumPy array raise TypeError, x[...] = NumPy array raises
ValueError, flags are read-only, and the NumPy functions that CuPy lacks are missing. RawModule runs
kernels in minicnn.ops.cuda.simulator. In this way the code that only a GPU reaches is executed by
every test run.

What it cannot show: the rounding of cuBLAS and of the GPU's exp, denormals flushed to zero, races
between threads, and everything asynchronous, except that a sum of NCCL's which no event puts in
order gives NaN (standin_nccl.py).

    with standin.installed(): ...                   # import cupy gives the stand-in
    with standin.use_device(name) as device: ...    # "cuda", with the stand-in if name is NAME
"""

import collections
import contextlib
import functools
import re
import sys
import time
import types
import weakref
from pathlib import Path
from unittest import mock

import numpy as np
import standin_nccl

from minicnn.ops.cuda import launch, simulator
from minicnn.utils.errors import KernelError

try:
    import cupy as names  # the true one, which needs no GPU to say what it has
except ImportError:
    names = np

NAME = "cuda (stand-in)"  # of the device, for tests and benchmarks
SCALARS = (bool, int, float, complex, np.generic)
OPERANDS = (*SCALARS, np.ndarray)

# Arrays


class Flags:
    """x.flags, read-only."""

    def __init__(self, a):
        values = {"c_contiguous": a.flags.c_contiguous, "f_contiguous": a.flags.f_contiguous,
                  "owndata": a.base is None}
        vars(self).update(values)

    def __setattr__(self, name, value):
        raise AttributeError(f"'cupy._core.flags.Flags' object has no attribute {name!r}")


def unwrap(x):
    """The NumPy array inside a stand-in array, also within tuples and lists; scalars, types and
    slices are passed on. Raises TypeError for NumPy arrays, as CuPy does."""
    if isinstance(x, ndarray):
        return x.numbers
    if isinstance(x, (tuple, list)):
        return type(x)(unwrap(v) for v in x)
    if x is None or x is Ellipsis or isinstance(x, (*SCALARS, str, slice, type, np.dtype)):
        return x
    raise TypeError(f"Unsupported type {type(x)}")


def wrap(x):
    """A NumPy result as a stand-in array; scalars become 0-d arrays, as in CuPy."""
    if isinstance(x, (tuple, list)):
        return type(x)(wrap(v) for v in x)
    return ndarray(np.asarray(x)) if isinstance(x, (np.ndarray, np.generic)) else x


class ndarray:  # noqa: N801
    """cupy.ndarray."""

    __array_priority__ = 100
    __hash__ = None

    def __init__(self, numbers):
        assert type(numbers) is np.ndarray, type(numbers)
        if numbers.dtype.kind not in "biufc" or not numbers.dtype.isnative:
            raise ValueError(f"Unsupported dtype {numbers.dtype}")
        self.numbers = numbers

    shape = property(lambda self: self.numbers.shape)
    dtype = property(lambda self: self.numbers.dtype)
    ndim = property(lambda self: self.numbers.ndim)
    size = property(lambda self: self.numbers.size)
    itemsize = property(lambda self: self.numbers.itemsize)
    nbytes = property(lambda self: self.numbers.nbytes)
    data = property(lambda self: types.SimpleNamespace(ptr=self.numbers.ctypes.data))
    strides = property(lambda self: self.numbers.strides)
    flags = property(lambda self: Flags(self.numbers))
    T = property(lambda self: ndarray(self.numbers.T))
    flat = property(lambda self: (ndarray(np.asarray(v)) for v in self.numbers.flat))

    @property
    def base(self):
        return None if self.numbers.base is None else ndarray(np.asarray(self.numbers.base))

    # With NumPy

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` "
                        "to construct a NumPy array explicitly.")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if not hasattr(names, ufunc.__name__) or not all(
                isinstance(x, (*OPERANDS, ndarray)) for x in (*inputs, *options.get("out", ()))):
            return NotImplemented
        return call_ufunc(ufunc, method, *inputs, **options)

    def __array_function__(self, function, kinds, args, options):
        known = function.__module__ in ("numpy", "numpy.linalg") and hasattr(names,
                                                                            function.__name__)
        if not known or not all(issubclass(kind, (ndarray, np.ndarray)) for kind in kinds):
            return NotImplemented
        return call(function, *args, **options)

    def get(self, stream=None, order="C", out=None, blocking=True):
        if out is None:
            return np.array(self.numbers, order="C")
        if not isinstance(out, np.ndarray):
            raise TypeError("Only numpy.ndarray can be obtained from cupy.ndarray")
        if self.dtype != out.dtype:
            raise TypeError(f"{out.dtype} array cannot be obtained from {self.dtype} array")
        if self.shape != out.shape:
            raise ValueError(f"Shape mismatch. Expected shape: {self.shape}, actual shape: "
                             f"{out.shape}")
        if not (out.flags.c_contiguous or out.flags.f_contiguous):
            raise RuntimeError("`out` cannot be specified when copying to non-contiguous ndarray")
        out[...] = self.numbers
        return out

    def set(self, x, stream=None):
        if not isinstance(x, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if self.dtype != x.dtype:
            raise TypeError(f"{x.dtype} array cannot be set to {self.dtype} array")
        if self.shape != x.shape:
            raise ValueError("Shape mismatch.")
        if not self.flags.c_contiguous:
            raise RuntimeError("Cannot set to non-contiguous array")
        self.numbers[...] = x

    # Elements

    def __getitem__(self, key):
        return ndarray(np.asarray(self.numbers[unwrap_index(key)]))

    def __setitem__(self, key, value):
        DEFAULT.behind += 1
        if isinstance(value, ndarray):
            self.numbers[unwrap_index(key)] = value.numbers
            return
        value = np.asarray(value, dtype=self.dtype)
        if value.shape != ():
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self.numbers[unwrap_index(key)] = value

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[k] for k in range(len(self)))

    def __contains__(self, value):
        return unwrap(value) in self.numbers

    def __format__(self, spec):
        return format(self.item() if self.ndim == 0 and spec else str(self), spec)

    def fill(self, value):
        self[...] = value

    # Copies and views

    def __reduce__(self):
        return ndarray, (self.numbers,)

    def __deepcopy__(self, memo):
        return self.copy()

    def copy(self, order="C"):
        return ndarray(self.numbers.copy(order=order))

    __copy__ = copy

    def view(self, dtype=None):
        return ndarray(self.numbers.view() if dtype is None else self.numbers.view(dtype))

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if not np.dtype(dtype).isnative:
            raise ValueError(f"Unsupported dtype {dtype} with big-endian byte-order")
        return ndarray(self.numbers.astype(dtype, order=order, copy=copy))

    def reshape(self, *shape, order="C", copy=None):
        return ndarray(self.numbers.reshape(*shape, order=order))


ndarray.__module__ = "cupy"


def unwrap_index(key):
    """An index, or a tuple of indices, for the NumPy array."""
    if isinstance(key, tuple):
        return tuple(map(unwrap_index, key))
    return key.numbers if isinstance(key, ndarray) else key


def call(function, *args, **options):
    """Applies a NumPy function to stand-in arrays."""
    result = function(*unwrap(args), **{name: unwrap(x) for name, x in options.items()})
    return wrap(result) if options.get("out") is None else options["out"]


def call_ufunc(ufunc, method, *inputs, out=None, **options):
    """Applies a ufunc or one of its methods; `out` must be a stand-in array."""
    out = out[0] if isinstance(out, tuple) else out
    if out is None:
        return call(getattr(ufunc, method), *inputs, **options)
    if not isinstance(out, ndarray):
        raise TypeError("Output arguments type must be cupy.ndarray")
    return call(getattr(ufunc, method), *inputs, out=out, **options)


def complete_the_class():
    """Adds the methods and operators that only delegate to NumPy."""
    def method(name):
        def of_numpy(self, *args, **options):
            return call(getattr(self.numbers, name), *args, **options)
        return of_numpy

    for name in ("sum mean max min argmax argmin all any transpose swapaxes ravel repeat squeeze "
                 "flatten clip dot std var round prod nonzero cumsum take argsort conj trace item "
                 "tolist __len__ __bool__ __int__ __float__ __index__ __repr__ __str__").split():
        setattr(ndarray, name, method(name))

    def operator(ufunc, swapped=False, in_place=False):
        def operate(self, other):
            if not isinstance(other, (*OPERANDS, ndarray)):
                return NotImplemented
            pair = (other, self) if swapped else (self, other)
            return call_ufunc(ufunc, "__call__", *pair, out=self if in_place else None)
        return operate

    for name, ufunc in {
            "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide,
            "floordiv": np.floor_divide, "mod": np.remainder, "pow": np.power,
            "matmul": np.matmul, "and": np.bitwise_and, "or": np.bitwise_or,
            "xor": np.bitwise_xor}.items():
        setattr(ndarray, f"__{name}__", operator(ufunc))
        setattr(ndarray, f"__r{name}__", operator(ufunc, swapped=True))
        setattr(ndarray, f"__i{name}__", operator(ufunc, in_place=True))
    for name, ufunc in {"lt": np.less, "le": np.less_equal, "gt": np.greater, "eq": np.equal,
                        "ge": np.greater_equal, "ne": np.not_equal}.items():
        setattr(ndarray, f"__{name}__", operator(ufunc))
    for name, ufunc in {"neg": np.negative, "abs": np.absolute, "invert": np.invert,
                        "pos": np.positive}.items():
        setattr(ndarray, f"__{name}__", lambda self, u=ufunc: call_ufunc(u, "__call__", self))


complete_the_class()

# The module and its functions


class Module(types.ModuleType):
    """cupy: the NumPy function of that name, if CuPy has it, too."""

    def __getattr__(self, name):
        if name.startswith("__") or not hasattr(names, name):
            raise AttributeError(f"module 'cupy' has no attribute {name!r}")
        found = getattr(np, name)
        if isinstance(found, np.ufunc):
            return functools.partial(call_ufunc, found, "__call__")
        if callable(found) and not isinstance(found, type):
            return functools.partial(call, found)
        return found


def array(x, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    if isinstance(x, (list, tuple)) and any(isinstance(v, ndarray) for v in x):
        x = np.stack(unwrap(x))
    x = x.numbers if isinstance(x, ndarray) else x
    return ndarray(np.array(x, dtype, copy=copy, order=order, ndmin=ndmin))


def asarray(x, dtype=None, order=None, *, blocking=False):
    there = isinstance(x, ndarray) and dtype in (None, x.dtype)
    return x if there else array(x, dtype, order=order or "K")


def ascontiguousarray(x, dtype=None):
    there = isinstance(x, ndarray) and x.flags.c_contiguous and dtype in (None, x.dtype)
    return x if there else array(x, dtype, order="C")


def poison(x):
    """Uninitialised memory: every byte 255, which makes floats NaN."""
    x.reshape(-1).view(np.uint8)[...] = 255
    return ndarray(x)


def empty(shape, dtype=float, order="C"):
    return poison(np.empty(shape, dtype, order))


def empty_like(x, dtype=None):
    return poison(np.empty_like(unwrap(x), dtype))


class CompileException(Exception):
    """cupy.cuda.compiler.CompileException."""


class CUDARuntimeError(RuntimeError):
    """cupy.cuda.runtime.CUDARuntimeError."""


class OutOfMemoryError(MemoryError):
    """cupy.cuda.memory.OutOfMemoryError."""


CUDARuntimeError.__module__ = "cupy_backends.cuda.api.runtime"
OutOfMemoryError.__module__ = "cupy.cuda.memory"


class RawModule:
    """cupy.RawModule: compiles the file named by the code's #line for the simulator."""

    def __init__(self, *, code, options=()):
        assert code.isascii()
        self.version, file = re.match(r'// (\w+)\n#line 1 "(.*?)"', code).groups()
        self.file, self.options = Path(file), options

    def compile(self):
        self.kernels = launch.read_kernels(self.file)
        try:
            self.code = simulator.library(self.file, tuple(self.kernels), self.options,
                                          launch.KERNELS, self.version)
        except KernelError as error:
            raise CompileException(str(error)) from error

    def get_function(self, name):
        return RawKernel(self.code, name, self.kernels[name].parameters)


class RawKernel:
    """cupy.RawKernel: a kernel of a module."""

    shared_size_bytes = 0  # what it declares with a size of its own is not known here
    max_dynamic_shared_size_bytes = 48 * 1024  # a kernel that needs more has to ask for it

    def __init__(self, code, name, parameters):
        self.code, self.name, self.parameters = code, name, parameters

    def __call__(self, grid, block, args, *, shared_mem=0):
        assert type(grid) is type(block) is type(args) is tuple
        assert shared_mem <= self.max_dynamic_shared_size_bytes
        DEFAULT.behind += 1
        for value in args:  # a plain int or float would be passed in another type
            assert isinstance(value, (ndarray, np.generic)), type(value)
            assert not isinstance(value, ndarray) or value.flags.c_contiguous
        simulator.run(self.code, self.name, grid, block, [
            (n, unwrap(value), not kind.startswith("const"))
            for (kind, n), value in zip(self.parameters, args, strict=True)],
            shared_memory=shared_mem)


class Event:
    """cupy.cuda.Event: a point in the work of a stream."""

    stream = None

    def record(self, stream=None):
        self.stream = stream or DEFAULT
        self.at, self.behind = time.perf_counter(), self.stream.behind
        self.until = self.stream.done + len(self.stream.queue)

    def complete(self):
        """What is before it is done."""
        while self.stream and self.stream.done < self.until:
            self.stream.queue.popleft()()
            self.stream.done += 1

    def synchronize(self):
        self.complete()


class Stream:
    """cupy.cuda.Stream. Kernels and copies are done at once. What NCCL does (standin_nccl.py) is
    done late, when the default stream or the processor waits for it; and it finds in an array what
    the default stream has written only if its own stream has waited for that.

    behind: how many writes of the default stream are done for sure when this one goes on.
    queue: the functions that complete what this one still has to do. done: how many it has done.
    """

    def __init__(self, non_blocking=False):
        self.non_blocking, self.queue, self.behind, self.done = (
            non_blocking, collections.deque(), 0, 0)
        self.ptr = id(self)
        STREAMS[self.ptr] = self

    def record(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        self.behind = max(self.behind, event.behind)
        if self is DEFAULT:
            event.complete()

    def synchronize(self):
        self.record().complete()


STREAMS = weakref.WeakValueDictionary()  # {ptr: Stream}
DEFAULT = Stream()  # the one of kernels


class Cublas:
    """cupy.cuda.cublas: the math mode of its only handle, and that of every product so far."""

    mode, products = 0, []

    def getMathMode(self, handle):  # noqa: N802
        assert handle == HANDLE
        return self.mode

    def setMathMode(self, handle, mode):  # noqa: N802
        assert handle == HANDLE
        self.mode = mode


HANDLE, CUBLAS = 4711, Cublas()


def matmul(a, b, out=None):
    CUBLAS.products.append(CUBLAS.mode)
    return call_ufunc(np.matmul, "__call__", a, b, out=out)


class Device:
    """cupy.cuda.Device with the data of an H100."""

    attributes = {"MemoryClockRate": 2619000, "GlobalMemoryBusWidth": 5120,
                  "MultiProcessorCount": 132, "ClockRate": 1980000,
                  "MaxSharedMemoryPerBlockOptin": 227 * 1024}
    compute_capability = "90"
    pci_bus_id = "0000:01:00.0"


def modules():
    """The stand-ins for cupy and cupyx."""
    cupy, cupyx = Module("cupy"), types.ModuleType("cupyx")
    vars(cupy).update(
        __version__="14.2.0", __path__=[], ndarray=ndarray, array=array, asarray=asarray,
        ascontiguousarray=ascontiguousarray, empty=empty, empty_like=empty_like,
        asnumpy=lambda x: x.get(), RawModule=RawModule, matmul=matmul)
    cupy.cuda = types.SimpleNamespace(
        runtime=types.SimpleNamespace(
            getDeviceCount=lambda: 1, CUDARuntimeError=CUDARuntimeError,
            getDeviceProperties=lambda k: {"name": b"no GPU, a stand-in"}),
        compiler=types.SimpleNamespace(CompileException=CompileException),
        memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        cublas=CUBLAS, get_cublas_handle=lambda: HANDLE,
        Stream=Stream, Event=Event, Device=Device, get_current_stream=lambda: DEFAULT,
        get_elapsed_time=lambda start, stop: (stop.at - start.at) * 1e3,
        set_allocator=lambda allocator: None, set_pinned_memory_allocator=lambda allocator: None,
        nccl=standin_nccl.module(STREAMS, DEFAULT, Device))
    cupyx.empty_pinned = lambda shape, dtype=float, order="C": np.empty(shape, dtype, order)
    return {"cupy": cupy, "cupy.cuda": cupy.cuda, "cupyx": cupyx}


MODULES = modules()
COMPILED = {name: functools.cache(getattr(launch, name).__wrapped__)  # not the true CuPy's caches
            for name in ("compiled", "_module")}


@contextlib.contextmanager
def installed():
    """Replaces CuPy by the stand-in, so that the device "cuda" exists, and puts it back."""
    before = {name: sys.modules[name] for name in MODULES if name in sys.modules}
    sys.modules.update(MODULES)
    try:
        with mock.patch.multiple(launch, **COMPILED):
            yield
    finally:
        for name in MODULES:
            del sys.modules[name]
        sys.modules.update(before)


@contextlib.contextmanager
def use_device(name):
    """minicnn's name of a device of the test suite; for NAME the stand-in is installed."""
    if name == NAME:
        with installed():
            yield "cuda"
    else:
        yield name
