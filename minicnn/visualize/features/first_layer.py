"""Diagnosis of the first layer: its kernels, and the defects that Zeiler & Fergus look for.

    RMS       sqrt(mean w²) of each filter: does one dominate? In training the paper scales a filter
              with RMS > 0.1 back to 0.1 (a rule for inputs of about −128 … 128).
    dead      filters whose output is > 0 nowhere in any photo
    bands     shares of a kernel's energy |ŵ(f)|², ŵ its Fourier transform, at low, middle and high
              frequencies: |f| < 1/6, < 1/3, and above, in cycles per pixel (1/2 is the Nyquist
              frequency). A kernel of one pixel has a flat spectrum; its shares are shown for
              comparison. The paper's first network had very high and very low frequencies and few
              in between.
    aliasing  shares of the energy of the activation maps, their means subtracted, in the high band,
              for the first and the second convolution, summed over photos and maps. Strides and
              pooling keep one position of several, and what varies faster than the new Nyquist
              frequency appears as a slower variation that is not in the photo. A smooth map has
              little energy in its high band; more of it in layer 2 than in layer 1 means that the
              stride between was too large. It is a hint, not a proof: ReLUs and fine kernels add
              high frequencies of their own.

The paper's remedy: kernels of 7 × 7 instead of 11 × 11, stride 2 instead of 4.

Source: Zeiler & Fergus 2014, section 4.1 and figure 6, section 3 (RMS); Z7 of the course.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...layers import Conv2D
from ...layers.sharing import copy_layers
from ...model import Sequential
from ...ops import to_cpu
from ...plotting import drawing
from ...utils.errors import ArgumentError
from ...utils.language import fill_in, ngettext
from ...utils.language import gettext as _
from ..photos import ImageInput, Progress, batch_size_for, check_finite, photo_batches, silent
from ..result import Result
from ..target import as_rgb, maps_layer
from .top_patches import as_three_channels, mosaic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_RMS = 0.1  # above it the paper rescales a filter
BAND_EDGES = (1 / 6, 1 / 3)  # between the bands, in cycles per pixel
GRID = 32  # frequencies per side for the kernels, padded with zeros


@dataclass
class FirstLayer(Result):
    """Of F filters: kernels (F, KH, KW, C), channels red, green, blue; rms, clipped (F,): RMS, and
    whether it is above 0.1; bands (F, 3): low, middle, high; flat (3,): those of a flat spectrum.
    With photos (without: None): maxima, dead (F,): largest output, and whether it is ≤ 0;
    aliasing (1 or 2,): the high band's share for the first and second convolution, NaN if their
    maps are flat. layers: the names of these one or two."""

    layers: list[str]
    kernels: np.ndarray
    rms: np.ndarray
    clipped: np.ndarray
    bands: np.ndarray
    flat: np.ndarray
    maxima: np.ndarray | None
    dead: np.ndarray | None
    aliasing: np.ndarray | None
    photos: int

    def figure(self) -> Figure:
        """The kernels, their RMS, the bands, and the aliasing."""
        panels = 3 if self.aliasing is None else 4
        figure = drawing.new_figure(4.4 * panels + 1, 6.2)
        axes = figure.subplots(1, panels)
        columns = int(np.ceil(np.sqrt(len(self.kernels))))
        shown = np.stack([drawing.normalize_signed(as_three_channels(kernel))
                          for kernel in self.kernels])
        drawing.show_image(axes[0], mosaic(shown, columns), _(
            "{count} kernels, 0 is grey,\neach with its own contrast", count=len(shown)))
        order = np.argsort(-self.rms, kind="stable")
        dead = np.zeros(len(order), bool) if self.dead is None else self.dead
        for selected, colour, text in ((~dead, drawing.BLUE, None),
                                       (dead, drawing.ORANGE, _("dead"))):
            bars = np.flatnonzero(selected[order])
            if bars.size:
                axes[1].bar(bars, self.rms[order][bars], color=colour, label=text, width=1)
        axes[1].axhline(MAX_RMS, color="black", ls="--", label=_("limit of the paper"))
        axes[1].set(xlabel=_("filter, by RMS"), ylabel=_("RMS of its weights"),
                    title=_("does one dominate?"))
        axes[1].legend(fontsize=drawing.MIN_TYPE)
        rows = np.arange(3)
        axes[2].bar(rows - 0.2, 100 * self.bands.mean(axis=0), 0.4, color=drawing.BLUE,
                    label=_("kernels"))
        axes[2].bar(rows + 0.2, 100 * self.flat, 0.4, color="0.7", label=_("flat spectrum"))
        axes[2].set_xticks(rows, [_("low"), _("middle"), _("high")])
        axes[2].set(ylabel=_("share of the energy, %"), title=_("spatial frequencies"))
        axes[2].legend(fontsize=drawing.MIN_TYPE)
        if self.aliasing is not None:
            names = [drawing.shortened(name) for name in self.layers]
            axes[3].bar(names, 100 * np.nan_to_num(self.aliasing), 0.5, color=drawing.BLUE)
            axes[3].set(ylabel=_("share of the energy, %"), title=_("aliasing"))
            axes[3].set_xlim(-0.6, len(names) - 0.4)
        explained = [_("RMS: a filter far above the others dominates the layer; in training, the "
                       "paper scales one above 0.1 back to it."),
                     _("Frequencies: a good first layer has edges and blobs of all sizes; the "
                       "grey bars are a kernel of one pixel, or noise.")]
        if self.aliasing is not None:
            explained.append(_("Aliasing: energy of the maps above what half as many positions can "
                               "hold; it should not grow from layer to layer."))
        figure.supxlabel("\n".join(explained), fontsize=drawing.MIN_TYPE)
        figure.suptitle(_("{layer}: first-layer diagnosis", layer=self.layers[0]))
        return figure

    def __str__(self) -> str:
        low, middle, high = self.bands.mean(axis=0)
        ratio = self.rms.max() / max(np.median(self.rms), 1e-30)
        flat_low, flat_middle, flat_high = self.flat
        lines = [_("{layer}: {count} filters of {height} × {width}", layer=self.layers[0],
                   count=len(self.rms), height=self.kernels.shape[1],
                   width=self.kernels.shape[2]),
                 _("RMS {low:.3g} … {high:.3g}, the largest {ratio:.3g} × the median (filter "
                   "{filter}); {count} above {limit}", low=self.rms.min(), high=self.rms.max(),
                   ratio=ratio, filter=self.rms.argmax(), count=self.clipped.sum(),
                   limit=MAX_RMS),
                 _("energy: low {low:.1%}, middle {middle:.1%}, high {high:.1%} (flat spectrum: "
                   "{flat_low:.1%}, {flat_middle:.1%}, {flat_high:.1%})", low=low, middle=middle,
                   high=high, flat_low=flat_low, flat_middle=flat_middle, flat_high=flat_high)]
        if self.dead is None or self.aliasing is None:
            return "\n".join([*lines, _("dead filters and aliasing: unknown without photos")])
        which = ", ".join(map(str, np.flatnonzero(self.dead)[:10]))
        which += ", …" if self.dead.sum() > 10 else ""
        lines.append(ngettext("dead over {num} photo: {count}",
                              "dead over {num} photos: {count}", self.photos,
                              count=self.dead.sum())
                     + (f" ({which})" if self.dead.any() else ""))
        lines.append(_("near the Nyquist frequency: {shares}", shares=", ".join(
            _("{layer} maps are flat", layer=name) if np.isnan(share) else
            fill_in("{layer} {share:.1%}", {"layer": name, "share": share})
            for name, share in zip(self.layers, self.aliasing, strict=True))))
        return "\n".join(lines)


def first_layer(model: Sequential, photos: ImageInput | None = None, *,
                batch_size: int | None = None, progress: Progress = silent) -> FirstLayer:
    """Diagnosis of the first convolution (Z7).

    photos: for dead filters and aliasing; None leaves them out. batch_size: None is as many as fit
    into memory. Raises ArgumentError for a network without convolution, weights or activations that
    are not finite.
    """
    maps_layer(model)  # raises if there are no maps
    indices = [index for index, layer in enumerate(model.layers)
               if isinstance(layer, Conv2D)][:2]
    names = [model.layers[index].name for index in indices]
    W = to_cpu(model.layers[indices[0]].params["W"])  # (KH, KW, C, F)
    if not np.isfinite(W).all():
        raise ArgumentError(f"{names[0]}: expected finite weights, received "
                            f"{(~np.isfinite(W)).sum()} that are NaN or infinite. Train the model "
                            f"again.")
    kernels = np.ascontiguousarray(as_rgb(model, np.moveaxis(W, -1, 0)))  # (F, KH, KW, C)
    rms = np.sqrt((kernels.astype(np.float64) ** 2).mean(axis=(1, 2, 3)))
    side = max(GRID, *W.shape[:2])
    flat = bands(np.ones((side, side)))
    energy = np.abs(np.fft.fft2(kernels.astype(np.float64), (side, side), axes=(1, 2))) ** 2
    shares = np.stack([bands(spectrum) for spectrum in energy.sum(axis=-1)])
    result = FirstLayer(names, kernels, rms, rms > MAX_RMS, np.nan_to_num(shares), flat, None,
                        None, None, 0)
    if photos is not None:
        _measure_on_photos(model, photos, indices, result, batch_size, progress)
    return result


def _measure_on_photos(model: Sequential, photos: ImageInput, convolutions: list[int],
                       result: FirstLayer, batch_size: int | None, progress: Progress) -> None:
    """Fills in the fields of the result that need photos."""
    layers = copy_layers(model.layers[:convolutions[-1] + 1])
    batch_size = batch_size_for(model, convolutions[-1], batch_size)
    energies: dict[int, np.ndarray] = {}
    maxima = np.full(len(result.rms), -np.inf)
    for indices, _pixels, x in photo_batches(model, photos, batch_size, progress):
        for index, layer in enumerate(layers):
            x = layer.forward(x, keep=False)
            if index not in convolutions:
                continue
            y = to_cpu(x)
            check_finite(y, layer.name, indices)
            if index == convolutions[0]:
                maxima = np.maximum(maxima, y.max(axis=(0, 1, 2)))
            for maps in y:  # photo by photo: a spectrum takes four times the memory
                spectrum = np.fft.fft2(maps - maps.mean(axis=(0, 1)), axes=(0, 1))
                energy = (np.abs(spectrum) ** 2).sum(axis=-1)
                energies[index] = energies.get(index, 0) + energy
        result.photos += len(indices)
    result.maxima, result.dead = maxima, maxima <= 0
    result.aliasing = np.array([bands(energies[index])[2] for index in convolutions])


def bands(energy: np.ndarray) -> np.ndarray:
    """Energy at the frequencies of np.fft.fft2 (H, Wd) -> its shares (3,) in the low, middle and
    high band; NaN if there is no energy."""
    H, Wd = energy.shape
    f = np.hypot(np.fft.fftfreq(H)[:, None], np.fft.fftfreq(Wd))  # cycles per pixel, (H, Wd)
    low, high = f < BAND_EDGES[0], f >= BAND_EDGES[1]
    sums = np.array([energy[band].sum() for band in (low, ~low & ~high, high)])
    return sums / sums.sum() if sums.sum() > 0 else np.full(3, np.nan)
