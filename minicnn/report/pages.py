"""HTML pages: one file without network access, a common style, and no markup from names.

A page is its template, filled with page.css, page.js, a JSON of numbers and, if it has one, a body
that was written as HTML. Names of files and classes cannot become markup: in the body html.py
escapes them, and the script sets every text with textContent.

{{gettext: …}} in a template and gettext("…") in its script are texts of utils/language.py; the JSON
has the translations of those in the script.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.arrays import Pixels
from ..utils.files import write_text
from ..utils.language import DECIMAL_SIGNS, catalogue_entries, language
from ..utils.language import gettext as _
from .html import Markup, escape

SIDE = 160  # pixels of the longer side of a thumbnail


def write_page(path: str | os.PathLike, template: str, data: dict[str, Any], *,
               body: Markup | None = None, **words: str) -> Path:
    """Writes the page (.html) and returns its path; an older one is replaced atomically.

    template: a file in this folder. data: for JSON, without NaN. body: takes the place of {{BODY}},
    other words, escaped, of their names in capital letters. Raises FileError.
    """
    here, path = Path(__file__).parent, Path(path)
    template_text, script = ((here / name).read_text("utf-8") for name in (template, "page.js"))
    if language() != "en":
        texts = re.findall(r'gettext\("([^"]*)"', script + template_text)
        data = {**data, "words": catalogue_entries(texts),
                "decimal": DECIMAL_SIGNS.get(language(), ".")}
    # Without "<", no HTML tag can begin in the JSON.
    text = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    fillings = {"STYLE": (here / "page.css").read_text("utf-8"),
                "SCRIPT": script, "DATA": text, "LANG": language(), "BODY": body or "",
                **{name.upper(): escape(word) for name, word in words.items()}}
    # In one pass, so that {{BODY}} in the name of a class stays what it is.
    parts = re.split(r"\{\{([A-Z]+|gettext: [^}]*)\}\}", template_text)
    parts[1::2] = [in_template(name) if name not in fillings else fillings[name]
                   for name in parts[1::2]]
    write_text(path, "".join(parts))
    return path


def in_template(name: str) -> Markup:
    """"gettext: a text" -> the text, escaped; its lines may be broken anywhere in the template."""
    text = name.removeprefix("gettext: ")
    translated = _(" ".join(text.split()))
    return escape(text if language() == "en" else translated)


def as_uri(picture: Pixels) -> str:
    """uint8 (h, w, 3) -> a data URI: PNG up to 32 pixels, which are shown as squares, else JPEG."""
    from PIL import Image

    kind = "png" if max(picture.shape[:2]) <= 32 else "jpeg"
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **({"quality": 86} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def thumbnail(pixels: Pixels) -> str:
    """A photo (H, W, 3) as a data URI, its longer side 160 pixels at most."""
    from PIL import Image

    photo = Image.fromarray(pixels)
    photo.thumbnail((SIDE, SIDE))
    return as_uri(np.asarray(photo))


def heat_picture(values: np.ndarray, over: np.ndarray | None = None) -> Pixels:
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
