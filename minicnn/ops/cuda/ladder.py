"""One convolution in seven steps, from a naive kernel to tensor cores: kernels/ladder/*.cu.

Each step differs from the one before by one idea. The engine does not use them: they are for
reading, for lesson 7 and for python -m benchmarks.ladder.

Sources: Boehm, "How to optimize a CUDA matmul kernel for cuBLAS-like performance", 2022, for the
order of the steps; Chetlur et al., "cuDNN: efficient primitives for deep learning", 2014.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...utils.errors import ArgumentError, ShapeError
from .. import array_module, device_of
from ..kernel_files import Kernel
from ..window import Window
from . import launch as launcher
from .im2col_blocks import geometry
from .signatures import check_sizes


@dataclass(frozen=True)
class Step:
    """A kernel of the ladder, the tile of Z (pixels × filters) that one of its blocks computes, and
    what it requires: numbers in fours (float32, C and F multiples of 4), a compute capability."""

    name: str
    idea: str
    pixels: int
    filters: int
    block: tuple[int, int, int]
    in_fours: bool = False
    capability: int = 0

    @property
    def kernel(self) -> Kernel:
        """As it stands in its file."""
        return launcher.kernels(launcher.KERNELS / "ladder")[self.name]


STEPS = (
    Step("naive", "a thread for each output, neighbours along pixels", 32, 8, (32, 8, 1)),
    Step("coalesced", "neighbours along filters", 8, 32, (32, 8, 1)),
    Step("tiles", "tiles in shared memory", 16, 16, (16, 16, 1)),
    Step("registers", "4 × 4 outputs a thread, in registers", 64, 64, (16, 16, 1)),
    Step("vectorized", "8 × 8 outputs a thread, float4", 128, 64, (8, 16, 1), True),
    Step("double_buffered", "double-buffered with cp.async", 128, 64, (8, 16, 1), True, 80),
    Step("tensor_cores", "tensor cores in TF32", 128, 64, (128, 1, 1), True, 80),
)


def conv2d(step: Step, x: np.ndarray, W: np.ndarray, window: Window) -> np.ndarray:
    """x (N, H, Wd, C), W (KH, KW, C, F) -> z (N, OH, OW, F) by a step of the ladder.

    Raises ArgumentError or ShapeError if the step cannot compute it, or not on this GPU.
    """
    check_step(step, x, W)
    (N, _, _, C), F = x.shape, W.shape[3]
    M = N * window.output_size[0] * window.output_size[1]
    z = array_module(x, W).empty((N, *window.output_size, F), x.dtype)
    values = x, W, z, M, F, *geometry(window, C)
    check_sizes(step.kernel, values)
    grid = -(-M // step.pixels), -(-F // step.filters), 1
    launcher.launch(step.kernel, grid, *values, block=step.block)
    return z


def check_step(step: Step, x: np.ndarray, W: np.ndarray) -> None:
    """Raises if the step cannot convolve x with W."""
    C, F = W.shape[2:]
    if step.in_fours and x.dtype != np.float32:
        raise ArgumentError(f"{step.name}: expected x as float32, four of which are a float4, "
                            f"received {x.dtype}. Use the steps before it.")
    if step.in_fours and (C % 4 or F % 4):
        raise ShapeError(f"{step.name}: expected channels and filters in multiples of 4, which are "
                         f"read four at a time, received {C} and {F}. Use the steps before it, or "
                         f"add channels and filters of zeros.")
    if step.capability and device_of(x) == "cuda":
        import cupy

        capability = int(cupy.cuda.Device().compute_capability)
        if capability < step.capability:
            raise ArgumentError(f"{step.name}: expected a GPU of compute capability "
                                f"{step.capability / 10:.1f} or newer, received one of "
                                f"{capability / 10:.1f}. Use the steps before it.")
