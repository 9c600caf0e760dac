"""Figures for a projector: large type, labels, colours that colour-blind people can distinguish."""

from __future__ import annotations

import base64
import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..utils.errors import ArgumentError
from ..utils.files import atomic_write
from ..utils.language import gettext, local_number

if TYPE_CHECKING:  # functions import matplotlib when called: `import minicnn` stays fast
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from matplotlib.text import Text

BLUE, ORANGE = "#0072b2", "#d55e00"  # safe for the colour-blind (Okabe & Ito 2008)
COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "black")  # the same source
STYLES = ("-", "--", "-.", ":")
RED = "#b2182b"  # what speaks for a class, as in heat_over
MIN_TYPE = 13  # points: the smallest type of a figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in inches that needs no screen."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update({"font.size": 14, "axes.spines.top": False,
                                "axes.spines.right": False})
    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Writes the figure atomically: .png, or what matplotlib's savefig writes by this suffix."""
    with atomic_write(path) as partial:
        if path.suffix.lower() == ".png":
            partial.write_bytes(png(figure))
            return
        _write_local_numbers(figure)
        with without_glyph_warnings():
            wrap_titles(figure)
            figure.savefig(partial)


def png(figure: Figure) -> bytes:
    """The figure as a PNG, its inches × 120 pixels.

    It is drawn once. savefig draws it twice, the first time to find the layout, which drawing does
    anyway, and it keeps a transparency that a figure with a background has no use for.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    _write_local_numbers(figure)
    canvas = FigureCanvasAgg(figure)
    with without_glyph_warnings():
        wrap_titles(figure)
        canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    # Level 3 instead of the usual 6: faster, for a slightly larger file.
    picture.save(buffer := io.BytesIO(), "png", compress_level=3, dpi=(figure.dpi, figure.dpi))
    return buffer.getvalue()


def wrap_titles(figure: Figure) -> None:
    """Breaks the titles of the figure and of its parts at spaces, so that none is wider than what
    it stands above and would be cut; into lines of about the same width."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    for part in (figure, *figure.subfigs):
        for title in part.texts:
            words, limit = title.get_text(), 0.97 * part.get_window_extent().width
            lines = _broken(title, words, limit, renderer)
            is_broken = len(lines) > words.count("\n") + 1
            for fraction in (0.9, 0.8, 0.7, 0.6) if is_broken else ():
                narrower = _broken(title, words, fraction * limit, renderer)
                if len(narrower) == len(lines):
                    lines = narrower
            title.set_text("\n".join(lines))


def _broken(title: Text, words: str, limit: float, renderer: RendererAgg) -> list[str]:
    """The words in lines of at most this many pixels, in the type of the title; longer ones if a
    word alone is wider."""
    lines = []
    for paragraph in words.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            title.set_text(f"{line} {word}" if line else word)
            if line and title.get_window_extent(renderer).width > limit:
                lines.append(line)
                line = word
            else:
                line = title.get_text()
        lines.append(line)
    return lines


def _write_local_numbers(figure: Figure) -> None:
    """Numbers along the axes get the decimal sign of the language: 0,5 in French."""
    from matplotlib.ticker import ScalarFormatter

    class LocalFormatter(ScalarFormatter):
        """A copy of another formatter, with another decimal sign."""

        def __init__(self, original: ScalarFormatter) -> None:
            vars(self).update(vars(original))

        def __call__(self, x: float, pos: int | None = None) -> str:
            return local_number(super().__call__(x, pos))

    if local_number(".") == ".":
        return
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        formatter = axis.get_major_formatter()
        if type(formatter) is ScalarFormatter:
            axis.set_major_formatter(LocalFormatter(formatter))


def inline(picture: bytes | np.ndarray) -> str:
    """The HTML of a picture that is part of the page itself: a PNG, or an image (H, Wd, 3) uint8.
    """
    if isinstance(picture, np.ndarray):
        from PIL import Image

        Image.fromarray(picture).save(buffer := io.BytesIO(), "jpeg", quality=86)
        kind, data = "jpeg", buffer.getvalue()
    else:
        kind, data = "png", picture
    return (f'<img style="max-width: 100%" '
            f'src="data:image/{kind};base64,{base64.b64encode(data).decode()}">')


class HasFigure:
    """Base class of results with a figure(), which Jupyter shows."""

    def figure(self) -> Figure:
        """The figure; subclasses draw it."""
        raise ArgumentError(f"{type(self).__name__}: expected a method figure(), received none. "
                            f"Define it.")

    def _repr_png_(self) -> bytes:
        return png(self.figure())


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """Class names in a script that the font lacks become boxes, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def shortened(name: str, longest: int = 20) -> str:
    """The name, or its beginning and … if it is longer; $ is escaped, as it starts no formula."""
    return (name if len(name) <= longest else name[:longest - 1] + "…").replace("$", r"\$")


def percent(value: float, _: object = None) -> str:
    """0.5 -> "50 %", 0.925 -> "92.5 %"."""
    return gettext("{number} %", number=local_number(f"{100 * value:.3g}"))


def probability(t: float) -> str:
    """Three digits, or as many as are needed not to round it to 1: 0.99995 -> "0.99995"."""
    return local_number(f"{t:.{max(3, -math.floor(math.log10(1 - t or 1)))}g}")


def printable_line(text: str) -> str:
    """The text in one line, its undecodable bytes replaced."""
    return " ".join(text.encode("utf-8", "replace").decode().split())


def percent_text(share: float) -> str:
    """0.734 -> "73.4 %"; as many digits as keep it from 0 and from 100: 0.99996 -> "99.996 %"."""
    for digits in range(1, 7):
        text = f"{100 * share:.{digits}f}"
        if float(text) not in (0.0, 100.0) or share in (0, 1):
            break
    return gettext("{number} %", number=local_number(text))


def short_number(value: float) -> str:
    """Three digits, without a power of ten up to 99,999: 1130.2 -> "1130", 43.48 -> "43.5"."""
    return f"{value:.0f}" if 100 <= abs(value) < 99999.5 else local_number(f"{value:.3g}")


def rectangle(x: float, y: float, width: float, height: float, **style: Any) -> Rectangle:
    """A rectangle of these pixels of a photo; without a line unless style has one."""
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), width, height, **{"lw": 0, **style})


def heat_over(values: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """A signed map (H, Wd) over a grey photo (H, Wd, 3) uint8, as uint8: red above 0, blue below,
    the stronger, the further from 0; where it is 0 the photo stays visible."""
    from matplotlib import colormaps

    relative = values / np.abs(values).max()  # -1 … 1
    opacity = 0.8 * np.abs(relative)[..., None] ** 0.75
    colours = colormaps["RdBu_r"](0.5 + 0.42 * np.sign(relative))[..., :3]
    grey = 0.2 + 0.8 * photo.mean(axis=-1, keepdims=True) / 255  # colours show on black, too
    return np.rint(255 * (opacity * colours + (1 - opacity) * grey)).astype(np.uint8)


def show_image(ax: Axes, image: np.ndarray, title: str = "", smooth: bool = False) -> None:
    """Shows an image, (H, Wd, 3) uint8 or floats 0 … 1, without axes; its pixels as squares, or
    smooth, as a photo is shown."""
    ax.imshow(image, interpolation="bicubic" if smooth else "nearest")
    ax.set_title(shortened(title, 60), fontsize=MIN_TYPE)
    ax.axis("off")


def why_blank(values: np.ndarray) -> str:
    """Why a map shows nothing: it is not finite, zero or flat; "" if it shows something."""
    if not np.isfinite(values).all():
        return gettext("not finite in {count} of {total} elements",
                       count=(~np.isfinite(values)).sum(), total=values.size)
    if values.min() == values.max():
        return (gettext("zero everywhere") if values.max() == 0 else
                gettext("{value:.3g} everywhere", value=values.max()))
    return ""


def show_map(ax: Axes, values: np.ndarray, title: str = "", over: np.ndarray | None = None,
             bar: bool = True, smooth: bool = False) -> None:
    """Shows a map (H, Wd) of numbers. If it has both signs: blue below 0, white, red above,
    symmetric about 0; otherwise dark to bright. over: an image (H', Wd', 3) shown faintly beneath.

    A map that is flat, zero or not finite becomes a grey field that says so.
    """
    ax.set_title(shortened(title, 60), fontsize=MIN_TYPE)
    ax.axis("off")
    if reason := why_blank(values):
        ax.imshow(np.full((*values.shape, 3), 0.85), aspect="equal")
        ax.text(0.5, 0.5, gettext("nothing to show:\n{reason}", reason=reason), ha="center",
                va="center", transform=ax.transAxes, fontsize=MIN_TYPE, color="black")
        return
    H, Wd = values.shape
    extent = (-0.5, Wd - 0.5, H - 0.5, -0.5)
    if over is not None:
        ax.imshow(over.mean(axis=-1), cmap="gray", extent=extent)
    signed, largest = bool((values < 0).any()), float(np.abs(values).max())
    image = ax.imshow(values, cmap="RdBu_r" if signed else "magma", extent=extent,
                      vmin=-largest if signed else values.min(), vmax=largest,
                      alpha=None if over is None else 0.65,
                      interpolation="bilinear" if smooth else "nearest")
    if bar:
        ax.figure.colorbar(image, ax=ax, shrink=0.8)


def normalize_signed(x: np.ndarray) -> np.ndarray:
    """A signed image (H, Wd, C) -> 0 … 1: 0 becomes mid grey, ±s becomes black and white, s being
    the 99.5th percentile of |x| over the elements that are not 0."""
    x = np.nan_to_num(np.asarray(x, np.float32), posinf=0, neginf=0)
    magnitudes = np.abs(x[x != 0])
    if not magnitudes.size:
        return x + 0.5
    return np.clip(0.5 + x / (2 * np.percentile(magnitudes, 99.5)), 0, 1)


def show_signed(ax: Axes, x: np.ndarray, title: str = "") -> None:
    """Shows a signed image (H, Wd, 3), or (H, Wd, 1) in grey, with 0 as mid grey; the map of the
    channels' sum for other numbers of channels. An image that is flat, zero or not finite becomes
    a grey field that says so."""
    if why_blank(x):  # a pixel with NaN in any channel is NaN in the map
        show_map(ax, np.where(np.isfinite(x).all(axis=-1), x[..., 0], np.nan), title)
    elif x.shape[-1] in (1, 3):
        show_image(ax, np.broadcast_to(normalize_signed(x), (*x.shape[:2], 3)), title)
    else:
        show_map(ax, x.sum(axis=-1), title)
