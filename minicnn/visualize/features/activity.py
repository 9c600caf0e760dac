"""How much of a network is at work: mean activation and dead units of each layer, over photos.

    mean      of y over photos, places and units
    active    the share of the outputs with y > 0
    dead      units (of feature maps: whole maps) with y ≤ 0 everywhere in every photo

Behind a ReLU a dead unit passes no gradient, either: it cannot come back to life on these photos
(unless something below it moves). Many dead units after a step or two mean a learning rate too high
for the starting values. A unit dead for some photos may well answer to others.

Source: Glorot, Bordes, Bengio 2011, "Deep Sparse Rectifier Neural Networks", section 3 (the shares
of real zeros); Zeiler & Fergus 2014, section 4.1 and figure 6 (dead features of the first layer).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...layers import Conv2D, Dense, ReLU
from ...model import Sequential
from ...ops import to_cpu
from ...plotting import drawing
from ...utils.errors import ArgumentError
from ..photos import Photos, Progress, bounded, photo_batches, silent
from ..result import Result
from ..target import copies

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Activity(Result):
    """Of L layers: layers, their names; means, active, dead, units (L,): mean of y, share of y > 0,
    number of dead units (NaN behind another end than ReLU, where a negative output is none of
    death), number of units; maxima: {layer: (units,)}, the largest y of each unit;
    photos: how many were looked at."""

    layers: list[str]
    means: np.ndarray
    active: np.ndarray
    dead: np.ndarray
    units: np.ndarray
    maxima: dict[str, np.ndarray]
    photos: int

    def figure(self) -> Figure:
        """Bars: mean, share active, share dead with the number beside."""
        rows = np.arange(len(self.layers))
        figure = drawing.new_figure(14, max(3.6, 0.36 * len(rows) + 1.6))
        axes = figure.subplots(1, 3, sharey=True)
        shares = 100 * self.dead / self.units
        for ax, values, text in zip(axes, (self.means, 100 * self.active, shares),
                                    ("mean activation", "outputs > 0, %", "dead units, %"),
                                    strict=True):
            ax.barh(rows, values, color=drawing.BLUE)
            ax.set_xlabel(text)
        for row, share, dead, units in zip(rows, shares, self.dead, self.units, strict=True):
            if np.isfinite(share):
                axes[2].text(share, row, f"  {dead:g} of {units}", va="center", fontsize=10)
        axes[0].set_yticks(rows, [drawing.shortened(name) for name in self.layers])
        axes[0].invert_yaxis()
        axes[0].ticklabel_format(axis="x", scilimits=(-2, 4))
        axes[1].set_xlim(0, 100)
        axes[2].set_xlim(0, max(1, 1.35 * np.nan_to_num(shares).max()))
        figure.suptitle(f"activity over {self.photos} photos")
        return figure

    def __str__(self) -> str:
        rows = zip(self.layers, self.means, self.active, self.dead, self.units, strict=True)
        return "\n".join([f"{self.photos} photos",
                          f"{'layer':<22} {'mean':>10} {'active':>8}  dead units",
                          *(f"{name:<22} {mean:>10.4g} {share:>8.1%}  "
                            + (f"{dead:g} of {units}" if np.isfinite(dead) else "(no ReLU)")
                            for name, mean, share, dead, units in rows)])


def activity(model: Sequential, photos: Photos, *, batch_size: int | None = None,
             progress: Progress = silent) -> Activity:
    """Mean activation, share of active outputs and dead units, of every layer that computes: those
    with parameters, their own activation included, and separate ReLUs (in the place of the linear
    layer before them). Only behind a ReLU can a unit be dead.

    batch_size: None is what memory bears. Raises ArgumentError for no photos, a network without
    such layers, activations that are not finite.
    """
    layers = copies(model.layers)
    followers = [*layers[1:], None]
    counted = [isinstance(one, ReLU) or isinstance(one, (Conv2D, Dense)) and not (
        one.activation is None and isinstance(after, ReLU))
        for one, after in zip(layers, followers, strict=True)]
    names = [one.name for one, counts in zip(layers, counted, strict=True) if counts]
    if not names:
        raise ArgumentError(f"{model.name}: expected a layer with parameters or a ReLU, found "
                            f"none. Give it one.")
    sums, over, seen = (np.zeros(len(names)) for _ in range(3))
    maxima, photos_seen = {}, 0
    for indices, _, x in photo_batches(model, photos, bounded(model, 1, batch_size), progress):
        photos_seen += len(indices)
        row = 0
        for one, counts in zip(layers, counted, strict=True):
            x = one.forward(x, keep=False)
            if not counts:
                continue
            y = to_cpu(x)
            if not np.isfinite(y).all():
                raise ArgumentError(f"{one.name}: expected finite activations, received others for "
                                    f"photos {indices[0]} to {indices[-1]}. Are the weights "
                                    f"finite?")
            sums[row] += y.sum(dtype=np.float64)
            over[row] += np.count_nonzero(y > 0)
            seen[row] += y.size
            most = y.reshape(-1, y.shape[-1]).max(axis=0)
            maxima[one.name] = np.maximum(maxima.get(one.name, most), most)
            row += 1
    ends = [getattr(one, "activation", None) or one
            for one, counts in zip(layers, counted, strict=True) if counts]
    dead = np.array([(maxima[name] <= 0).sum() if isinstance(end, ReLU) else np.nan
                     for name, end in zip(names, ends, strict=True)])
    units = np.array([maxima[name].size for name in names])
    return Activity(names, sums / seen, over / seen, dead, units, maxima, photos_seen)
