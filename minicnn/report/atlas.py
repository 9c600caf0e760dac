"""One page that holds what the layers see: for a projector, a phone, and a machine without network.

Is asked: which patches of these photos excite a map most, and what in them? What becomes of one
photo on its way? Why this answer? The page is atlas.html; see pages.py.

Source: Zeiler & Fergus 2014, figure 2, for the rows of nine patches with their projections.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..data import Dataset
from ..model import Sequential
from ..ops import to_cpu
from ..plotting import drawing
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
LAYER_STEPS = 100  # steps of progress a layer counts; a method counts 10
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
    "Grad-CAM++": (cam.grad_cam_pp, {}, "Grad-CAM with weights that count each place alike."),
    "Layer-CAM": (cam.layer_cam, {}, "As Grad-CAM, with a weight for each place."),
    "occlusion": (occlusion, {}, "How much the score falls on average when a grey square covers "
                                 "the pixel; bright or red: it falls, blue: it rises."),
}


def write_atlas(path: str | os.PathLike, model: Sequential, photos: ImageInput, *,
                image: np.ndarray | None = None, layers: list[str] | None = None, maps: int = 4,
                n: int = 9, force: bool = False, progress: Progress = silent) -> Path:
    """Writes the page (.html) and returns its path.

    photos: a Dataset, or uint8 (H', Wd', 3) each; searched for the n strongest patches of `maps`
    maps of every layer. layers: names; None: the convolution before each pooling, at most five.
    image: the photo of the journey and of the answer, None: the first of `photos`.
    Raises FileError where the file exists (unless force), ArgumentError for unknown layers, maps or
    n below 1, no photo, a network without convolution; all that before anything is computed.
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
    total = LAYER_STEPS * len(chosen) + 10 * len(METHODS) * len(targets)

    rows = []
    for at, layer in enumerate(chosen):
        def step(done: int, of: int, at: int = at) -> None:
            progress(LAYER_STEPS * at + LAYER_STEPS * done // of, total)

        rows.append(layer_row(model, data, layer, n, maps, step))
        step(1, 1)
    answers = []
    for k, target in enumerate(targets):
        start = LAYER_STEPS * len(chosen) + 10 * len(METHODS) * k
        answers.append(answer(model, image, target,
                              lambda done, start=start: progress(start + done, total)))
    page = {"model": model.name, "count": len(data), "size": list(model.input_shape[:2]),
            "layers": rows, "answers": answers, "summary": model.summary(),
            "photo": {"name": str(name), "picture": as_uri(pixels)},
            "journey": journey(model, to_cpu(x), chosen), "outputs": outputs(model, to_cpu(x))}
    return write_page(path, "atlas.html", page)


# Tab 1: what the maps look for


def layer_row(model: Sequential, data: Dataset, layer: str, n: int, most: int,
              progress: Progress) -> dict:
    """The `most` strongest maps of a layer as the page's JSON; what has no picture says why."""
    field = model.receptive_fields()[model.index(layer)] or model.input_shape[:2]
    row = {"name": layer, "field": f"{field[0]} × {field[1]}", "maps": [], "flaw": "",
           "notice": notice(field, model.input_shape[:2])}
    try:
        found = top_patches(model, data, layer, n=n, maps=most, progress=progress)
    except ArgumentError as problem:  # values that are not finite
        return {**row, "flaw": str(problem)}
    for u, unit in enumerate(found.units):
        places = []
        for k in np.flatnonzero(found.photos[u] >= 0):
            down = None if found.projections is None else found.projections[u, k]
            flaw = "not computed" if down is None else drawing.why_blank(down)
            i, j = (int(p) for p in found.positions[u, k])
            top, left, bottom, right = (int(p) for p in found.boxes[u, k])
            places.append({
                "patch": as_uri(found.patches[u, k]), "flaw": flaw,
                "projection": "" if flaw else as_uri(signed_picture(down)),
                "activation": f"{found.activations[u, k]:.4g}",
                "photo": str(data.names[found.photos[u, k]]), "position": f"row {i}, column {j}",
                "box": f"rows {top}–{bottom - 1}, columns {left}–{right - 1}"})
        values = found.activations[u][found.photos[u] >= 0]
        silent_map = not places or values.max() <= 0
        row["maps"].append({"unit": int(unit), "places": places, "flaw":
                            "never active on these photos" if silent_map else ""})
    return row


def notice(field: tuple[int, int], size: tuple[int, int]) -> str:
    """What to look for in a layer whose outputs see `field` pixels of photos of `size`."""
    share = max(seen / side for seen, side in zip(field, size, strict=True))
    if max(field) <= 16:
        return ("The patches are tiny: there is room for an edge, a colour, a dot. Are the nine of "
                "a map nearly the same picture?")
    if share < 0.5:
        return ("There is room for corners, textures and small parts. What is common to the nine, "
                "and what may differ: colour, direction, place?")
    return ("The patch covers half of the photo or more. The nine may differ in every pixel: the "
            "projections show which part of each has counted.")


# Tab 2: a photo's journey


def journey(model: Sequential, x: np.ndarray, layers: list[str]) -> list[dict]:
    """Per layer the maps of x (1, H, Wd, C) with the largest mean, and their numbers."""
    steps, acts = [], model.activations(x, layers)
    for name in sorted(layers, key=model.index):
        y = np.asarray(acts[name][0], np.float64)  # (OH, OW, K)
        means = y.mean(axis=(0, 1))
        order = np.argsort(-np.nan_to_num(means, nan=-np.inf), kind="stable")[:JOURNEY_MAPS]
        maps = [{"unit": int(k), "flaw": drawing.why_blank(y[..., k]), "mean": f"{means[k]:.3g}",
                 "most": f"{y[..., k].max():.3g}", "active": f"{(y[..., k] > 0).mean():.0%}",
                 "picture": "" if drawing.why_blank(y[..., k]) else as_uri(heat_picture(y[..., k]))}
                for k in order]
        steps.append({"name": name, "maps": maps, "shape": " × ".join(map(str, y.shape)),
                      "active": f"{(y > 0).mean():.0%}",
                      "silent": int((~(y > 0).any(axis=(0, 1))).sum()), "count": y.shape[-1]})
    return steps


def outputs(model: Sequential, x: np.ndarray) -> list[dict]:
    """The five strongest outputs of a network with classes, of one output both classes."""
    if not has_classes(model):
        return []
    y = model.predict(x)[0].astype(np.float64)
    if len(y) == 1 and 0 <= y[0] <= 1:
        y = np.array([1 - y[0], y[0]])
    names = model.classes or [str(k) for k in range(len(y))]
    order = np.argsort(-np.nan_to_num(y, nan=-np.inf), kind="stable")[:5]
    share = np.isfinite(y).all() and y.min() >= 0 and y.max() <= 1
    return [{"name": str(names[k]) if len(names) == len(y) else "output", "value": f"{y[k]:.3g}",
             "share": float(y[k]) if share else None} for k in order]


# Tab 3: why this answer?


def answer(model: Sequential, image: np.ndarray, target: int | None,
           progress: Callable[[int], None]) -> dict:
    """Every method of METHODS for one target; progress(steps done, ten a method)."""
    cards, name, score = [], "", ""
    for k, (method, (function, options, text)) in enumerate(METHODS.items()):
        card = {"method": method, "text": text, "note": "", "flaw": "", "picture": ""}
        try:
            found = function(model, image, target, **options)
        except ArgumentError as problem:  # a method that this network does not allow
            card["flaw"] = str(problem)
        else:
            name, score = str(found.target), f"{found.score:.4g}"
            card["note"] = getattr(found, "note", "")
            card["flaw"], card["picture"] = shown(found)
        cards.append(card)
        progress(10 * (k + 1))
    return {"target": name, "score": score, "cards": cards}


def shown(found: Attribution | Occlusion) -> tuple[str, str]:
    """(why there is nothing to see, the picture's URI): one of them is empty. Maps lie over the
    photo; values of pixels stand alone, cut at their 99.5th percentile."""
    heat = found.heat() if isinstance(found, Attribution) else found.values
    if drawing.why_blank(heat):
        return drawing.why_blank(heat), ""
    if found.values.ndim == 3:
        most = np.percentile(np.abs(heat), 99.5) or np.abs(heat).max()
        return "", as_uri(heat_picture(np.clip(heat, -most, most)))
    return "", as_uri(heat_picture(heat, found.pixels))


# Pictures


def signed_picture(x: np.ndarray) -> np.ndarray:
    """A signed picture (h, w, C) -> uint8 (h, w, 3), 0 as mid grey."""
    if x.shape[-1] != 3:
        x = np.repeat(x.sum(axis=-1, keepdims=True), 3, axis=-1)
    return np.rint(255 * drawing.normalize_signed(x)).astype(np.uint8)
