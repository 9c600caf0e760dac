"""The same numbers in other positions: Reshape, Permute, ZeroPadding2D, CenterCrop, Resizing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..ops import Window, array_module
from ..utils.errors import check_int
from . import argument_checks, checks
from .base import Layer


class Reshape(Layer):
    """x (N, …) -> y (N, *target_shape), the numbers in their order; a size of -1 is the one that
    fits. Raises ArgumentError for more than the three axes of an image."""

    arguments = ("target_shape",)

    def __init__(self, target_shape: Sequence[int], name: str | None = None) -> None:
        super().__init__(name)
        self.target_shape = argument_checks.as_target_shape(self.name, target_shape)

    def window(self, shape: tuple[int, ...]) -> None:
        """None: no window describes where a number comes from."""

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """target_shape, its -1 replaced."""
        return argument_checks.check_reshaped(self.name, self.target_shape, input_shape)

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, …) -> y (N, *target_shape)."""
        checks.check_input(self, x)
        self.cache = x.shape if keep else None
        return x.reshape(len(x), *self.output_shape(x.shape[1:]))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y has the same numbers in another shape; dy is reshaped back."""
        return dy.reshape(self.read_cache())


class Permute(Layer):
    """The axes of x besides N in another order: axis k of y is axis dims[k - 1] of x, both counted
    from 1, as Keras does."""

    arguments = ("dims",)

    def __init__(self, dims: Sequence[int], name: str | None = None) -> None:
        super().__init__(name)
        self.dims = argument_checks.as_permutation(self.name, dims)

    def window(self, shape: tuple[int, ...]) -> None:
        """None: no window describes where a number comes from."""

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """input_shape in the order of dims."""
        argument_checks.check_permuted(self.name, self.dims, input_shape)
        return tuple(input_shape[axis - 1] for axis in self.dims)

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y, contiguous."""
        checks.check_input(self, x)
        self.cache = x.shape if keep else None
        return array_module(x).ascontiguousarray(x.transpose(0, *self.dims))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y has the same numbers in other positions; the inverse order puts them
        back."""
        self.read_cache()
        inverse = sorted(range(1, len(self.dims) + 1), key=lambda k: self.dims[k - 1])
        return array_module(dy).ascontiguousarray(dy.transpose(0, *inverse))


class ZeroPadding2D(Layer):
    """Zeros around an image: x (N, H, Wd, C) -> y (N, top + H + bottom, left + Wd + right, C).

    padding: an int, a pair (above and below, left and right) or ((top, bottom), (left, right)).
    Before a convolution its own argument padding does the same in one step.
    """

    arguments = ("padding",)

    def __init__(self, padding: int | Sequence = 1, name: str | None = None) -> None:
        super().__init__(name)
        self.padding = argument_checks.as_pads(self.name, padding)

    def window(self, shape: tuple[int, ...]) -> Window:
        """One pixel, shifted by the padding."""
        return Window((1, 1), (1, 1), self.padding, (shape[-3], shape[-2]))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(H, Wd, C) -> (top + H + bottom, left + Wd + right, C)."""
        checks.check_images(self.name, input_shape)
        return *self.window(input_shape).output_size, input_shape[2]

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, H, Wd, C) -> y, larger."""
        checks.check_input(self, x)
        y = array_module(x).zeros((len(x), *self.output_shape(x.shape[1:])), x.dtype)
        self.cache = x.shape if keep else None
        self.inside(y, x.shape)[...] = x
        return y

    def inside(self, y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The part of y that x of this shape (N, H, Wd, C) fills, a view."""
        (top, _), (left, _) = self.padding
        return y[:, top:top + shape[1], left:left + shape[2]]

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y holds x, and zeros that do not depend on it: dx is that part of dy."""
        return array_module(dy).ascontiguousarray(self.inside(dy, self.read_cache()))


class CenterCrop(Layer):
    """The centre of an image: x (N, H, Wd, C) -> y (N, height, width, C). Raises ShapeError for
    smaller images, which Keras enlarges instead."""

    arguments = ("height", "width")

    def __init__(self, height: int, width: int, name: str | None = None) -> None:
        super().__init__(name)
        self.height = check_int(height, f"{self.name}, height")
        self.width = check_int(width, f"{self.name}, width")

    def corner(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """(top, left) of the crop on an x of `shape` ((N,) H, Wd, C)."""
        return (shape[-3] - self.height) // 2, (shape[-2] - self.width) // 2

    def window(self, shape: tuple[int, ...]) -> Window:
        """One pixel, shifted by the corner: a negative padding."""
        top, left = self.corner(shape)
        bottom, right = shape[-3] - self.height - top, shape[-2] - self.width - left
        return Window((1, 1), (1, 1), ((-top, -bottom), (-left, -right)), (shape[-3], shape[-2]))

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(H, Wd, C) -> (height, width, C)."""
        checks.check_images(self.name, input_shape)
        argument_checks.check_crop(self, input_shape)
        return self.height, self.width, input_shape[2]

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, H, Wd, C) -> y (N, height, width, C)."""
        checks.check_input(self, x)
        self.cache = x.shape if keep else None
        return array_module(x).ascontiguousarray(self.inside(x, x.shape))

    def inside(self, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The part of x, of this shape, that is kept, a view."""
        top, left = self.corner(shape)
        return x[:, top:top + self.height, left:left + self.width]

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y does not depend on what was cut off: dx is dy in the centre, 0 around."""
        shape = self.read_cache()
        dx = array_module(dy).zeros(shape, dy.dtype)
        self.inside(dx, shape)[...] = dy
        return dx


class Resizing(Layer):
    """y = x, for images of height × width only; raises ShapeError for others.

    Keras' layer resizes inside the network. minicnn resizes photos before it, by the model's
    preprocessing, so that reports and explanations show what the network sees; this layer only
    checks the size. Hence the two ways to it behave differently: models.load gives a network that
    begins with this layer in a Keras file preprocessing that resizes as that file asks, so it takes
    photos of any size; a network that you build yourself has the preprocessing that you give
    it, and Preprocessing(fit="stretch") is what Keras does by default. The other arguments are
    Keras', kept for the file.
    """

    arguments = ("height", "width", "interpolation", "crop_to_aspect_ratio", "pad_to_aspect_ratio",
                 "antialias")

    def __init__(self, height: int, width: int, interpolation: str = "bilinear",
                 crop_to_aspect_ratio: bool = False, pad_to_aspect_ratio: bool = False,
                 antialias: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        self.height = check_int(height, f"{self.name}, height")
        self.width = check_int(width, f"{self.name}, width")
        self.interpolation, self.antialias = interpolation, bool(antialias)
        self.crop_to_aspect_ratio = bool(crop_to_aspect_ratio)
        self.pad_to_aspect_ratio = bool(pad_to_aspect_ratio)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """As the input."""
        checks.check_images(self.name, input_shape)
        argument_checks.check_resized(self, input_shape)
        return input_shape

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x (N, height, width, C) -> the same."""
        checks.check_input(self, x)
        self.cache = x.shape if keep else None
        return x

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Derivation: y = x, hence dx = dy."""
        self.read_cache()
        return dy
