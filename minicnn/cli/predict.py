"""`minicnn predict`: the most probable classes of photos, as text, CSV or JSON."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ..data import UnlabelledImages, find_photos
from ..data.file_kinds import EXPLANATION
from ..data.listing import OtherFile, group_by_kind
from ..data.open_image import printable
from ..evaluation import class_probabilities
from ..model import Sequential
from ..models import image_batches
from ..utils.errors import ArgumentError, FileError, check_int
from ..utils.files import atomic_write
from .model_options import MODEL_HELP, add_model_options, open_classifier

EXPLAINED = "-explained.png"  # the suffix of the pictures of --explain


def add(command: Callable) -> None:
    """The command and its options."""
    p, option = command("predict", predict_command, "name the most probable classes of photos")
    p.add_argument("model", help=MODEL_HELP)
    p.add_argument("photos", nargs="+", help="photos, or folders, with their sub-folders")
    p.add_argument("--format", choices=FORMATS, help="text for people; csv, a column per class; "
                   "json, a list of photos (default: by the suffix of --output, else text)")
    option("--top", int, None, "N", "number of classes in text and json (default: 5)")
    option("-o --output", str, None, "FILE", "file to write (default: the screen)")
    p.add_argument("--explain", nargs="?", const="explained", metavar="FOLDER",
                   help="write for each photo what in it speaks for its most probable class, and "
                        f"what against it, as PHOTO{EXPLAINED}, into FOLDER (default: explained)")
    p.add_argument("--force", action="store_true", help="overwrite what --output and --explain "
                                                        "write")
    option("--batch-size", int, 32, "N", "photos per batch")
    add_model_options(option)


def predict_command(args: argparse.Namespace) -> int:
    """Writes the most probable classes of each photo, and what the other files of the folders are;
    returns 2 if a photo could not be read."""
    output = args.output and Path(args.output)
    by_suffix = output.suffix[1:].lower() if output else ""
    chosen = args.format or (by_suffix if by_suffix in FORMATS else "text")
    reject_unused_options(args, chosen)
    paths, others = photos_to_predict(args.photos)
    pictures = picture_paths(paths, args.explain)
    for path in [*[output] * bool(output), *pictures]:
        if path.exists() and not args.force:
            raise FileError(f"{path}: expected a new file, found one that exists. Choose another "
                            f"name, or overwrite it with --force.")
    if output and not output.parent.is_dir():
        raise FileError(f"{output}: expected a folder {output.parent} that exists, found none. "
                        f"Make it first.")
    model, classes = open_classifier(args)
    model.to(args.device)
    if pictures:
        prepare(model, Path(args.explain))
    for line in group_by_kind(others):
        print(f"minicnn: {line}", file=sys.stderr)
    data = UnlabelledImages(paths)
    rows = predictions(model, data, pictures, args.batch_size)
    with open_output(output) as file:
        for part in FORMATS[chosen](rows, classes, args.top or 5, bool(pictures)):
            file.write(encode(part))
            file.flush()
    if output:
        print(f"{output}: {len(paths) - len(data.errors)} photos")
    return 2 if data.errors or any(other.is_photo for other in others) else 0


def reject_unused_options(args: argparse.Namespace, chosen: str) -> None:
    """Raises ArgumentError for options that would be ignored, or ask for nothing."""
    if args.top is not None:
        check_int(args.top, "--top")
    if args.top is not None and chosen == "csv":
        raise ArgumentError(f"--top: expected only with text and json, received {args.top}; csv "
                            f"has a column for each class. Leave it out.")
    check_int(args.batch_size, "--batch-size")


def photos_to_predict(words: Sequence[str]) -> tuple[list[Path], list[OtherFile]]:
    """The photos of files and folders, and the other files of the folders. Pictures of --explain,
    which an earlier call has left in a folder, are others, unless there is nothing else."""
    paths, others = find_photos(words)
    named = set(map(Path, words))
    drawn = [path for path in paths if path.name.endswith(EXPLAINED) and path not in named]
    if len(drawn) == len(paths):
        return paths, others
    for path in drawn:
        reason = f"{printable(path)}: is {EXPLANATION.singular}; {EXPLANATION.advice}."
        others.append(OtherFile(path, printable(path), reason, EXPLANATION))
    left_out = set(drawn)
    return [path for path in paths if path not in left_out], others


def picture_paths(paths: Sequence[Path], folder: str | None) -> list[Path]:
    """The path of each photo's picture in the folder; [] without a folder.

    The names differ, also if case is ignored, and are short and plain enough for any file system.
    """
    if folder is None:
        return []
    if Path(folder).is_file():
        raise FileError(f"{folder}: expected a folder for the pictures of --explain, found a file. "
                        f"Name a folder, or write --explain after the photos.")
    used: set[str] = set()
    pictures = []
    for path in paths:
        stem = name = re.sub(r"[^\w.-]", "_", path.stem)[:50].strip("._-") or "photo"
        number = 1
        while name.casefold() in used:
            number += 1
            name = f"{stem}-{number}"
        used.add(name.casefold())
        pictures.append(Path(folder) / f"{name}{EXPLAINED}")
    return pictures


class Prediction(NamedTuple):
    """The prediction for one photo: p (K,), and the path of its picture, if any."""

    photo: str
    p: np.ndarray
    picture: str

    def best(self, top: int) -> list[int]:
        """The most probable classes, the first of equals first."""
        return np.argsort(-self.p, kind="stable")[:top].tolist()


def predictions(model: Sequential, data: UnlabelledImages, pictures: Sequence[Path], batch_size: int
                ) -> Iterator[Prediction]:
    """The predictions for the photos in their order; prints why others cannot be read."""
    for indices, pixels in image_batches(model, data, batch_size):
        p = class_probabilities(model.predict(pixels, batch_size))
        for i, row in zip(indices.tolist(), p, strict=True):
            if pictures and i not in data.errors:
                explain(model, data, i, row, pictures[i])
            if i in data.errors:
                print(f"minicnn: {data.errors[i]}", file=sys.stderr)
            else:
                yield Prediction(data.names[i], row, str(pictures[i]) if pictures else "")


def prepare(model: Sequential, folder: Path) -> None:
    """Makes the folder for the pictures of --explain. Raises if the model cannot be explained."""
    from ..visualize.target import maps_layer

    maps_layer(model)  # raises before anything is written
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: expected a folder that can be written, received "
                        f"{error.strerror}. Choose another.") from error


def explain(model: Sequential, data: UnlabelledImages, i: int, p: np.ndarray, picture: Path
            ) -> None:
    """Writes the picture of photo i, or adds to data.errors why it can no longer be read."""
    from ..plotting import drawing
    from ..visualize.attribution.explain import explanation

    try:
        photo = data.read(i)
    except FileError as error:
        data.errors[i] = str(error)
        return
    with atomic_write(picture) as partial:
        drawing.save(explanation(model, photo, p, data.items[i].name), partial)


# Text, CSV and JSON: rows -> parts of the file


def as_text(rows: Iterable[Prediction], classes: Sequence[str], top: int, pictures: bool
            ) -> Iterator[str]:
    """photo.jpg: 93.1 % sneaker, 6.9 % sandal. One line per photo, whatever its name."""
    for row in rows:
        named = ", ".join(f"{100 * row.p[k]:.1f} % {classes[k]}" for k in row.best(top))
        yield printable(f"{row.photo}: {named}{f' ({row.picture})' * pictures}") + "\n"


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
        best = [{"class": classes[k], "probability": float(str(row.p[k]))
                 if np.isfinite(row.p[k]) else None} for k in row.best(top)]  # JSON has no NaN
        entry = {"photo": row.photo, "top": best}
        if pictures:
            entry["explained"] = row.picture
        yield ",\n " * (number > 0) + json.dumps(entry)
    yield "]\n"


FORMATS = {"text": as_text, "csv": as_csv, "json": as_json}


def encode(text: str) -> bytes:
    """UTF-8; the bytes of file names as they are on the disk, even if they are no UTF-8."""
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
