"""Exercise 4, solved. im2col: a convolution becomes one product of matrices.

Question
    One large product is a hundred times faster than many small ones. How must the pixels be laid
    out, so that a convolution is one?

Formula
    Row (n, i, j) of the matrix holds the window that output pixel (i, j) of photo n looks at:
        cols[(n,i,j), (p,q,c)] = x[n, i+p, j+q, c]
    Then Y = cols @ W2d + b, where W2d is W (KH, KW, C, F) seen as (KH·KW·C, F).

Shapes
    x (N, H, Wd, C)  ->  cols (N·OH·OW, KH·KW·C),  OH = H − KH + 1, OW = Wd − KW + 1

Judge:  minicnn gradcheck examples/solutions/im2col.py:Conv
        Here the backward is given, straight from the definition of a convolution, and the forward
        is made of your columns. Where both disagree, it is the columns that are wrong: if the
        judge says that dW has KH and KW exchanged, your columns have.
"""

import sys

import numpy as np

import minicnn as mc
from minicnn.cli import main

KH, KW, F = 3, 2, 4


def im2col(x):
    """x (N, H, Wd, C) -> cols (N·OH·OW, KH·KW·C)."""
    N, H, Wd, C = x.shape
    OH, OW = H - KH + 1, Wd - KW + 1
    cols = np.empty((N, OH, OW, KH, KW, C))
    for i in range(OH):
        for j in range(OW):
            cols[:, i, j] = x[:, i:i + KH, j:j + KW]         # (N, KH, KW, C)
    return cols.reshape(N * OH * OW, KH * KW * C)


class Conv(mc.Layer):
    """Four kernels of 3 × 2, a step of one pixel, no border."""

    def param_shapes(self, input_shape):
        return {"W": (KH, KW, input_shape[2], F), "b": (F,)}

    def forward(self, x, training=False, keep=True):
        N, H, Wd, C = x.shape
        y = im2col(x) @ self.params["W"].reshape(KH * KW * C, F) + self.params["b"]
        self.cache = x
        return y.reshape(N, H - KH + 1, Wd - KW + 1, F)

    def backward(self, dy):
        """Given: y[n,i,j,f] = b[f] + Σ_{p,q,c} x[n, i+p, j+q, c] · W[p,q,c,f], term by term."""
        x, W = self.cache, self.params["W"]
        OH, OW = dy.shape[1:3]
        dx, dW = np.zeros_like(x), np.empty_like(W)
        for p in range(KH):
            for q in range(KW):
                seen = x[:, p:p + OH, q:q + OW]                            # (N, OH, OW, C)
                dW[p, q] = np.tensordot(seen, dy, ((0, 1, 2), (0, 1, 2)))  # (C, F)
                dx[:, p:p + OH, q:q + OW] += dy @ W[p, q].T                # (N, OH, OW, C)
        self.grads = {"W": dW, "b": dy.sum(axis=(0, 1, 2))}
        return dx


if __name__ == "__main__":
    sys.exit(main(["gradcheck", f"{__file__}:Conv"]))
