"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import ShapeError, whole
from ..ops.fast import threads
from .affine import Affine


class Dense(Affine):
    """Every output sees every input.

    Shapes:  x (N, D) -> y (N, units), W (D, units), b (units,)
    Forward: Z = X @ W + b
    Cost:    2·N·D·units flops
    Raises:  ArgumentError for arguments that do not fit, ShapeError for an x that does not.
    """

    arguments = ("units", "activation", "kernel_initializer")
    window = None  # sees all of x

    def __init__(self, units: int, activation: str | None = None,
                 kernel_initializer: str = "glorot_uniform", name: str | None = None) -> None:
        super().__init__(activation, kernel_initializer, name)
        self.units = whole(units, f"{self.name}, units")

    def linear_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(D,) -> (units,)."""
        if len(input_shape) != 1:
            raise ShapeError(f"{self.name}: expected x of shape (N, D), received "
                             f"{('N', *input_shape)}. Put Flatten() or GlobalAveragePool2D() "
                             f"before it.")
        W = self.params.get("W")
        if W is not None and input_shape[0] != W.shape[0]:
            raise ShapeError(f"{self.name}: expected {W.shape[0]} inputs (W is {W.shape}), "
                             f"received x of shape {('N', *input_shape)}. Was the image size "
                             f"changed?")
        return (self.units,)

    def param_shapes(self, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """W (D, units), b (units,)."""
        return {"W": (input_shape[0], self.units), "b": (self.units,)}

    def linear(self, x: np.ndarray, finish: Callable[[np.ndarray, slice], None]) -> np.ndarray:
        """x (N, D) -> x @ W (N, units), finished."""
        z = threads.matmul(x, self.weight(x.dtype))  # (N, D)·(D, units)
        finish(z, slice(None))
        return z

    def weight_gradient(self, x: np.ndarray, dz: np.ndarray) -> np.ndarray:
        """Derivation: dL = <dZ, X @ dW + db>, hence dW = Xᵀ @ dZ (D, units)."""
        return threads.matmul(x.T, dz)

    def input_gradient(self, x: np.ndarray, dz: np.ndarray) -> np.ndarray:
        """Derivation: dL = <dZ, dX @ W>, hence dX = dZ @ Wᵀ (N, D)."""
        return threads.matmul(dz, self.weight(x.dtype).T)
