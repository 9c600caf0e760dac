"""Activations, the cross-entropies that end in them, the sum of a bias' gradient. On a GPU:
kernels/bias_relu.cu, activations.cu, softmax.cu, cross_entropy.cu."""

from __future__ import annotations

import numpy as np

from .cuda.launch import block_each, flat, launch
from .devices import device_of, xp_of


def _like(kernel: str, *given: np.ndarray, rows: bool = False) -> np.ndarray:
    """A new array like those given, filled by a thread for each element or a block for each row."""
    out = xp_of(*given).empty(given[0].shape, given[0].dtype)
    K = out.shape[-1] if rows else 1
    N = out.size // K
    launch(kernel, block_each(N) if rows else flat(N), *given, out, N, *[K] * rows)
    return out


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0)."""
    return np.maximum(x, 0) if device_of(x) == "cpu" else _like("relu", x)


def bias_relu(z: np.ndarray, b: np.ndarray) -> np.ndarray:
    """max(z + b, 0) in the place of z (…, F), b (F,): one pass over the memory, or two."""
    if device_of(z) == "cpu":
        z += b
        return np.maximum(z, 0, out=z)
    launch("bias_relu", flat(z.size), z, b, z.size, z.shape[-1])
    return z


def masked(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """np.where(mask, x, 0), on a processor, several times as fast: all bits of x or none."""
    bits = (-mask.view(np.int8)).astype(np.int32 if x.dtype == np.float32 else np.int64)
    return np.bitwise_and(bits, x.view(bits.dtype), out=bits).view(x.dtype)


def relu_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy where y > 0, else 0."""
    if device_of(dy) == "cpu":
        return masked(dy, y > 0)
    return _like("relu_backward", dy, y)


def column_sums(x: np.ndarray) -> np.ndarray:
    """x (…, F) -> (F,): the sum over all but the last axis.

    On a GPU in two steps: many block rows add up some rows each, then one adds up theirs. The order
    is always the same, and so is the result, to the last bit.
    """
    F = x.shape[-1]
    x = x.reshape(-1, F)
    if device_of(x) == "cpu":
        return np.einsum("nf->f", x)  # up to five times as fast as x.sum(axis=0)
    if len(x) == 0:
        return xp_of(x).zeros(F, x.dtype)
    for parts in (min(-(-len(x) // 64), 1024), 1):
        sums = xp_of(x).empty((parts, F), x.dtype)
        launch("column_sums", (-(-F // 32), parts, 1), x, sums, len(x), F, block=(32, 8, 1))
        x = sums
    return x.reshape(F)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + e⁻ˣ), never overflowing: only e^(−|x|) ≤ 1 is computed."""
    if device_of(x) != "cpu":
        return _like("sigmoid", x)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def sigmoid_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dy · y · (1 − y)."""
    return dy * y * (1 - y) if device_of(dy) == "cpu" else _like("sigmoid_backward", dy, y)


def softmax(x: np.ndarray) -> np.ndarray:
    """eˣ / Σ eˣ over the last axis; subtracting the maximum changes nothing and never overflows."""
    if device_of(x) != "cpu":
        return _like("softmax", x, rows=True)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y · (dy − Σ dy · y) over the last axis."""
    if device_of(dy) != "cpu":
        return _like("softmax_backward", dy, y, rows=True)
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def sigmoid_cross_entropy(z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """l = max(z, 0) − z t + log(1 + e^(−|z|)) and dl/dz = σ(z) − t, both of z's shape."""
    if device_of(z) == "cpu":
        return np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z))), sigmoid(z) - t
    l, dz = (xp_of(z, t).empty(z.shape, z.dtype) for _ in range(2))  # noqa: E741
    launch("sigmoid_cross_entropy", flat(z.size), z, t, l, dz, z.size)
    return l, dz


def softmax_cross_entropy(z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z, t (N, K) -> l = log Σ_k e^{z_k} − Σ_k t_k z_k (N,) and dl/dz = softmax(z) − t (N, K)."""
    if device_of(z) == "cpu":
        shifted = z - z.max(axis=1, keepdims=True)
        return np.log(np.exp(shifted).sum(axis=1)) - (t * shifted).sum(axis=1), softmax(z) - t
    xp = xp_of(z, t)
    l, dz = xp.empty(len(z), z.dtype), xp.empty(z.shape, z.dtype)  # noqa: E741
    launch("softmax_cross_entropy", block_each(len(z)), z, t, l, dz, *z.shape)
    return l, dz
