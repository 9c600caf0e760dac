"""`minicnn predict`: the most probable classes of photos, as text, CSV or JSON."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..data import UnlabelledImages, find_photos
from ..data.file_kinds import EXPLANATION
from ..data.listing import OtherFile, group_by_kind
from ..data.open_image import printable
from ..evaluation.metrics import MAX_VIEWS
from ..model import Sequential
from ..models import image_batches
from ..utils.arrays import FloatArray, IntArray
from ..utils.errors import ArgumentError, FileError
from ..utils.files import atomic_write, list_folder
from ..utils.language import ngettext
from ..utils.ranks import current_ranks
from .json_output import add_json, write_json
from .model_options import add_model_options, open_classifier
from .model_words import MODEL_HELP, check_order
from .option_values import BATCH_SIZE, Integer
from .output_names import check_new, first_free, hyphenate, model_name, plain_name
from .predict_formats import FORMATS, Prediction, as_entry, encode, open_output
from .ranks import check_same_photos
from .terminal import wrapped
from .unused_options import unused_option
from .views import check_views, mean_of_views

BATCHES_OF_A_BLOCK = 8  # of a rank, after which the ranks put together what they have
EXPLAINED = "-explained"  # the end of the names of --explain's pictures, but for number and .png
DRAWN = re.compile(rf"{EXPLAINED}(-\d+)?\.png$")
EXPLAINED_FOLDER = "explained"  # of --explain without a value
EXAMPLES = (("what is on a photo, and where the network saw it",
             "minicnn predict runs/photos-1 new.jpg --explain"),
            ("a folder to a table", "minicnn predict runs/photos-1 holidays/ -o holidays.csv"),
            ("one of ImageNet's 1,000 classes", "minicnn predict vgg16 photo.jpg"))


def add(command: Callable) -> None:
    """The command and its options."""
    option = command("predict", predict_command, "name the most probable classes of photos",
                     "MODEL PHOTO ... [OPTIONS]", "", EXAMPLES)[1]
    option.words("model", "MODEL", MODEL_HELP)
    option.words("photos", "PHOTO", "photos, or folders, with their sub-folders", "+")
    output = option.group("output")
    output.choice("--format", FORMATS, None, "text for people; csv, a column per class; json, a "
                  "list of photos (default: by the suffix of --output, else text)")
    output("--top", Integer("5"), None, "N", "number of classes in text and json (default: 5)")
    output("-o --output", str, None, "FILE", "file to write (default: the screen)")
    output.optional_value("--explain", EXPLAINED_FOLDER, "FOLDER",
                          "write for each photo what in it speaks for its most probable class and "
                          f"what against it, as PHOTO{EXPLAINED}.png, into FOLDER "
                          f"(without FOLDER: into {EXPLAINED_FOLDER}/, as PHOTO-MODEL{EXPLAINED}"
                          f".png, then …{EXPLAINED}-2.png, …)")
    output.flag("--force", "overwrite what --output and --explain write")
    add_json(output)
    option = option.group("prediction")
    option("--tta", Integer("2"), 1, "N",
           f"test-time augmentation: mean of N views of each photo, up to {MAX_VIEWS}: itself, its "
           f"mirror image, small shifts")
    option("--batch-size", BATCH_SIZE, 32, "N", "photos per batch")
    option.device()
    add_model_options(option)


def predict_command(args: argparse.Namespace) -> int:
    """Writes the most probable classes of each photo, and what the other files of the folders are;
    returns 2 if a photo could not be read."""
    check_order("predict", args.model, args.photos)
    output = args.output and Path(args.output)
    by_suffix = output.suffix[1:].lower() if output else ""
    chosen = args.format or (by_suffix if by_suffix in FORMATS else "text")
    check_numbers(args, chosen)
    paths, others = photos_to_predict(args.photos)
    ranks, data = current_ranks(), UnlabelledImages(paths)

    def new_pictures() -> list[Path]:
        pictures = picture_paths(paths, args.explain, args.model, args.force)
        for path in [*[output] * bool(output), *pictures]:
            check_new(path, args.force)
        return pictures

    pictures = ranks.from_first(new_pictures)  # before any of them is written
    if output and not output.parent.is_dir():
        raise FileError(f"{output}: expected a folder {output.parent} that exists, found none. "
                        f"Make it first.")
    model, classes = open_classifier(args)
    check_same_photos("predict", args, {"all": data}, model)
    model.to(args.device)
    if pictures:
        prepare(model, Path(args.explain))
    for line in group_by_kind(others):
        complain(line)
    rows: Iterable[Prediction] = predictions(model, data, pictures, args.batch_size, args.tta)
    if args.json:
        rows = list(rows)
    if output or not args.json:
        with open_output(output if ranks.is_first else None) as file:
            for part in FORMATS[chosen](rows, classes, args.top or 5, bool(pictures)):
                file.write(encode(part, for_screen=chosen == "text" and not output))
                file.flush()
    if output:
        print(ngettext("{file}: {num} photos", "{file}: {num} photos",
                       len(paths) - len(data.errors), file=output))
    write_json(args, {"model": args.model, "classes": classes, "output": output,
                      "photos": [as_entry(row, classes, args.top or 5, bool(pictures))
                                 for row in rows],
                      "unreadable": list(data.errors.values()),
                      "skipped": [other.reason for other in others]})
    return 2 if data.errors or any(other.is_photo for other in others) else 0


def complain(sentence: str) -> None:
    """Prints why a file is left out."""
    print(wrapped(f"minicnn: {sentence}", sys.stderr, 2), file=sys.stderr)


def check_numbers(args: argparse.Namespace, chosen: str) -> None:
    """Raises ArgumentError for options that would be ignored, or ask for nothing."""
    if args.top is not None and chosen == "csv":
        raise unused_option("--top", "text and json",
                            f"{args.top}; csv has a column for each class")
    check_views(args.tta)
    if args.json and args.format and not args.output:
        raise ArgumentError(f"--format: expected without --json, or with --output, received "
                            f"{args.format}. Leave one out.")


def photos_to_predict(words: Sequence[str]) -> tuple[list[Path], list[OtherFile]]:
    """The photos of files and folders, and the other files of the folders. Pictures of --explain,
    which an earlier call has left in a folder, are others, unless there is nothing else."""
    paths, others = find_photos(words)
    named = set(map(Path, words))
    drawn = [path for path in paths if DRAWN.search(path.name) and path not in named]
    if len(drawn) == len(paths):
        return paths, others
    for path in drawn:
        reason = f"{printable(path)}: is {EXPLANATION.singular}; {EXPLANATION.advice}."
        others.append(OtherFile(path, printable(path), reason, EXPLANATION))
    left_out = set(drawn)
    return [path for path in paths if path not in left_out], others


def picture_paths(paths: Sequence[Path], folder: str | None, model: str, force: bool
                  ) -> list[Path]:
    """The path of each photo's picture in the folder; [] without a folder.

    The names differ, also if case is ignored, and are short and plain enough for any file system.
    In the folder that the command line does not name they hold the model's name, too, and unless
    force a number if there is such a picture already.
    """
    if folder is None:
        return []
    if Path(folder).is_file():
        raise FileError(f"{folder}: expected a folder for the pictures of --explain, found a file. "
                        f"Name a folder, or write --explain after the photos.")
    used: set[str] = set()
    by_default = folder == EXPLAINED_FOLDER
    if by_default and not force and os.path.isdir(folder):
        used = {entry.name.casefold() for entry in list_folder(Path(folder))}
    pictures = []
    for path in paths:
        stem = plain_name(path.stem) or "photo"
        stem = hyphenate(stem, model_name(model)) if by_default else stem
        name = first_free(f"{stem}{EXPLAINED}", ".png", lambda name: name.casefold() not in used)
        used.add(name.casefold())
        pictures.append(Path(folder) / name)
    return pictures


def predictions(model: Sequential, data: UnlabelledImages, pictures: Sequence[Path],
                batch_size: int, views: int = 1) -> Iterator[Prediction]:
    """The predictions for the photos in their order, each the mean of its views; prints why others
    cannot be read. Several ranks compute them, and the first draws the pictures."""
    for indices, p in probabilities(model, data, batch_size, views):
        for i, row in zip(indices.tolist(), p, strict=True):
            if pictures and i not in data.errors and current_ranks().is_first:
                explain(model, data, i, row, pictures[i])
            if i in data.errors:
                complain(data.errors[i])
            else:
                yield Prediction(data.names[i], row, str(pictures[i]) if pictures else "")


def probabilities(model: Sequential, data: UnlabelledImages, batch_size: int, views: int
                  ) -> Iterator[tuple[IntArray, FloatArray]]:
    """(indices (n,), p (n, K)) of the photos in their order. Several ranks compute a part of each
    block of photos, and all get the whole block."""
    ranks = current_ranks()
    if ranks.size == 1:
        for indices, pixels in image_batches(model, data, batch_size):
            yield indices, mean_of_views(model, pixels, views, batch_size)
        return
    block = ranks.size * batch_size * BATCHES_OF_A_BLOCK
    for first in range(0, len(data), block):
        start, stop = ranks.part_of(min(block, len(data) - first))
        part = UnlabelledImages(data.items[first + start:first + stop])
        own = [mean_of_views(model, pixels, views, batch_size)
               for _, pixels in image_batches(model, part, batch_size)]
        parts = ranks.gather((own, {first + start + i: text for i, text in part.errors.items()}))
        for _, errors in parts:
            data.errors.update(errors)
        p = np.concatenate([rows for batches, _ in parts for rows in batches])
        yield np.arange(first, first + len(p)), p


def prepare(model: Sequential, folder: Path) -> None:
    """Makes the folder for the pictures of --explain. Raises if the model cannot be explained."""
    from ..visualize.target import maps_layer

    maps_layer(model)  # raises before anything is written
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: expected a folder that can be written, received "
                        f"{error.strerror}. Choose another.") from error


def explain(model: Sequential, data: UnlabelledImages, i: int, p: FloatArray, picture: Path
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
