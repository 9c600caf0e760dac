"""Adam's step in fewer passes over memory than the reference's."""

from __future__ import annotations

import numpy as np


def adam_step(p: np.ndarray, g: np.ndarray, m: np.ndarray, s: np.ndarray, t: int, lr: float,
              beta1: float, beta2: float, eps: float) -> None:
    """As ops/reference/steps.py, with both bias corrections taken out of the arrays:

    lr · m̂ / (√ŝ + ε) = (lr / (1 − β₁ᵗ)) · m / (√s / √(1 − β₂ᵗ) + ε)
    """
    m *= beta1
    m += (1 - beta1) * g
    s *= beta2
    s += (1 - beta2) * g * g
    corrected_lr, root_correction = lr / (1 - beta1**t), (1 - beta2**t) ** 0.5
    p -= corrected_lr * m / (np.sqrt(s) / root_correction + eps)
