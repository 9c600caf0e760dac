"""Bias, activations and the cross-entropies that end in them: kernels/bias_relu.cu, relu.cu,
activations.cu, softmax.cu and cross_entropy.cu."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import array_module, to_cpu
from .launch import block_each, flat, launch
from .signatures import MAX_GRID


def _launch_elementwise(kernel: str, *arrays: np.ndarray, numbers: tuple[float, ...] = ()
                        ) -> np.ndarray:
    """A new array like those given, filled by a thread for each element."""
    out = array_module(*arrays).empty(arrays[0].shape, arrays[0].dtype)
    launch(kernel, flat(out.size), *arrays, out, out.size, *numbers)
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


def tanh(x: np.ndarray) -> np.ndarray:
    """(eˣ − e⁻ˣ) / (eˣ + e⁻ˣ), of x's shape."""
    return _launch_elementwise("tanh_forward", x)


def tanh_grad(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy · (1 − y²)."""
    return _launch_elementwise("tanh_backward", dy, y)


def elu(x: np.ndarray, alpha: float) -> np.ndarray:
    """x where x > 0, else α (eˣ − 1)."""
    return _launch_elementwise("elu", x, numbers=(alpha,))


def elu_grad(dy: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    """dy where y > 0, else dy · (y + α)."""
    return _launch_elementwise("elu_backward", dy, y, numbers=(alpha,))


def leaky_relu(x: np.ndarray, slope: float) -> np.ndarray:
    """x where x > 0, else slope · x."""
    return _launch_elementwise("leaky_relu", x, numbers=(slope,))


def leaky_relu_grad(dy: np.ndarray, y: np.ndarray, slope: float) -> np.ndarray:
    """dy where y > 0, else slope · dy."""
    return _launch_elementwise("leaky_relu_backward", dy, y, numbers=(slope,))


def clipped_line(x: np.ndarray, slope: float, shift: float, limit: float) -> np.ndarray:
    """min(max(slope · x + shift, 0), limit), of x's shape."""
    return _launch_elementwise("clipped_line", x, numbers=(slope, shift, limit))


def clipped_line_grad(dy: np.ndarray, y: np.ndarray, slope: float, limit: float) -> np.ndarray:
    """slope · dy · [0 < y < limit]."""
    return _launch_elementwise("clipped_line_backward", dy, y, numbers=(slope, limit))


def silu(x: np.ndarray) -> np.ndarray:
    """x σ(x), of x's shape; σ is the sigmoid."""
    return _launch_elementwise("silu", x)


def silu_grad(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dy · (σ + x σ (1 − σ))."""
    return _launch_elementwise("silu_backward", dy, x)


def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + eˣ), of x's shape."""
    return _launch_elementwise("softplus", x)


def softplus_grad(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dy · σ(x)."""
    return _launch_elementwise("softplus_backward", dy, x)


def _columns_of(x: np.ndarray, alpha: np.ndarray) -> tuple[int, int, np.ndarray]:
    """(rows, F, alpha (F,)): x as a matrix whose columns have an alpha each."""
    if alpha.shape[:-1] == (1,) * (alpha.ndim - 1) and alpha.shape[-1] == x.shape[-1]:
        F = alpha.size  # all pixels share: a row is a pixel
    else:
        alpha = array_module(x).ascontiguousarray(
            array_module(x).broadcast_to(alpha, x.shape[1:]))
        F = alpha.size  # a row is a sample
    return x.size // F, F, alpha.reshape(F)


def column_grid(rows: int, F: int) -> tuple[int, int, int]:
    """Blocks of 32 × 8 threads, which keep to their columns and take eight rows."""
    return -(-F // 32), min(-(-rows // 64), MAX_GRID[1]), 1


def prelu(x: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """x where x > 0, else alpha · x; alpha as x without N, or 1 along some axes."""
    y = array_module(x).empty(x.shape, x.dtype)
    rows, F, slopes = _columns_of(x, alpha)
    launch("prelu", column_grid(rows, F), x, slopes, y, rows, F, block=(32, 8, 1))
    return y


def prelu_grad(dy: np.ndarray, x: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dx = dy where x > 0, else alpha · dy; dalpha = the sum of dy · x where x ≤ 0, over all that
    share an alpha."""
    xp = array_module(dy, x)
    dx, products = xp.empty(x.shape, x.dtype), xp.empty(x.shape, x.dtype)
    rows, F, slopes = _columns_of(x, alpha)
    launch("prelu_backward", column_grid(rows, F), dy, x, slopes, dx, products, rows, F,
           block=(32, 8, 1))
    sums = bias_grad(products.reshape(rows, F))  # in a fixed order
    if F == alpha.size:
        return dx, sums.reshape(alpha.shape)
    shared = tuple(axis for axis, size in enumerate(alpha.shape) if size == 1)
    return dx, sums.reshape(x.shape[1:]).sum(axis=shared, keepdims=True)


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
        launch("bias_relu", column_grid(rows, F), z, b, rows, F, block=(32, 8, 1))
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
