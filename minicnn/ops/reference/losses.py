"""The cross-entropies of logits: the loss of each sample and its gradient, without overflow."""

from __future__ import annotations

import numpy as np

from .elementwise import sigmoid, softmax


def sigmoid_cross_entropy(z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits z, targets t -> l, dl/dz, all of one shape.

    With p = σ(z): l = −t log p − (1 − t) log(1 − p) = max(z, 0) − z t + log(1 + e^(−|z|)).
    Derivation: dl/dp = (p − t) / (p (1 − p)) and σ' = p (1 − p), hence dl/dz = p − t.
    """
    loss = np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))
    return loss, sigmoid(z) - t


def softmax_cross_entropy(z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits z, targets t (N, K) whose rows sum to 1 -> l (N,), dl/dz (N, K).

    With p = softmax(z): l = −Σ_k t_k log p_k = log Σ_k e^{z_k} − Σ_k t_k z_k.
    Derivation: ∂/∂z_k of the first term is p_k, of the second t_k, hence dl/dz_k = p_k − t_k.
    """
    shifted = z - z.max(axis=1, keepdims=True)  # changes neither term's difference: Σ t = 1
    loss = np.log(np.exp(shifted).sum(axis=1)) - (t * shifted).sum(axis=1)
    return loss, softmax(z) - t
