"""What the maps of each layer look for: the first view of the atlas, as numbers and pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data import Dataset
from ..model import Sequential
from ..models import image_size
from ..plotting import drawing
from ..utils.errors import ArgumentError
from ..utils.language import gettext as _
from ..visualize.features.top_patches import TopPatches, top_patches
from ..visualize.photos import Progress
from ..visualize.synthesis import maximise
from ..visualize.target import Unit
from .html import number_text
from .pages import as_uri

MAXIMISED_SIDES = (32, 64)  # pixels: the smallest and the largest image that is maximised
MAXIMISED_STEPS = 24  # per octave, of which there are two


def layer_row(model: Sequential, data: Dataset, layer: str, n: int, maps: int,
              maximised: bool, progress: Progress) -> dict[str, Any]:
    """The `maps` strongest maps of a layer; "blank" says why a picture is missing.

    maximised: also an image made to activate each map. progress(done, total): photos and maps.
    """
    size = image_size(model)
    field = model.receptive_fields()[model.index(layer)] or size
    row: dict[str, Any] = {"name": layer, "field": f"{field[0]} × {field[1]}", "blank": "",
                           "hint": hint(field, size), "maps": []}
    part = len(data) + maps * n  # the progress of top_patches; each maximised image counts n, too
    total = part + maps * n * maximised
    try:
        result = top_patches(model, data, layer, n=n, maps=maps,
                             progress=lambda done, of: progress(done * part // of, total))
    except ArgumentError as error:  # values that are not finite
        return {**row, "blank": str(error)}
    largest = max(float(result.activations.max()), 1e-30)
    order = np.argsort(-result.activations.max(axis=1), kind="stable")
    for done, u in enumerate(order.tolist(), 1):
        unit, shown = int(result.units[u]), np.flatnonzero(result.photos[u] >= 0)
        strongest = float(result.activations[u].max()) if shown.size else 0.0
        entry = {"unit": unit, "strongest": number_text(strongest),
                 "share": strongest / largest,
                 "blank": "" if strongest > 0 else _("never active on these photos"),
                 "patches": [patch_of(result, data, u, int(k)) for k in shown],
                 "maximised": "", "no_image": _("not computed")}
        if maximised:
            entry["maximised"], entry["no_image"] = maximised_picture(model, layer, unit)
            progress(part + done * n, total)
        row["maps"].append(entry)
    return row


def patch_of(result: TopPatches, data: Dataset, u: int, k: int) -> dict[str, Any]:
    """The k-th patch of the u-th map: its pictures, its numbers and where it lies."""
    projection = None if result.projections is None else result.projections[u, k]
    blank = _("not computed") if projection is None else drawing.why_blank(projection)
    i, j = (int(p) for p in result.positions[u, k])
    top, left, bottom, right = (int(p) for p in result.boxes[u, k])
    index = int(result.photos[u, k])
    return {"patch": as_uri(result.patches[u, k]), "blank": blank,
            "projection": "" if blank or projection is None else as_uri(signed_picture(projection)),
            "activation": number_text(float(result.activations[u, k])), "index": index,
            "photo": str(data.names[index]),
            "position": _("row {row}, column {column}", row=i, column=j),
            "box": [left, top, right - left, bottom - top],
            "pixels": _("rows {top}–{bottom}, columns {left}–{right}", top=top, bottom=bottom - 1,
                        left=left, right=right - 1)}


def maximised_picture(model: Sequential, layer: str, unit: int) -> tuple[str, str]:
    """(the URI of a small image made from noise to activate the map, why there is none): one of
    them is empty. Few steps on a small image: a sketch of what `look maximise` draws."""
    index = model.index(layer)
    field = model.receptive_fields()[index] or image_size(model)
    side = int(np.clip(max(field), *MAXIMISED_SIDES))
    network = model.view(model.layers[:index + 1], (side, side, model.input_shape[-1]),
                         model.preprocessing)
    try:
        image = maximise(network, Unit(layer, unit), steps=MAXIMISED_STEPS, octaves=2)
    except ArgumentError as error:  # a dead map, or maps that vanish at this size
        return "", str(error)
    return as_uri(image.pixels), ""


def hint(field: tuple[int, int], size: tuple[int, int]) -> str:
    """What to look for in a layer whose outputs see `field` pixels of photos of `size`."""
    fraction = max(length / side for length, side in zip(field, size, strict=True))
    if max(field) <= 16:
        return _("The patches are tiny: they can hold an edge, a colour, a dot. Are the nine of a "
                 "map nearly the same picture?")
    if fraction < 0.5:
        return _("The patches can hold corners, textures and small parts. What do the nine have in "
                 "common, and what may differ: colour, direction, position?")
    return _("The patch covers half of the photo or more. The nine may differ in every pixel: the "
             "projections show which part of each one mattered.")


def signed_picture(x: np.ndarray) -> np.ndarray:
    """A signed picture (h, w, C) -> uint8 (h, w, 3), 0 as mid grey."""
    if x.shape[-1] != 3:
        x = np.repeat(x.sum(axis=-1, keepdims=True), 3, axis=-1)
    return np.rint(255 * drawing.normalize_signed(x)).astype(np.uint8)
