"""Drawing for a projector: large type, labels, colours that every eye can tell."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..utils.errors import ArgumentError
from ..utils.files import atomic_write

if TYPE_CHECKING:  # matplotlib is imported where it is used: `import minicnn` stays fast
    from matplotlib.axes import Axes
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
    """Writes the figure, whole or not at all."""
    with _any_script(), atomic_write(path) as draft:
        figure.savefig(draft)


def png(figure: Figure) -> bytes:
    """The figure as a PNG, its inches × 120 pixels."""
    with _any_script():
        figure.savefig(buffer := io.BytesIO(), format="png")
    return buffer.getvalue()


def inline(picture: bytes | np.ndarray) -> str:
    """The HTML of a picture that stands in the page itself: a PNG, or a photo (H, Wd, 3) uint8."""
    kind = "png"
    if isinstance(picture, np.ndarray):
        from PIL import Image

        kind = "jpeg"
        Image.fromarray(picture).save(buffer := io.BytesIO(), kind, quality=86)
        picture = buffer.getvalue()
    return (f'<img style="max-width: 100%" '
            f'src="data:image/{kind};base64,{base64.b64encode(picture).decode()}">')


class Drawn:
    """What has a figure(), and shows it in Jupyter."""

    def figure(self) -> Figure:
        """The picture; subclasses draw it."""
        raise ArgumentError(f"{type(self).__name__}: expected a figure(), found none. Define it.")

    def _repr_png_(self) -> bytes:
        return png(self.figure())


@contextmanager
def _any_script() -> Iterator[None]:
    """Class names in a script that the font lacks become boxes, in silence."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def shortened(name: str, longest: int = 20) -> str:
    """The name, or its beginning with … where it is longer; $ is no formula here."""
    return (name if len(name) <= longest else name[:longest - 1] + "…").replace("$", r"\$")


def show_image(ax: Axes, image: np.ndarray, title: str = "") -> None:
    """A photo, (H, Wd, 3) uint8 or floats 0 … 1, without axes."""
    ax.imshow(image, interpolation="nearest")
    ax.set_title(shortened(title, 60), fontsize=12)
    ax.axis("off")


def flaw(values: np.ndarray) -> str:
    """Why a map shows nothing: "" for one that does."""
    if not np.isfinite(values).all():
        return f"not finite at {(~np.isfinite(values)).sum()} of {values.size} places"
    if values.min() == values.max():
        return "zero everywhere" if values.max() == 0 else f"{values.max():.3g} everywhere"
    return ""


def show_map(ax: Axes, values: np.ndarray, title: str = "", over: np.ndarray | None = None,
             bar: bool = True) -> None:
    """A map (H, Wd) of numbers. With both signs: blue below 0, white, red above, symmetric about 0;
    else dark to bright. over: a photo (H', Wd', 3) shown faintly beneath.

    A map that is flat, zero or not finite becomes a grey field that says so.
    """
    ax.set_title(shortened(title, 60), fontsize=12)
    ax.axis("off")
    if flaw(values):
        ax.imshow(np.full((*values.shape, 3), 0.85), aspect="equal")
        ax.text(0.5, 0.5, "nothing to show:\n" + flaw(values), ha="center", va="center",
                transform=ax.transAxes, fontsize=11, color="black")
        return
    H, Wd = values.shape
    extent = (-0.5, Wd - 0.5, H - 0.5, -0.5)
    if over is not None:
        ax.imshow(over.mean(axis=-1), cmap="gray", extent=extent)
    signed, most = bool((values < 0).any()), float(np.abs(values).max())
    image = ax.imshow(values, cmap="RdBu_r" if signed else "magma", extent=extent,
                      vmin=-most if signed else values.min(), vmax=most,
                      alpha=None if over is None else 0.65, interpolation="nearest")
    if bar:
        ax.figure.colorbar(image, ax=ax, shrink=0.8)


def stretched(x: np.ndarray) -> np.ndarray:
    """A signed picture (H, Wd, C) -> 0 … 1: 0 becomes mid grey, ±(99.5th percentile of |x|, of
    what is not 0) black and white."""
    x = np.nan_to_num(np.asarray(x, np.float32), posinf=0, neginf=0)
    size = np.abs(x[x != 0])
    return np.clip(0.5 + x / (2 * np.percentile(size, 99.5)), 0, 1) if size.size else x + 0.5


def show_signed(ax: Axes, x: np.ndarray, title: str = "") -> None:
    """A signed picture (H, Wd, 3), 0 as mid grey; one of other channels as the map of their sum. A
    picture that is flat, zero or not finite says so."""
    if flaw(x):  # a NaN of any channel is one of the map
        return show_map(ax, np.where(np.isfinite(x).all(axis=-1), x[..., 0], np.nan), title)
    if x.shape[-1] != 3:
        return show_map(ax, x.sum(axis=-1), title)
    show_image(ax, stretched(x), title)
