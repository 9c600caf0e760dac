"""One page that shows what the layers see: on a projector, a phone, a machine without network.

Its questions: which patches of these photos excite a map most, and what in them? How is one photo
transformed, layer by layer? Why this answer? The template is atlas.html; see pages.py.

Source: Zeiler & Fergus 2014, figure 2, for the rows of nine patches with their projections.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..data import Dataset
from ..evaluation import class_probabilities
from ..layers.sharing import last_activation
from ..model import Sequential
from ..models import image_size
from ..ops import to_cpu
from ..plotting import drawing
from ..utils.arrays import Pixels
from ..utils.errors import ArgumentError, check_int
from ..visualize.attribution import cam, gradients
from ..visualize.attribution.occlusion import Occlusion, occlusion
from ..visualize.attribution.result import Attribution
from ..visualize.features.top_patches import top_patches
from ..visualize.photos import ImageInput, Progress, as_dataset, silent
from ..visualize.result import writable
from ..visualize.target import chosen_layers, has_classes, photo_input
from .pages import as_uri, heat_picture, write_page

JOURNEY_MAPS = 6
LAYER_STEPS, METHOD_STEPS = 100, 10  # of progress, for a layer and for a method
METHODS: dict[str, tuple[Callable, dict, str]] = {
    "gradient": (gradients.gradient, {}, "How the score moves with each pixel."),
    "gradient × input": (gradients.gradient_x_input, {}, "The gradient times the pixel's value."),
    "guided backprop": (gradients.guided_backprop, {}, "Only positive signals through active "
                                                       "units."),
    "SmoothGrad": (gradients.smooth_grad, {"samples": 16}, "Mean gradient of 16 noisy copies."),
    "integrated gradients": (gradients.integrated_gradients, {}, "The gradient summed on the way "
                             "from the baseline: its parts add up to the change of the score."),
    "Grad-CAM": (cam.grad_cam, {}, "The maps of the last convolution, weighted by their mean "
                                   "gradient."),
    "guided Grad-CAM": (cam.guided_grad_cam, {}, "Grad-CAM times guided backprop."),
    "Grad-CAM++": (cam.grad_cam_pp, {}, "Grad-CAM with weights that count each position alike."),
    "Layer-CAM": (cam.layer_cam, {}, "As Grad-CAM, with a weight for each position."),
    "occlusion": (occlusion, {}, "How much the score falls on average when a grey square covers "
                                 "the pixel; bright or red: it falls, blue: it rises."),
}


def write_atlas(path: str | os.PathLike, model: Sequential, photos: ImageInput, *,
                image: Pixels | None = None, layers: list[str] | None = None, maps: int = 4,
                n: int = 9, force: bool = False, progress: Progress = silent) -> Path:
    """Writes the page (.html) and returns its path.

    photos: a Dataset, or uint8 (H', Wd', 3) each; searched for the n strongest patches of `maps`
    maps of every layer. layers: names; None: the convolution before each pooling, at most five.
    image: the photo of the journey and of the answer, None: the first of `photos`.
    Raises FileError if the file exists (unless force), ArgumentError for unknown layers, maps or
    n below 1, no photo, a network without convolution; all before anything is computed.
    """
    path = writable(path, (".html",), force)
    data, chosen = as_dataset(photos), chosen_layers(model, layers)
    maps, n = check_int(maps, "write_atlas, maps"), check_int(n, "write_atlas, n")
    if not len(data):
        raise ArgumentError("write_atlas: expected at least one photo, received none. Name some.")
    name = data.names[0] if image is None else "the given photo"
    image = data.read(0) if image is None else image
    pixels, x = photo_input(model, image)
    targets = [1, 0] if has_classes(model) and model.shapes()[-1] == (1,) else [None]
    total = LAYER_STEPS * len(chosen) + METHOD_STEPS * len(METHODS) * len(targets)

    rows = []
    for k, layer in enumerate(chosen):
        def layer_progress(done: int, of: int, start: int = LAYER_STEPS * k) -> None:
            progress(start + LAYER_STEPS * done // of, total)

        rows.append(layer_row(model, data, layer, n, maps, layer_progress))
        layer_progress(1, 1)
    answers = []
    for k, target in enumerate(targets):
        def answer_progress(done: int, start: int = LAYER_STEPS * len(chosen)
                            + METHOD_STEPS * len(METHODS) * k) -> None:
            progress(start + done, total)

        answers.append(answer(model, image, target, answer_progress))
    page = {"model": model.name, "count": len(data), "size": list(model.input_shape[:2]),
            "layers": rows, "answers": answers, "summary": model.summary(),
            "photo": {"name": str(name), "picture": as_uri(pixels)},
            "journey": journey(model, to_cpu(x), chosen), "outputs": outputs(model, to_cpu(x))}
    return write_page(path, "atlas.html", page)


# Tab 1: what the maps look for


def layer_row(model: Sequential, data: Dataset, layer: str, n: int, maps: int,
              progress: Progress) -> dict:
    """The `maps` strongest maps of a layer as the page's JSON; "blank" says why a picture is
    missing."""
    size = image_size(model)
    field = model.receptive_fields()[model.index(layer)] or size
    row = {"name": layer, "field": f"{field[0]} × {field[1]}", "blank": "",
           "hint": hint(field, size)}
    try:
        result = top_patches(model, data, layer, n=n, maps=maps, progress=progress)
    except ArgumentError as error:  # values that are not finite
        return {**row, "maps": [], "blank": str(error)}
    map_rows = []
    for u, unit in enumerate(result.units):
        patches = []
        for k in np.flatnonzero(result.photos[u] >= 0):
            projection = None if result.projections is None else result.projections[u, k]
            blank = "not computed" if projection is None else drawing.why_blank(projection)
            i, j = (int(p) for p in result.positions[u, k])
            top, left, bottom, right = (int(p) for p in result.boxes[u, k])
            patches.append({
                "patch": as_uri(result.patches[u, k]), "blank": blank,
                "projection": "" if blank or projection is None else as_uri(
                    signed_picture(projection)),
                "activation": f"{result.activations[u, k]:.4g}",
                "photo": str(data.names[result.photos[u, k]]), "position": f"row {i}, column {j}",
                "box": f"rows {top}–{bottom - 1}, columns {left}–{right - 1}"})
        activations = result.activations[u][result.photos[u] >= 0]
        never_active = not patches or activations.max() <= 0
        map_rows.append({"unit": int(unit), "places": patches, "blank":
                         "never active on these photos" if never_active else ""})
    return {**row, "maps": map_rows}


def hint(field: tuple[int, int], size: tuple[int, int]) -> str:
    """What to look for in a layer whose outputs see `field` pixels of photos of `size`."""
    fraction = max(length / side for length, side in zip(field, size, strict=True))
    if max(field) <= 16:
        return ("The patches are tiny: they can hold an edge, a colour, a dot. Are the nine of a "
                "map nearly the same picture?")
    if fraction < 0.5:
        return ("The patches can hold corners, textures and small parts. What do the nine have in "
                "common, and what may differ: colour, direction, position?")
    return ("The patch covers half of the photo or more. The nine may differ in every pixel: the "
            "projections show which part of each one mattered.")


# Tab 2: a photo's journey


def journey(model: Sequential, x: np.ndarray, layers: list[str]) -> list[dict]:
    """For each layer the maps of x (1, H, Wd, C) with the largest mean, and their numbers."""
    steps, acts = [], model.activations(x, layers)
    for name in sorted(layers, key=model.index):
        y = np.asarray(acts[name][0], np.float64)  # (OH, OW, K)
        means = y.mean(axis=(0, 1))
        order = np.argsort(-np.nan_to_num(means, nan=-np.inf), kind="stable")[:JOURNEY_MAPS]
        maps = [{"unit": int(k), "blank": drawing.why_blank(y[..., k]), "mean": f"{means[k]:.3g}",
                 "maximum": f"{y[..., k].max():.3g}", "active": f"{(y[..., k] > 0).mean():.0%}",
                 "picture": "" if drawing.why_blank(y[..., k]) else as_uri(heat_picture(y[..., k]))}
                for k in order]
        steps.append({"name": name, "maps": maps, "shape": " × ".join(map(str, y.shape)),
                      "active": f"{(y > 0).mean():.0%}",
                      "silent": int((~(y > 0).any(axis=(0, 1))).sum()), "count": y.shape[-1]})
    return steps


def outputs(model: Sequential, x: np.ndarray) -> list[dict]:
    """The five largest outputs of a network with classes; for a single output both classes."""
    if not has_classes(model):
        return []
    y = model.predict(x)[0].astype(np.float64)
    if last_activation(model.layers) is not None:
        y = class_probabilities(y[None])[0]
    names = model.classes or [str(k) for k in range(len(y))]
    order = np.argsort(-np.nan_to_num(y, nan=-np.inf), kind="stable")[:5]
    is_share = np.isfinite(y).all() and y.min() >= 0 and y.max() <= 1
    return [{"name": str(names[k]) if len(names) == len(y) else "output", "value": f"{y[k]:.3g}",
             "share": float(y[k]) if is_share else None} for k in order]


# Tab 3: why this answer?


def answer(model: Sequential, image: Pixels, target: int | None,
           progress: Callable[[int], None]) -> dict:
    """All METHODS for one target; progress(steps done), METHOD_STEPS for each method."""
    cards, name, score = [], "", ""
    for k, (method, (function, options, text)) in enumerate(METHODS.items()):
        card = {"method": method, "text": text, "note": "", "blank": "", "picture": ""}
        try:
            result = function(model, image, target, **options)
        except ArgumentError as error:  # the method does not work for this network
            card["blank"] = str(error)
        else:
            name, score = str(result.target), f"{result.score:.4g}"
            card["note"] = getattr(result, "note", "")
            card["blank"], card["picture"] = picture_of(result)
        cards.append(card)
        progress(METHOD_STEPS * (k + 1))
    return {"target": name, "score": score, "cards": cards}


def picture_of(result: Attribution | Occlusion) -> tuple[str, str]:
    """(why there is nothing to see, the picture's URI): one of them is empty.

    Maps are drawn over the photo; values of pixels alone, clipped at their 99.5th percentile.
    """
    heat = result.heat() if isinstance(result, Attribution) else result.values
    if drawing.why_blank(heat):
        return drawing.why_blank(heat), ""
    if result.values.ndim == 3:
        limit = np.percentile(np.abs(heat), 99.5) or np.abs(heat).max()
        return "", as_uri(heat_picture(np.clip(heat, -limit, limit)))
    return "", as_uri(heat_picture(heat, result.pixels))


# Pictures


def signed_picture(x: np.ndarray) -> Pixels:
    """A signed picture (h, w, C) -> uint8 (h, w, 3), 0 as mid grey."""
    if x.shape[-1] != 3:
        x = np.repeat(x.sum(axis=-1, keepdims=True), 3, axis=-1)
    return np.rint(255 * drawing.normalize_signed(x)).astype(np.uint8)
