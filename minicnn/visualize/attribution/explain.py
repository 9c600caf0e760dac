"""Explaining a prediction: the photo, its Grad-CAM for one class, and the probability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...model import Sequential
from ...plotting import drawing
from ..photos import crop_photo
from .cam import grad_cam

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_SIDE = 448  # pixels: about the shorter side of the shown photo, whatever the network's size


def explanation(model: Sequential, photo: np.ndarray, target: int, probability: float,
                name: str = "") -> Figure:
    """photo (H', W', 3) uint8, as read -> the part that the network sees, alone and with Grad-CAM.

    target: the number of a class; probability: of this class, 0 … 1; name: of the photo.
    Source: Selvaraju et al. 2017. Raises the errors of grad_cam.
    """
    attribution = grad_cam(model, photo, target)
    H, Wd = attribution.pixels.shape[:2]
    sharp = crop_photo(model, photo, times=max(1, round(SHOWN_SIDE / min(H, Wd))))
    figure = drawing.new_figure(2 + 8 * Wd / H, 5.2)
    axes = figure.subplots(1, 2)
    drawing.show_image(axes[0], sharp, _drawable(name))
    drawing.show_map(axes[1], attribution.heat(), "Grad-CAM: bright speaks for it", over=sharp,
                     bar=False)
    label = drawing.shortened(_drawable(attribution.target), 40)
    figure.suptitle(f"{label}: {100 * probability:.1f} %", fontsize=18)
    return figure


def _drawable(text: str) -> str:
    """The text in one line, its undecodable bytes replaced."""
    return " ".join(text.encode("utf-8", "replace").decode().split())
