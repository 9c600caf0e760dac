"""The journey of a photo through the layers, and why the network answers as it does: the second and
the third view of the atlas, as numbers and pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..evaluation import class_probabilities
from ..layers.sharing import last_activation
from ..model import Sequential
from ..ops import to_cpu
from ..plotting import drawing
from ..utils.errors import ArgumentError
from ..utils.language import gettext as _
from ..utils.language import gettext_noop as N_
from ..visualize.attribution import cam, gradients
from ..visualize.attribution.occlusion import Occlusion, occlusion
from ..visualize.attribution.result import Attribution
from ..visualize.photos import crop_photo
from ..visualize.target import Target, class_names, has_classes, layer_index, photo_input
from .html import number_text, percent
from .pages import as_uri, heat_picture

JOURNEY_MAPS = 6
SHOWN_SIDE = 224  # pixels: about the shorter side of the photos
DECISION = N_("The map that decides: where the last maps speak for the class, and where against "
              "it.")
METHODS: dict[str, tuple[Callable, dict, str]] = {  # beside the map that decides
    N_("occlusion"): (occlusion, {}, N_(
        "How much the score falls on average when a grey square covers the pixel; red: it falls, "
        "blue: it rises.")),
    "gradient": (gradients.gradient, {}, N_("How the score moves with each pixel.")),
    "gradient × input": (gradients.gradient_x_input, {}, N_(
        "The gradient times the pixel's value.")),
    "guided backprop": (gradients.guided_backprop, {}, N_(
        "Only positive signals through active units.")),
    "SmoothGrad": (gradients.smooth_grad, {"samples": 16}, N_(
        "Mean gradient of 16 noisy copies.")),
    "integrated gradients": (gradients.integrated_gradients, {"steps": 32}, N_(
        "The gradient summed on the way from the baseline: its parts add up to the change of the "
        "score.")),
    "Grad-CAM": (cam.grad_cam, {}, N_(
        "The maps of the last convolution, weighted by their mean gradient.")),
    "guided Grad-CAM": (cam.guided_grad_cam, {}, N_("Grad-CAM times guided backprop.")),
    "Grad-CAM++": (cam.grad_cam_pp, {}, N_(
        "Grad-CAM with weights that count each position alike.")),
    "Layer-CAM": (cam.layer_cam, {}, N_("As Grad-CAM, with a weight for each position.")),
}
QUICK = ("gradient", "guided backprop")  # for every photo; the others take seconds each
CAMS = ("Grad-CAM", "guided Grad-CAM", "Grad-CAM++", "Layer-CAM")


def photo_entry(model: Sequential, name: str, photo: np.ndarray, layers: list[str],
                methods: list[str], progress: Callable[[int], None]) -> dict[str, Any]:
    """Everything about one photo. progress counts the methods that are done."""
    x = to_cpu(photo_input(model, photo)[1])
    results = outputs(model, x)
    return {"name": name, "picture": as_uri(sharp(model, photo)), "outputs": results,
            "journey": journey(model, x, layers),
            "answers": answers(model, photo, x, methods, progress)}


def share_text(active: np.ndarray) -> str:
    """The share of elements that are True: "50 %"."""
    return percent(float(active.mean()), 0)


def sharp(model: Sequential, photo: np.ndarray) -> np.ndarray:
    """What the network sees of a photo, about 224 pixels high whatever the network's size."""
    if photo.dtype != np.uint8:  # network input, of which there is no sharper version
        return photo_input(model, photo)[0]
    return crop_photo(model, photo, times=max(1, round(SHOWN_SIDE / min(model.input_shape[:2]))))


# The journey


def journey(model: Sequential, x: np.ndarray, layers: list[str]) -> list[dict[str, Any]]:
    """For each layer the maps of x (1, H, Wd, C) with the largest mean, and their numbers."""
    steps, acts = [], model.activations(x, layers)
    for name in sorted(layers, key=model.index):
        y = np.asarray(acts[name][0], np.float64)  # (OH, OW, K)
        means = y.mean(axis=(0, 1))
        order = np.argsort(-np.nan_to_num(means, nan=-np.inf), kind="stable")[:JOURNEY_MAPS]
        maps = [{"unit": int(k), "blank": drawing.why_blank(y[..., k]),
                 "mean": number_text(float(means[k])),
                 "maximum": number_text(float(y[..., k].max())),
                 "active": share_text(y[..., k] > 0),
                 "picture": "" if drawing.why_blank(y[..., k]) else as_uri(heat_picture(y[..., k]))}
                for k in order]
        steps.append({"name": name, "maps": maps, "shape": " × ".join(map(str, y.shape)),
                      "active": share_text(y > 0),
                      "silent": int((~(y > 0).any(axis=(0, 1))).sum()), "count": y.shape[-1]})
    return steps


def outputs(model: Sequential, x: np.ndarray) -> list[dict[str, Any]]:
    """The five largest outputs of a network with classes; for a single output both classes."""
    if not has_classes(model):
        return []
    y = model.predict(x)[0].astype(np.float64)
    if last_activation(model.layers) is not None:
        y = class_probabilities(y[None])[0]
    names = model.classes or [str(k) for k in range(len(y))]
    order = np.argsort(-np.nan_to_num(y, nan=-np.inf), kind="stable")[:5]
    is_share = bool(np.isfinite(y).all() and y.min() >= 0 and y.max() <= 1)
    return [{"name": str(names[k]) if len(names) == len(y) else _("output"),
             "value": (drawing.percent_text(float(y[k])) if is_share else
                       number_text(float(y[k]))),
             "share": float(y[k]) if is_share else None} for k in order]


# Why this answer?


def targets_of(model: Sequential, x: np.ndarray) -> list[Target]:
    """The most probable class, of more than two also the next one, whose map is more than the
    negative of the first; without classes the strongest map (None)."""
    if not has_classes(model):
        return [None]
    y = model.predict(x)[0].astype(np.float64)
    if len(y) == 1:
        limit = 0.5 if last_activation(model.layers) is not None else 0
        return [int(y[0] > limit)]
    order = np.argsort(-np.nan_to_num(y, nan=-np.inf), kind="stable")
    return [int(k) for k in order[:1 if len(y) == 2 else 2]]


def methods_for(model: Sequential, quick: bool) -> list[str]:
    """The METHODS that say something new about this network; quick: only those of every photo."""
    names = [name for name in METHODS if not quick or name in QUICK]
    if not has_classes(model):
        return [name for name in names if name not in CAMS]
    if cam.averages_maps(model, layer_index(model)):
        names = [name for name in names if name != "Grad-CAM"]  # it is the map that decides
    return names


def answers(model: Sequential, photo: np.ndarray, x: np.ndarray, methods: list[str],
            progress: Callable[[int], None]) -> list[dict[str, Any]]:
    """For each target its name, its score and its pictures: the map that decides for both classes,
    the METHODS for the first."""
    rows = []
    for rank, target in enumerate(targets_of(model, x)):
        calls: list[tuple[Callable, dict, str]] = []
        if has_classes(model):
            calls.append((cam.decision_map, {}, DECISION))
        calls += [METHODS[name] for name in methods] if rank == 0 else []
        row: dict[str, Any] = {"target": _name_of(model, target), "score": "", "kind": "",
                               "cards": []}
        for k, (function, options, text) in enumerate(calls):
            method = N_("decision map") if function is cam.decision_map else methods[
                k - has_classes(model)]
            card = {"method": method, "text": text, "note": "", "warning": "", "blank": "",
                    "picture": ""}
            try:
                result = function(model, photo, target, **options)
            except ArgumentError as error:  # the method does not work for this network
                card["blank"] = str(error)
            else:
                row["target"], row["score"] = str(result.target), number_text(result.score)
                if isinstance(result, Attribution):
                    row["kind"] = result.kind
                    card["method"] = result.method
                    card["note"], card["warning"] = (
                        " ".join(words.split()) for words in (result.note, result.warning))
                card["blank"], card["picture"] = picture_of(result, sharp(model, photo))
            row["cards"].append(card)
            if rank == 0:
                progress(k + 1)
        rows.append(row)
    return rows


def _name_of(model: Sequential, target: Target) -> str:
    """Of a class its name, also if it cannot be explained."""
    return class_names(model)[target] if isinstance(target, int) else ""


def picture_of(result: Attribution | Occlusion, over: np.ndarray) -> tuple[str, str]:
    """(why there is nothing to see, the picture's URI): one of them is empty.

    Maps are drawn over the photo `over`; values of pixels alone, clipped at their 99.5th
    percentile.
    """
    heat = result.heat() if isinstance(result, Attribution) else result.values
    if drawing.why_blank(heat):
        return drawing.why_blank(heat), ""
    if result.values.ndim == 3:
        limit = np.percentile(np.abs(heat), 99.5) or np.abs(heat).max()
        return "", as_uri(heat_picture(np.clip(heat, -limit, limit)))
    return "", as_uri(drawing.heat_over(cam.enlarge(heat, (over.shape[0], over.shape[1])), over))
