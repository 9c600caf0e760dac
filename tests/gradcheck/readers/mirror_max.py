"""The larger one of a pixel and its mirror image, as a reader may write it."""

import numpy as np

import minicnn as mc


class MirrorMax(mc.Layer):
    """y = max(x, x mirrored in H): pixels of a middle row are equal to their mirror image."""

    def forward(self, x, training=False, keep=True):
        self.x = x
        return np.maximum(x, x[:, ::-1])

    def backward(self, dy):
        x, mirrored = self.x, self.x[:, ::-1]
        share = np.where(x == mirrored, 0.5, x > mirrored)
        return dy * share + (dy * (1 - share))[:, ::-1]
