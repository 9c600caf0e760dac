"""How much memory of a GPU VGG16 needs: counted, not measured, and without a GPU.

    python -m benchmarks.gpu_memory                 seconds, and no large memory
    python -m benchmarks.gpu_memory --batch 8

The engine runs as it does on a GPU, on arrays of the device cuda-sim that nobody touches: kernels,
matrix products and all other arithmetic are left out, every array is made and given back at its
time. "needed" is the most that they hold together. "pool" is the most that CuPy would have taken
from the card: its pool rounds each array up to 512 bytes, cuts it from the smallest free piece that
is large enough and asks for more where there is none; where the card has no more, it gives free
pieces back first, so a card must hold "needed" in any case and is at ease with "pool".

Not counted: the CUDA context and the code of the kernels (some hundred MB, by card and driver),
cuBLAS' workspace (NVIDIA's advice: 4 MiB, on Hopper 32 MiB), scratch of CuPy's reductions.
"""

import argparse
import bisect
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

import minicnn as mc
from minicnn.layers import base
from minicnn.ops import to_device
from minicnn.ops.cuda import launch, simulator
from minicnn.ops.cuda.simulator import SimArray, plain, wrapped
from minicnn.training import batches
from minicnn.training.callbacks import terminate_on_nan

GB = 1e9


class Pool:
    """CuPy's pool of one stream: pieces (place, size) of what it has asked the card for."""

    def __init__(self) -> None:
        self.free: list[tuple[int, int]] = []  # (size, place), sorted
        self.held, self.end = 0, 0             # bytes asked for; no two requests lie side by side

    def take(self, size: int) -> tuple[int, int]:
        """A piece of `size` bytes, rounded up."""
        size = -(-size // 512) * 512
        k = bisect.bisect_left(self.free, (size, 0))
        if k == len(self.free):
            self.held += size
            place, self.end = self.end, self.end + size + 1
            return place, size
        found, place = self.free.pop(k)
        if found > size:
            bisect.insort(self.free, (found - size, place + size))
        return place, size

    def give(self, place: int, size: int) -> None:
        """Back it comes, and grows together with its free neighbours."""
        for other in list(self.free):
            if other[1] + other[0] == place or place + size == other[1]:
                self.free.remove(other)
                place, size = min(place, other[1]), size + other[0]
        bisect.insort(self.free, (size, place))


class Memory:
    """What lives on the device: now, and at most."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.pool, self.known = Pool(), set()

    def meet(self, array: np.ndarray) -> None:
        """Counts the memory that an array lies in, once, until it goes."""
        while isinstance(array.base, np.ndarray):
            array = array.base
        if id(array) not in self.known and array.nbytes:
            self.known.add(id(array))
            self.now += array.nbytes
            self.most = max(self.most, self.now)
            piece = self.pool.take(array.nbytes)
            weakref.finalize(array, self.lose, id(array), array.nbytes, piece)

    def lose(self, name: int, size: int, piece: tuple[int, int]) -> None:
        """An array has gone."""
        self.known.remove(name)
        self.now -= size
        self.pool.give(*piece)


@contextmanager
def counted() -> Iterator[Memory]:
    """Nothing is computed on cuda-sim inside, and its arrays are counted; they hold zeros that were
    never written, for which the system takes no memory."""
    memory = Memory()

    def new(shape: Any, dtype: Any = np.float64) -> SimArray:
        return wrapped(np.zeros(shape, dtype))

    def like(x: Any, dtype: Any = None, **_: Any) -> SimArray:
        x = x if isinstance(x, np.ndarray) else np.asarray(x)
        return new(x.shape, dtype or x.dtype)

    function_of = type(simulator.xp).__getattr__

    def attribute(self: Any, name: str) -> Any:  # np.matmul of SimArrays comes to ufunc below
        found = getattr(np, name)
        return found if isinstance(found, np.ufunc) else function_of(self, name)

    def ufunc(self: SimArray, function: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if "out" in kwargs:
            return kwargs["out"][0]
        if method != "__call__":  # sums: small ones
            return wrapped(getattr(function, method)(*plain(inputs), **plain(kwargs)))
        ones = [np.ones((1,) * x.ndim, x.dtype) if isinstance(x, np.ndarray) else x for x in inputs]
        shapes = [np.shape(x) for x in inputs]
        shape = (shapes[0][0], shapes[1][1]) if function is np.matmul else \
            np.broadcast_shapes(*shapes)
        return new(shape, function(*ones).dtype)

    raw_batches = batches._raw_batches

    def ahead(network: mc.Sequential, *args: Any) -> Iterator[tuple]:  # as prefetch_to_gpu does
        before = None
        for x, *rest in raw_batches(network, *args):
            before, coming = (to_device(x, network.device), *rest), before
            if coming:
                yield coming
        if before:
            yield before

    with ExitStack() as patches:
        for owner, name, value in (
                (simulator, "compiler", lambda: ""),
                (launch, "compiled", lambda *_: lambda grid, block, arguments: None),
                (batches, "_raw_batches", ahead),
                (terminate_on_nan, "all_finite", lambda *_: True),  # nothing was computed:
                (batches, "is_finite", lambda _: True),             # nothing to be checked
                (base, "initialize", lambda kind, shape, rng: np.zeros(shape, np.float32)),
                (simulator.xp, "empty", new), (simulator.xp, "zeros", new),
                (simulator.xp, "zeros_like", like), (simulator.xp, "array", like),
                (type(simulator.xp), "__getattr__", attribute),
                (SimArray, "__array_ufunc__", ufunc), (SimArray, "__setitem__", lambda *_: None),
                (SimArray, "__array_finalize__", lambda self, _: memory.meet(self))):
            patches.enter_context(patch.object(owner, name, value))
        yield memory


def kept_bytes(model: mc.Sequential, optimizer: Any = None) -> tuple[int, int]:
    """Bytes of (the weights, their gradients with the optimizer's state)."""
    weights = [p for layer in model.layers for p in layer.params.values()]
    others = [g for layer in model.layers for g in layer.grads.values()]
    for state in optimizer.state.values() if optimizer else ():
        others += [value for value in state.values() if np.ndim(value)]
    return sum(p.nbytes for p in weights), sum(g.nbytes for g in others)


def inference(build: Callable[[], mc.Sequential], batch: int) -> tuple[Memory, int, int]:
    """model.predict on two batches of photos: (memory, bytes of the weights, 0)."""
    with counted() as memory:
        model = build().to("cuda-sim")
        model.predict(np.zeros((2 * batch, *model.input_shape), np.uint8), batch)
        return memory, *kept_bytes(model)


def training(build: Callable[[], mc.Sequential], batch: int) -> tuple[Memory, int, int]:
    """mc.fit with Adam on two batches of photos: (memory, bytes of weights, of what they need)."""
    with counted() as memory:
        model, optimizer = build().to("cuda-sim"), mc.optimizers.Adam()
        loss = mc.losses.BinaryCrossEntropy() if model.shapes()[-1] == (1,) else \
            mc.losses.CategoricalCrossEntropy()
        photos = np.zeros((2 * batch, *model.input_shape), np.uint8)
        mc.fit(model, (photos, np.zeros(2 * batch, int)), loss, optimizer, epochs=1,
               batch_size=batch)
        return memory, *kept_bytes(model, optimizer)


def base_with_head(cut: str, frozen: str | None) -> mc.Sequential:
    """VGG16's base up to `cut` with Dense(1) + sigmoid, frozen up to the layer `frozen`."""
    model = mc.VGG16(include_top=False, weights=None)
    model.replace_head([mc.Dense(1), mc.Sigmoid()], after=cut)
    if frozen:
        model.freeze(until=frozen)
    return model


def whole() -> mc.Sequential:
    """VGG16 with its top."""
    return mc.VGG16(weights=None)


CASES = (
    ("inference, base", inference, lambda: mc.VGG16(include_top=False, weights=None)),
    ("inference, whole VGG16", inference, whole),
    ("training the head on block4_pool", training,
     lambda: base_with_head("block4_pool", "block4_pool")),
    ("training block 5 and the head", training, lambda: base_with_head("block5_pool",
                                                                       "block4_pool")),
    ("training base and head", training, lambda: base_with_head("block5_pool", None)),
    ("training the whole VGG16", training, whole),
)


def table(batch: int) -> str:
    """The cases in Markdown, in GB (1e9 bytes)."""
    lines = [f"| VGG16, {batch} photos of 224 × 224, float32 | weights | gradients, Adam's state "
             f"| the rest at most | needed, GB | pool, GB |\n|{' --- |' * 6}"]
    for title, run, build in CASES:
        memory, weights, others = run(build, batch)
        cells = weights, others, memory.most - weights - others, memory.most, memory.pool.held
        lines.append(f"| {title} | {' | '.join(f'{size / GB:.2f}' for size in cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32, help="photos at a time (default: 32)")
    print(table(parser.parse_args().batch))
    print("\nCOUNTED from the arrays that the engine asks for, not measured on a GPU. Not counted: "
          "the CUDA\ncontext, the code of the kernels, cuBLAS' workspace.")


if __name__ == "__main__":
    main()
