"""What gradcheck checks, as a type."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Checkable(Protocol):
    """A layer, a network, or a class of the reader's own: these two methods are all it must have.

    name, params, grads, trainable, non_trainable, layers, build and to are used if they are there.
    """

    def forward(self, x: np.ndarray, /, training: bool) -> np.ndarray:
        """x -> y."""

    def backward(self, dy: np.ndarray, /) -> np.ndarray | None:
        """dL/dy -> dL/dx; None is refused."""
