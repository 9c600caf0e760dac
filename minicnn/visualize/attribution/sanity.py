"""Does a map depend on what the network has learnt? The parameter-randomisation check.

From the output down, one layer after the other gets weights drawn anew (those above stay drawn).
The map of each such network is compared with the map of the trained one, by Spearman's rank
correlation of their absolute values:

    ρ = Σ r·s / √(Σ r² · Σ s²),   r, s: ranks less their mean; equal values share a rank

A map that explains the network is gone once the weights are. One that stays (guided backprop is
known for it) shows the photo, as an edge detector would, whatever the network has learnt.

Source: Adebayo et al. 2018, section 3.1 (cascading randomisation).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...model import Sequential
from ...plotting import drawing
from ...utils.errors import ArgumentError
from ..photos import Progress, silent
from ..result import Result
from ..target import Asked, Unit, copies, has_classes, photo_input, score_of
from .result import Attribution

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIMIT = 0.5  # our choice: the paper draws its curves and names no limit
THUMBNAILS = 7


@dataclass
class Randomisation(Result):
    """layers: names, in the order in which they were drawn anew, from the output down;
    correlation (L,): ρ with the original after each, NaN where a map is flat or not finite;
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
        """What the mean correlation over the layers says."""
        found = self.correlation[~np.isnan(self.correlation)]
        if not found.size:
            why = drawing.flaw(self.original)
            return ("cannot be told: the map is " + why if why else
                    "cannot be told: with weights drawn anew the map is "
                    + drawing.flaw(self.maps[-1]))
        mean = found.mean()
        if abs(mean) < LIMIT:
            return f"passed: the map goes with the weights (mean correlation {mean:.2f})"
        flat = len(self.correlation) - len(found)
        if flat:
            return (f"not passed, nor clearly failed: the map stays in {len(found)} networks "
                    f"(mean correlation {mean:.2f}) and is flat in {flat}")
        return (f"failed: the map stays without the weights (mean correlation {mean:.2f}); it "
                f"shows the photo more than the network")

    def figure(self) -> Figure:
        """The maps after some of the layers, and below the correlation after every one."""
        figure = drawing.new_figure(13, 7)
        above, below = figure.subfigures(2, 1, height_ratios=(2, 3))
        L = len(self.layers)
        shown = np.unique(np.linspace(0, L - 1, min(L, THUMBNAILS)).round().astype(int))
        axes = above.subplots(1, len(shown) + 2)
        drawing.show_image(axes[0], self.pixels, "photo")
        drawing.show_map(axes[1], self.original, "trained", bar=False)
        for ax, k in zip(axes[2:], shown, strict=True):
            drawing.show_map(ax, self.maps[k], f"to {drawing.shortened(self.layers[k], 14)}",
                             bar=False)
        ax = below.subplots()
        ax.axhspan(-LIMIT, LIMIT, color=drawing.BLUE, alpha=0.1, lw=0)
        ax.axhline(0, color="black", lw=0.8)
        ax.plot([1, *self.correlation], "o-", color=drawing.ORANGE, lw=2.5)
        ax.set_xticks(range(L + 1), ["trained", *map(drawing.shortened, self.layers)],
                      rotation=45 if L > 6 else 0, ha="right" if L > 6 else "center")
        ax.set(ylim=(min(-0.1, np.nanmin([0, *self.correlation])), 1.05),
               ylabel="rank correlation\nwith the trained map",
               xlabel="weights drawn anew from the output down to …")
        ax.set_title(self.verdict, fontsize=13)
        figure.suptitle(f"{self.method}, {drawing.shortened(self.target, 40)}: does the map depend "
                        f"on the weights?")
        return figure

    def __str__(self) -> str:
        lines = [f"{self.method}, {self.target}: rank correlation with the trained network's map, "
                 f"weights drawn anew down to"]
        lines += [f"  {name:20} {rho:6.3f}"
                  for name, rho in zip(self.layers, self.correlation, strict=True)]
        return "\n".join([*lines, self.verdict])


def randomisation_check(model: Sequential, image: np.ndarray, method: Callable[..., Attribution],
                        target: Asked = None, *, seed: int = 0, progress: Progress = silent
                        ) -> Randomisation:
    """Compares `method`'s map with those of ever more random networks. The model stays as it is.

    image: a photo, uint8 (H', Wd', 3), or network input, floats (H, Wd, C).
    method: gradients.gradient, cam.grad_cam, …: called as method(model, image, target).
    target: what it leaves open is decided by the trained network, once for all maps.
    The weights are drawn as for a new network (each layer's kernel_initializer; biases 0).
    Raises ArgumentError for targets that do not exist and networks without weights.
    """
    pixels, x = photo_input(model, image)
    score = score_of(model, x, target)
    if isinstance(target, Unit) or not has_classes(model):
        target = Unit(score.layer, score.unit, getattr(target, "position", None))
    else:
        target = score.unit
    drawn, shapes = copies(model.layers), model.shapes()
    network = model.view(drawn, model.input_shape, model.preprocessing)
    network.classes = model.classes
    places = [i for i, layer in enumerate(drawn[:len(score.layers)]) if layer.params][::-1]
    if not places:
        raise ArgumentError(f"{model.name}: expected layers with weights, found none to draw anew.")
    trained = method(model, image, target)
    original, maps = np.abs(trained.heat()), []
    for done, i in enumerate(places, 1):
        drawn[i].params = {}  # the copy's own: the model keeps its dict
        # not the stream [seed, i] from which Sequential draws: it would give back the very weights
        # that the training has started from
        drawn[i].build(shapes[i], np.random.default_rng([seed, i, 1]))
        drawn[i].to(model.device)
        maps.append(np.abs(method(network, image, target).heat()))
        progress(done, len(places))
    return Randomisation(trained.method, score.name, pixels, original,
                         [drawn[i].name for i in places], np.stack(maps),
                         np.array([rank_correlation(original, one) for one in maps]))


def ranks(values: np.ndarray) -> np.ndarray:
    """(n,) -> (n,): 1 for the smallest; equal values share the mean of their ranks."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's ρ of two arrays of one shape; NaN where one is flat or not finite."""
    if drawing.flaw(a) or drawing.flaw(b):
        return float("nan")
    r, s = ranks(a.ravel()), ranks(b.ravel())
    r, s = r - r.mean(), s - s.mean()
    return float(r @ s / np.sqrt((r @ r) * (s @ s)))
