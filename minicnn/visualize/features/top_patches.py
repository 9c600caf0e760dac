"""The patches that activate a feature map most, over many photos, each beside its projection.

For a unit k, every photo m gives one number a_m = max_{i,j} y_m[i, j, k]; the n largest a_m > 0 are
shown, so no photo appears twice. A patch is what the unit saw: its receptive field, grey where that
extends beyond the border. Beside it is the same activation projected to the pixels by the
deconvnet. What the patches have in common is what the map detects; what differs does not matter to
it.

Two passes. The first stores only the n largest of each unit while the photos stream by. The second
projects the selected photos, several in one batch, each cropped to what its unit sees, with exactly
the same result: with J the product of the strides, a crop whose edges lie k·J pixels from those of
the photo has every window where the photo has it, and the zeros that padding adds at the new edges
reach only outputs that the unit does not see.

Source: Zeiler & Fergus 2014, figure 2 and section 4 (Z3 and Z4 of the course).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...data import Dataset
from ...layers import Layer
from ...layers.sharing import copy_layers, without_last_activation
from ...model import Sequential
from ...models import crop_images
from ...plotting import drawing
from ...utils.errors import ArgumentError, check_int
from ...utils.language import fill_in
from ...utils.language import gettext as _
from ..photos import (
    ImageInput,
    Progress,
    as_dataset,
    batch_size_for,
    silent,
)
from ..propagation import backward
from ..result import Result
from ..target import as_rgb, check_unit, forward, layer_index, maps_layer
from .deconvnet import receptive_box
from .strongest import strongest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GREY = 128


@dataclass
class TopPatches(Result):
    """For each of U units its n strongest photos, the strongest first.

    units (U,); activations (U, n); photos (U, n): indices, −1 if fewer than n photos activate the
    unit; positions (U, n, 2): row and column in the map; boxes (U, n, 4): top, left, bottom, right
    in pixels of the photo as cropped for the network, the last two excluded; patches
    (U, n, h, w, 3) uint8, grey beyond the border; projections (U, n, h, w, C), channels red, green,
    blue, or None; field (height, width): what a unit sees, None for everything; size (H, Wd) of the
    photos; names (N,) of all photos.
    """

    layer: str
    units: np.ndarray
    activations: np.ndarray
    photos: np.ndarray
    positions: np.ndarray
    boxes: np.ndarray
    patches: np.ndarray
    projections: np.ndarray | None
    field: tuple[int, int] | None
    size: tuple[int, int]
    names: list[str]

    def figure(self) -> Figure:
        """As in the paper: for each unit a block of patches beside a block of projections."""
        U, n = self.photos.shape
        columns, blocks = int(np.ceil(np.sqrt(U))), 1 if self.projections is None else 2
        rows = -(-U // columns)
        block_columns = int(np.ceil(np.sqrt(n)))
        h, w = self.patches.shape[2:4]
        height = 3.2 * -(-n // block_columns) / block_columns * h / w + 0.5
        figure = drawing.new_figure(max(3.2 * columns * blocks, 7), height * rows + 0.7)
        for part, u in zip(figure.subfigures(rows, columns, squeeze=False).flat, range(U),
                           strict=False):
            a = self.activations[u][self.photos[u] >= 0]
            part.suptitle(_("map {unit}: activations {first} … {last}", unit=self.units[u],
                            first=drawing.short_number(a[0]), last=drawing.short_number(a[-1]))
                          if len(a) else
                          _("map {unit}: zero, no photo activates it", unit=self.units[u]),
                          fontsize=14)
            axes = part.subplots(1, blocks, squeeze=False)[0]
            drawing.show_image(axes[0], mosaic(self.patches[u], block_columns))
            if self.projections is not None:
                shown = np.stack([drawing.normalize_signed(as_three_channels(projection))
                                  for projection in self.projections[u]])
                drawing.show_image(axes[1], mosaic(shown, block_columns))
        figure.suptitle(self.layer + _(": ") + (
            self._sees() if blocks == 1 else
            _("{patches} and what in them excites the map", patches=self._sees())))
        return figure

    def _sees_whole_photos(self) -> bool:
        return self.field is None or all(
            length >= side for length, side in zip(self.field, self.size, strict=True))

    def _sees(self) -> str:
        if self.field is None or self._sees_whole_photos():
            return _("whole photos")
        return _("patches {height} × {width}", height=self.field[0], width=self.field[1])

    def __str__(self) -> str:
        lines = [f"{self.layer}, {self._sees()}"]
        if self._sees_whole_photos():
            lines[0] += _(": a unit sees the whole photo, {height} × {width} pixels",
                          height=self.size[0], width=self.size[1])
            if self.field is not None:
                lines[0] += _(" (its receptive field, {height} × {width}, is at least as large; "
                              "near the border it extends beyond the photo)",
                              height=self.field[0], width=self.field[1])
        for unit, activations, photos in zip(self.units, self.activations, self.photos,
                                             strict=True):
            shown = [fill_in("{photo} ({a:.4g})", {"photo": self.names[m], "a": a})
                     for a, m in zip(activations, photos, strict=True) if m >= 0]
            lines.append(_("map {unit}", unit=unit) + _(": ") + (
                ", ".join(shown) or _("zero: no photo activates it")))
        return "\n".join(lines)


def top_patches(model: Sequential, photos: ImageInput, layer: str | None = None,
                units: Sequence[int] | int | None = None, *, n: int = 9, maps: int = 4,
                projections: bool = True, batch_size: int | None = None,
                progress: Progress = silent) -> TopPatches:
    """The n strongest activations of each unit over the photos, at most one per photo.

    layer: None is the last convolution; if a layer ends in sigmoid or softmax, its logits are used.
    units: None selects the `maps` maps whose n largest activations have the largest mean.
    batch_size: None is as many as fit into memory. progress(done, total) counts photos, then
    patches.
    Raises ArgumentError for layers and units that do not exist, no photos, values not finite.
    """
    maps_layer(model)  # raises if there are no maps
    layer_number, data = layer_index(model, layer), as_dataset(photos)
    name = model.layers[layer_number].name
    n, maps = check_int(n, "top_patches, n"), check_int(maps, "maps")
    selected = None if units is None else _check_units(model, name, units)
    K = model.shapes()[layer_number + 1][-1]
    num_patches = (min(maps, K) if selected is None else len(selected)) * n
    total = len(data) + num_patches
    batch_size = batch_size_for(model, layer_number + 1, batch_size)
    layers = without_last_activation(copy_layers(model.layers[:layer_number + 1]))

    activations, index, positions = strongest(
        model, layers, data, batch_size, n, lambda done, _: progress(done, total))
    if selected is None:
        means = np.maximum(activations, 0).mean(axis=1)
        selected = np.argsort(-means, kind="stable")[:maps]
    index = np.where(activations > 0, index, -1)[selected]  # (U, n)
    activations, positions = np.maximum(activations, 0)[selected], positions[selected]
    positions[index < 0] = 0

    H, Wd, C = model.input_shape
    field = model.receptive_fields()[layer_number]
    h, w = (H, Wd) if field is None else (min(field[0], H), min(field[1], Wd))
    result = TopPatches(name, selected, activations, index, positions,
                        np.zeros((*index.shape, 4), int),
                        np.full((*index.shape, h, w, 3), GREY, np.uint8),
                        np.zeros((*index.shape, h, w, C), np.float32) if projections else None,
                        field, (H, Wd), [str(name) for name in data.names])
    entries = np.argwhere(index >= 0)  # (u, r): the r-th patch of unit u
    entries = entries[np.argsort(index[tuple(entries.T)], kind="stable")]  # by photo
    for start in range(0, len(entries), batch_size):
        _fill(model, layers, data, result, entries[start:start + batch_size])
        progress(len(data) + min(start + batch_size, len(entries)), total)
    progress(total, total)
    return result


def _check_units(model: Sequential, layer: str, units: Sequence[int] | int) -> np.ndarray:
    """The units (U,), if there is at least one and the layer has them."""
    numbers = [units] if isinstance(units, (int, np.integer)) else list(units)
    if not numbers:
        raise ArgumentError("top_patches: expected at least one unit, received none.")
    return np.array([check_unit(model, layer, unit) for unit in numbers])


def _fill(model: Sequential, layers: list[Layer], data: Dataset, result: TopPatches,
          entries: np.ndarray) -> None:
    """Boxes, patches and projections of the entries (u, r) of the result, in one batch."""
    size, field = np.array(result.size), result.field
    read, which = np.unique(result.photos[tuple(entries.T)], return_inverse=True)
    pixels = crop_images(model, data, read)[which]
    jump, offset, crop = _geometry(model, len(layers), field)
    inputs, outputs, targets = [], [], []
    for k, (u, r) in enumerate(entries):
        position = result.positions[u, r]
        if field is None:  # the unit sees everything
            box, origin = np.array([0, 0, *size]), np.zeros(2, int)
        else:
            box = np.array(receptive_box(model, result.layer, tuple(position)))
            origin = np.where(np.array(field) > size, 0, position * jump - offset)
        result.boxes[u, r] = box
        top, left = box[:2] - origin
        bottom, right = box[2:] - origin
        target = np.s_[u, r, top:bottom, left:right]  # where the patch goes
        result.patches[target] = pixels[k, box[0]:box[2], box[1]:box[3]]
        corner = np.minimum(box[:2] // jump * jump, size - crop)
        inputs.append(pixels[k, corner[0]:corner[0] + crop[0], corner[1]:corner[1] + crop[1]])
        outputs.append((*(position - corner // jump), result.units[u]))
        targets.append((target, box - np.tile(corner, 2)))
    if result.projections is None:
        return
    y = forward(layers, model.to_input(np.stack(inputs)), keep=True)
    signal = y * 0
    for k, output in enumerate(outputs):
        element = (k, *output[-(y.ndim - 1):])  # (k, i, j, unit), or (k, unit) of a vector
        signal[element] = y[element]
    dx = as_rgb(model, backward(layers, signal, "deconvnet"))
    for k, (target, (top, left, bottom, right)) in enumerate(targets):
        result.projections[target] = dx[k, top:bottom, left:right]


def _geometry(model: Sequential, stop: int, field: tuple[int, int] | None
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """J and P, (2,) each: position i of a map sees rows from i·J − P on, except at the border; and
    the size (2,) of a crop that holds every receptive field and leaves a multiple of J."""
    jump, offset, size = np.ones(2, int), np.zeros(2, int), np.array(model.input_shape[:2])
    if field is None:
        return jump, offset, size
    for layer, shape in zip(model.layers[:stop], model.shapes(), strict=False):
        window = layer.window(shape)
        if window is not None:
            (top, _), (left, _) = window.pads
            offset += jump * [top, left]
            jump = jump * window.strides
    rest = np.maximum(size - (np.array(field) + jump - 1), 0)
    return jump, offset, size - rest // jump * jump


def as_three_channels(x: np.ndarray) -> np.ndarray:
    """(h, w, C) as three channels; the sum of the channels in each if C is not 3."""
    return x if x.shape[-1] == 3 else np.repeat(x.sum(axis=-1, keepdims=True), 3, axis=-1)


def mosaic(pictures: np.ndarray, columns: int) -> np.ndarray:
    """(n, h, w, 3) -> one picture of them in rows of `columns`, with white lines between."""
    n, h, w, _ = pictures.shape
    gap, white = max(1, w // 24), 255 if pictures.dtype == np.uint8 else 1
    rows = -(-n // columns)
    sheet = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, 3), white, pictures.dtype)
    for k, picture in enumerate(pictures):
        top, left = k // columns * (h + gap), k % columns * (w + gap)
        sheet[top:top + h, left:left + w] = picture
    return sheet
