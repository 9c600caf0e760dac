"""Is the first layer in order? Its kernels drawn, and what Zeiler & Fergus look for in them.

    RMS       sqrt(mean w²) of each filter: does one dominate? In training the paper scales a filter
              with RMS > 0.1 back to 0.1 (a rule for inputs of about −128 … 128).
    dead      filters that are > 0 nowhere in any photo
    bands     shares of a kernel's energy |ŵ(f)|², ŵ its Fourier transform, at low, middle and high
              frequencies: |f| < 1/6, < 1/3, and above, in cycles a pixel (1/2 is Nyquist's). A
              kernel of one pixel has a flat spectrum; its shares stand beside for comparison.
              The paper's first net had very high and very low frequencies and few between.
    aliasing  shares of the energy of the activation maps, means taken off, in the high band, of the
              first and the second convolution, summed over photos and maps. Strides and pooling
              keep one place of several, and what varied faster than the new Nyquist frequency
              comes back as something slower that is not in the photo. A smooth map has little in
              its high band; more of it in layer 2 than in layer 1 says that the step between
              was too coarse. It is a hint, not a proof: ReLUs and fine kernels add high
              frequencies of their own.

The paper's remedy: kernels of 7 × 7 for 11 × 11, stride 2 for 4.

Source: Zeiler & Fergus 2014, section 4.1 and figure 6, section 3 (RMS); Z7 of the course.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...layers import Conv2D
from ...model import Sequential
from ...ops import to_cpu
from ...plotting import drawing
from ...utils.errors import ArgumentError
from ..photos import Photos, Progress, bounded, photo_batches, silent
from ..result import Result
from ..target import as_rgb, copies, maps_layer
from .top_patches import mosaic, three

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RADIUS = 0.1  # of the RMS, in the paper
EDGES = (1 / 6, 1 / 3)  # between the bands, cycles a pixel
GRID = 32  # frequencies a side for the kernels, padded with zeros


@dataclass
class FirstLayer(Result):
    """Of F filters: kernels (F, KH, KW, C), channels red, green, blue; rms, clipped (F,): RMS, and
    is it above 0.1; bands (F, 3): low, middle, high; flat (3,): those of a flat spectrum. With
    photos, else None: maxima, dead (F,): largest output, and is it ≤ 0; aliasing (1 or 2,): the
    high band's share of the maps of the first and second convolution, NaN where the maps are flat.
    layers: the names of these one or two."""

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
        figure = drawing.new_figure(4.1 * panels + 1, 4.8)
        axes = figure.subplots(1, panels)
        across = int(np.ceil(np.sqrt(len(self.kernels))))
        shown = np.stack([drawing.stretched(three(kernel)) for kernel in self.kernels])
        drawing.show_image(axes[0], mosaic(shown, across), f"{len(shown)} kernels, 0 is grey,\n"
                           "each to its own contrast")
        order = np.argsort(-self.rms, kind="stable")
        dead = np.zeros(len(order), bool) if self.dead is None else self.dead
        for chosen, colour, text in ((~dead, drawing.BLUE, None), (dead, drawing.ORANGE, "dead")):
            at = np.flatnonzero(chosen[order])
            if at.size:
                axes[1].bar(at, self.rms[order][at], color=colour, label=text, width=1)
        axes[1].axhline(RADIUS, color="black", ls="--", label="0.1: clipped above")
        axes[1].set(xlabel="filter, by RMS", ylabel="RMS of its weights",
                    title="does one dominate?")
        axes[1].legend(fontsize=10)
        rows = np.arange(3)
        axes[2].bar(rows - 0.2, 100 * self.bands.mean(axis=0), 0.4, color=drawing.BLUE,
                    label="kernels")
        axes[2].bar(rows + 0.2, 100 * self.flat, 0.4, color="0.7", label="flat spectrum")
        axes[2].set_xticks(rows, ["low", "middle", "high"])
        axes[2].set(ylabel="share of the energy, %", title="spatial frequencies")
        axes[2].legend(fontsize=10)
        if self.aliasing is not None:
            names = [drawing.shortened(name) for name in self.layers]
            axes[3].bar(names, 100 * np.nan_to_num(self.aliasing), 0.5, color=drawing.BLUE)
            axes[3].set(ylabel="share of the energy, %", title="maps near Nyquist's frequency")
            axes[3].set_xlim(-0.6, len(names) - 0.4)
        figure.suptitle(f"{self.layers[0]}: is the first layer in order?")
        return figure

    def __str__(self) -> str:
        low, middle, high = self.bands.mean(axis=0)
        ratio = self.rms.max() / max(np.median(self.rms), 1e-30)
        lines = [f"{self.layers[0]}: {len(self.rms)} filters of {self.kernels.shape[1]} × "
                 f"{self.kernels.shape[2]}",
                 f"RMS {self.rms.min():.3g} … {self.rms.max():.3g}, the largest {ratio:.3g} × the "
                 f"median (filter {self.rms.argmax()}); {self.clipped.sum()} above {RADIUS}",
                 f"energy: low {low:.1%}, middle {middle:.1%}, high {high:.1%} (flat spectrum: "
                 f"{self.flat[0]:.1%}, {self.flat[1]:.1%}, {self.flat[2]:.1%})"]
        if self.dead is None:
            return "\n".join([*lines, "without photos: nothing known of dead filters, aliasing"])
        which = ", ".join(map(str, np.flatnonzero(self.dead)[:10]))
        which += ", …" if self.dead.sum() > 10 else ""
        lines.append(f"dead over {self.photos} photos: {self.dead.sum()}"
                     + (f" ({which})" if self.dead.any() else ""))
        lines.append("near Nyquist's frequency: " + ", ".join(
            f"{name} " + ("maps are flat" if np.isnan(share) else f"{share:.1%}")
            for name, share in zip(self.layers, self.aliasing, strict=True)))
        return "\n".join(lines)


def first_layer(model: Sequential, photos: Photos | None = None, *, batch_size: int | None = None,
                progress: Progress = silent) -> FirstLayer:
    """Diagnosis of the first convolution (Z7).

    photos: for dead filters and aliasing; None leaves them out. batch_size: None is what memory
    bears. Raises ArgumentError for a network without convolution, weights or activations that are
    not finite.
    """
    maps_layer(model)  # or a sentence: there are none
    places = [at for at, one in enumerate(model.layers)
              if isinstance(one, Conv2D)][:2]
    names = [model.layers[at].name for at in places]
    W = to_cpu(model.layers[places[0]].params["W"])  # (KH, KW, C, F)
    if not np.isfinite(W).all():
        raise ArgumentError(f"{names[0]}: expected finite weights, received "
                            f"{(~np.isfinite(W)).sum()} that are NaN or infinite. Train it anew.")
    kernels = np.ascontiguousarray(as_rgb(model, np.moveaxis(W, -1, 0)))  # (F, KH, KW, C)
    rms = np.sqrt((kernels.astype(np.float64) ** 2).mean(axis=(1, 2, 3)))
    side = max(GRID, *W.shape[:2])
    flat = bands(np.ones((side, side)))
    energy = np.abs(np.fft.fft2(kernels.astype(np.float64), (side, side), axes=(1, 2))) ** 2
    shares = np.stack([bands(one) for one in energy.sum(axis=-1)])
    found = FirstLayer(names, kernels, rms, rms > RADIUS, np.nan_to_num(shares), flat, None, None,
                       None, 0)
    if photos is not None:
        _look(model, photos, places, found, batch_size, progress)
    return found


def _look(model: Sequential, photos: Photos, places: list[int], found: FirstLayer,
          batch_size: int | None, progress: Progress) -> None:
    """Fills in what photos tell."""
    layers, step = copies(model.layers[:places[-1] + 1]), bounded(model, places[-1], batch_size)
    energies = [0.0] * len(places)
    maxima = np.full(len(found.rms), -np.inf)
    for indices, _, x in photo_batches(model, photos, step, progress):
        for at, one in enumerate(layers):
            x = one.forward(x, keep=False)
            if at not in places:
                continue
            y = to_cpu(x)
            if not np.isfinite(y).all():
                raise ArgumentError(f"{one.name}: expected finite activations, received others for "
                                    f"photos {indices[0]} to {indices[-1]}. Are the weights "
                                    f"finite?")
            if at == places[0]:
                maxima = np.maximum(maxima, y.max(axis=(0, 1, 2)))
            for photo in y:  # one at a time: the spectrum takes four times the room
                spectrum = np.fft.fft2(photo - photo.mean(axis=(0, 1)), axes=(0, 1))
                energies[places.index(at)] += (np.abs(spectrum) ** 2).sum(axis=-1)
        found.photos += len(indices)
    found.maxima, found.dead = maxima, maxima <= 0
    found.aliasing = np.array([bands(energy)[2] for energy in energies])


def bands(energy: np.ndarray) -> np.ndarray:
    """Energy at the frequencies of np.fft.fft2 (H, Wd) -> its shares (3,) in the low, middle and
    high band; NaN where there is none."""
    H, Wd = energy.shape
    f = np.hypot(np.fft.fftfreq(H)[:, None], np.fft.fftfreq(Wd))  # cycles a pixel, (H, Wd)
    sums = np.array([energy[mask].sum() for mask in
                     (f < EDGES[0], (f >= EDGES[0]) & (f < EDGES[1]), f >= EDGES[1])])
    return sums / sums.sum() if sums.sum() > 0 else np.full(3, np.nan)
