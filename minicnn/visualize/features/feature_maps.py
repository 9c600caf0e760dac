"""A layer's feature maps for one photo: drawn side by side, and ranked.

Map k has the value y[i, j, k] at each position. Its strength is the sum Σ_{i,j} y[i, j, k], as
elsewhere in this package; the ranking adds the maximum and the share of positions with y > 0, which
distinguish a map that responds weakly everywhere from one that responds strongly at one position.

Source: Zeiler & Fergus 2014, section 4.2, use the strongest map of a layer for a photo; a grid of
maps is the live view of Yosinski et al. 2015, "Understanding Neural Networks Through Deep
Visualization", section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...layers.sharing import copy_layers
from ...model import Sequential
from ...ops import to_cpu
from ...plotting import drawing
from ...utils.errors import ArgumentError, check_int
from ...utils.language import fill_in
from ...utils.language import gettext as _
from ..result import Result
from ..target import forward, layer_index, maps_shape, photo_input

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class FeatureMaps(Result):
    """pixels (H, Wd, 3): the photo; units (K,): the strongest maps, strongest first; maps
    (K, OH, OW): their values; sums (K,): Σ over the positions."""

    pixels: np.ndarray
    layer: str
    units: np.ndarray
    maps: np.ndarray
    sums: np.ndarray

    def figure(self) -> Figure:
        """The photo, then the maps, each on its own scale."""
        shown = len(self.units) + 1
        columns = int(np.ceil(np.sqrt(shown * 1.7)))  # landscape, for a projector
        rows = -(-shown // columns)
        figure = drawing.new_figure(max(2.2 * columns, 7), 2.4 * rows + 0.6)
        axes = figure.subplots(rows, columns, squeeze=False).flat
        for ax in axes:
            ax.axis("off")
        drawing.show_image(axes[0], self.pixels, _("photo"), smooth=True)
        for ax, unit, values in zip(axes[1:], self.units, self.maps, strict=False):
            drawing.show_map(ax, values, _("map {unit}: max {maximum}", unit=unit,
                                           maximum=drawing.short_number(values.max())), bar=False)
        figure.suptitle(_("{layer}: the {count} maps with the largest sum, each on its own scale, "
                          "dark to bright", layer=self.layer, count=len(self.units)))
        return figure

    def __str__(self) -> str:
        lines = [_("{layer}, maps of {height} × {width}", layer=self.layer,
                   height=self.maps.shape[1], width=self.maps.shape[2])]
        for unit, values, total in zip(self.units, self.maps, self.sums, strict=True):
            reason = drawing.why_blank(values)
            lines.append(_("map {unit}: sum {total:.4g}, maximum {maximum:.4g}", unit=unit,
                           total=total, maximum=values.max()) + (f" ({reason})" if reason else ""))
        return "\n".join(lines)


@dataclass
class Ranking(Result):
    """The T strongest maps of a layer, by their sums. units, sums, maxima, shares (T,): number of
    the map, Σ y, max y, share of the positions with y > 0; silent: number of maps of the layer that
    are nowhere > 0; count: number of its maps."""

    pixels: np.ndarray
    layer: str
    units: np.ndarray
    sums: np.ndarray
    maxima: np.ndarray
    shares: np.ndarray
    silent: int
    count: int

    def figure(self) -> Figure:
        """The photo, and bars of the three measures."""
        figure = drawing.new_figure(15, max(4.0, 0.34 * len(self.units) + 1.6))
        axes = figure.subplots(1, 4, width_ratios=(1.3, 1, 1, 1))
        drawing.show_image(axes[0], self.pixels, _("photo"), smooth=True)
        rows = np.arange(len(self.units))
        labels = _("sum"), _("maximum"), _("active positions, %")
        for ax, values, text in zip(axes[1:], (self.sums, self.maxima, 100 * self.shares), labels,
                                    strict=True):
            ax.barh(rows, values, color=drawing.BLUE)
            ax.set_yticks(rows, [str(unit) for unit in self.units], fontsize=drawing.MIN_TYPE)
            ax.invert_yaxis()
            ax.set_xlabel(text)
            ax.ticklabel_format(axis="x", scilimits=(-2, 4))
            ax.xaxis.get_major_locator().set_params(nbins=4)
        axes[1].set_ylabel(_("map"))
        axes[3].set_xlim(0, 100)
        figure.suptitle(_("{layer}: {shown} of {count} maps; {silent} are silent for this photo",
                          layer=self.layer, shown=len(self.units), count=self.count,
                          silent=self.silent))
        return figure

    def __str__(self) -> str:
        rows = zip(self.units, self.sums, self.maxima, self.shares, strict=True)
        return "\n".join([_("{layer}: {count} maps, {silent} silent for this photo",
                            layer=self.layer, count=self.count, silent=self.silent),
                          f"{_('map'):>6} {_('sum'):>11} {_('maximum'):>11} {_('active'):>8}",
                          *(fill_in("{unit:>6} {total:>11.4g} {maximum:>11.4g} {share:>8.1%}", {
                              "unit": unit, "total": total, "maximum": maximum, "share": share})
                            for unit, total, maximum, share in rows)])


def feature_maps(model: Sequential, image: np.ndarray, layer: str | None = None, *,
                 maps: int = 16) -> FeatureMaps:
    """The `maps` strongest maps of a layer for one photo, or all if it has fewer.

    image: a photo, uint8 (H', Wd', 3), or network input, floats (H, Wd, C).
    layer: None is the last convolution. Raises ArgumentError for a layer that does not exist or
    has no maps.
    """
    name, pixels, y = _compute_maps(model, image, layer)
    sums = y.sum(axis=(0, 1), dtype=np.float64)
    units = np.argsort(-sums, kind="stable")[:check_int(maps, "feature_maps, maps")]
    return FeatureMaps(pixels, name, units, np.ascontiguousarray(np.moveaxis(y[..., units], -1, 0)),
                       sums[units])


def rank_maps(model: Sequential, image: np.ndarray, layer: str | None = None, *,
              top: int = 20) -> Ranking:
    """The `top` maps of a layer with the largest sums for one photo; arguments and errors as for
    feature_maps."""
    name, pixels, y = _compute_maps(model, image, layer)
    sums, maxima = y.sum(axis=(0, 1), dtype=np.float64), y.max(axis=(0, 1))
    if not np.isfinite(sums).all():
        raise ArgumentError(f"{name}: expected finite maps, received others "
                            f"({', '.join(map(str, np.flatnonzero(~np.isfinite(sums))[:5]))}, …). "
                            f"Are the weights finite?")
    units = np.argsort(-sums, kind="stable")[:check_int(top, "rank_maps, top")]
    shares = (y > 0).mean(axis=(0, 1))
    return Ranking(pixels, name, units, sums[units], maxima[units], shares[units],
                   int((shares == 0).sum()), y.shape[-1])


def _compute_maps(model: Sequential, image: np.ndarray, layer: str | None
                  ) -> tuple[str, np.ndarray, np.ndarray]:
    """Name of the layer, pixels, y (OH, OW, K)."""
    index = layer_index(model, layer)
    maps_shape(model, index)
    pixels, x = photo_input(model, image)
    y = to_cpu(forward(copy_layers(model.layers[:index + 1]), x))[0]
    return model.layers[index].name, pixels, y
