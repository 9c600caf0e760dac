"""Exercise 3, solved. Softmax and cross-entropy, as one.

Question
    The network says z, five numbers for each photo; the right class is t. Which way should z go?

Formula
    p_k = e^{z_k} / Σ_j e^{z_j},   L = −(1/N) Σ_n log p[n, t[n]]
    log p_t = z_t − log Σ_j e^{z_j}, and the derivative of log Σ_j e^{z_j} to z_k is p_k. So all
    of softmax's Jacobian cancels:  dL/dz = (p − one_hot(t)) / N.

Shapes
    z (N, K) numbers of any size, t (N,) class numbers 0 … K − 1  ->  L, a number  ->  dz (N, K)

Judge:  minicnn gradcheck examples/solutions/softmax_cross_entropy.py:SoftmaxCrossEntropy
        A backward without arguments says that this is a loss: it gets random z and t, and what the
        table calls dx is dz.
"""

import sys

import numpy as np

from minicnn.cli import main


class SoftmaxCrossEntropy:
    """The mean over the photos of −log of the right class's probability, from logits z."""

    def forward(self, z, t):
        z = z - z.max(axis=1, keepdims=True)  # softmax stays the same, and e^z never overflows
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        self.cache = p, t
        return -np.log(p[np.arange(len(z)), t]).mean()

    def backward(self):
        """dz (N, K), of the last forward's z and t; self.cache is (p, t)."""
        p, t = self.cache
        dz = p.copy()
        dz[np.arange(len(p)), t] -= 1
        dz /= len(p)
        return dz


if __name__ == "__main__":
    sys.exit(main(["gradcheck", f"{__file__}:SoftmaxCrossEntropy"]))
