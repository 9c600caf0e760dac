"""Words of the command line that name a model: vgg16, a model's file, or the folder of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..data.open_image import printable
from ..report import CHECKPOINTS
from ..utils.errors import ArgumentError, FileError
from ..utils.files import list_folder
from ..weights.file_kinds import MODEL_SUFFIXES, OTHER_SUFFIXES

MODEL_HELP = ("the folder of a run (runs/photos-1); a model.h5 or .keras, of minicnn's or Keras'; "
              "a model.json with --weights; or vgg16, pretrained on ImageNet, for its 1,000 "
              "classes")
MODEL_FILE = "model.h5"  # of a run
RUN_FILES = ("run.json", "predictions.csv", MODEL_FILE)  # a folder with any of them is a run
PRETRAINED = ("vgg16", "vgg16-top")


def is_model(word: str) -> bool:
    """Whether a word of the command line names a model rather than a photo."""
    return (names_model(word) or word.lower().endswith(OTHER_SUFFIXES)
            or os.path.exists(Path(word, "saved_model.pb")))


def names_model(word: str) -> bool:
    """As is_model, without files and folders of other frameworks."""
    return word in PRETRAINED or word.lower().endswith(MODEL_SUFFIXES) or is_run(word)


def is_run(word: str) -> bool:
    """Whether it is a folder that train or evaluate has written."""
    return any(os.path.isfile(Path(word, name)) for name in RUN_FILES)


def model_file(word: str) -> str:
    """The model's file: that of a run, if word is a run's folder, else word itself.

    Raises FileError for a run without a model, and for a folder without any.
    """
    folder = Path(word)
    if not os.path.isdir(folder):
        return word
    if os.path.isfile(folder / MODEL_FILE):
        return str(folder / MODEL_FILE)
    expected = f"{printable(word)}: expected a model, or the folder of a run with its {MODEL_FILE}"
    if os.path.isdir(folder / CHECKPOINTS):
        raise FileError(f"{expected}, received a run that was interrupted. Finish it first: "
                        f"minicnn train --resume {printable(word)}")
    if os.path.isfile(folder / "folds.csv"):
        raise FileError(f"{expected}, received a run of --kfold, which keeps no model. Train "
                        f"without --kfold.")
    if is_run(word):
        raise FileError(f"{expected}, received the folder of an evaluation. Name the model that "
                        f"was evaluated.")
    names = {entry.name for entry in list_folder(folder)}
    if "saved_model.pb" in names or any(name.endswith(MODEL_SUFFIXES[:3]) for name in names):
        return word  # loading it says what is in it
    raise FileError(f"{expected}, received a folder with neither. Runs are in runs/, where train "
                    f"writes them.")


def check_order(command: str, model: str, photos: Sequence[str]) -> None:
    """Raises ArgumentError if a model stands where photos belong: behind a photo, exchanged, or
    behind another model."""
    models = [word for word in photos if names_model(word)]
    if not models:
        return
    if names_model(model):
        raise ArgumentError(f"{command}: expected photos behind the model, received "
                            f"{printable(models[0])}, another model. Leave one out.")
    raise ArgumentError(f"{command}: expected the model before the photos, received "
                        f"{printable(model)} before {printable(models[0])}: model and photo "
                        f"exchanged? Write {printable(models[0])} first.")


def check_photos(command: str, folder: str) -> None:
    """Raises ArgumentError if what should be a folder of photos names a model or a run."""
    if names_model(folder):
        kind = "the folder of a run" if is_run(folder) else "a model"
        raise ArgumentError(f"{command}: expected a folder of photos, received {kind}, "
                            f"{printable(folder)}. Name the folder with one sub-folder per class.")
