"""PReLU: a leaky ReLU whose slopes are trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..ops import ops_for
from . import argument_checks, checks
from .base import Layer


class PReLU(Layer):
    """y = x for x > 0, else alpha · x; alpha is trained and begins at 0.

    Shapes: x (N, …) -> y of the same shape; alpha as x without N, an entry for each element, but 1
            along the shared axes.
    shared_axes: axes of x, from 1, along which elements share their alpha: (1, 2) for one alpha for
            each channel of images, as in the paper. None: no axis.
    Raises: ArgumentError for arguments that do not fit, ShapeError for an x that does not.
    Source: He et al. 2015; the arguments are Keras'.
    """

    arguments = ("shared_axes",)
    kernel_initializer = "zeros"

    def __init__(self, shared_axes: int | Sequence[int] | None = None, name: str | None = None
                 ) -> None:
        super().__init__(name)
        self.shared_axes = argument_checks.as_axes(self.name, shared_axes)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """As the input."""
        argument_checks.check_prelu(self, input_shape)
        return input_shape

    def param_shapes(self, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """alpha: input_shape, but 1 along the shared axes."""
        shared = self.shared_axes or ()
        return {"alpha": tuple(1 if axis in shared else size
                               for axis, size in enumerate(input_shape, 1))}

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape."""
        checks.check_input(self, x)
        self.cache = x if keep else None
        return ops_for(x).prelu(x, self.param("alpha", x))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dy -> dx of the same shape; dalpha unless frozen.

        Derivation: for x > 0 y does not depend on alpha, and dx = dy; else dL = dy · (alpha dx +
                    x dalpha), so dx = alpha · dy, and dalpha is the sum of x · dy over the samples
                    and the elements that share it.
        """
        x = self.read_cache()
        dx, dalpha = ops_for(x, dy).prelu_grad(dy, x, self.param("alpha", x))
        if self.trainable:
            self.grads["alpha"] = dalpha
        return dx

    def input_gradient(self, dy: np.ndarray) -> np.ndarray:
        """dx alone, for the x that forward cached."""
        x = self.read_cache()
        return ops_for(x, dy).prelu_grad(dy, x, self.param("alpha", x))[0]
