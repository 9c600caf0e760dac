"""Why this class? A photo, its Grad-CAM for one class over it, and the probability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...data import resize_and_crop
from ...model import Sequential
from ...plotting import drawing
from .cam import grad_cam

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHARP = 448  # pixels: the shorter side at which a photo is shown, whatever the network's size


def explanation(model: Sequential, photo: np.ndarray, target: int, probability: float,
                name: str = "") -> Figure:
    """photo (H', W', 3) uint8, as read -> what the network sees of it, sharp and under Grad-CAM.

    target: the number of a class; probability: of this class, 0 … 1; name: of the photo.
    Source: Selvaraju et al. 2017. Raises as grad_cam does.
    """
    found = grad_cam(model, photo, target)
    H, Wd = found.pixels.shape[:2]
    times = max(1, round(SHARP / min(H, Wd)))
    sharp = resize_and_crop(photo, (times * H, times * Wd), model.preprocessing.crop_fraction)
    figure = drawing.new_figure(2 + 8 * Wd / H, 5.2)
    axes = figure.subplots(1, 2)
    drawing.show_image(axes[0], sharp, _drawable(name))
    drawing.show_map(axes[1], found.heat(), "Grad-CAM: bright speaks for it", over=sharp, bar=False)
    label = drawing.shortened(_drawable(found.target), 40)
    figure.suptitle(f"{label}: {100 * probability:.1f} %", fontsize=18)
    return figure


def _drawable(text: str) -> str:
    """The text without bytes that are no characters, and in one line."""
    return " ".join(text.encode("utf-8", "replace").decode().split())
