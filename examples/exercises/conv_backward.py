"""Exercise 1. The way back through a convolution.

Question
    Every output pixel looked at a window of x. The loss says how much it would like each output to
    change: dy. How much should x, W and b change?

Formula
    Forward, with a border of one zero around x:
        y[n,i,j,f] = b[f] + Σ_{p,q,c} xp[n, i+p, j+q, c] · W[p,q,c,f]
    Each product x·W stands in one output, and its two factors send dy to each other:
        dW[p,q,c,f]        = Σ_{n,i,j} xp[n, i+p, j+q, c] · dy[n,i,j,f]
        dxp[n,i+p,j+q,c]  += Σ_f        W[p,q,c,f]        · dy[n,i,j,f]     for all i, j, p, q
        db[f]              = Σ_{n,i,j} dy[n,i,j,f]

Shapes
    x (N, H, Wd, C), W (3, 2, C, 4), b (4,), xp (N, H+2, Wd+2, C)
    y, dy (N, H, Wd+1, 4)  ->  dx (N, H, Wd, C), dW and db as W and b

Judge:  minicnn gradcheck examples/exercises/conv_backward.py:Conv
"""

import sys

import numpy as np

import minicnn as mc
from minicnn.cli import main

KH, KW, F = 3, 2, 4


class Conv(mc.Layer):
    """Four kernels of 3 × 2, a step of one pixel, a border of one zero."""

    def param_shapes(self, input_shape):
        return {"W": (KH, KW, input_shape[2], F), "b": (F,)}

    def forward(self, x, training=False, keep=True):
        W, b = self.params["W"], self.params["b"]
        xp = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))     # (N, H+2, Wd+2, C)
        N, OH, OW = len(x), xp.shape[1] - KH + 1, xp.shape[2] - KW + 1
        y = np.empty((N, OH, OW, F))
        matrix = W.reshape(-1, F)                               # (KH·KW·C, F)
        for i in range(OH):
            for j in range(OW):
                window = xp[:, i:i + KH, j:j + KW]              # (N, KH, KW, C)
                y[:, i, j] = window.reshape(N, -1) @ matrix + b  # over KH, KW and C: (N, F)
        self.cache = xp
        return y

    def backward(self, dy):
        """dy (N, OH, OW, F) -> dx (N, H, Wd, C); assigns self.grads = {"W": dW, "b": db}.

        self.cache is xp, as forward has left it.
        """
        raise NotImplementedError("dx, dW and db are still to be written.")


if __name__ == "__main__":
    sys.exit(main(["gradcheck", f"{__file__}:Conv"]))
