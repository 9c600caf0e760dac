"""The convolutional layer; its formulas are computed in ops/reference/conv.py."""

from __future__ import annotations

import numpy as np

from ..ops import Window, ops_for
from ..utils.errors import as_pair, check_int
from . import checks
from .activations import make_activation
from .base import ActivatedLayer


class Conv2D(ActivatedLayer):
    """Convolution (strictly, cross-correlation, as in every deep-learning library) of an image.

    Shapes:      x (N, H, Wd, C) -> y (N, OH, OW, F), W (KH, KW, C, F), b (F,)
    Forward:     z[n,i,j,f] = b[f] + Σ_{p,q,c} x[n, i·s+p−P, j·s+q−P, c] · W[p,q,c,f]
    As matrices: Z = X_col @ W2d + b,  X_col (N·OH·OW, KH·KW·C),  W2d (KH·KW·C, F)
    Cost:        2·N·OH·OW·KH·KW·C·F flops

    padding: "valid" (none), "same" (OH = ceil(H / s), as Keras places it), an int or a pair:
             zeros above and below, left and right.
    use_bias: False leaves b out, since a BatchNormalization after it would subtract it again.
    Raises:  ArgumentError for arguments that do not fit, ShapeError for an x that does not.
    Source:  LeCun et al. 1998; Chellapilla et al. 2006 (im2col).
    """

    arguments = ("filters", "kernel_size", "strides", "padding", "activation", "use_bias",
                 "kernel_initializer")

    def __init__(self, filters: int, kernel_size: int | tuple[int, int],
                 strides: int | tuple[int, int] = 1, padding: str | int | tuple[int, int] = "valid",
                 activation: str | None = None, kernel_initializer: str = "glorot_uniform",
                 name: str | None = None, dilation_rate: int = 1, groups: int = 1,
                 use_bias: bool = True) -> None:
        super().__init__(activation, kernel_initializer, name, use_bias)
        self.activation = make_activation(activation, self.name)
        checks.check_ordinary_convolution(self.name, dilation_rate, groups)
        self.filters = check_int(filters, f"{self.name}, filters")
        self.kernel_size = as_pair(kernel_size, f"{self.name}, kernel_size")
        self.strides = as_pair(strides, f"{self.name}, strides")
        self.padding = checks.as_padding(self.name, padding)

    def window(self, shape: tuple[int, ...]) -> Window:
        """Where the kernel lies on an x of `shape` ((N,) H, Wd, C)."""
        return Window.on_image((shape[-3], shape[-2]), self.kernel_size, self.strides, self.padding)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(H, Wd, C) -> (OH, OW, F)."""
        checks.check_images(self.name, input_shape)
        window = self.window(input_shape)
        checks.check_conv2d(self, input_shape, window)
        return *window.output_size, self.filters

    def param_shapes(self, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """W (KH, KW, C, F), b (F,)."""
        W, b = (*self.kernel_size, input_shape[2], self.filters), (self.filters,)
        return {"W": W, "b": b} if self.use_bias else {"W": W}

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, OH, OW, F) = activation(Z), Z = X_col @ W2d + b."""
        checks.check_input(self, x)
        b = self.param("b", x) if self.use_bias else self.no_bias(x)
        z = ops_for(x).conv2d(x, self.param("W", x), b, self.window(x.shape), relu=self.fused_relu)
        self.cache = x if keep else None  # backward rebuilds the columns from it
        return self.activation_forward(z, training, keep)

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """dy (N, OH, OW, F) -> dx (N, H, Wd, C); dW and db unless frozen.

        Derivation: dL = <dZ, X_col @ dW2d + dX_col @ W2d + db>, hence
                    dW2d = X_colᵀ @ dZ, db = Σ dZ, dX_col = dZ @ W2dᵀ;
                    im2col is linear, and its adjoint col2im turns dX_col into dx.
        Cost:       2·N·OH·OW·KH·KW·C·F flops for each of dW and dx
        """
        x = self.read_cache()
        dz = self.activation_backward(dy)
        if self.trainable:
            ops = ops_for(x, dz)
            self.grads["W"] = ops.conv2d_weight_grad(x, dz, self.window(x.shape))
            if self.use_bias:
                self.grads["b"] = ops.bias_grad(dz)
        return self.input_gradient(dz) if self.needs_dx else None

    def input_gradient(self, dz: np.ndarray) -> np.ndarray:
        """dz (N, OH, OW, F) -> dx (N, H, Wd, C), for the x that forward cached."""
        x = self.read_cache()
        ops = ops_for(x, dz)
        return ops.conv2d_input_grad(dz, self.param("W", x), x.shape, self.window(x.shape))
