"""Class activation maps: the maps A (OH, OW, K) of one layer, weighted by their effect on S.

    Grad-CAM         L = Σ_k w_k A_k,  w_k = mean_{ij} G_ijk,  G = dS/dA       Selvaraju et al. 2017
    Grad-CAM++       w_k = Σ_ij α_ijk max(G_ijk, 0)                       Chattopadhay et al. 2018
                     α = G² / (2 G² + G³ Σ_ij A_ijk)   (0 where G is 0)
    Layer-CAM        L = Σ_k max(G_k, 0) · A_k, elementwise                      Jiang et al. 2021
    HiResCAM         L = Σ_k G_k · A_k, elementwise                          Draelos & Carin 2020
    Score-CAM        w = softmax_k(S(x · M_k) − S(0)), no gradient               Wang et al. 2020
                     M_k = A_k enlarged to the photo and scaled to 0 … 1
    guided Grad-CAM  max(Grad-CAM, 0), enlarged, times guided backprop       Selvaraju et al. 2017

Grad-CAM++'s α is that of S → e^S, in which all derivatives of S beyond the first vanish (their
section 3.2); the factor e^S > 0 is left out. The sign "positive" is the papers' max(L, 0).
A map of (OH, OW) is enlarged to the photo's (H, Wd) bilinearly, with half-pixel centres and
repeated edges (torch's interpolate, mode="bilinear", align_corners=False). `layer` None: the last
convolution, after its ReLU if it has one.

If a global average follows the layer directly, G is the same at all positions, and Grad-CAM and
HiResCAM are equal. With other heads Grad-CAM, which averages G over the positions, may show the
opposite of what decided; decision_map chooses between the two, and the methods that average come
with a warning then. If the target is a unit of the layer itself, G is 1 on its map and 0 elsewhere:
whatever the method, the "explanation" would be that map, enlarged. That is refused with an error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...layers import Dropout, GlobalAveragePool2D
from ...model import Sequential
from ...ops import to_cpu, to_device
from ...utils.errors import ArgumentError
from ...utils.language import gettext as _
from ...utils.language import gettext_noop as N_
from ..photos import Progress, batch_size_for, image_size, silent
from ..propagation import backward, score_gradient
from ..target import (
    Score,
    Target,
    as_rgb,
    forward,
    has_classes,
    layer_index,
    maps_shape,
    photo_input,
    score_of,
)
from .gradients import GUIDED_WARNING
from .result import Attribution, check_sign

TAKES_MEAN = ("Grad-CAM", "Grad-CAM++")
MEAN_WARNING = N_("No global average follows this layer: the method averages the gradient over all "
               "positions and may show\nthe opposite of what decided (Draelos & Carin 2020). "
               "HiResCAM does not average.")


def grad_cam(model: Sequential, image: np.ndarray, target: Target = None, *,
             layer: str | None = None, sign: str = "positive") -> Attribution:
    """Grad-CAM: maps weighted by their mean gradient. values (H, Wd), both signs.

    image: uint8 (H', Wd', 3), or network input, floats (H, Wd, C).
    Raises ArgumentError for a layer that has no maps or comes after the target, an unknown target
    or sign.
    """
    return _by_gradient("Grad-CAM", _weighted_by_mean, model, image, target, layer, sign)


def decision_map(model: Sequential, image: np.ndarray, target: Target = None) -> Attribution:
    """Where the last maps speak for the target and where against it: the explanation that predict,
    the atlas and the report show. values (H, Wd), both signs.

    Grad-CAM if a global average follows the maps, where it equals HiResCAM; otherwise HiResCAM.
    Raises the errors of grad_cam.
    """
    if averages_maps(model, layer_index(model)):
        return grad_cam(model, image, target, sign="both")
    return hires_cam(model, image, target)


def averages_maps(model: Sequential, index: int) -> bool:
    """Whether a global average directly follows the layer at `index`; dropout between them does not
    count, since it does nothing in prediction."""
    after = [layer for layer in model.layers[index + 1:] if not isinstance(layer, Dropout)]
    return bool(after) and isinstance(after[0], GlobalAveragePool2D)


def grad_cam_pp(model: Sequential, image: np.ndarray, target: Target = None, *,
                layer: str | None = None, sign: str = "positive") -> Attribution:
    """Grad-CAM++: each position of a map counts equally in its weight; otherwise as grad_cam."""
    def combine(A: np.ndarray, G: np.ndarray) -> np.ndarray:
        denominator = 2 * G ** 2 + G ** 3 * A.sum(axis=(0, 1))
        alpha = np.divide(G ** 2, denominator, out=np.zeros_like(G), where=denominator != 0)
        return A @ (alpha * np.maximum(G, 0)).sum(axis=(0, 1))

    return _by_gradient("Grad-CAM++", combine, model, image, target, layer, sign)


def layer_cam(model: Sequential, image: np.ndarray, target: Target = None, *,
              layer: str | None = None, sign: str = "positive") -> Attribution:
    """Layer-CAM: each position has its own weight, so low layers work, too; otherwise as grad_cam.
    """
    def combine(A: np.ndarray, G: np.ndarray) -> np.ndarray:
        return (np.maximum(G, 0) * A).sum(axis=-1)

    return _by_gradient("Layer-CAM", combine, model, image, target, layer, sign)


def hires_cam(model: Sequential, image: np.ndarray, target: Target = None, *,
              layer: str | None = None, sign: str = "both") -> Attribution:
    """HiResCAM: Grad-CAM without the mean. If only ReLU, pooling and one Dense follow the layer,
    the map at the layer's own size, before it is enlarged to the image, adds up to the score (the
    logit) without the bias: it shows what decided. Grad-CAM may show the opposite then, since a
    Dense has a weight of its own for each position. Otherwise as grad_cam.
    """
    return _by_gradient("HiResCAM", lambda A, G: (G * A).sum(axis=-1), model, image, target, layer,
                        sign)


def guided_grad_cam(model: Sequential, image: np.ndarray, target: Target = None, *,
                    layer: str | None = None, sign: str = "positive") -> Attribution:
    """The positive part of Grad-CAM times guided backprop. values (H, Wd, C); as grad_cam."""
    def combine(A: np.ndarray, G: np.ndarray) -> np.ndarray:
        return np.maximum(_weighted_by_mean(A, G), 0)  # before enlarging, as in the paper

    cam = _by_gradient(N_("guided Grad-CAM"), combine, model, image, target, layer, sign)
    x = photo_input(model, image)[1]
    score = score_of(model, x, target)
    guided = as_rgb(model, score_gradient(score, x, "guided")[1])[0]
    values = guided * cam.values[..., None]  # (H, Wd, C)·(H, Wd, 1)
    return Attribution(cam.method, cam.target, cam.pixels, values, cam.score, sign,
                       warning=_(GUIDED_WARNING), kind=score.kind)


def score_cam(model: Sequential, image: np.ndarray, target: Target = None, *,
              layer: str | None = None, sign: str = "positive", batch_size: int | None = None,
              progress: Progress = silent) -> Attribution:
    """Score-CAM: one forward pass per map, with the photo masked by that map.

    Constant maps get no pass and no weight. Otherwise as grad_cam.
    """
    check_sign("Score-CAM", sign)
    pixels, x = photo_input(model, image)
    score, stop = _score_and_stop(model, x, target, layer)
    A = to_cpu(forward(score.layers[:stop], x))[0]  # (OH, OW, K)
    low, high = A.min(axis=(0, 1)), A.max(axis=(0, 1))
    units = np.flatnonzero(~(high <= low))  # a map with NaN stays: its NaN must be seen
    batch_size = batch_size_for(model, len(score.layers), batch_size)
    S, size = np.zeros(len(units)), image_size(model)
    for first in range(0, len(units), batch_size):
        part = units[first:first + batch_size]
        masks = enlarge(A[..., part], size)
        masks = (masks - masks.min(axis=(0, 1))) / np.ptp(masks, axis=(0, 1))  # (H, Wd, n)
        masks = np.moveaxis(masks, -1, 0)[..., None].astype(x.dtype)  # (n, H, Wd, 1)
        masked = x * to_device(np.ascontiguousarray(masks), model.device)
        S[first:first + batch_size] = to_cpu(score.values(forward(score.layers, masked)))
        progress(first + len(part), len(units))
    weights = np.exp(S - S.max(initial=-np.inf))  # S(0) cancels in the softmax
    values = A[..., units] @ (weights / max(weights.sum(), 1e-300))
    value = float(score.values(forward(score.layers, x))[0])
    return Attribution("Score-CAM", score.name, pixels, enlarge(values, size), value, sign,
                       _("layer {layer}, {count} maps", layer=score.layers[stop - 1].name,
                         count=len(units)), kind=score.kind)


def enlarge(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """maps (OH, OW, …) -> (H, Wd, …), bilinear: row i lies at (i + 1/2) · OH / H − 1/2, clipped to
    0 … OH − 1, between two rows of the map."""
    for axis, n in enumerate(size):
        rows = maps.shape[axis]
        position = np.clip((np.arange(n) + 0.5) * rows / n - 0.5, 0, rows - 1)
        low = np.minimum(position.astype(int), max(rows - 2, 0))
        weight = (position - low).astype(maps.dtype).reshape(-1, *[1] * (maps.ndim - axis - 1))
        maps = (np.take(maps, low, axis) * (1 - weight)
                + np.take(maps, np.minimum(low + 1, rows - 1), axis) * weight)
    return maps


def _score_and_stop(model: Sequential, x: np.ndarray, target: Target, layer: str | None
                    ) -> tuple[Score, int]:
    """The score, and how many of its layers there are up to and including the layer of maps."""
    index, score = layer_index(model, layer), score_of(model, x, target)
    maps_shape(model, index)
    if index >= len(score.layers):
        raise ArgumentError(f"{model.layers[index].name}: expected a layer up to that of the "
                            f"target, {score.layer}, received a later one, which the score does "
                            f"not see.")
    return score, index + 1


def _weighted_by_mean(A: np.ndarray, G: np.ndarray) -> np.ndarray:
    return A @ G.mean(axis=(0, 1))  # (OH, OW, K)·(K,)


def _by_gradient(method: str, combine: Callable[[np.ndarray, np.ndarray], np.ndarray],
                 model: Sequential, image: np.ndarray, target: Target, layer: str | None, sign: str
                 ) -> Attribution:
    """combine(A, G), both (OH, OW, K), -> the map (OH, OW), which is then enlarged."""
    check_sign(method, sign)
    pixels, x = photo_input(model, image)
    score, stop = _score_and_stop(model, x, target, layer)
    if score.layer == model.layers[stop - 1].name:
        raise ArgumentError(_own_map(method, model, score))
    A = forward(score.layers[:stop], x)
    y = forward(score.layers[stop:], A, keep=True)
    G = backward(score.layers[stop:], score.dy(y))
    values = combine(to_cpu(A)[0], to_cpu(G)[0])
    is_mean = method in TAKES_MEAN and not averages_maps(model, stop - 1)
    return Attribution(method, score.name, pixels, enlarge(values, image_size(model)),
                       float(score.values(y)[0]), sign,
                       _("layer {layer}", layer=score.layers[stop - 1].name),
                       _(MEAN_WARNING) if is_mean else "", score.kind)


def _own_map(method: str, model: Sequential, score: Score) -> str:
    """The error for a target unit that would be explained by the maps of its own layer."""
    advice = ("Name a layer below it" if has_classes(model) else
              "Use a network with classes (your own model.h5 of minicnn train, or vgg16-top), or "
              "name a layer below it")
    return (f"{method}: expected a class, or a unit of a layer above {score.layer}, as the target, "
            f"received {score.name}, whose explanation in its own layer would be that map itself. "
            f"{advice}; the map is shown by feature-maps.")
