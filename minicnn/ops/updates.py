"""The optimizers' updates, all in place. On a GPU: kernels/optimizers.cu, one pass each."""

from __future__ import annotations

import numpy as np

from .cuda.launch import flat, launch
from .devices import device_of, xp_of


def sgd(p: np.ndarray, g: np.ndarray, lr: float) -> None:
    """p ← p − lr · g."""
    if device_of(p) == "cpu":
        p -= lr * g
    else:
        launch("sgd", flat(p.size), p, g, p.size, lr)


def momentum(p: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, mu: float,
             nesterov: bool) -> None:
    """v ← μ v + g; p ← p − lr · v, or with nesterov p − lr · (g + μ v)."""
    if device_of(p) != "cpu":
        return launch("momentum", flat(p.size), p, g, v, p.size, lr, mu, int(nesterov))
    v *= mu
    v += g
    p -= lr * (g + mu * v if nesterov else v)


def rmsprop(g: np.ndarray, s: np.ndarray, alpha: float, eps: float) -> np.ndarray:
    """s ← α s + (1 − α) g²; returns g / (√s + ε)."""
    if device_of(g) != "cpu":
        step = xp_of(g, s).empty(g.shape, g.dtype)
        launch("rmsprop", flat(g.size), g, s, step, g.size, alpha, 1 - alpha, eps)
        return step
    s *= alpha
    s += (1 - alpha) * g * g
    return g / (np.sqrt(s) + eps)


def adam(p: np.ndarray, g: np.ndarray, m: np.ndarray, s: np.ndarray, t: int, lr: float,
         beta1: float, beta2: float, eps: float) -> None:
    """Step number t ≥ 1 of Adam, as its class says."""
    lr, root = lr / (1 - beta1**t), (1 - beta2**t) ** 0.5
    if device_of(p) != "cpu":
        return launch("adam", flat(p.size), p, g, m, s, p.size, lr, beta1, 1 - beta1, beta2,
                      1 - beta2, eps, root)
    m *= beta1
    m += (1 - beta1) * g
    s *= beta2
    s += (1 - beta2) * g * g
    p -= lr * m / (np.sqrt(s) / root + eps)
