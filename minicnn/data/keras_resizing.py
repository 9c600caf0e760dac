"""Photos brought to a network's size as Keras' layer Resizing does it: stretched, or cropped or
padded to the form of that size first. Unlike resize_and_crop it does not smooth what it shrinks."""

from __future__ import annotations

import numpy as np

from ..preprocessing import Preprocessing


def resizes_as_keras(recipe: Preprocessing | None) -> bool:
    """Whether the recipe of a model is to bring photos to size by resize_as_keras."""
    return recipe is not None and recipe.fit != "crop"


def resize_as_keras(images: np.ndarray, size: tuple[int, int], recipe: Preprocessing) -> np.ndarray:
    """Brings images to size = (h, w) by the recipe's fit and interpolation.

    Shapes: images (N, H, W, C), pixels or any other numbers -> a new float32 (N, h, w, C), not
            rounded. Colour photos, uint8, for a grey network become grey first, as Keras' loader
            makes them; floats stay as they are
    Fit:    "stretch": all of the image, its aspect ratio changed; "crop_to_aspect_ratio": the
            largest centre of the aspect ratio w : h; "pad_to_aspect_ratio": with zeros around it
    Source: Keras' layers/preprocessing/image_preprocessing/resizing.py and what its backends for
            TensorFlow and PyTorch compute, both in float32 and with pixel centres at (k + ½) / n
    """
    if recipe.channels == 1 and images.shape[-1] == 3 and images.dtype == np.uint8:
        images = recipe.as_seen(images)
    top, left, bottom, right = visible_box(images.shape[1:3], size, recipe.fit)
    x = images[:, top:bottom, left:right]
    if recipe.fit == "pad_to_aspect_ratio":
        rows, columns = _padding(images.shape[1:3], size)
        x = np.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)))
    for axis, length in ((1, size[0]), (2, size[1])):
        x = _resample(x, axis, length, recipe.interpolation)
    return np.ascontiguousarray(x, np.float32)


def visible_box(shape: tuple[int, ...], size: tuple[int, int], fit: str
                ) -> tuple[int, int, int, int]:
    """(top, left, bottom, right): the pixels of an image (H, W) that resize_as_keras takes."""
    (H, W), (h, w) = shape[:2], size
    if fit != "crop_to_aspect_ratio":
        return 0, 0, H, W
    height = max(min(H, int(float(W * h) / w)), 1)
    width = max(min(W, int(float(H * w) / h)), 1)
    top, left = (H - height) // 2, (W - width) // 2
    return top, left, top + height, left + width


def _padding(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    """Zeros (above and below each, left and right each) that make an image at least w : h."""
    (H, W), (h, w) = shape[:2], size
    return (max(H, int(float(W * h) / w)) - H) // 2, (max(W, int(float(H * w) / h)) - W) // 2


def _resample(x: np.ndarray, axis: int, length: int, interpolation: str) -> np.ndarray:
    """x with `length` entries along an axis.

    Entry i lies at (i + ½) · n / length − ½ of the n entries before: nearest takes the entry in
    which that is, bilinear the mean of its two neighbours, weighted by their nearness. Rounded to
    float32 once, as PyTorch's fused multiply-add does.
    """
    n = x.shape[axis]
    centres = (np.arange(length) + 0.5) * (np.float32(n) / np.float32(length))
    if interpolation == "nearest":
        return x.take(np.minimum(centres.astype(np.float32).astype(int), n - 1), axis)
    at = np.maximum(centres - 0.5, 0).astype(np.float32)
    below = np.minimum(at.astype(int), n - 1)
    nearness = (at - below).reshape([-1 if k == axis else 1 for k in range(x.ndim)])
    lower, upper = x.take(below, axis), x.take(np.minimum(below + 1, n - 1), axis)
    return lower * (1 - nearness) + upper * nearness
