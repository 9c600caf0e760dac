"""A convolution of each channel by itself (Howard et al. 2017), as a reader may write it."""

import numpy as np

import minicnn as mc

KH, KW = 3, 2


class DepthwiseConv(mc.Layer):
    """y[n,i,j,c] = b[c] + Σ_{p,q} xp[n, i+p, j+q, c] · W[p,q,c], with zeros around x."""

    def param_shapes(self, input_shape):
        return {"W": (KH, KW, input_shape[-1]), "b": (input_shape[-1],)}

    def forward(self, x, training=False, keep=True):
        xp = np.pad(x, ((0, 0), (1, 1), (0, 1), (0, 0)))
        H, Wd = x.shape[1:3]
        y = np.zeros(x.shape) + self.params["b"]
        for p in range(KH):
            for q in range(KW):
                y += xp[:, p:p + H, q:q + Wd] * self.params["W"][p, q]
        self.xp = xp
        return y

    def backward(self, dy):
        H, Wd = dy.shape[1:3]
        W, xp = self.params["W"], self.xp
        dW, dxp = np.zeros(W.shape), np.zeros(xp.shape)
        for p in range(KH):
            for q in range(KW):
                dW[p, q] = (xp[:, p:p + H, q:q + Wd] * dy).sum((0, 1, 2))
                dxp[:, p:p + H, q:q + Wd] += dy * W[p, q]
        db = dy.sum((0, 1, 2))
        self.grads = {"W": dW, "b": db}
        return dxp[:, 1:1 + H, :Wd]
