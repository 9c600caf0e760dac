"""Every operation, and VGG16, on a GPU: our kernels against PyTorch (cuDNN), and against the card.

    python -m benchmarks.gpu                    needs an NVIDIA GPU, the extra cuda12 or cuda13, and
                                                a PyTorch that sees the GPU
    python -m benchmarks.gpu --photos 8         VGG16 with smaller batches, for small cards

One run, ours and theirs in alternating pairs, timed by CUDA events around as many calls as fill 20
ms; the ratio is the median of the pairs' ratios. Small operations wait for the processor to launch
them, and that counts. Bytes and flops are those of benchmarks.roofline;
the peaks come from the card itself: memory clock · bus width · 2, multiprocessors · cores · clock ·
2. The last column is the greatest difference between the two results over the greatest result.

The first table has TF32 off on both sides. As it is installed, PyTorch lets cuDNN's convolutions
use TF32, and computes other products in float32: the second table has what multiplies matrices,
against that PyTorch, once in float32 and once with ops.use_precision("tf32"). cuDNN gets
channels_last everywhere, which is the layout of our arrays, and chooses its fastest algorithm.
"""

import argparse
import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks.gpu_cases import (
    Case,
    Twins,
    column_cases,
    convolution_cases,
    elementwise_cases,
    few_channels_cases,
    network_cases,
    optimizer_cases,
    pooling_cases,
)
from benchmarks.gpu_layer_cases import activation_cases, batch_norm_cases
from benchmarks.roofline import Card
from minicnn import VGG16, Sequential
from minicnn.ops import module_of, to_cpu
from minicnn.ops.precision import PRECISIONS, use_precision
from minicnn.utils.errors import ArgumentError

# FP32 cores of an SM by compute capability: CUDA C++ Programming Guide, throughput of arithmetic
# instructions (results per clock and SM, 32-bit floating-point add, multiply, multiply-add).
CORES = {"70": 64, "75": 64, "80": 64, "86": 128, "89": 128, "90": 128, "100": 128, "120": 128}
Timer = Callable[[Callable[[], Any], int], float]


class Result(NamedTuple):
    """Medians of seconds per call, the median ratio ours / theirs, the relative difference."""

    case: Case
    ours: float
    theirs: float
    ratio: float
    difference: float


def event_seconds(function: Callable[[], Any], repeats: int) -> float:
    """Seconds per call between two CUDA events; CuPy and PyTorch both use the default stream."""
    import cupy

    start, stop = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    for _ in range(repeats):
        function()
    stop.record()
    stop.synchronize()
    return cupy.cuda.get_elapsed_time(start, stop) / 1e3 / repeats


def host_seconds(function: Callable[[], Any], repeats: int) -> float:
    """Seconds per call by the processor's clock, for devices that finish before they return."""
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def difference(ours: Any, theirs: Any) -> float:
    """max |ours − theirs| / max |theirs|, of the worst of the arrays that both return."""
    pairs = zip(*(r if isinstance(r, tuple) else (r,) for r in (ours, theirs)), strict=False)
    worst = 0.0
    for a, b in pairs:
        b = b.detach().cpu().numpy()
        a = to_cpu(a).reshape(b.shape)
        worst = max(worst, float(np.abs(a - b).max() / np.abs(b).max()))
    return worst


def measure(case: Case, timer: Timer, pairs: int = 7, fill: float = 0.02) -> Result:
    """Compares the results, which also warms up, then times `pairs` alternating pairs."""
    functions = case.ours, case.theirs
    gap = difference(*(function() for function in functions))
    repeats = [max(1, min(1000, round(fill / max(timer(function, 1), 1e-9))))
               for function in functions]
    times = [[], []]
    for k in range(pairs):
        for i in (0, 1) if k % 2 else (1, 0):
            times[i].append(timer(functions[i], repeats[i]))
    return Result(case, median(times[0]), median(times[1]),
                  median(a / b for a, b in zip(*times, strict=True)), gap)


def product_cases(device: str, x_shape: tuple[int, int, int, int], filters: int,
                  model: Callable[[], Sequential], photos: int) -> Iterator[Case]:
    """The cases with matrix products, one family in memory at a time."""
    twins = Twins(device)
    photos_shape = (*x_shape[:3], 3)
    yield from chain(convolution_cases(twins, x_shape, filters),
                     few_channels_cases(twins, photos_shape, filters),
                     network_cases(twins, model(), photos))


def all_cases(device: str, x_shape: tuple[int, int, int, int], filters: int, rows: tuple[int, int],
              parameters: int, model: Callable[[], Sequential], photos: int) -> Iterator[Case]:
    """Every case, one family in memory at a time."""
    twins = Twins(device)
    yield from chain(
        column_cases(twins, x_shape), pooling_cases(twins, x_shape),
        elementwise_cases(twins, *rows), activation_cases(twins, *rows),
        batch_norm_cases(twins, *rows), optimizer_cases(twins, parameters))
    yield from product_cases(device, x_shape, filters, model, photos)


def standard_cases(photos: int) -> Iterator[Case]:
    """The cases of the first table: sizes that fill a card, and VGG16 on `photos` photos."""
    return all_cases("cuda", (4, 224, 224, 64), 64, (1 << 14, 1024), 1 << 24,
                     lambda: VGG16(weights=None), photos)


def standard_product_cases(photos: int) -> Iterator[Case]:
    """The cases of the second table, of the same sizes."""
    return product_cases("cuda", (4, 224, 224, 64), 64, lambda: VGG16(weights=None), photos)


def against_pytorch_as_it_comes(cases: Iterable[Case]) -> Iterator[Case]:
    """Each case twice, ours in float32 and in TF32; while it is measured, PyTorch uses TF32 where
    it does by default."""
    for case in cases:
        for precision in PRECISIONS:
            def ours(case=case, precision=precision):
                with use_precision(precision):
                    return case.ours()
            with torch_tf32():
                yield dataclasses.replace(case, name=f"{case.name}, ours in {precision}", ours=ours)


def set_up_torch() -> None:
    """Switches TF32 off and lets cuDNN choose its fastest algorithm."""
    import torch

    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = True


@contextlib.contextmanager
def torch_tf32() -> Iterator[None]:
    """PyTorch's own default: cuDNN may use TF32, other products may not."""
    import torch

    torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = False


def require_gpu() -> Any:
    """CuPy. Raises ArgumentError if CuPy or PyTorch does not find a GPU."""
    import torch

    cupy = module_of("cuda")
    if not torch.cuda.is_available():
        raise ArgumentError("expected a PyTorch that sees the GPU, found one that does not. "
                            "Install it as pytorch.org says for your CUDA.")
    return cupy


def this_card() -> Card:
    """The peaks of the GPU; 0 where the card does not tell."""
    import cupy

    device, name = cupy.cuda.Device(), cupy.cuda.runtime.getDeviceProperties(0)["name"]
    tells = device.attributes
    bandwidth = tells.get("MemoryClockRate", 0) * 1e3 * tells.get("GlobalMemoryBusWidth", 0) / 8 * 2
    flops = (tells.get("MultiProcessorCount", 0) * CORES.get(device.compute_capability, 0)
             * tells.get("ClockRate", 0) * 1e3 * 2)
    return Card(name.decode(), bandwidth, flops)


def line(result: Result, card: Card) -> str:
    """A row of the table."""
    case, seconds = result.case, result.ours
    cells = [case.name, f"{seconds * 1e3:.3g}", f"{result.theirs * 1e3:.3g}",
             f"{result.ratio:.2f}"]
    for amount, peak in ((case.bytes, card.bandwidth), (case.flops, card.flops)):
        rate = amount / seconds
        cells += [f"{rate / 1e9:.3g}" if amount else "–",
                  f"{rate / peak:.0%}" if amount and peak else "–"]
    return f"| {' | '.join([*cells, f'{result.difference:.0e}'])} |"


def report(cases: Iterable[Case], card: Card, timer: Timer, pairs: int = 7, fill: float = 0.02
           ) -> Iterator[str]:
    """The table in Markdown, line by line as it is measured."""
    yield ("| operation | ours, ms | PyTorch, ms | ours / PyTorch | GB/s | of peak | GFLOP/s "
           "| of peak | difference |")
    yield f"|{' --- |' * 9}"
    for case in cases:
        yield line(measure(case, timer, pairs, fill), card)


def main() -> None:
    """Prints one table; without a GPU one sentence, and exits with 2."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=32, help="VGG16's batch (default: 32)")
    parser.add_argument("--pairs", type=int, default=7, help="timings of each (default: 7)")
    arguments = parser.parse_args()
    import torch

    try:
        cupy = require_gpu()
    except ArgumentError as error:
        print(f"gpu: {error}", file=sys.stderr)
        sys.exit(2)
    set_up_torch()
    card = this_card()
    print(f"{card.name}: {card.bandwidth / 1e9:,.0f} GB/s, {card.flops / 1e12:.1f} TFLOP/s at "
          f"peak; CuPy {cupy.__version__}, PyTorch {torch.__version__}, "
          f"cuDNN {torch.backends.cudnn.version()}; float32, medians of {arguments.pairs} pairs\n")
    for title, cases in (
            ("TF32 off on both sides", standard_cases(arguments.photos)),
            ("PyTorch as it comes: TF32 in convolutions",
             against_pytorch_as_it_comes(standard_product_cases(arguments.photos)))):
        print(f"\n{title}\n")
        for text in report(cases, card, event_seconds, arguments.pairs):
            print(text, flush=True)


if __name__ == "__main__":
    main()
