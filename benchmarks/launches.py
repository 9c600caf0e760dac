"""What a launch costs in Python: the arguments checked, the grid, the kernel looked up.

    python -m benchmarks.launches                  without a GPU, on the stand-in for CuPy
                                                   (tests/standin.py); the kernels do nothing
    python -m benchmarks.launches --device cuda    on a GPU, with the kernels, which are tiny

The least of five times of 2,000 launches each: what is slower waited for something else.
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from minicnn.arrays import module_of, to_device
from minicnn.launch import flat, launch, read_kernels
from tests import standin

REPEATS, TIMES = 2000, 5
OWN = """#include "common.h"
extern "C" __global__ void own(const real* x, real* y, int64 size) { EACH(k, size) y[k] = x[k]; }
"""


def launches(folder: Path) -> dict[str, Callable[[], None]]:
    """A launch of few and of many arguments, and one of a kernel that stands in a file of one's
    own, which is looked at for changes each time; all on "cuda"."""
    def zeros(*shape: int):
        return to_device(np.zeros(shape, np.float32), "cuda")

    z, b, x, cols = zeros(8, 8), zeros(8), zeros(2, 8, 8, 3), zeros(16, 8, 3, 3, 3)
    p, g, m, s = (zeros(64) for _ in range(4))
    file = folder / "own.cu"
    file.write_text(OWN, encoding="utf-8")
    own = read_kernels(file)["own"]
    geometry = 8, 8, 3, 8, 8, 3, 3, 1, 1, 1, 1
    return {
        "bias_relu": lambda: launch("bias_relu", flat(64), z, b, 64, 8),
        "im2col": lambda: launch("im2col", (3, 16, 1), x, cols, 0, 16, *geometry),
        "adam": lambda: launch("adam", flat(64), p, g, m, s, 64, 0.1, 0.9, 0.1, 0.99, 0.01, 1e-8,
                               0.5),
        "own": lambda: launch(own, flat(64), p, g, 64)}


def seconds(function: Callable[[], None], wait: Callable[[], None], repeats: int = REPEATS
            ) -> tuple[float, float]:
    """(of Python alone, until the kernels are done, too) for one call."""
    function()
    times = []
    for _ in range(TIMES):
        wait()
        start = time.perf_counter()
        for _ in range(repeats):
            function()
        queued = time.perf_counter() - start
        wait()
        times.append((queued / repeats, (time.perf_counter() - start) / repeats))
    return min(times)


def measured(repeats: int = REPEATS) -> dict[str, dict[str, float]]:
    """{kernel: {"python": µs, "with the kernel": µs}} on the device "cuda"."""
    wait = module_of("cuda").cuda.get_current_stream().synchronize
    with tempfile.TemporaryDirectory() as folder:
        return {name: dict(zip(("python", "with the kernel"),
                               (round(1e6 * s, 1) for s in seconds(function, wait, repeats)),
                               strict=True))
                for name, function in launches(Path(folder)).items()}


@contextlib.contextmanager
def idle_standin():
    """The stand-in for CuPy, with kernels that do nothing."""
    with standin.installed(), mock.patch.object(
            standin.RawModule, "get_function", lambda self, name: lambda grid, block, args: None):
        yield


def main() -> None:
    """Prints a line for each kernel."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", standin.NAME], default=standin.NAME)
    device = parser.parse_args().device
    with idle_standin() if device == standin.NAME else contextlib.nullcontext():
        print(f"µs a launch, {device}")
        for name, found in measured().items():
            print(f"{name:<10} {found['python']:6.1f} Python, {found['with the kernel']:6.1f} "
                  f"with the kernel")


if __name__ == "__main__":
    main()
