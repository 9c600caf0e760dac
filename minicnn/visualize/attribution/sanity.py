"""Does a map depend on the trained weights? The parameter-randomisation check.

From the output down, the weights of one layer after the other are randomised; those above stay
random. The map of each such network is compared with that of the trained one, by Spearman's rank
correlation of their absolute values:

    ρ = Σ r·s / √(Σ r² · Σ s²),   r, s: ranks minus their mean; equal values share a rank

A map that explains the network disappears with its weights. A map that stays (guided backprop is
known for it) shows the photo, as an edge detector would, and not what the network has learned.

Source: Adebayo et al. 2018, section 3.1 (cascading randomisation).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...layers.sharing import copy_layers
from ...model import Sequential
from ...plotting import drawing
from ...utils.errors import ArgumentError
from ...utils.language import fill_in
from ...utils.language import gettext as _
from ..photos import Progress, silent
from ..result import Result
from ..target import Target, Unit, has_classes, photo_input, score_of
from .result import Attribution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIMIT = 0.5  # our choice: the paper shows curves and gives no limit
THUMBNAILS = 7


@dataclass
class Randomisation(Result):
    """layers: names, in the order in which they were randomised, from the output down;
    correlation (L,): ρ with the original after each, NaN if a map is flat or not finite;
    original (H, Wd), maps (L, H, Wd): the absolute maps; pixels (H, Wd, 3): the photo."""

    method: str
    target: str
    pixels: np.ndarray
    original: np.ndarray
    layers: list[str]
    maps: np.ndarray
    correlation: np.ndarray

    @property
    def verdict(self) -> str:
        """What the mean correlation over the layers means."""
        finite = self.correlation[~np.isnan(self.correlation)]
        if not finite.size:
            reason = drawing.why_blank(self.original)
            return (_("undecided: the map is {reason}", reason=reason) if reason else
                    _("undecided: with random weights the map is {reason}",
                      reason=drawing.why_blank(self.maps[-1])))
        mean = finite.mean()
        if abs(mean) < LIMIT:
            return _("passed: the map depends on the weights (mean correlation {mean:.2f})",
                     mean=mean)
        flat = len(self.correlation) - len(finite)
        if flat:
            return _("neither passed nor clearly failed: the map hardly changes in {count} "
                     "networks (mean correlation {mean:.2f}) and is flat in {flat}",
                     count=len(finite), mean=mean, flat=flat)
        return _("failed: the map hardly changes when the weights are random (mean correlation "
                 "{mean:.2f}); it shows the photo more than the network", mean=mean)

    def figure(self) -> Figure:
        """The maps after some of the layers; below, the correlation after every layer."""
        figure = drawing.new_figure(13, 7)
        above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(2, 3))[:, 0]
        L = len(self.layers)
        shown = np.unique(np.linspace(0, L - 1, min(L, THUMBNAILS)).round().astype(int))
        axes = above.subplots(1, len(shown) + 2)
        drawing.show_image(axes[0], self.pixels, _("photo"))
        drawing.show_map(axes[1], self.original, _("trained"), bar=False)
        for ax, k in zip(axes[2:], shown, strict=True):
            drawing.show_map(ax, self.maps[k], _(
                "to\n{layer}", layer=drawing.shortened(self.layers[k], 14)), bar=False)
        ax = below.subplots()
        ax.axhspan(-LIMIT, LIMIT, color=drawing.BLUE, alpha=0.1, lw=0)
        ax.axhline(0, color="black", lw=0.8)
        ax.plot([1, *self.correlation], "o-", color=drawing.ORANGE, lw=2.5)
        ax.set_xticks(range(L + 1), [_("trained"), *map(drawing.shortened, self.layers)],
                      rotation=45 if L > 6 else 0, ha="right" if L > 6 else "center")
        ax.set(ylim=(min(-0.1, np.nanmin([0, *self.correlation])), 1.05),
               ylabel=_("rank correlation\nwith the trained map"),
               xlabel=_("random weights from the output down to …"))
        ax.set_title(self.verdict, fontsize=13)
        figure.suptitle(_("{method}, {target}: does the map depend on the weights?",
                          method=_(self.method), target=drawing.shortened(self.target, 40)))
        return figure

    def __str__(self) -> str:
        lines = [_("{method}, {target}: rank correlation with the trained network's map, random "
                   "weights from the output down to", method=_(self.method), target=self.target)]
        lines += [fill_in("  {name:20} {rho:6.3f}", {"name": name, "rho": rho})
                  for name, rho in zip(self.layers, self.correlation, strict=True)]
        return "\n".join([*lines, self.verdict])


def randomisation_check(model: Sequential, image: np.ndarray, method: Callable[..., Attribution],
                        target: Target = None, *, seed: int = 0, progress: Progress = silent
                        ) -> Randomisation:
    """Compares `method`'s map with those of ever more random networks; the model is not changed.

    image: a photo, uint8 (H', Wd', 3), or network input, floats (H, Wd, C).
    method: gradients.gradient, cam.grad_cam, …: called as method(model, image, target).
    target: what it leaves open is decided by the trained network, once for all maps. Weights are
    drawn as for a new network (each layer's kernel_initializer; biases 0). Raises ArgumentError for
    targets that do not exist and networks without weights.
    """
    pixels, x = photo_input(model, image)
    score = score_of(model, x, target)
    if isinstance(target, Unit) or not has_classes(model):
        target = Unit(score.layer, score.unit, getattr(target, "position", None))
    else:
        target = score.unit
    layers, shapes = copy_layers(model.layers), model.shapes()
    network = model.view(layers, model.input_shape, model.preprocessing)
    network.classes = model.classes
    indices = [i for i, layer in enumerate(layers[:len(score.layers)]) if layer.params][::-1]
    if not indices:
        raise ArgumentError(f"{model.name}: expected layers with weights, received a network "
                            f"without. There is nothing to randomise.")
    trained = method(model, image, target)
    original, maps = np.abs(trained.heat()), []
    for done, i in enumerate(indices, 1):
        layers[i].params = {}  # a new dict: the model keeps its own
        # not the stream [seed, i] from which Sequential draws: it would reproduce exactly the
        # weights from which the training started
        layers[i].build(shapes[i], np.random.default_rng([seed, i, 1]))
        layers[i].to(model.device)
        maps.append(np.abs(method(network, image, target).heat()))
        progress(done, len(indices))
    return Randomisation(trained.method, score.name, pixels, original,
                         [layers[i].name for i in indices], np.stack(maps),
                         np.array([rank_correlation(original, heat) for heat in maps]))


def ranks(values: np.ndarray) -> np.ndarray:
    """(n,) -> (n,): 1 for the smallest; equal values share the mean of their ranks."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[index]


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's ρ of two arrays of the same shape; NaN if one of them is flat or not finite."""
    if drawing.why_blank(a) or drawing.why_blank(b):
        return float("nan")
    r, s = ranks(a.ravel()), ranks(b.ravel())
    r, s = r - r.mean(), s - s.mean()
    return float(r @ s / np.sqrt((r @ r) * (s @ s)))
