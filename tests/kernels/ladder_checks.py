"""The ladder's kernels, and a kernel with all that a warp can do, against NumPy.

    python tests/kernels/ladder_checks.py [--kernels FOLDER] [NAME …]    all, or those named

Without pytest, so that a sanitizer runs it too.
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
import reference  # noqa: E402

from minicnn.ops import Window, to_cpu, to_device  # noqa: E402
from minicnn.ops.cuda import ladder, launch, simulator  # noqa: E402

STEPS = {step.name: step for step in ladder.STEPS}
# Several tiles each way, none of them full; off the middle, strides, windows in the padding
CASES = [((2, 9, 11, 8), Window((3, 3), (1, 1), ((1, 1), (1, 1)), (9, 11)), 68),
         ((1, 12, 13, 20), Window((2, 3), (2, 1), ((1, 0), (2, 1)), (12, 13)), 12),
         ((2, 3, 4, 4), Window((2, 2), (1, 3), ((3, 2), (4, 5)), (3, 4)), 4)]


def as_tf32(x):
    """Rounded to 11 binary digits, ties away from 0."""
    bits = x.view(np.uint32)
    return ((bits + 0x1000) & ~np.uint32(0x1fff)).view(np.float32)


def error(step, shape, window, F, dtype=np.float32, device="cuda-sim"):
    """Of a step, relative to the largest number expected. The tensor cores round x and W."""
    rng = np.random.default_rng(0)
    x, W = (rng.normal(size=size).astype(dtype) for size in (shape, (*window.kernel, shape[3], F)))
    z = to_cpu(ladder.conv2d(step, to_device(x, device), to_device(W, device), window))
    if step.name == "tensor_cores":
        x, W = as_tf32(x), as_tf32(W)
    expected = np.tensordot(reference.im2col(x, *window[:3]), W.astype(float), 3)
    assert z.shape == expected.shape and z.dtype == dtype
    off = np.abs(z - expected).max() / np.abs(expected).max()
    return math.inf if np.isnan(off) else off


WARP = """
    extern __shared__ __align__(16) real part[];  // of each thread four numbers
    const int t = threadIdx.x;
    copy_async(&part[4 * t], &x[4 * t], true);
    commit_copies();
    wait_copies<0>();
    __syncwarp();
    const float4 four = *(const float4*)&part[4 * (t ^ 1)];
    real sum = four.x + four.y + four.z + four.w;
    for (int b = 16; b; b /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, b);
    __syncthreads();
    part[t] = sum;
    __syncthreads();
    y[t] = part[63 - t];"""


def check_warps(shared_memory=64 * 16):
    """Two warps add their numbers, which come by copies, and exchange the sums."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "warps.cu")
        file.write_text('#include "common.h"\n#include "tensor_core.h"\nextern "C" __global__ void '
                        f"warps(const real* x, real* y) {{{WARP}\n}}\n")
        y = simulator.xp.empty(64, np.float32)
        x = np.arange(256).astype(np.float32)
        launch.launch(launch.read_kernels(file)["warps"], (1, 1, 1), to_device(x, "cuda-sim"), y,
                      block=(64, 1, 1), shared_memory=shared_memory)
    assert (to_cpu(y) == np.repeat([x[128:].sum(), x[:128].sum()], 32)).all()


def check(name):
    if name == "warps":
        check_warps()
    else:
        assert all(error(STEPS[name], *case) < 1e-6 for case in CASES)


CHECKS = [*STEPS, "warps"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CHECKS))
    parser.add_argument("--kernels", type=Path, default=launch.KERNELS, help="folder of .cu files")
    given = parser.parse_args()
    launch.KERNELS, simulator.runs = given.kernels.resolve(), 2
    for name in given.names or CHECKS:
        check(name)
        sys.stdout.write(f"{name}: agrees\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
