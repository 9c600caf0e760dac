"""One page that shows what the layers see: on a projector, a phone, a machine without network.

Its questions: which patches of these photos excite a map most, and what in them? How is one photo
transformed, layer by layer? Why this answer? How is the network built? The numbers and pictures are
collected here and in atlas_maps.py and atlas_photos.py; atlas_page.py makes HTML of them, which
atlas.html shows without JavaScript, too.

Source: Zeiler & Fergus 2014, figure 2, for the rows of nine patches with their projections.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import summary
from ..data import Dataset
from ..model import Sequential
from ..models.vgg16 import PREPROCESSING as VGG16_RECIPE
from ..preprocessing import Preprocessing
from ..utils.arrays import Pixels
from ..utils.errors import ArgumentError, check_int
from ..utils.language import gettext as _
from ..utils.language import local_number
from ..utils.ranks import current_ranks
from ..visualize.photos import ImageInput, Progress, as_dataset, silent
from ..visualize.result import writable
from ..visualize.target import chosen_layers, photo_input
from .atlas_maps import layer_row
from .atlas_page import content
from .atlas_photos import methods_for, photo_entry, sharp
from .html import percent
from .pages import as_uri, write_page

EXAMPLES = 12  # photos to choose from
MAX_CLASSES = 12  # that are named
LAYER_STEPS, METHOD_STEPS = 100, 10  # of progress, for a layer and for a method


def write_atlas(path: str | os.PathLike, model: Sequential, photos: ImageInput, *,
                image: Pixels | None = None, layers: list[str] | None = None, maps: int = 4,
                n: int = 9, examples: int = EXAMPLES, maximised: bool = True, force: bool = False,
                name: str | None = None, progress: Progress = silent) -> Path:
    """Writes the page (.html) and returns its path.

    name: of the model, as its user calls it; None: model.name.
    photos: a Dataset, or uint8 (H', Wd', 3) each; searched for the n strongest patches of `maps`
    maps of every layer. layers: names; None: the convolution before each pooling, at most five.
    image: the first photo of the journey and of the answer, None: the first of `photos`. examples:
    how many photos to choose from there, spread evenly over `photos`; all methods for the first,
    the quick ones for the others. maximised: an image made to activate each map, about a second
    each.
    Raises FileError if the file exists (unless force), ArgumentError for unknown layers, maps, n or
    examples below 1, no photo, a network without convolution; all before anything is computed.
    """
    path = current_ranks().from_first(lambda: writable(path, (".html",), force))
    page = collect(model, photos, image=image, layers=layers, maps=maps, n=n, examples=examples,
                   maximised=maximised, progress=progress) | ({} if name is None else
                                                              {"model": name})
    if not current_ranks().is_first:
        return path  # rank 0 writes it
    return write_page(path, "atlas.html", {}, body=content(page))


def collect(model: Sequential, photos: ImageInput, *, image: np.ndarray | None = None,
            layers: list[str] | None = None, maps: int = 4, n: int = 9, examples: int = EXAMPLES,
            maximised: bool = True, progress: Progress = silent) -> dict[str, Any]:
    """The numbers and the pictures of the page; arguments and errors as for write_atlas."""
    data, chosen = as_dataset(photos), chosen_layers(model, layers)
    maps, n = check_int(maps, "write_atlas, maps"), check_int(n, "write_atlas, n")
    check_int(examples, "write_atlas, examples")
    if not len(data):
        raise ArgumentError("write_atlas: expected at least one photo, received none. Name some.")
    entries = chosen_photos(data, image, examples)
    photo_input(model, entries[0][1]())  # raises if it does not fit
    methods = [methods_for(model, quick=k > 0) for k in range(len(entries))]
    stages = Stages(progress, [LAYER_STEPS] * len(chosen)
                    + [METHOD_STEPS * (len(names) + 1) for names in methods])
    rows = [layer_row(model, data, layer, n, maps, maximised, stages.next())
            for layer in chosen]
    shown = []
    for (name, read), names in zip(entries, methods, strict=True):
        stage = stages.next()
        shown.append(photo_entry(model, name, read(), chosen, names,
                                 partial(_photo_progress, stage, len(names) + 1)))
        stage(1, 1)
    used = sorted({patch["index"] for row in rows for entry in row["maps"]
                   for patch in entry["patches"]})
    return {"model": model.name, "count": len(data), "size": list(model.input_shape[:2]),
            "layers": rows, "photos": shown,
            "whole": {index: as_uri(sharp(model, data.read(index))) for index in used},
            "boxes": boxes(model, chosen), "table": [list(row) for row in summary.rows(model)],
            "header": summary.header(), "footer": about(model)}


def _photo_progress(stage: Progress, total: int, done: int) -> None:
    stage(min(done, total), total)


def chosen_photos(data: Dataset, image: np.ndarray | None, examples: int
                  ) -> list[tuple[str, Callable[[], np.ndarray]]]:
    """(name, function that reads it) of the photos to choose from: `image`, then photos spread
    evenly over the data."""
    first = [] if image is None else [(_("the given photo"), partial(np.asarray, image))]
    number = min(examples - len(first), len(data))
    at = np.linspace(0, len(data) - 1, number).round().astype(int) if number > 1 else [0] * number
    return [*first, *((str(data.names[i]), partial(data.read, int(i))) for i in at)]


def boxes(model: Sequential, chosen: list[str]) -> list[dict[str, Any]]:
    """For each layer, after the input: name, kind, shape of its output, number of parameters, and
    whether its maps are shown."""
    rows = [{"name": _("photo"), "kind": "input", "shape": list(model.input_shape),
             "parameters": "", "has_maps": False}]
    for layer, shape in zip(model.layers, model.shapes()[1:], strict=True):
        count = sum(p.size for p in layer.params.values())
        rows.append({"name": layer.name, "kind": type(layer).__name__, "shape": list(shape),
                     "parameters": f"{count:,}" if count else "", "has_maps": layer.name in chosen})
    return rows


def about(model: Sequential) -> list[str]:
    """The lines below the table of layers: parameters, preprocessing, classes."""
    lines = summary.footer(model)[:1]
    if model.preprocessing is not None:
        lines.append(_("preprocessing: {words}", words=preprocessing_in_words(model.preprocessing)))
    if model.classes:
        shown = ", ".join(model.classes[:MAX_CLASSES])
        more = len(model.classes) - MAX_CLASSES
        lines.append(_("classes: {names}", names=shown) + (
            _(", … and {count} more", count=more) if more > 0 else ""))
    return lines


def preprocessing_in_words(recipe: Preprocessing) -> str:
    """What is done to the pixels: "RGB → BGR, minus ImageNet's mean colour"."""
    words = {"BGR": "RGB → BGR", "GREY": _("in grey"), "RGB": "RGB"}[recipe.channel_order]
    channels = recipe.mean[:1] if len(set(recipe.mean)) == 1 else recipe.mean
    means = [local_number(f"{value:g}") for value in channels]
    if recipe.mean == VGG16_RECIPE.mean:
        words += _(", minus ImageNet’s mean colour")
    elif any(recipe.mean):
        words += _(", minus {mean}", mean=" / ".join(means))
    if recipe.crop_fraction != 1:
        words += _(", from the middle {share} of the photo", share=percent(recipe.crop_fraction))
    if recipe.scale != 1:
        words += _(", times {scale}", scale=local_number(f"{recipe.scale:.3g}"))
    return words


class Stages:
    """One progress made of several: stage k takes weights[k] steps of all."""

    def __init__(self, progress: Progress, weights: list[int]) -> None:
        self.progress, self.weights, self.number = progress, weights, 0

    def next(self) -> Progress:
        """The progress of the next stage."""
        start, weight = sum(self.weights[:self.number]), self.weights[self.number]
        self.number += 1
        return lambda done, of: self.progress(start + weight * done // of, sum(self.weights))
