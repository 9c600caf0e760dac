"""The Python time of a launch: validating the arguments, looking up the compiled kernel.

    python -m benchmarks.launches                  without a GPU: on the stand-in for CuPy
                                                   (tests/standin.py), with kernels that do nothing
    python -m benchmarks.launches --device cuda    on a GPU, with tiny arrays

The minimum of five runs of 2,000 launches each. "own" is a kernel outside kernels/, whose file is
checked for changes at every launch.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from minicnn.ops import module_of, to_device
from minicnn.ops.cuda.launch import flat, launch, read_kernels

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))
import standin  # noqa: E402

REPEATS, TIMES = 2000, 5
OWN = """#include "common.h"
extern "C" __global__ void own(const real* x, real* y, int64 size) { EACH(k, size) y[k] = x[k]; }
"""


def launches(folder: Path) -> dict[str, Callable[[], None]]:
    """Launches on "cuda" with few and with many arguments, and of a kernel outside kernels/."""
    def zeros(*shape: int):
        return to_device(np.zeros(shape, np.float32), "cuda")

    z, b, x, cols = zeros(8, 8), zeros(8), zeros(2, 8, 8, 3), zeros(16, 8, 3, 3, 3)
    p, g, m, s = (zeros(64) for _ in range(4))
    file = folder / "own.cu"
    file.write_text(OWN, encoding="utf-8")
    own = read_kernels(file)["own"]
    geometry = 8, 8, 3, 8, 8, 3, 3, 1, 1, 1, 1
    return {
        "bias_relu": lambda: launch("bias_relu", (1, 1, 1), z, b, 8, 8, block=(32, 8, 1)),
        "im2col": lambda: launch("im2col", (1, 16, 1), x, cols, 0, 16, *geometry,
                                 block=(32, 8, 1)),
        "adam": lambda: launch("adam", flat(64), p, g, m, s, 64, 0.1, 0.9, 0.1, 0.99, 0.01, 1e-8,
                               0.5),
        "own": lambda: launch(own, flat(64), p, g, 64)}


def seconds(function: Callable[[], None], wait: Callable[[], None], repeats: int = REPEATS
            ) -> tuple[float, float]:
    """Per call: (Python alone, including the kernels)."""
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


def measure(repeats: int = REPEATS) -> dict[str, dict[str, float]]:
    """{kernel: {"python": µs, "with the kernel": µs}} on the device "cuda"."""
    wait = module_of("cuda").cuda.get_current_stream().synchronize
    with tempfile.TemporaryDirectory() as folder:
        return {name: dict(zip(("python", "with the kernel"),
                               (round(1e6 * s, 1) for s in seconds(function, wait, repeats)),
                               strict=True))
                for name, function in launches(Path(folder)).items()}


@contextlib.contextmanager
def standin_without_kernels():
    """The stand-in for CuPy with kernels that do nothing."""
    def forget():
        """Compiled kernels, which are kept, hold the functions they were compiled with."""
        for kept in standin.COMPILED.values():
            kept.cache_clear()

    forget()
    try:
        with standin.installed(), mock.patch.object(
                standin.RawModule, "get_function",
                lambda self, name: lambda grid, block, args: None):
            yield
    finally:
        forget()


def main() -> None:
    """Prints one line per kernel."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", standin.NAME], default=standin.NAME)
    device = parser.parse_args().device
    with standin_without_kernels() if device == standin.NAME else contextlib.nullcontext():
        print(f"µs per launch, {device}")
        for name, times in measure().items():
            print(f"{name:<10} {times['python']:6.1f} Python, {times['with the kernel']:6.1f} "
                  f"with the kernel")


if __name__ == "__main__":
    main()
