"""Are the pixels that a map marks the ones the network uses? Hide or show them and predict again.

With p the probability of the target and m the positive part of the map divided by its largest
value (0 … 1):

    average drop             mean of max(0, p(photo) − p(photo · m)) / p(photo), in %; low is good
    increase in confidence   how often p(photo · m) > p(photo), in %; high is good
    deletion                 the pixels, the most important first, become the photo's mean colour;
                             area under p against their share, 0 … 1; low is good
    insertion                the same pixels return to the blurred photo (Gaussian, σ = a tenth of
                             its shorter side); area as before; high is good

photo · m multiplies the pixels 0 … 255: unimportant pixels become black. Such photos differ much
from the training photos, so the metrics are good for comparing maps of one network, not as absolute
values.

Source: Chattopadhay et al. 2018, section 4.1 (the first two); Petsiuk et al. 2018 (the curves).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...layers import Sigmoid
from ...layers.sharing import last_activation
from ...model import Sequential
from ...ops import ops_for, to_cpu
from ...plotting import drawing
from ...utils.errors import ArgumentError, check_int
from ...utils.language import gettext as _
from ...utils.language import gettext_noop as N_
from ...utils.language import ngettext
from ..photos import ImageInput, Progress, as_dataset, batch_size_for, silent
from ..result import Result
from ..target import Score, Target, Unit, forward, has_classes, photo_input, score_of
from .result import Attribution

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Faithfulness(Result):
    """Per photo: names, targets, probability (N,): p(photo), masked (N,): p(photo · m),
    deletion, insertion (N, steps + 1): p at the fractions (steps + 1,), and their areas (N,);
    average_drop, increase: in %. left_out: photos whose map is flat or not finite, and why.
    """

    method: str
    names: list[str]
    targets: list[str]
    probability: np.ndarray
    masked: np.ndarray
    fractions: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    deletion_area: np.ndarray
    insertion_area: np.ndarray
    average_drop: float
    increase: float
    left_out: list[str]

    def figure(self) -> Figure:
        """Both curves: each photo as a thin line, the mean as a thick one, its area filled."""
        figure = drawing.new_figure(12, 5)
        parts = (("deletion", drawing.ORANGE, _("pixels changed to the mean colour, in %"),
                  N_("deletion: area {area:.3f} (low is good)")),
                 ("insertion", drawing.BLUE, _("pixels brought back into the blurred photo, in %"),
                  N_("insertion: area {area:.3f} (high is good)")))
        for ax, (name, color, label, title) in zip(figure.subplots(1, 2, sharey=True), parts,
                                                 strict=True):
            curves, area = getattr(self, name), getattr(self, f"{name}_area").mean()
            if len(curves) > 1:
                ax.plot(100 * self.fractions, curves.T, color="0.6", lw=0.8, alpha=0.7)
            ax.plot(100 * self.fractions, curves.mean(axis=0), color=color, lw=3)
            ax.fill_between(100 * self.fractions, curves.mean(axis=0), color=color, alpha=0.2, lw=0)
            ax.set(xlabel=label, ylim=(0, 1.02), xlim=(0, 100))
            ax.set_title(_(title, area=area), fontsize=13)
            if name == "deletion":
                ax.set_ylabel(_("probability of the target"))
        N = len(self.names)
        photos = ngettext("{num} photo", "{num} photos", N)
        if N > 1:
            photos = _("mean of {count} photos", count=N)
        figure.suptitle(_("{method}, {photos}: average drop {drop:.1f} %, increase in confidence "
                          "{increase:.1f} %", method=_(self.method),
                          photos=photos, drop=self.average_drop, increase=self.increase))
        return figure

    def __str__(self) -> str:
        lines = [_("{method}, photos: {count}", method=_(self.method), count=len(self.names)),
                 _("  average drop           {drop:6.1f} %  (low is good)",
                   drop=self.average_drop),
                 _("  increase in confidence {increase:6.1f} %  (high is good)",
                   increase=self.increase),
                 _("  deletion, area         {area:6.3f}    (low is good)",
                   area=self.deletion_area.mean()),
                 _("  insertion, area        {area:6.3f}    (high is good)",
                   area=self.insertion_area.mean())]
        return "\n".join([*lines, *("  " + _("left out: {photo}", photo=photo)
                                    for photo in self.left_out)])


def faithfulness(model: Sequential, photos: ImageInput, method: Callable[..., Attribution],
                 target: Target = None, *, steps: int = 20, batch_size: int | None = None,
                 progress: Progress = silent) -> Faithfulness:
    """The four metrics of one method, for one photo, uint8 (H', Wd', 3), or many.

    method: gradients.gradient, cam.grad_cam, …: called as method(model, image, target).
    target: a class; None is each photo's most probable one. steps: of the curves.
    Raises ArgumentError for targets that are not a class, or if no photo has a map to rank.
    """
    if isinstance(target, Unit) or not has_classes(model):
        raise ArgumentError(f"{model.name}: expected a class of a network with classes as target, "
                            f"received {target!r}. A unit has no probability.")
    steps = check_int(steps, "faithfulness, steps")
    if isinstance(photos, np.ndarray) and photos.ndim == 3 and photos.shape[-1] == 3:
        photos = photos[None]
    data = as_dataset(photos)
    batch_size = batch_size_for(model, len(model.layers), batch_size)
    fractions, method_name = np.linspace(0, 1, steps + 1), ""
    names, targets, curves, left_out = [], [], [], []
    for i in range(len(data)):
        photo = data.read(i)
        pixels, x = photo_input(model, photo)
        score = score_of(model, x, target)
        result = method(model, photo, score.unit)
        heat, method_name = result.heat(), result.method
        if reason := drawing.why_blank(heat):
            left_out.append(_("{photo}: the map is {reason}", photo=data.names[i],
                              reason=reason))
        else:
            changed = np.stack([pixels, mask_photo(pixels, heat),
                                *replace_pixels(pixels, heat, fractions),
                                *replace_pixels(blur(pixels), heat, fractions, pixels)])
            names.append(data.names[i])
            targets.append(score.name)
            curves.append(probabilities(model, score, changed, batch_size))
        progress(i + 1, len(data))
    if not curves:
        raise ArgumentError(f"faithfulness: expected a map that ranks the pixels of a photo, "
                            f"received none: {'; '.join(left_out[:3]) or 'no photos'}. Try another "
                            f"target or method.")
    p = np.stack(curves)  # (N, 2 + 2 (steps + 1))
    probability, masked, deletion, insertion = np.split(p, [1, 2, steps + 3], axis=1)
    drop = np.maximum(probability - masked, 0) / np.maximum(probability, 1e-30)
    return Faithfulness(method_name, names, targets, probability[:, 0], masked[:, 0], fractions,
                        deletion, insertion, area_under(deletion), area_under(insertion),
                        float(100 * drop.mean()), float(100 * (masked > probability).mean()),
                        left_out)


def mask_photo(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """pixels (H, Wd, 3) · m, with m (H, Wd) the map's positive part divided by its largest value;
    black where the map has no positive part."""
    m = np.maximum(heat, 0) / max(heat.max(), 1e-30)
    return np.rint(pixels * m[..., None]).astype(np.uint8)


def replace_pixels(pixels: np.ndarray, heat: np.ndarray, fractions: np.ndarray,
                   fill: np.ndarray | None = None) -> np.ndarray:
    """(len(fractions), H, Wd, 3): these fractions of the pixels, the highest of heat (H, Wd) first,
    replaced by those of fill (H, Wd, 3); None: by the mean colour."""
    fill = pixels.mean(axis=(0, 1)).round() if fill is None else fill
    order = np.argsort(-heat, axis=None, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    replaced = rank.reshape(heat.shape) < np.rint(fractions * order.size)[:, None, None]
    return np.where(replaced[..., None], fill, pixels).astype(np.uint8)


def blur(pixels: np.ndarray) -> np.ndarray:
    """pixels (H, Wd, 3) blurred by a Gaussian, σ = a tenth of the shorter side; near the border its
    weights inside the photo are normalised to 1."""
    def gaussian(n: int) -> np.ndarray:
        d = np.subtract.outer(np.arange(n), np.arange(n)) / (min(pixels.shape[:2]) / 10)
        G = np.exp(-d * d / 2)
        return G / G.sum(axis=1, keepdims=True)  # (n, n): each row sums to 1
    H, Wd, C = pixels.shape
    rows = (gaussian(H) @ pixels.reshape(H, Wd * C)).reshape(H, Wd, C)
    return np.rint(gaussian(Wd) @ rows).astype(np.uint8)  # (Wd, Wd)·(H, Wd, C)


def probabilities(model: Sequential, score: Score, pixels: np.ndarray, batch_size: int
                  ) -> np.ndarray:
    """pixels (n, H, Wd, 3) uint8 -> p (n,) of the score's class, from the logits: softmax; for one
    output, or one sigmoid for each class, σ of the score, which is 1 − p for class 0 of two."""
    sigmoid = model.shapes()[-1] == (1,) or isinstance(last_activation(model.layers), Sigmoid)
    p = []
    for k in range(0, len(pixels), batch_size):
        z = forward(score.layers, model.to_input(pixels[k:k + batch_size]))  # (n, K)
        ops = ops_for(z)
        p_batch = ops.sigmoid(score.values(z)) if sigmoid else ops.softmax(z)[:, score.unit]
        p.append(to_cpu(p_batch).astype(np.float64))
    return np.concatenate(p)


def area_under(curves: np.ndarray) -> np.ndarray:
    """(N, steps + 1) at even steps from 0 to 1 -> (N,), by the trapezoid rule."""
    return (curves[:, 1:] + curves[:, :-1]).mean(axis=1) / 2
