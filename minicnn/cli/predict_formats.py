"""What `minicnn predict` writes: text for people, CSV and JSON for machines."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..data.open_image import printable
from ..utils.files import atomic_write
from ..utils.language import gettext as _
from .terminal import HANDLER, percent


class Prediction(NamedTuple):
    """The prediction for one photo: p (K,), and the path of its picture, if any."""

    photo: str
    p: np.ndarray
    picture: str

    def best(self, top: int) -> list[int]:
        """The most probable classes, the first of equals first."""
        return np.argsort(-self.p, kind="stable")[:top].tolist()


# Text, CSV and JSON: rows -> parts of the file


def as_text(rows: Iterable[Prediction], classes: Sequence[str], top: int, pictures: bool
            ) -> Iterator[str]:
    """photo.jpg: 93.1 % sneaker, 6.9 % sandal. One line per photo, whatever its name."""
    for row in rows:
        named = ", ".join(f"{percent(row.p[k])} {printable(classes[k])}" for k in row.best(top))
        picture = printable(f" ({row.picture})") * pictures
        yield f"{printable(row.photo)}{_(': ')}{named}{picture}\n"


def as_csv(rows: Iterable[Prediction], classes: Sequence[str], top: int, pictures: bool
           ) -> Iterator[str]:
    """photo, predicted, probability, with --explain explained, and a column for each class."""
    def line(*cells: object) -> str:
        text = io.StringIO()
        csv.writer(text).writerow(cells)
        return text.getvalue()

    yield line("photo", "predicted", "probability", *["explained"] * pictures, *classes)
    for row in rows:
        k = row.best(1)[0]
        yield line(row.photo, classes[k], row.p[k], *[row.picture] * pictures, *row.p)


def as_json(rows: Iterable[Prediction], classes: Sequence[str], top: int, pictures: bool
            ) -> Iterator[str]:
    """A list of {"photo", "top": [{"class", "probability"}, …], with --explain "explained"}."""
    yield "["
    for number, row in enumerate(rows):
        yield ",\n " * (number > 0) + json.dumps(as_entry(row, classes, top, pictures))
    yield "]\n"


def as_entry(row: Prediction, classes: Sequence[str], top: int, pictures: bool) -> dict[str, Any]:
    """A photo in JSON."""
    best = [{"class": classes[k], "probability": float(str(row.p[k]))
             if np.isfinite(row.p[k]) else None} for k in row.best(top)]  # JSON has no NaN
    return {"photo": row.photo, "top": best} | ({"explained": row.picture} if pictures else {})


FORMATS = {"text": as_text, "csv": as_csv, "json": as_json}


def encode(text: str, for_screen: bool = False) -> bytes:
    """UTF-8; the bytes of file names as they are on the disk, even if they are no UTF-8. For a
    screen that lacks UTF-8, what it can show."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if for_screen and encoding.lower().replace("-", "") != "utf8":
        return text.encode(encoding, HANDLER)
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character of UTF-16, in a class name or under Windows
        return text.encode("utf-8", "backslashreplace")


@contextmanager
def open_output(output: Path | None) -> Iterator[BinaryIO]:
    """-> a file that becomes output at the end; without output, the standard output."""
    if output is None:
        try:
            sys.stdout.flush()
            yield sys.stdout.buffer
        except BrokenPipeError:  # … | head: no reader is left; Python must not complain at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    with atomic_write(output) as partial, partial.open("wb") as file:
        yield file
