"""How active a network is: mean activation and dead units per layer, over photos.

    mean      of y over photos, positions and units
    active    the share of the outputs with y > 0
    dead      units (of feature maps: whole maps) with y ≤ 0 everywhere in every photo

After a ReLU a dead unit has no gradient, either: it cannot recover on these photos (unless the
layers below it change). Many dead units after a step or two mean a learning rate too high for the
initial weights. A unit that is dead on some photos may respond to others.

Source: Glorot, Bordes, Bengio 2011, "Deep Sparse Rectifier Neural Networks", section 3 (the shares
of real zeros); Zeiler & Fergus 2014, section 4.1 and figure 6 (dead features of the first layer).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...layers import Conv2D, Dense, Layer, ReLU
from ...layers.sharing import copy_layers
from ...model import Sequential
from ...ops import to_cpu
from ...plotting import drawing
from ...utils.errors import ArgumentError
from ...utils.language import fill_in, ngettext
from ...utils.language import gettext as _
from ..photos import ImageInput, Progress, batch_size_for, check_finite, photo_batches, silent
from ..result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Activity(Result):
    """Of L layers: layers, their names; means, active, dead, units (L,): mean of y, share of y > 0,
    number of dead units (NaN unless the layer ends with ReLU: only then negative outputs mean
    death), number of units; maxima: {layer: (units,)}, the largest y of each unit; photos: their
    number."""

    layers: list[str]
    means: np.ndarray
    active: np.ndarray
    dead: np.ndarray
    units: np.ndarray
    maxima: dict[str, np.ndarray]
    photos: int

    def figure(self) -> Figure:
        """Bars: mean, share of active outputs, share of dead units with their number."""
        rows = np.arange(len(self.layers))
        figure = drawing.new_figure(15, max(3.8, 0.4 * len(rows) + 1.8))
        axes = figure.subplots(1, 3, sharey=True)
        shares = 100 * self.dead / self.units
        for ax, values, text in zip(axes, (self.means, 100 * self.active, shares),
                                    (_("mean activation"), _("outputs > 0, %"), _("dead units, %")),
                                    strict=True):
            ax.barh(rows, values, color=drawing.BLUE)
            ax.set_xlabel(text)
        for row, share, dead, units in zip(rows, shares, self.dead, self.units, strict=True):
            if np.isfinite(share):
                count = _("{dead:g} of {units}", dead=dead, units=units)
                axes[2].text(min(share, 55), row, f"  {count}", va="center",
                             fontsize=drawing.MIN_TYPE)
        axes[0].set_yticks(rows, [drawing.shortened(name) for name in self.layers])
        axes[0].invert_yaxis()
        axes[0].ticklabel_format(axis="x", scilimits=(-2, 4))
        axes[1].set_xlim(0, 100)
        axes[2].set_xlim(0, 100)  # an axis that fits tiny shares would make them look large
        figure.suptitle(ngettext("activity over {num} photo", "activity over {num} photos",
                                 self.photos))
        return figure

    def __str__(self) -> str:
        rows = zip(self.layers, self.means, self.active, self.dead, self.units, strict=True)
        return "\n".join([ngettext("{num} photo", "{num} photos", self.photos),
                          f"{_('layer'):<22} {_('mean'):>10} {_('active'):>8}  {_('dead units')}",
                          *(fill_in("{name:<22} {mean:>10.4g} {share:>8.1%}  ", {
                              "name": name, "mean": mean, "share": share})
                            + (_("{dead:g} of {units}", dead=dead, units=units)
                               if np.isfinite(dead) else _("(no ReLU)"))
                            for name, mean, share, dead, units in rows)])


def activity(model: Sequential, photos: ImageInput, *, batch_size: int | None = None,
             progress: Progress = silent) -> Activity:
    """Mean activation, share of active outputs and dead units, of every layer that computes: those
    with parameters, their own activation included, and separate ReLUs (instead of the linear
    layer before them). Only after a ReLU can a unit be dead.

    batch_size: None is as many as fit into memory. Raises ArgumentError for no photos, a network
    without such layers, activations that are not finite.
    """
    layers = copy_layers(model.layers)
    counted = _counted(layers)
    if not counted:
        raise ArgumentError(f"{model.name}: expected a layer with parameters or a ReLU, received "
                            f"none. Add one.")
    sums, positive, sizes = (dict.fromkeys(counted, 0.0) for _ in range(3))
    maxima: dict[str, np.ndarray] = {}
    num_photos = 0
    batch_size = batch_size_for(model, 1, batch_size)
    for indices, _pixels, x in photo_batches(model, photos, batch_size, progress):
        num_photos += len(indices)
        for layer in layers:
            x = layer.forward(x, keep=False)
            name = layer.name
            if name not in counted:
                continue
            y = to_cpu(x)
            check_finite(y, name, indices)
            sums[name] += y.sum(dtype=np.float64)
            positive[name] += np.count_nonzero(y > 0)
            sizes[name] += y.size
            largest = y.reshape(-1, y.shape[-1]).max(axis=0)
            maxima[name] = np.maximum(maxima.get(name, largest), largest)
    dead = [(maxima[name] <= 0).sum() if ends_with_relu else np.nan
            for name, ends_with_relu in counted.items()]
    return Activity(list(counted), np.array([sums[name] / sizes[name] for name in counted]),
                    np.array([positive[name] / sizes[name] for name in counted]),
                    np.array(dead, float), np.array([maxima[name].size for name in counted]),
                    maxima, num_photos)


def _counted(layers: list[Layer]) -> dict[str, bool]:
    """{name: does it end with ReLU} of the layers that compute."""
    counted = {}
    for layer, following in zip(layers, [*layers[1:], None], strict=True):
        if isinstance(layer, ReLU):
            counted[layer.name] = True
        elif isinstance(layer, (Conv2D, Dense)) and not (
                layer.activation is None and isinstance(following, ReLU)):
            counted[layer.name] = isinstance(layer.activation, ReLU)
    return counted
