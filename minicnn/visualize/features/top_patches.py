"""The patches that excite a feature map most, over many photos, each beside its projection.

For a unit k, every photo m gives one number a_m = max_{i,j} y_m[i, j, k]; the n largest a_m > 0 are
kept, so no photo appears twice. A patch is what the unit has seen there: its receptive field, grey
where that hangs over the border. Beside it stands that one activation, projected to the pixels by
the deconvnet. What the patches share is what the map looks for; what differs does not matter to it.

Two passes. The first keeps only the n largest of each unit while the photos stream by. The second
projects the photos found, several in one batch, each cut to what its unit sees, and exactly so:
with J the product of the strides, a cut whose edges lie k·J pixels from the photo's has every
window where the photo has it, and the zeros that padding puts at the new edges reach only places
that the unit does not see.

Source: Zeiler & Fergus 2014, figure 2 and section 4 (Z3 and Z4 of the course).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...data import Dataset
from ...layers import Layer
from ...model import Sequential
from ...ops import to_cpu
from ...plotting import drawing
from ...utils.errors import ArgumentError, check_int, is_int
from ..photos import Photos, Progress, as_dataset, bounded, photo_batches, silent
from ..propagation import backward
from ..result import Result
from ..target import (
    as_rgb,
    check_unit,
    copies,
    layer_index,
    maps_layer,
    run,
    without_last_activation,
)
from .deconvnet import receptive_box

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GREY = 128


@dataclass
class TopPatches(Result):
    """Of U units the n strongest photos, strongest first.

    units (U,); activations (U, n); photos (U, n): indices, −1 where fewer than n photos excite the
    unit; positions (U, n, 2): row and column in the map; boxes (U, n, 4): top, left, bottom, right
    in pixels of the photo as cut for the network, the last two excluded; patches (U, n, h, w, 3)
    uint8, grey beyond the border; projections (U, n, h, w, C), channels red, green, blue, or None;
    field (height, width): what a unit sees, None for everything; size (H, Wd) of the photos.
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

    def figure(self) -> Figure:
        """As in the paper: for each unit a block of patches beside the block of projections."""
        U, n = self.photos.shape
        columns, blocks = int(np.ceil(np.sqrt(U))), 1 if self.projections is None else 2
        rows = -(-U // columns)
        across = int(np.ceil(np.sqrt(n)))
        _, _, h, w, _ = self.patches.shape
        tall = 2.4 * -(-n // across) / across * h / w + 0.4
        figure = drawing.new_figure(max(2.4 * columns * blocks, 6), tall * rows + 0.6)
        for part, u in zip(figure.subfigures(rows, columns, squeeze=False).flat, range(U),
                           strict=False):
            a = self.activations[u][self.photos[u] >= 0]
            part.suptitle(f"map {self.units[u]}: " + (f"{a[0]:.4g} … {a[-1]:.4g}" if len(a) else
                                                      "zero, no photo excites it"), fontsize=12)
            axes = part.subplots(1, blocks, squeeze=False)[0]
            drawing.show_image(axes[0], mosaic(self.patches[u], across))
            if blocks == 2:
                shown = np.stack([drawing.stretched(three(one)) for one in self.projections[u]])
                drawing.show_image(axes[1], mosaic(shown, across))
        figure.suptitle(f"{self.layer}: {self._sees()}" + " and projections" * (blocks == 2))
        return figure

    def _sees(self) -> str:
        whole_photo = self.field is None or all(
            seen >= side for seen, side in zip(self.field, self.size, strict=True))
        return "whole photos" if whole_photo else f"patches {self.field[0]} × {self.field[1]}"

    def __str__(self) -> str:
        lines = [f"{self.layer}, {self._sees()}"]
        if self._sees() == "whole photos":
            lines[0] += (f": a unit sees the whole photo, {self.size[0]} × {self.size[1]} pixels"
                         + (f" (its receptive field, {self.field[0]} × {self.field[1]}, is as "
                            "large or larger; near the border it hangs over)"
                            if self.field else ""))
        for unit, activations, photos in zip(self.units, self.activations, self.photos,
                                             strict=True):
            found = [f"{m} ({a:.4g})" for a, m in zip(activations, photos, strict=True) if m >= 0]
            lines.append(f"map {unit}: " + ("photos " + ", ".join(found) if found else
                                            "zero: no photo excites it"))
        return "\n".join(lines)


def top_patches(model: Sequential, photos: Photos, layer: str | None = None,
                units: Sequence[int] | None = None, *, n: int = 9, maps: int = 4,
                projections: bool = True, batch_size: int | None = None,
                progress: Progress = silent) -> TopPatches:
    """The n strongest activations of each unit over the photos, at most one a photo.

    layer: None is the last convolution; of one that ends in sigmoid or softmax, the values before.
    units: None takes the `maps` maps whose n largest activations have the largest mean.
    batch_size: None is what memory bears. progress(done, total) counts photos, then patches.
    Raises ArgumentError for layers and units that do not exist, no photos, values not finite.
    """
    maps_layer(model)  # or a sentence: there are no maps
    place, data = layer_index(model, layer), as_dataset(photos)
    name = model.layers[place].name
    n, maps = check_int(n, "top_patches, n"), check_int(maps, "maps")
    if units is not None:
        units = [units] if is_int(units, 0) else list(units)
        if not units:
            raise ArgumentError("top_patches: expected at least one unit, received none.")
        units = [check_unit(model, name, unit) for unit in units]
    K = model.shapes()[place + 1][-1]
    pairs = (min(maps, K) if units is None else len(units)) * n
    total, step = len(data) + pairs, bounded(model, place + 1, batch_size)
    layers = without_last_activation(copies(model.layers[:place + 1]))

    activations, index, positions = _strongest(
        model, layers, photo_batches(model, data, step, lambda done, _: progress(done, total)), n)
    if units is None:
        units = np.argsort(-np.maximum(activations, 0).mean(axis=1), kind="stable")[:maps]
    units = np.asarray(units, int)
    index = np.where(activations > 0, index, -1)[units]  # (U, n)
    activations, positions = np.maximum(activations, 0)[units], positions[units]
    positions[index < 0] = 0

    H, Wd, C = model.input_shape
    field = model.receptive_fields()[place]
    h, w = (H, Wd) if field is None else (min(field[0], H), min(field[1], Wd))
    found = TopPatches(name, units, activations, index, positions,
                       np.zeros((*index.shape, 4), int),
                       np.full((*index.shape, h, w, 3), GREY, np.uint8),
                       np.zeros((*index.shape, h, w, C), np.float32) if projections else None,
                       field, (H, Wd))
    rows = np.argwhere(index >= 0)
    rows = rows[np.argsort(index[tuple(rows.T)], kind="stable")]  # one photo's units together
    for start in range(0, len(rows), step):
        _fill(model, layers, data, found, rows[start:start + step])
        progress(len(data) + min(start + step, len(rows)), total)
    progress(total, total)
    return found


def _strongest(model: Sequential, layers: list[Layer], streaming: Iterator, n: int
               ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The n largest a_m of every unit: values (K, n), −inf where there are fewer; photos (K, n);
    positions (K, n, 2)."""
    best = None
    for indices, _, x in streaming:
        y = to_cpu(run(layers, x))
        y = y[:, None, None] if y.ndim == 2 else y  # (N, OH, OW, K)
        if not np.isfinite(y).all():
            raise ArgumentError(f"{layers[-1].name}: expected finite activations, received others "
                                f"for photos {indices[0]} to {indices[-1]}. Are the weights "
                                f"finite?")
        N, OH, OW, K = y.shape
        y = y.reshape(N, OH * OW, K)
        at = y.argmax(axis=1)  # (N, K)
        a = np.take_along_axis(y, at[:, None], axis=1)[:, 0]
        new = a, np.broadcast_to(indices[:, None], a.shape), at
        if best is None:
            best = [np.full((n, K), fill, part.dtype) for fill, part in
                    zip((-np.inf, -1, 0), new, strict=True)]
        joined = [np.concatenate(pair) for pair in zip(best, new, strict=True)]  # (n + N, K)
        order = np.argsort(-joined[0], axis=0, kind="stable")[:n]
        best = [np.take_along_axis(part, order, axis=0) for part in joined]
    a, index, at = (part.T for part in best)
    return a, index, np.stack(np.divmod(at, OW), axis=-1)


def _fill(model: Sequential, layers: list[Layer], data: Dataset, found: TopPatches,
          rows: np.ndarray) -> None:
    """Boxes, patches and projections of the places `rows` (u, r) of the result, in one batch."""
    recipe, size = model.preprocessing, found.size
    index = found.photos[tuple(rows.T)]
    read, which = np.unique(index, return_inverse=True)
    pixels = data.images(read, size, recipe.crop_fraction if recipe else 1.0)[which]
    jump, offset, cut = _geometry(model, len(layers), found.field)
    inputs, places, canvases = [], [], []
    for k, (u, r) in enumerate(rows):
        position = found.positions[u, r]
        box = np.array([0, 0, *size]) if found.field is None else np.array(
            receptive_box(model, found.layer, tuple(position)))
        found.boxes[u, r] = box
        origin = np.zeros(2, int) if found.field is None else np.where(
            np.array(found.field) > size, 0, position * jump - offset)
        top, left = box[:2] - origin
        bottom, right = box[2:] - origin
        canvas = np.s_[u, r, top:bottom, left:right]
        found.patches[canvas] = pixels[k, box[0]:box[2], box[1]:box[3]]
        corner = np.minimum(box[:2] // jump * jump, np.array(size) - cut)
        inputs.append(pixels[k, corner[0]:corner[0] + cut[0], corner[1]:corner[1] + cut[1]])
        places.append((*(position - corner // jump), found.units[u]))
        canvases.append((canvas, box - np.tile(corner, 2)))
    if found.projections is None:
        return
    y = run(layers, model.to_input(np.stack(inputs)), keep=True)
    signal = y * 0
    for k, place in enumerate(places):
        at = (k, *place[-(y.ndim - 1):])  # (k, i, j, unit), or (k, unit) of a vector
        signal[at] = y[at]
    down = as_rgb(model, backward(layers, signal, "deconvnet"))
    for k, (canvas, (top, left, bottom, right)) in enumerate(canvases):
        found.projections[canvas] = down[k, top:bottom, left:right]


def _geometry(model: Sequential, stop: int, field: tuple[int, int] | None
              ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """J and P, (2,) each: place i of a map sees rows from i·J − P on, the border aside; and the
    size (2,) of a cut that holds every receptive field and leaves a multiple of J."""
    jump, offset, size = np.ones(2, int), np.zeros(2, int), np.array(model.input_shape[:2])
    if field is None:
        return jump, offset, size
    for one, shape in zip(model.layers[:stop], model.shapes(), strict=False):
        window = one.window(shape)
        if window is not None:
            (top, _), (left, _) = window.pads
            offset += jump * [top, left]
            jump = jump * window.strides
    left_out = np.maximum(size - (np.array(field) + jump - 1), 0)
    return jump, offset, size - left_out // jump * jump


def three(x: np.ndarray) -> np.ndarray:
    """(h, w, C) as three channels: their sum, where C is not 3."""
    return x if x.shape[-1] == 3 else np.repeat(x.sum(axis=-1, keepdims=True), 3, axis=-1)


def mosaic(pictures: np.ndarray, across: int) -> np.ndarray:
    """(n, h, w, 3) -> one picture, `across` beside one another, white lines between."""
    n, h, w, _ = pictures.shape
    gap, white = max(1, w // 24), 255 if pictures.dtype == np.uint8 else 1
    down = -(-n // across)
    sheet = np.full((down * (h + gap) - gap, across * (w + gap) - gap, 3), white, pictures.dtype)
    for k, picture in enumerate(pictures):
        top, left = k // across * (h + gap), k % across * (w + gap)
        sheet[top:top + h, left:left + w] = picture
    return sheet
