"""Preprocessing: from pixels to a network's input. It belongs to the model and is saved with it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from .ops import array_module
from .utils.errors import ArgumentError


@dataclass(frozen=True)
class Preprocessing:
    """x = (pixels in channel_order − mean) · scale.

    channel_order: "RGB" or "BGR".
    mean:          three numbers in channel_order, in pixel units 0…255.
    crop_fraction: side of the centre crop over the shortest side of the image; VGG16's published
                   accuracy needs 224/256 (Simonyan & Zisserman 2015, section 3.2).
    """

    channel_order: str = "RGB"
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    scale: float = 1 / 127.5
    crop_fraction: float = 1.0

    def __post_init__(self) -> None:
        if self.channel_order not in ("RGB", "BGR"):
            raise ArgumentError(f'Preprocessing: expected channel_order "RGB" or "BGR", '
                                f"received {self.channel_order!r}.")
        if not 0 < self.crop_fraction <= 1:
            raise ArgumentError(f"Preprocessing: expected a crop_fraction above 0 and at most 1, "
                                f"received {self.crop_fraction}.")
        mean = np.asarray(self.mean, np.float64)
        if mean.shape != (3,) or not np.isfinite([*mean, self.scale]).all():
            raise ArgumentError(f"Preprocessing: expected three numbers as mean and one as scale, "
                                f"received {self.mean!r} and {self.scale!r}.")
        object.__setattr__(self, "mean", tuple(mean.tolist()))

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """RGB pixels (N, H, Wd, 3), 0…255 -> a new float32 array; the pixels are not changed."""
        if pixels.ndim != 4 or pixels.shape[-1] != 3:
            raise ArgumentError(f"Preprocessing: expected RGB pixels of shape (N, H, W, 3), "
                                f"received {pixels.shape}.")
        step = -1 if self.channel_order == "BGR" else 1
        xp = array_module(pixels)
        x = xp.array(pixels[..., ::step], np.float32, order="C")  # a copy, always
        x -= xp.array(self.mean, np.float32)
        if self.scale != 1:
            x *= np.float32(self.scale)
        return x

    def to_dict(self) -> dict:
        """Plain values for JSON; Preprocessing(**d) reads them back."""
        return asdict(self)


def crop_fraction_of(preprocessing: Preprocessing | None) -> float:
    """The crop fraction of a model's preprocessing; 1.0, the whole photo, if it has none."""
    return 1.0 if preprocessing is None else preprocessing.crop_fraction
