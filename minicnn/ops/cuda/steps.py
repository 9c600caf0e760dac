"""The optimizers' steps on a GPU: kernels/optimizers.cu, one pass over memory each."""

from __future__ import annotations

import numpy as np

from .. import array_module
from .launch import flat, launch


def sgd_step(p: np.ndarray, g: np.ndarray, lr: float) -> None:
    """p ← p − lr · g."""
    launch("sgd", flat(p.size), p, g, p.size, lr)


def momentum_step(p: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, momentum: float,
                  nesterov: bool = False) -> None:
    """v ← μ v + g; p ← p − lr · v, or with nesterov p ← p − lr · (g + μ v)."""
    launch("momentum", flat(p.size), p, g, v, p.size, lr, momentum, int(nesterov))


def rmsprop_step(p: np.ndarray, g: np.ndarray, s: np.ndarray, v: np.ndarray | None, lr: float,
                 alpha: float, eps: float, momentum: float = 0.0) -> None:
    """s ← α s + (1 − α) g²; p ← p − lr · g / (√s + ε), or with momentum (v given) that step's."""
    scaled = array_module(g, s).empty(g.shape, g.dtype)
    launch("rmsprop", flat(g.size), g, s, scaled, g.size, alpha, 1 - alpha, eps)
    if v is None:
        sgd_step(p, scaled, lr)
    else:
        momentum_step(p, scaled, v, lr, momentum)


def adam_step(p: np.ndarray, g: np.ndarray, m: np.ndarray, s: np.ndarray, t: int, lr: float,
              beta1: float, beta2: float, eps: float) -> None:
    """m, s and p as in ops/reference/steps.py; t ≥ 1 is the number of the step."""
    lr_t, s_correction = lr / (1 - beta1**t), (1 - beta2**t) ** 0.5
    launch("adam", flat(p.size), p, g, m, s, p.size, lr_t, beta1, 1 - beta1, beta2, 1 - beta2, eps,
           s_correction)
