"""What Conv2D and the pooling layers share: where their windows lie."""

from __future__ import annotations

from .. import ops
from ..errors import ArgumentError, ShapeError
from .base import pair


def check_images(name: str, input_shape: tuple[int, ...]) -> None:
    """Raises unless input_shape is (H, Wd, C)."""
    if len(input_shape) != 3:
        raise ShapeError(f"{name}: expected x of shape (N, H, W, C), received "
                         f"{('N', *input_shape)}. Is a Flatten before it?")


class Windowed:
    """Geometry of a layer whose outputs look at windows (kernel, strides) of a padded x."""

    def set_windows(self, kernel: tuple[int, int], strides: tuple[int, int],
                    padding: str | int | tuple[int, int]) -> None:
        """Sets .window, and .padding to "same", "valid" or a pair of ints."""
        self.window = kernel, strides
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ArgumentError(f'{self.name}: expected padding "same", "valid" or an int, '
                                f"received {padding!r}.")
        self.padding = padding if isinstance(padding, str) else pair(
            padding, f"{self.name}, padding", least=0)

    def pads(self, shape: tuple[int, ...]) -> ops.windows.Pads:
        """((top, bottom), (left, right)) for x of `shape`, with or without N."""
        return ops.padding_amounts(self.padding, shape[-3:-1], *self.window)

    def windows_shape(self, input_shape: tuple[int, ...]) -> tuple[int, int]:
        """(H, Wd, C) -> (OH, OW); ShapeError where not one window fits."""
        check_images(self.name, input_shape)
        kernel, strides = self.window
        OH, OW = ops.output_size(input_shape[:2], kernel, strides, self.pads(input_shape))
        if min(OH, OW) < 1:
            raise ShapeError(f"{self.name}: expected x of at least {kernel} pixels, less padding "
                             f"{self.padding!r}, received {('N', *input_shape)}. Use a larger "
                             f"image or fewer poolings.")
        return OH, OW
