"""Convolution as a matrix product (im2col), with both gradients."""

from __future__ import annotations

import numpy as np

from .. import ops
from ..arrays import device_of, xp_of
from ..errors import ArgumentError, ShapeError, pair, whole
from .affine import Affine
from .windowed import Windowed

ALGORITHMS = ("im2col", "implicit_gemm")


class Conv2D(Windowed, Affine):
    """Convolution (in truth cross-correlation, as in every network library) over an image.

    Shapes:      x (N, H, Wd, C) -> y (N, OH, OW, F), W (KH, KW, C, F), b (F,)
    Forward:     z[n,i,j,f] = b[f] + Σ_{p,q,c} x[n, i·s+p−P, j·s+q−P, c] · W[p,q,c,f]
    As matrices: Z = X_col @ W2d + b,  X_col (N·OH·OW, KH·KW·C),  W2d (KH·KW·C, F)
    Cost:        2·N·OH·OW·KH·KW·C·F flops

    padding: "valid" (none), "same" (OH = ceil(H / s), as Keras places it), an int or a pair:
             zeros above and below, left and right.
    algorithm: of the forward pass: "im2col", a block of the column matrix after the other, or
             "implicit_gemm", which never writes it; backward always takes im2col.
    Raises:  ArgumentError for arguments that do not fit, ShapeError for an x that does not.
    Source:  LeCun et al. 1998; Chellapilla et al. 2006 (im2col).
    """
    arguments = ("filters", "kernel_size", "strides", "padding", "activation", "kernel_initializer",
                 "algorithm")

    def __init__(self, filters: int, kernel_size: int | tuple[int, int],
                 strides: int | tuple[int, int] = 1, padding: str | int | tuple[int, int] = "valid",
                 activation: str | None = None, kernel_initializer: str = "glorot_uniform",
                 name: str | None = None, dilation_rate: int = 1, groups: int = 1,
                 algorithm: str = "im2col") -> None:
        super().__init__(activation, kernel_initializer, name)
        if pair(dilation_rate, f"{self.name}, dilation_rate") != (1, 1) or groups != 1:
            raise ArgumentError(f"{self.name}: expected dilation_rate 1 and groups 1, received "
                                f"{dilation_rate} and {groups}. minicnn has neither dilated nor "
                                f"grouped convolution.")
        if algorithm not in ALGORITHMS:
            raise ArgumentError(f"{self.name}: expected an algorithm of {', '.join(ALGORITHMS)}, "
                                f"received {algorithm!r}.")
        self.algorithm = algorithm
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
        """x (N, H, Wd, C) -> z (N, OH, OW, F) without b: Z = X_col @ W2d, a block at a time."""
        W2d, window = self.matrix(x.dtype), self.windows(x.shape)  # (KH·KW·C, F)
        if self.algorithm == "implicit_gemm":
            W = W2d.reshape(self.params["W"].shape)
            return ops.implicit_gemm(x, W, window)
        OH, OW, F = self.linear_shape(x.shape[1:])
        z = xp_of(x).empty((len(x) * OH, OW * F), x.dtype)
        for rows, cols in ops.column_blocks(x, window):
            xp_of(x).matmul(cols, W2d, out=z[rows].reshape(-1, F))  # (M, KH·KW·C)·(KH·KW·C, F)
        return z.reshape(len(x), OH, OW, F)

    def weight_gradient(self, x: np.ndarray, dz: np.ndarray) -> np.ndarray:
        """dz (N, OH, OW, F) -> dW2d (KH·KW·C, F).

        Derivation: Z = X_col @ W2d + b, so dL = <dZ, X_col @ dW2d + db> and therefore
                    dW2d = X_colᵀ @ dZ; the columns are rebuilt from x.
        Cost:       2·N·OH·OW·KH·KW·C·F flops
        """
        dW2d = xp_of(x).zeros_like(self.matrix(x.dtype))  # (KH·KW·C, F)
        _, OH, OW, F = dz.shape
        dz = dz.reshape(len(x) * OH, OW * F)
        for rows, cols in ops.column_blocks(x, self.windows(x.shape)):
            dW2d += cols.T @ dz[rows].reshape(-1, F)  # (KH·KW·C, M)·(M, F)
        return dW2d

    def input_gradient(self, x: np.ndarray, dz: np.ndarray) -> np.ndarray:
        """dz (N, OH, OW, F) -> dx (N, H, Wd, C).

        Derivation: dL = <dZ, dX_col @ W2d>, hence dX_col = dZ @ W2dᵀ; im2col is linear, and its
                    adjoint col2im turns dX_col into dx.
        Cost:       2·N·OH·OW·KH·KW·C·F flops
        """
        W2d_T, window = self.matrix(x.dtype).T, self.windows(x.shape)  # (F, KH·KW·C)
        dx = xp_of(x).zeros(x.shape, x.dtype)
        (N, OH, OW, F), columns = dz.shape, (*self.kernel_size, x.shape[3])
        dz, most = dz.reshape(N * OH, OW * F), ops.BLOCK_ELEMENTS[device_of(x)]
        for rows in ops.row_blocks(N, OH, OW * W2d_T.shape[1], most):
            dcols = dz[rows].reshape(-1, F) @ W2d_T  # (M, F)·(F, KH·KW·C)
            ops.col2im(dcols.reshape(-1, OW, *columns), dx, window, rows)
        return dx

