"""The operations: what every backend offers, reference, fast, native and cuda alike.

Their signatures are the same in all four, as a test checks. Only the optimizers' steps change
their arguments, and nothing is kept between calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from .window import Window


class Operations(Protocol):
    """A backend: a module with these functions."""

    def conv2d(self, x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window,
               relu: bool = False) -> np.ndarray:
        """x (N, H, Wd, C), W (KH, KW, C, F), b (F,) -> y (N, OH, OW, F)."""

    def conv2d_weight_grad(self, x: np.ndarray, dz: np.ndarray, window: Window) -> np.ndarray:
        """x (N, H, Wd, C), dz (N, OH, OW, F) -> dW (KH, KW, C, F)."""

    def conv2d_input_grad(self, dz: np.ndarray, W: np.ndarray, input_shape: tuple[int, ...],
                          window: Window) -> np.ndarray:
        """dz (N, OH, OW, F) -> dx of input_shape (N, H, Wd, C)."""

    def conv2d_max_pool(self, x: np.ndarray, W: np.ndarray, b: np.ndarray, window: Window,
                        pool_window: Window, relu: bool = False) -> np.ndarray:
        """max_pool2d(conv2d(…)) if nothing is kept for backward."""

    def dense(self, x: np.ndarray, W: np.ndarray, b: np.ndarray, relu: bool = False) -> np.ndarray:
        """x (N, D), W (D, units), b (units,) -> y (N, units)."""

    def dense_weight_grad(self, x: np.ndarray, dz: np.ndarray) -> np.ndarray:
        """x (N, D), dz (N, units) -> dW (D, units)."""

    def dense_input_grad(self, dz: np.ndarray, W: np.ndarray) -> np.ndarray:
        """dz (N, units), W (D, units) -> dx (N, D)."""

    def bias_grad(self, dz: np.ndarray) -> np.ndarray:
        """dz (…, F) -> db (F,)."""

    def max_pool2d(self, x: np.ndarray, window: Window, with_switches: bool = True
                   ) -> tuple[np.ndarray, np.ndarray | None]:
        """x (N, H, Wd, C) -> y, switches (N, OH, OW, C)."""

    def max_unpool2d(self, y: np.ndarray, switches: np.ndarray, input_shape: tuple[int, ...],
                     window: Window) -> np.ndarray:
        """y, switches (N, OH, OW, C) -> x of input_shape; y = dy: the gradient of max_pool2d."""

    def average_pool2d(self, x: np.ndarray, window: Window) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH, OW, C)."""

    def average_pool2d_grad(self, dy: np.ndarray, input_shape: tuple[int, ...], window: Window
                            ) -> np.ndarray:
        """dy (N, OH, OW, C) -> dx of input_shape."""

    def batch_moments(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x (…, C) -> mean, biased variance (C,)."""

    def batch_norm(self, x: np.ndarray, mean: np.ndarray, std: np.ndarray, gamma: np.ndarray,
                   beta: np.ndarray) -> np.ndarray:
        """x (…, C), all others (C,) -> y (…, C)."""

    def batch_norm_param_grads(self, dy: np.ndarray, x: np.ndarray, mean: np.ndarray,
                               std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """dy, x (…, C) -> dgamma, dbeta (C,)."""

    def batch_norm_input_grad(self, dy: np.ndarray, x: np.ndarray, mean: np.ndarray,
                              std: np.ndarray, gamma: np.ndarray, dgamma: np.ndarray,
                              dbeta: np.ndarray) -> np.ndarray:
        """dy, x (…, C) -> dx (…, C), if mean and std are those of batch_moments(x)."""

    def relu(self, x: np.ndarray) -> np.ndarray:
        """x -> y of one shape, as all up to softmax_grad."""

    def relu_grad(self, dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        """dy, y -> dx."""

    def sigmoid(self, x: np.ndarray) -> np.ndarray:
        """x -> y."""

    def sigmoid_grad(self, dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        """dy, y -> dx."""

    def tanh(self, x: np.ndarray) -> np.ndarray:
        """x -> y."""

    def tanh_grad(self, dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        """dy, y -> dx."""

    def elu(self, x: np.ndarray, alpha: float) -> np.ndarray:
        """x -> y."""

    def elu_grad(self, dy: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
        """dy, y -> dx."""

    def leaky_relu(self, x: np.ndarray, slope: float) -> np.ndarray:
        """x -> y."""

    def leaky_relu_grad(self, dy: np.ndarray, y: np.ndarray, slope: float) -> np.ndarray:
        """dy, y -> dx."""

    def clipped_line(self, x: np.ndarray, slope: float, shift: float, limit: float) -> np.ndarray:
        """x -> y = min(max(slope · x + shift, 0), limit)."""

    def clipped_line_grad(self, dy: np.ndarray, y: np.ndarray, slope: float, limit: float
                          ) -> np.ndarray:
        """dy, y -> dx."""

    def silu(self, x: np.ndarray) -> np.ndarray:
        """x -> y."""

    def silu_grad(self, dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        """dy, x -> dx."""

    def softplus(self, x: np.ndarray) -> np.ndarray:
        """x -> y."""

    def softplus_grad(self, dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        """dy, x -> dx."""

    def prelu(self, x: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """x (N, …), alpha as x without N or 1 along some axes -> y."""

    def prelu_grad(self, dy: np.ndarray, x: np.ndarray, alpha: np.ndarray
                   ) -> tuple[np.ndarray, np.ndarray]:
        """dy, x (N, …) -> dx, and dalpha of alpha's shape."""

    def softmax(self, x: np.ndarray) -> np.ndarray:
        """x -> y, over the last axis."""

    def softmax_grad(self, dy: np.ndarray, y: np.ndarray) -> np.ndarray:
        """dy, y -> dx."""

    def sigmoid_cross_entropy(self, z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits z, targets t -> l, dl/dz, all of one shape."""

    def softmax_cross_entropy(self, z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits z, targets t (N, K) -> l (N,), dl/dz (N, K)."""

    def all_finite(self, arrays: Sequence[np.ndarray]) -> bool:
        """Whether no array holds a NaN or an infinity. Waits for a GPU once, not once per array."""

    def sgd_step(self, p: np.ndarray, g: np.ndarray, lr: float) -> None:
        """p moves by its gradient g."""

    def momentum_step(self, p: np.ndarray, g: np.ndarray, v: np.ndarray, lr: float,
                      momentum: float, nesterov: bool = False) -> None:
        """p and v move."""

    def rmsprop_step(self, p: np.ndarray, g: np.ndarray, s: np.ndarray, v: np.ndarray | None,
                     lr: float, alpha: float, eps: float, momentum: float = 0.0) -> None:
        """p, s and v (if given) move."""

    def adam_step(self, p: np.ndarray, g: np.ndarray, m: np.ndarray, s: np.ndarray, t: int,
                  lr: float, beta1: float, beta2: float, eps: float) -> None:
        """p, m and s move; t counts the steps from 1."""
