"""Figures of a run, drawn for a projector: large type, labels, colours that every eye can tell."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # matplotlib is imported where it is used: `import minicnn` stays fast
    from matplotlib.figure import Figure

BLUE, ORANGE = "#0072b2", "#d55e00"  # told apart by every eye (Okabe & Ito 2008)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in inches that needs no screen."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update({"font.size": 13, "axes.spines.top": False,
                                "axes.spines.right": False})
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Writes the figure; class names in a script that the font lacks become boxes, in silence."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(path)


def shortened(name: str, longest: int = 20) -> str:
    """The name, or its beginning with … where it is longer; $ is no formula here."""
    return (name if len(name) <= longest else name[:longest - 1] + "…").replace("$", r"\$")


def curves(history: dict[str, Sequence[float]], path: Path, held_out: str = "validation") -> None:
    """Loss and accuracy by epoch, training and held-out photos, as a PNG."""
    kinds = [kind for kind in ("loss", "accuracy") if kind in history]
    figure = new_figure(5.5 * len(kinds), 4.2)
    for ax, kind in zip(np.atleast_1d(figure.subplots(1, len(kinds))), kinds, strict=True):
        for key, label, colour, style in ((kind, "training", BLUE, "-"),
                                          (f"val_{kind}", held_out, ORANGE, "--")):
            if key in history:
                epochs = range(1, len(history[key]) + 1)
                ax.plot(epochs, history[key], style, color=colour, lw=2.5, label=label,
                        marker="o" if len(epochs) == 1 else None)
        ax.set(xlabel="epoch", title="loss (cross-entropy)" if kind == "loss" else "accuracy")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.set_xlim(left=0.5)
        ax.grid(alpha=0.3)
        if kind == "loss":
            ax.set_ylim(bottom=0)
        else:
            ax.set_ylim(top=1.005)
            ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        ax.legend()
    save(figure, path)


def confusion(counts: np.ndarray, classes: Sequence[str], path: Path, title: str) -> None:
    """Counts (K, K), rows true and columns predicted, as a PNG; colour is the share of the row."""
    K, names = len(classes), [shortened(name) for name in classes]
    longest = max(map(len, names))
    turned = longest * K > 26  # would they touch, side by side?
    side = max(4.2, 0.62 * K)
    figure = new_figure(side + 1.9 + 0.11 * longest, side + 0.3 + 0.07 * longest * turned)
    ax = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts) if K <= 25 else ():
        ax.text(j, i, str(count), ha="center", va="center",
                color="white" if shares[i, j] > 0.55 else "black", fontsize=18 if K < 5 else 13)
    ax.set_xticks(range(K), names, rotation=40 * turned, ha="right" if turned else "center")
    ax.set_yticks(range(K), names)
    ax.set(xlabel="predicted", ylabel="true")
    ax.set_title(title, fontsize=13, pad=12)
    ax.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=ax, shrink=0.8, label="share of the true class")
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    save(figure, path)
