"""Bias, activations and the cross-entropies that end in them: kernels/bias_relu.cu,
activations.cu, softmax.cu and cross_entropy.cu."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import array_module, to_cpu
from .launch import block_each, flat, launch
from .signatures import MAX_GRID


def _launch_elementwise(kernel: str, *arrays: np.ndarray) -> np.ndarray:
    """A new array like those given, filled by a thread for each element."""
    out = array_module(*arrays).empty(arrays[0].shape, arrays[0].dtype)
    launch(kernel, flat(out.size), *arrays, out, out.size)
    return out


def _launch_rows(kernel: str, *arrays: np.ndarray) -> np.ndarray:
    """A new array like those given, (…, K), filled by a block of threads for each row."""
    out = array_module(*arrays).empty(arrays[0].shape, arrays[0].dtype)
    K = out.shape[-1]
    rows = out.size // K
    launch(kernel, block_each(rows), *arrays, out, rows, K)
    return out


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0), of x's shape."""
    return _launch_elementwise("relu", x)


def relu_grad(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy · [y > 0]."""
    return _launch_elementwise("relu_backward", dy, y)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e⁻ˣ), of x's shape."""
    return _launch_elementwise("sigmoid", x)


def sigmoid_grad(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy · y · (1 − y)."""
    return _launch_elementwise("sigmoid_backward", dy, y)


def softmax(x: np.ndarray) -> np.ndarray:
    """e^{x_k} / Σ_j e^{x_j} over the last axis."""
    return _launch_rows("softmax", x)


def softmax_grad(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dx_k = y_k (dy_k − Σ_j dy_j y_j) over the last axis."""
    return _launch_rows("softmax_backward", dy, y)


def sigmoid_cross_entropy(z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits z, targets t -> l, dl/dz, all of one shape."""
    xp = array_module(z, t)
    loss, dz = xp.empty(z.shape, z.dtype), xp.empty(z.shape, z.dtype)
    launch("sigmoid_cross_entropy", flat(z.size), z, t, loss, dz, z.size)
    return loss, dz


def softmax_cross_entropy(z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits z, targets t (N, K) -> l (N,), dl/dz (N, K)."""
    xp = array_module(z, t)
    loss, dz = xp.empty(len(z), z.dtype), xp.empty(z.shape, z.dtype)
    launch("softmax_cross_entropy", block_each(len(z)), z, t, loss, dz, *z.shape)
    return loss, dz


def add_bias_relu(z: np.ndarray, b: np.ndarray | None, relu: bool) -> None:
    """z (…, F) ← z + b, or max(z + b, 0) in one pass, in place; b None adds nothing."""
    if b is None:
        return
    if relu:
        F = z.shape[-1]
        rows = z.size // F
        launch("bias_relu", (-(-F // 32), min(-(-rows // 64), MAX_GRID[1]), 1), z, b, rows, F,
               block=(32, 8, 1))  # a thread takes eight rows
    else:
        z += b


def bias_grad(dz: np.ndarray) -> np.ndarray:
    """dz (…, F) -> db (F,): the sum of all rows.

    In two steps: many blocks of threads add up some rows each, then one adds up their sums. The
    order is always the same, and so is the result, to the last bit.
    """
    F = dz.shape[-1]
    x, xp = dz.reshape(-1, F), array_module(dz)
    if len(x) == 0:
        return xp.zeros(F, dz.dtype)
    for parts in (min(-(-len(x) // 64), 1024), 1):
        sums = xp.empty((parts, F), dz.dtype)
        launch("column_sums", (-(-F // 32), parts, 1), x, sums, len(x), F, block=(32, 8, 1))
        x = sums
    return x.reshape(F)


def all_finite(arrays: Sequence[np.ndarray]) -> bool:
    """Whether no array holds a NaN or an infinity.

    All launches write to one place on the GPU, which the processor waits for once, at the end.
    """
    if not arrays:
        return True
    any_not_finite = array_module(*arrays).zeros(1, np.uint8)
    for x in arrays:
        launch("not_finite", flat(x.size), x, any_not_finite, x.size)
    return not to_cpu(any_not_finite)[0]
