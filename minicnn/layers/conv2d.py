"""Convolution as a matrix product (im2col), with both gradients."""

from __future__ import annotations

import numpy as np

from .. import ops
from ..errors import ArgumentError, ShapeError
from .affine import Affine
from .base import pair, whole
from .windowed import Windowed


class Conv2D(Windowed, Affine):
    """Convolution (in truth cross-correlation, as in every network library) over an image.

    Shapes:      x (N, H, Wd, C) -> y (N, OH, OW, F), W (KH, KW, C, F), b (F,)
    Forward:     z[n,i,j,f] = b[f] + Σ_{p,q,c} x[n, i·s+p−P, j·s+q−P, c] · W[p,q,c,f]
    As matrices: Z = X_col @ W2d + b,  X_col (N·OH·OW, KH·KW·C),  W2d (KH·KW·C, F)
    Cost:        2·N·OH·OW·KH·KW·C·F flops

    padding: "valid" (none), "same" (OH = ceil(H / s), as Keras places it), an int or a pair:
             zeros above and below, left and right.
    Raises:  ArgumentError for arguments that do not fit, ShapeError for an x that does not.
    Source:  LeCun et al. 1998; Chellapilla et al. 2006 (im2col).
    """

    def __init__(self, filters: int, kernel_size: int | tuple[int, int],
                 strides: int | tuple[int, int] = 1, padding: str | int | tuple[int, int] = "valid",
                 activation: str | None = None, kernel_initializer: str = "glorot_uniform",
                 name: str | None = None, dilation_rate: int = 1, groups: int = 1) -> None:
        super().__init__(activation, kernel_initializer, name)
        if pair(dilation_rate, f"{self.name}, dilation_rate") != (1, 1) or groups != 1:
            raise ArgumentError(f"{self.name}: expected dilation_rate 1 and groups 1, received "
                                f"{dilation_rate} and {groups}. minicnn has neither dilated nor "
                                f"grouped convolution.")
        self.filters = whole(filters, f"{self.name}, filters")
        self.kernel_size = pair(kernel_size, f"{self.name}, kernel_size")
        self.strides = pair(strides, f"{self.name}, strides")
        self.set_windows(self.kernel_size, self.strides, padding)

    def linear_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(H, Wd, C) -> (OH, OW, F)."""
        OH, OW = self.windows_shape(input_shape)
        W = self.params.get("W")
        if W is not None and input_shape[2] != W.shape[2]:
            raise ShapeError(f"{self.name}: expected {W.shape[2]} input channels (W is {W.shape}), "
                             f"received x of shape {('N', *input_shape)}. Did you skip a layer?")
        return OH, OW, self.filters

    def param_shapes(self, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """W (KH, KW, C, F), b (F,)."""
        return {"W": (*self.kernel_size, input_shape[2], self.filters), "b": (self.filters,)}

    def linear(self, x: np.ndarray) -> np.ndarray:
        """x (N, H, Wd, C) -> z (N, OH, OW, F): Z = X_col @ W2d + b, a block of rows at a time."""
        W2d = self.matrix(x.dtype)  # (KH·KW·C, F)
        z = np.empty((len(x), *self.linear_shape(x.shape[1:])), x.dtype)
        for block, cols in self._blocks(x):
            np.matmul(cols, W2d, out=z[block].reshape(-1, self.filters))  # (M, KH·KW·C)·(…, F)
        z += self.params["b"].astype(x.dtype, copy=False)
        return z

    def param_gradients(self, x: np.ndarray, dz: np.ndarray) -> dict[str, np.ndarray]:
        """dz (N, OH, OW, F) -> dW (KH, KW, C, F), db (F,).

        Derivation: Z = X_col @ W2d + b, so dL = <dZ, X_col @ dW2d + db> and therefore
                    dW2d = X_colᵀ @ dZ and db = Σ_{n,i,j} dZ; the columns are rebuilt from x.
        Cost:       2·N·OH·OW·KH·KW·C·F flops
        """
        dW2d = np.zeros_like(self.matrix(x.dtype))  # (KH·KW·C, F)
        for block, cols in self._blocks(x):
            dW2d += cols.T @ dz[block].reshape(-1, self.filters)  # (KH·KW·C, M)·(M, F)
        return {"W": dW2d.reshape(self.params["W"].shape), "b": dz.sum(axis=(0, 1, 2))}

    def input_gradient(self, x: np.ndarray, dz: np.ndarray) -> np.ndarray:
        """dz (N, OH, OW, F) -> dx (N, H, Wd, C).

        Derivation: dL = <dZ, dX_col @ W2d>, hence dX_col = dZ @ W2dᵀ; im2col is linear, and its
                    adjoint col2im turns dX_col into the gradient of the padded x; crop.
        Cost:       2·N·OH·OW·KH·KW·C·F flops
        """
        W2d_T = self.matrix(x.dtype).T  # (F, KH·KW·C)
        pads = self.pads(x.shape)
        dx = np.zeros(ops.padded_shape(x.shape, pads), x.dtype)
        SH, (KH, KW) = self.strides[0], self.kernel_size
        _, OH, OW, F = dz.shape
        for images, rows in ops.row_blocks(len(x), OH, OW * KH * KW * x.shape[3]):
            dz_block = dz[images, rows]
            dcols = dz_block.reshape(-1, F) @ W2d_T  # (M, F)·(F, KH·KW·C)
            dcols = dcols.reshape(*dz_block.shape[:3], KH, KW, x.shape[3])
            source = slice(rows.start * SH, (rows.stop - 1) * SH + KH)
            ops.col2im(dcols, dx[images, source], self.strides)
        return ops.crop(dx, pads)

    def _blocks(self, x: np.ndarray):
        x_padded = ops.pad(x, self.pads(x.shape))
        return ops.column_blocks(x_padded, self.kernel_size, self.strides)

    def config(self) -> dict:
        """The constructor's arguments but the name."""
        return {"filters": self.filters, "kernel_size": self.kernel_size, "strides": self.strides,
                "padding": self.padding, "activation": self.activation_name,
                "kernel_initializer": self.kernel_initializer}
