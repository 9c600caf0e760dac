"""Features growing: the same maps again and again during training. (Z5)

The small course network learns; after the given epochs we look in. For each map the strongest
activation over all photos is projected to the pixels by the deconvnet's rules (deconvnet.py); a
jump in the picture is another photo taking the lead. In numbers, for each layer the features F of
the same photos, at most 200, at two looks that follow one another:

    distance = ‖F_t − F_{t−1}‖ / ‖F_t‖    (Euclidean, over photos, places and maps)

A layer that has settled stands still: its distance goes to 0. The looks lie ever further apart, so
equal distances mean an ever slower layer. A layer rests on those below it, so its distance holds
their movement, too.

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
from ..utils.errors import ArgumentError, check_int, is_int
from ..visualize.features.top_patches import top_patches
from ..visualize.photos import Progress, cut_to_size, silent
from ..visualize.result import Result
from ..visualize.target import layer_index

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Evolution(Result):
    """Of E epochs looked at and U maps of `layer`: epochs (E,); units (U,); activations (E, U), the
    strongest; photos (E, U), where in the data, −1 where the map is zero for all; patches,
    projections (E, U, h, w, 3): pixels of the receptive field, grey beyond the border, and what has
    excited the map there (RGB); layers: all convolutions, poolings, Dense; distances (E − 1, L);
    accuracy (E,): in training."""

    epochs: np.ndarray
    layer: str
    units: np.ndarray
    activations: np.ndarray
    photos: np.ndarray
    patches: np.ndarray
    projections: np.ndarray
    layers: list[str]
    distances: np.ndarray
    accuracy: np.ndarray

    def figure(self) -> Figure:
        """A row for each map: patch and projection at each look; below, the distances."""
        E, U = self.activations.shape
        figure = drawing.new_figure(max(1.9 * E, 9), 1.15 * U + 5)
        above, below = figure.subfigures(2, 1, height_ratios=(1.15 * U + 0.6, 4.4))
        axes = above.subplots(U, 2 * E, squeeze=False)
        for e, u in np.ndindex(E, U):
            left, right = axes[u, 2 * e:2 * e + 2]
            drawing.show_image(left, self.patches[e, u], f"ep. {self.epochs[e]}" * (u == 0))
            if drawing.flaw(self.projections[e, u]):
                right.text(0.5, 0.5, "zero", ha="center", va="center", transform=right.transAxes)
                right.axis("off")
            else:
                drawing.show_signed(right, self.projections[e, u])
        for u, unit in enumerate(self.units):
            axes[u, 0].text(-0.15, 0.5, f"map {unit}", rotation=90, va="center", ha="right",
                            transform=axes[u, 0].transAxes)
        above.suptitle(f"{drawing.shortened(self.layer)}: strongest patch of a map, its projection")
        ax = below.subplots()
        for name, line, style in zip(self.layers, self.distances.T,
                                     np.resize(["o-", "s--", "^:", "d-."], len(self.layers)),
                                     strict=True):
            ax.plot(self.epochs[1:], line, style, label=drawing.shortened(name), lw=2)
        ax.set_xticks(self.epochs[1:])
        ax.set_ylim(0, None)
        ax.set_xlabel("epoch")
        ax.set_ylabel("distance to the\nfeatures a look before")
        if len(self.epochs) > 1:
            ax.legend(fontsize=10, ncols=2)
        return figure

    def __str__(self) -> str:
        rows = [("accuracy in training", self.accuracy), *(
            (name, [None, *line])
            for name, line in zip(self.layers, self.distances.T, strict=True))]
        return "\n".join([
            f"{self.layer}, maps {', '.join(map(str, self.units))}; distance of a layer's features "
            f"to those a look before", f"{'epoch':<22}" + "".join(f"{e:>8}" for e in self.epochs),
            *(f"{name:<22}" + "".join(" " * 8 if v is None else f"{v:>8.3f}" for v in line)
              for name, line in rows)])


def evolution(train: Dataset | None = None, *,
              epochs: Sequence[int] = (1, 2, 5, 10, 20, 30, 40, 64), layer: str | None = None,
              maps: int = 6, seed: int = 0, size: int = 28, progress: Progress = silent
              ) -> Evolution:
    """Trains SmallCNN and looks in after these epochs; looking changes nothing in the training.

    train: photos with labels; None: the built-in ones. layer: None is the last convolution.
    maps:  how many, drawn with `seed`, as the starting values are. size: side of the input, pixels.
    progress counts epochs. The default takes about a minute.
    Raises ArgumentError for epochs that do not rise from 1, and for layers without maps.
    """
    looks = list(epochs)
    if not looks or not all(is_int(e, 1) for e in looks) or looks != sorted(set(looks)):
        raise ArgumentError(f"evolution: expected epochs that rise, from 1 on, received "
                            f"{epochs!r}. Write for example (1, 2, 5, 10).")
    train = sample() if train is None else train
    model = SmallCNN(len(train.classes), (size, size, 3), seed)
    place = layer_index(model, layer)
    name, shape = model.layers[place].name, model.shapes()[place + 1]
    if len(shape) != 3:
        raise ArgumentError(f"{name}: expected a layer of feature maps (N, H, W, C), received "
                            f"outputs of shape {('N', *shape)}. Name one before Flatten.")
    rng = np.random.default_rng(seed)
    units = np.sort(rng.permutation(shape[-1])[:check_int(maps, "evolution, maps")])
    some = cut_to_size(model, train.subset(np.sort(rng.permutation(len(train))[:200])))
    layers = [one.name for one in model.layers if one.params or isinstance(one, (Conv2D, Pool2D))]
    found, steps, accuracy, before = [], [], [], {}

    def look(state: TrainingState) -> None:
        progress(state.epoch, looks[-1])
        if state.epoch not in looks:
            return
        found.append(top_patches(model, train, name, units.tolist(), n=1))
        features = model.activations(some, layers)
        if before:
            steps.append([np.linalg.norm(features[key] - before[key])
                          / max(np.linalg.norm(features[key]), 1e-12) for key in layers])
        before.update(features)
        accuracy.append(state.logs["accuracy"])

    fit(model, train, loss_for(len(train.classes)), Adam(0.001), epochs=looks[-1], seed=seed,
        callbacks=[_Look(look)])
    strongest = (np.stack([getattr(one, part)[:, 0] for one in found])
                 for part in ("activations", "photos", "patches", "projections"))
    return Evolution(np.array(looks), name, units, *strongest, layers,
                     np.array(steps).reshape(-1, len(layers)), np.array(accuracy))


class _Look(Callback):
    """Looks in after every epoch."""

    def __init__(self, look: Callable[[TrainingState], None]) -> None:
        self.look = look

    def on_epoch_end(self, state: TrainingState) -> None:
        self.look(state)
