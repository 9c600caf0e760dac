"""What Conv2D and the pooling layers share: where their windows lie."""

from __future__ import annotations

from .. import ops
from ..errors import ArgumentError, ShapeError, pair


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

    def windows(self, shape: tuple[int, ...]) -> ops.Window:
        """Where they lie on an x of `shape`, with or without N."""
        pads = ops.padding_amounts(self.padding, shape[-3:-1], *self.window)
        return ops.Window(*self.window, pads)

    def windows_shape(self, input_shape: tuple[int, ...]) -> tuple[int, int]:
        """(H, Wd, C) -> (OH, OW); ShapeError where not one window fits."""
        check_images(self.name, input_shape)
        OH, OW = self.windows(input_shape).output_size(input_shape[:2])
        if min(OH, OW) < 1:
            raise ShapeError(f"{self.name}: expected x of at least {self.window[0]} pixels, less "
                             f"padding {self.padding!r}, received {('N', *input_shape)}. Use a "
                             f"larger image or fewer poolings.")
        return OH, OW
