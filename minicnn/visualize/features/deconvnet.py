"""Deconvnet: one activation projected to the pixels. What in this photo activated this unit?

Source: Zeiler & Fergus 2014, section 2.1 and figures 1 and 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...model import Sequential
from ...ops import to_cpu
from ...plotting import drawing
from ...utils.language import gettext as _
from ..propagation import backward
from ..result import Result
from ..target import Unit, as_rgb, check_position, forward, maps_shape, photo_input, score_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Projection(Result):
    """pixels (H, Wd, 3): the photo; projection (H, Wd, C), its channels red, green, blue;
    activation: the value that was projected; layer, unit, position (i, j); box (top, left, bottom,
    right): the receptive field, in pixels, clipped at the border."""

    pixels: np.ndarray
    projection: np.ndarray
    activation: float
    layer: str
    unit: int
    position: tuple[int, int]
    box: tuple[int, int, int, int]

    def figure(self) -> Figure:
        """The photo with the receptive field framed, its patch, and that patch's projection."""
        top, left, bottom, right = self.box
        figure = drawing.new_figure(13.5, 5.2)
        axes = figure.subplots(1, 3)
        for ax in axes:
            ax.set_anchor("S")  # patches at the border are narrower or lower than the photo
        drawing.show_image(axes[0], self.pixels, _("framed: what the map sees from there"),
                           smooth=True)
        axes[0].plot([left - .5, right - .5, right - .5, left - .5, left - .5],
                     [top - .5, top - .5, bottom - .5, bottom - .5, top - .5],
                     color=drawing.ORANGE, lw=2.5)
        drawing.show_image(axes[1], self.pixels[top:bottom, left:right],
                           _("this patch, {height} × {width} pixels", height=bottom - top,
                             width=right - left))
        drawing.show_signed(axes[2], self.projection[top:bottom, left:right],
                            _("what in it made map {unit} fire", unit=self.unit))
        figure.suptitle(_("{layer}, map {unit} at row {row}, column {column}: activation "
                          "{activation:.4g}", layer=self.layer, unit=self.unit,
                          row=self.position[0], column=self.position[1],
                          activation=self.activation))
        return figure

    def __str__(self) -> str:
        top, left, bottom, right = self.box
        return _("{layer}, map {unit} at {position}: activation {activation:.4g}, patch rows "
                 "{top}–{bottom}, columns {left}–{right}", layer=self.layer, unit=self.unit,
                 position=self.position, activation=self.activation, top=top, bottom=bottom - 1,
                 left=left, right=right - 1)


def deconvnet(model: Sequential, image: np.ndarray, layer: str | None = None,
              unit: int | None = None, position: tuple[int, int] | None = None) -> Projection:
    """Projects one activation of a feature map to the pixels (Z1, Z2).

    image: a photo, uint8 (H', Wd', 3), or network input, floats (H, Wd, C).
    layer: None is the last convolution; unit None: the strongest map; position None: its maximum.
    All other activations are set to zero; the value goes back through the ReLUs by the rule
    `deconvnet`, through the transposed kernels, and through the switches of the pooling layers.
    Raises ArgumentError for layers, units and positions that do not exist.
    """
    pixels, x = photo_input(model, image)
    score = score_of(model, x, Unit(layer, unit))
    shape = maps_shape(model, model.index(score.layer))
    y = forward(score.layers, x, keep=True)
    if position is None:
        values = to_cpu(y[0, :, :, score.unit])
        i, j = divmod(int(values.argmax()), values.shape[1])
    else:
        i, j = check_position(score.layer, shape, position)
    signal = y * 0
    signal[0, i, j, score.unit] = y[0, i, j, score.unit]
    projection = as_rgb(model, backward(score.layers, signal, "deconvnet"))[0]
    box = receptive_box(model, score.layer, (i, j))
    return Projection(pixels, projection, float(y[0, i, j, score.unit]), score.layer, score.unit,
                      (i, j), box)


def receptive_box(model: Sequential, layer: str, position: tuple[int, int]
                  ) -> tuple[int, int, int, int]:
    """The pixels that one output of a layer sees: (top, left, bottom, right), the last two
    excluded.

    From the layer up to the input, rows [a, b] of an output depend on rows
    [a·s − P, b·s − P + K − 1] of its input (window K, stride s, P rows of padding above), clipped
    at the border: beyond it there is padding only.
    """
    shapes = model.shapes()
    spans = [(position[0], position[0]), (position[1], position[1])]
    for index in range(model.index(layer), -1, -1):
        shape = shapes[index]
        if len(shape) != 3:
            continue
        window = model.layers[index].window(shape)
        if window is None:
            spans = [(0, shape[0] - 1), (0, shape[1] - 1)]
        else:
            spans = [(max(a * s - pads[0], 0), min(b * s - pads[0] + K - 1, size - 1))
                     for (a, b), K, s, pads, size in zip(spans, *window, strict=True)]
    (top, bottom), (left, right) = spans
    return top, left, bottom + 1, right + 1
