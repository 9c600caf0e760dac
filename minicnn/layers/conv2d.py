"""Convolution as a matrix product (im2col), with both gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .. import ops
from ..errors import ArgumentError, ShapeError, pair, whole
from ..ops import device_of, xp_of
from ..ops.fast import threads
from ..ops.fast.winograd import winograd
from .affine import Affine
from .windowed import Windowed

ALGORITHMS = ("auto", "im2col", "implicit_gemm", "winograd")


class Conv2D(Windowed, Affine):
    """Convolution (in truth cross-correlation, as in every network library) over an image.

    Shapes:      x (N, H, Wd, C) -> y (N, OH, OW, F), W (KH, KW, C, F), b (F,)
    Forward:     z[n,i,j,f] = b[f] + Σ_{p,q,c} x[n, i·s+p−P, j·s+q−P, c] · W[p,q,c,f]
    As matrices: Z = X_col @ W2d + b,  X_col (N·OH·OW, KH·KW·C),  W2d (KH·KW·C, F)
    Cost:        2·N·OH·OW·KH·KW·C·F flops

    padding: "valid" (none), "same" (OH = ceil(H / s), as Keras places it), an int or a pair:
             zeros above and below, left and right.
    algorithm: "im2col", a block of the column matrix after the other; "implicit_gemm", which never
             writes it; "winograd", with a quarter of the multiplications, for 3×3 and strides 1;
             or "auto", the rule of `choose`. It computes y, and dx where strides are 1.
    Raises:  ArgumentError for arguments that do not fit, ShapeError for an x that does not.
    Source:  LeCun et al. 1998; Chellapilla et al. 2006 (im2col).
    """
    arguments = ("filters", "kernel_size", "strides", "padding", "activation", "kernel_initializer",
                 "algorithm")

    def __init__(self, filters: int, kernel_size: int | tuple[int, int],
                 strides: int | tuple[int, int] = 1, padding: str | int | tuple[int, int] = "valid",
                 activation: str | None = None, kernel_initializer: str = "glorot_uniform",
                 name: str | None = None, dilation_rate: int = 1, groups: int = 1,
                 algorithm: str = "auto") -> None:
        super().__init__(activation, kernel_initializer, name)
        if pair(dilation_rate, f"{self.name}, dilation_rate") != (1, 1) or groups != 1:
            raise ArgumentError(f"{self.name}: expected dilation_rate 1 and groups 1, received "
                                f"{dilation_rate} and {groups}. minicnn has neither dilated nor "
                                f"grouped convolution.")
        self.filters = whole(filters, f"{self.name}, filters")
        self.kernel_size = pair(kernel_size, f"{self.name}, kernel_size")
        self.strides = pair(strides, f"{self.name}, strides")
        self.set_windows(self.kernel_size, self.strides, padding)
        if algorithm not in ALGORITHMS:
            raise ArgumentError(f"{self.name}: expected an algorithm of "
                                f"{', '.join(ALGORITHMS)}, received {algorithm!r}.")
        if algorithm == "winograd" and self.window != ((3, 3), (1, 1)):
            raise ArgumentError(f"{self.name}: expected kernel_size 3 and strides 1 for algorithm "
                                f"'winograd', received {self.kernel_size} and {self.strides}. "
                                f"Use algorithm='auto'.")
        self.algorithm = algorithm

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

    def linear(self, x: np.ndarray, finish: Callable[[np.ndarray, slice], None]) -> np.ndarray:
        """x (N, H, Wd, C) -> z (N, OH, OW, F) without b, its parts finished."""
        return convolve(x, self.weight(x.dtype), self.windows(x.shape), self.algorithm, finish)

    def weight_gradient(self, x: np.ndarray, dz: np.ndarray) -> np.ndarray:
        """dz (N, OH, OW, F) -> dW2d (KH·KW·C, F).

        Derivation: Z = X_col @ W2d + b, so dL = <dZ, X_col @ dW2d + db> and therefore
                    dW2d = X_colᵀ @ dZ; the columns are rebuilt from x.
        Cost:       2·N·OH·OW·KH·KW·C·F flops
        """
        _, OH, OW, F = dz.shape
        dz = dz.reshape(len(x) * OH, OW * F)

        def work(blocks: Iterator[tuple[slice, np.ndarray]]) -> np.ndarray:
            dW2d, product = xp_of(x).zeros((2, self.params["W"][..., 0].size, F), x.dtype)
            for rows, cols in blocks:
                cols = threads.stacked(cols, F)
                for X, dZ in zip(cols, dz[rows].reshape(*cols.shape[:2], F), strict=True):
                    dW2d += xp_of(x).matmul(X.T, dZ, out=product)  # (KH·KW·C, M)·(M, F)
            return dW2d

        return sum(ops.share_columns(work, x, self.windows(x.shape)))

    def input_gradient(self, x: np.ndarray, dz: np.ndarray) -> np.ndarray:
        """dz (N, OH, OW, F) -> dx (N, H, Wd, C).

        Derivation: dL = <dZ, dX_col @ W2d>, hence dX_col = dZ @ W2dᵀ; im2col is linear, and its
                    adjoint col2im turns dX_col into dx. Written out, with strides 1:
                    dx[n,h,w,c] = Σ_{p,q,f} dz[n, h + P − p, w + P − q, f] · W[p,q,c,f], which with
                    p' = K − 1 − p is the convolution of dz, padded by K − 1 − P, with the kernels
                    turned by 180° and C and F exchanged: nothing is scattered.
        Cost:       2·N·OH·OW·KH·KW·C·F flops
        """
        W, window = self.weight(x.dtype), self.windows(x.shape)
        (KH, KW), (_, C, F) = window.kernel, W.shape[1:]
        pads = tuple((K - 1 - before, K - 1 - after) for K, (before, after)
                     in zip(window.kernel, window.pads, strict=True))
        if device_of(x) == "cpu" and window.strides == (1, 1) and min(map(min, pads)) >= 0:
            turned = W[::-1, ::-1].swapaxes(2, 3)  # (KH, KW, F, C)
            return convolve(dz, turned, window._replace(pads=pads), self.algorithm)
        dx, (N, OH, OW, _), W2d_T = xp_of(x).zeros(x.shape, x.dtype), dz.shape, W.reshape(-1, F).T
        dz, most = dz.reshape(N * OH, OW * F), ops.BLOCK_ELEMENTS[device_of(x)]
        for rows in threads.row_blocks(N, OH, OW * len(W2d_T.T), most):
            dcols = threads.matmul(dz[rows].reshape(-1, F), W2d_T)  # (M, F)·(F, KH·KW·C)
            ops.col2im(dcols.reshape(-1, OW, KH, KW, C), dx, window, rows)
        return dx


def choose(x: np.ndarray, W: np.ndarray, window: ops.Window) -> str:
    """What "auto" stands for. 1×1 kernels: implicit_gemm, then one product of x as it lies. 3×3,
    strides 1: winograd, where 32 channels make good products, and 36 (T + 32) is at most half of
    9 a pixel (32 more than T tiles, for the kernels' transform). Else, and on a GPU, im2col."""
    OH, OW = window.output_size(x.shape[1:3])
    T = len(x) * -(-OH // 4) * -(-OW // 4)
    if device_of(x) == "cpu" and window.kernel == (1, 1):
        return "implicit_gemm"
    fits = device_of(x) == "cpu" and window[:2] == ((3, 3), (1, 1)) and min(W.shape[2:]) >= 32
    return "winograd" if fits and 2 * 36 * (T + 32) <= 9 * len(x) * OH * OW else "im2col"


def convolve(x: np.ndarray, W: np.ndarray, window: ops.Window, algorithm: str,
             finish: Callable[[np.ndarray, slice], None] = lambda z, filters: None) -> np.ndarray:
    """x (N, H, Wd, C), W (KH, KW, C, F) -> z (N, OH, OW, F), finished (ops.im2col_gemm)."""
    algorithm = choose(x, W, window) if algorithm == "auto" else algorithm
    if algorithm != "implicit_gemm":
        return (winograd if algorithm == "winograd" else ops.im2col_gemm)(x, W, window, finish)
    z = ops.implicit_gemm(x, W, window)
    finish(z, slice(None))
    return z
