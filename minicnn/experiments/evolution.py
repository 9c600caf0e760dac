"""Evolution: how the features of a network develop during training. (Z5)

The small course network is trained, and examined after the epochs that were asked for. For each map
the strongest activation over all photos is projected to the pixels by the deconvnet's rules
(deconvnet.py); a sudden change of the picture means that another photo activates the map most. In
numbers: for each layer, the features F of the same photos, at most 200, in two consecutive
examinations t − 1 and t have the

    distance = ‖F_t − F_{t−1}‖ / ‖F_t‖    (Euclidean, over photos, positions and maps)

The distance of a layer that has converged goes to 0. The examinations are ever further apart, so
equal distances mean an ever slower layer. A layer depends on those below it, so its distance
includes their changes.

Source: Zeiler & Fergus 2014, section 4 and figure 4 (epochs 1, 2, 5, 10, 20, 30, 40, 64).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..data import Dataset, sample
from ..layers import Conv2D, Pool2D
from ..models import SmallCNN, loss_for
from ..optimizers import Adam
from ..plotting import drawing
from ..training import Callback, TrainingState, fit
from ..utils.arrays import FloatArray, IntArray, Pixels
from ..utils.errors import ArgumentError, check_int, is_int
from ..utils.language import gettext as _
from ..utils.language import local_number
from ..visualize.features.top_patches import TopPatches, top_patches
from ..visualize.photos import Progress, crop_photos, silent
from ..visualize.result import Result
from ..visualize.target import layer_index, maps_shape

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Evolution(Result):
    """For E examined epochs and U maps of `layer`: epochs (E,); units (U,); activations (E, U), the
    strongest; photos (E, U), their indices in the data, −1 if the map is zero for all; patches,
    projections (E, U, h, w, 3): pixels of the receptive field, grey beyond the border, and what
    activated the map there (RGB); layers: all convolutions, poolings, Dense; distances (E − 1, L);
    accuracy (E,): in training."""

    epochs: IntArray
    layer: str
    units: IntArray
    activations: FloatArray
    photos: IntArray
    patches: Pixels
    projections: Pixels
    layers: list[str]
    distances: FloatArray
    accuracy: FloatArray

    def figure(self) -> Figure:
        """A row per map: patch and projection at each examined epoch; below, the distances."""
        E, U = self.activations.shape
        figure = drawing.new_figure(max(1.9 * E, 9), 1.15 * U + 5)
        above, below = figure.subfigures(2, 1, squeeze=False,
                                         height_ratios=(1.15 * U + 0.6, 4.4))[:, 0]
        axes = above.subplots(U, 2 * E, squeeze=False)
        for e, u in np.ndindex(E, U):
            left, right = axes[u, 2 * e:2 * e + 2]
            title = _("ep. {epoch}", epoch=self.epochs[e]) if u == 0 else ""
            drawing.show_image(left, self.patches[e, u], title)
            if drawing.why_blank(self.projections[e, u]):
                right.text(0.5, 0.5, _("zero"), ha="center", va="center",
                           transform=right.transAxes)
                right.axis("off")
            else:
                drawing.show_signed(right, self.projections[e, u])
        for u, unit in enumerate(self.units):
            axes[u, 0].text(-0.15, 0.5, _("map {unit}", unit=unit), rotation=90, va="center",
                            ha="right", transform=axes[u, 0].transAxes)
        above.suptitle(_("{layer}: strongest patch of a map, its projection",
                         layer=drawing.shortened(self.layer)))
        ax = below.subplots()
        for name, line, style in zip(self.layers, self.distances.T,
                                     np.resize(["o-", "s--", "^:", "d-."], len(self.layers)),
                                     strict=True):
            ax.plot(self.epochs[1:], line, style, label=drawing.shortened(name), lw=2)
        ax.set_xticks(self.epochs[1:])
        ax.set_ylim(0, None)
        ax.set_xlabel(_("epoch"))
        ax.set_ylabel(_("distance to the features\nof the epoch before"))
        if len(self.epochs) > 1:
            ax.legend(fontsize=drawing.MIN_TYPE, ncols=2)
        return figure

    def __str__(self) -> str:
        lines = [_("{layer}, maps {units}; distance of a layer's features to those of the epoch "
                   "before", layer=self.layer, units=", ".join(map(str, self.units))),
                 f"{_('epoch'):<22}" + "".join(f"{epoch:>8}" for epoch in self.epochs),
                 f"{_('accuracy in training'):<22}"
                 + local_number("".join(f"{a:>8.3f}" for a in self.accuracy))]
        for name, distances in zip(self.layers, self.distances.T, strict=True):
            lines.append(f"{name:<22}" + " " * 8
                         + local_number("".join(f"{d:>8.3f}" for d in distances)))
        return "\n".join(lines)


def evolution(train: Dataset | None = None, *,
              epochs: Sequence[int] = (1, 2, 5, 10, 20, 30, 40, 64), layer: str | None = None,
              maps: int = 6, seed: int = 0, size: int = 28, progress: Progress = silent
              ) -> Evolution:
    """Trains SmallCNN and examines it after these epochs, which does not change the training.

    train: photos with labels; None: the built-in ones. layer: None is the last convolution.
    maps:  how many, drawn with `seed` as the initial weights are. size: side of the input, pixels.
    progress counts epochs. The default takes about a minute.
    Raises ArgumentError for epochs that do not increase from 1, and for layers without maps.
    """
    examined = list(epochs)
    if not examined or not all(is_int(e, 1) for e in examined) or examined != sorted(set(examined)):
        raise ArgumentError(f"evolution: expected increasing epochs, from 1 on, received "
                            f"{epochs!r}. Write for example (1, 2, 5, 10).")
    train = sample("fashion") if train is None else train
    model = SmallCNN(len(train.classes), (size, size, 3), seed)
    index = layer_index(model, layer)
    name, num_maps = model.layers[index].name, maps_shape(model, index)[-1]
    rng = np.random.default_rng(seed)
    units = np.sort(rng.permutation(num_maps)[:check_int(maps, "evolution, maps")])
    subset = crop_photos(model, train.subset(np.sort(rng.permutation(len(train))[:200])))
    layers = [layer.name for layer in model.layers
              if layer.params or isinstance(layer, (Conv2D, Pool2D))]
    examinations: list[TopPatches] = []
    distances, accuracy = [], []
    before: dict[str, np.ndarray] = {}

    def examine(state: TrainingState) -> None:
        progress(state.epoch, examined[-1])
        if state.epoch not in examined:
            return
        examinations.append(top_patches(model, train, name, units.tolist(), n=1))
        features = model.activations(subset, layers)
        if before:
            distances.append([relative_distance(features[key], before[key]) for key in layers])
        before.update(features)
        accuracy.append(state.logs["accuracy"])

    fit(model, train, loss_for(len(train.classes)), Adam(0.001), epochs=examined[-1], seed=seed,
        callbacks=[_AfterEpoch(examine)])

    def strongest(field: str) -> np.ndarray:
        return np.stack([getattr(patches, field)[:, 0] for patches in examinations])

    return Evolution(np.array(examined), name, units, strongest("activations"),
                     strongest("photos"), strongest("patches"), strongest("projections"), layers,
                     np.array(distances).reshape(-1, len(layers)), np.array(accuracy))


def relative_distance(features: np.ndarray, before: np.ndarray) -> float:
    """‖F_t − F_{t−1}‖ / ‖F_t‖."""
    return float(np.linalg.norm(features - before)) / max(float(np.linalg.norm(features)), 1e-12)


class _AfterEpoch(Callback):
    """Calls a function after every epoch."""

    def __init__(self, function: Callable[[TrainingState], None]) -> None:
        self.function = function

    def on_epoch_end(self, state: TrainingState) -> None:
        self.function(state)
