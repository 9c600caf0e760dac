"""Which part of a photo a network sees, however its recipe brings photos to size."""

from __future__ import annotations

from ..preprocessing import Preprocessing, crop_fraction_of
from .images import crop_region
from .keras_resizing import resizes_as_keras, visible_box


def visible_region(shape: tuple[int, ...], size: tuple[int, int], recipe: Preprocessing | None
                   ) -> tuple[float, float, float, float]:
    """(top, left, bottom, right): the pixels of a photo (H, W) that a network of input size (h, w)
    and this recipe sees."""
    if recipe is not None and resizes_as_keras(recipe):
        return visible_box(shape, size, recipe.fit)
    return crop_region(shape, size, crop_fraction_of(recipe))
