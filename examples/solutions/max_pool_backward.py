"""Exercise 2, solved. The way back through max pooling, with windows that overlap.

Question
    Of nine pixels one was the largest, and y is that pixel. A pixel may be the largest of several
    windows. What comes back to it?

Formula
    y[n,i,j,c] = max_{p,q} x[n, 2i+p, 2j+q, c] = x at the window's largest pixel. So ∂y/∂x is 1 at
    that pixel and 0 at the eight others, and each window adds its dy to its own largest pixel:
        dx[n, 2i+p*, 2j+q*, c] += dy[n,i,j,c],     (p*, q*) where the window is largest

Shapes
    x (N, H, Wd, C)  ->  y, dy (N, OH, OW, C),  OH = (H − 3) // 2 + 1, OW likewise  ->  dx as x

Judge:  minicnn gradcheck examples/solutions/max_pool_backward.py:MaxPool
"""

import sys

import numpy as np

import minicnn as mc
from minicnn.cli import main

K, STEP = 3, 2


class MaxPool(mc.Layer):
    """The largest of each window of 3 × 3, every second pixel: neighbours share a row of pixels."""

    def forward(self, x, training=False, keep=True):
        N, H, Wd, C = x.shape
        y = np.empty((N, (H - K) // STEP + 1, (Wd - K) // STEP + 1, C))
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                window = x[:, i * STEP:i * STEP + K, j * STEP:j * STEP + K]  # (N, K, K, C)
                y[:, i, j] = window.max(axis=(1, 2))
        self.cache = x
        return y

    def backward(self, dy):
        """dy (N, OH, OW, C) -> dx (N, H, Wd, C); self.cache is x."""
        x = self.cache
        dx = np.zeros_like(x)
        for n, i, j, c in np.ndindex(dy.shape):
            top, left = i * STEP, j * STEP
            window = x[n, top:top + K, left:left + K, c]                 # (K, K)
            p, q = np.unravel_index(window.argmax(), window.shape)       # the first of equal ones
            dx[n, top + p, left + q, c] += dy[n, i, j, c]
        return dx


if __name__ == "__main__":
    sys.exit(main(["gradcheck", f"{__file__}:MaxPool"]))
