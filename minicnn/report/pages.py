"""HTML pages: one file without network access, a common style, and no markup from names.

A page is its template, filled with page.css, page.js and a JSON of numbers and pictures. The script
sets every text with textContent, so that names of files and classes cannot become markup.
"""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.files import write_text

SIDE = 160  # pixels of the longer side of a thumbnail


def write_page(path: str | os.PathLike, template: str, data: dict[str, Any], *,
               body: str = "") -> Path:
    """Writes the page (.html) and returns its path; an older one is replaced atomically.

    template: a file in this folder. data: for JSON, without NaN. body: HTML that takes the place of
    {{BODY}}. Raises FileError.
    """
    here, path = Path(__file__).parent, Path(path)
    # Without "<", no HTML tag can begin in the JSON.
    text = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    page = (here / template).read_text("utf-8")
    for name, part in (("STYLE", (here / "page.css").read_text("utf-8")),
                       ("SCRIPT", (here / "page.js").read_text("utf-8")), ("DATA", text),
                       *[("BODY", body)] * bool(body)):
        page = page.replace("{{" + name + "}}", part, 1)
    write_text(path, page)
    return path


def as_uri(picture: np.ndarray) -> str:
    """uint8 (h, w, 3) -> a data URI: PNG up to 32 pixels, which are shown as squares, else JPEG."""
    from PIL import Image

    kind = "png" if max(picture.shape[:2]) <= 32 else "jpeg"
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **({"quality": 86} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def thumbnail(pixels: np.ndarray) -> str:
    """A photo (H, W, 3) as a data URI, its longer side 160 pixels at most."""
    from PIL import Image

    photo = Image.fromarray(pixels)
    photo.thumbnail((SIDE, SIDE))
    return as_uri(np.asarray(photo))


def heat_picture(values: np.ndarray, over: np.ndarray | None = None) -> np.ndarray:
    """A map (h, w) in the colours of drawing.show_map, over a photo of that size or alone."""
    from matplotlib import colormaps

    scale = np.abs(values).max()
    if (values < 0).any():
        picture = colormaps["RdBu_r"](values / (2 * scale) + 0.5)[..., :3]
    else:
        picture = colormaps["magma"]((values - values.min()) / np.ptp(values))[..., :3]
    if over is not None:
        picture = 0.6 * picture + 0.4 * over.mean(axis=-1, keepdims=True) / 255
    return np.rint(255 * picture).astype(np.uint8)
