"""The optimizers' steps by kernels/optimizers.cu: once through memory instead of many times."""

from __future__ import annotations

import numpy as np

from ..fast import steps as fast
from ..reference import steps as reference
from .flat import each, fits


def momentum_step(p: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float, momentum: float,
                  nesterov: bool = False) -> None:
    """v ← μ v + g; p ← p − lr · v, or with nesterov p ← p − lr · (g + μ v)."""
    if fits((p, v), (g,)):
        each("momentum", (p, g, v), lr, momentum, int(nesterov))
    else:
        reference.momentum_step(p, g, v, lr, momentum, nesterov)


def adam_step(p: np.ndarray, g: np.ndarray, m: np.ndarray, s: np.ndarray, t: int, lr: float,
              beta1: float, beta2: float, eps: float) -> None:
    """m, s and p as in ops/reference/steps.py; t ≥ 1 is the number of the step."""
    if fits((p, m, s), (g,)):
        each("adam", (p, g, m, s), lr / (1 - beta1**t), beta1, 1 - beta1, beta2, 1 - beta2, eps,
             (1 - beta2**t) ** 0.5)
    else:
        fast.adam_step(p, g, m, s, t, lr, beta1, beta2, eps)
