"""Run folders: where a training writes its model, tables and figures."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from ..data import Dataset
from ..data.split_csv import write_split
from ..plotting.drawing import save
from ..training import History, TransferResult, get_weights, set_weights
from ..utils.errors import FileError
from ..utils.files import atomic_write
from ..utils.suggest import suggest_path
from .figures import curves

FILES = ("model.h5", "run.json", "split.csv", "history.csv", "curves.png", "predictions.csv",
         "scores.json", "confusion.png", "confusion_percent.png", "roc.png", "precision_recall.png",
         "calibration.png", "batch.png", "predictions.png", "worst.png", "report.html")
EVALUATION_FILES = ("predictions.csv", "scores.json", "confusion.png", "confusion_percent.png",
                    "roc.png", "precision_recall.png", "calibration.png", "predictions.png",
                    "worst.png", "report.html")
CHECKPOINTS = "checkpoints"  # a folder that exists until the run is finished
WRITTEN_FIRST = ("history.csv", "split.csv", "run.json")  # before the training begins


@contextmanager
def run_folder(path: str | os.PathLike | None = None, stem: str = "train",
               advice: str = "choose another --output") -> Iterator[Path]:
    """-> a new folder: `path`, or the first of runs/<stem>-1, -2, … that does not exist yet.

    If the body of the with raises before a first checkpoint, the folder is removed again.
    Raises FileError if `path` is not empty, with this advice, or cannot be made.
    """
    made: list[Path] = []
    try:
        folder = _make(Path(path), made) if path is not None else _make_next(stem, made)
        used = any(folder.iterdir()) or not _claimed(folder)
    except OSError as error:
        raise FileError(f"{path or 'runs'}: expected a folder that can be written, received: "
                        f"{error.strerror}. Choose another --output.") from error
    if used:
        raise FileError(f"{folder}: expected a new or empty folder for this run, found one in use. "
                        f"Nothing is overwritten: {advice}.")
    try:
        yield folder
    except BaseException:
        with suppress(OSError):  # rmdir refuses a folder that is not empty
            if {path.name for path in folder.iterdir()} <= {*WRITTEN_FIRST, CHECKPOINTS}:
                if (folder / CHECKPOINTS).exists():
                    (folder / CHECKPOINTS).rmdir()
                for name in WRITTEN_FIRST:
                    (folder / name).unlink(missing_ok=True)
            for path in reversed(made):
                path.rmdir()
        raise


@contextmanager
def resumed_folder(path: str | os.PathLike) -> Iterator[Path]:
    """-> the folder of an interrupted run. Raises as check_interrupted."""
    check_interrupted(path)
    yield Path(path)


def check_interrupted(path: str | os.PathLike) -> None:
    """Raises FileError unless it is the folder of a run that was interrupted."""
    folder = Path(path)
    if (folder / CHECKPOINTS).is_dir() and (folder / "run.json").exists():
        return
    expected = f"{folder}: expected the folder of a run that was interrupted, received "
    if (folder / "predictions.csv").exists():
        raise FileError(f"{expected}one that is finished: its results are in "
                        f"{folder / 'report.html'}. For a new run, with more --epochs for one, "
                        f"leave --resume out; --config {folder / 'run.json'} takes the options of "
                        f"this one.")
    if folder.exists():
        raise FileError(f"{expected}none. Name the folder that the message of the interruption "
                        f"named, such as runs/photos-1.")
    raise FileError(f"{expected}nothing; check the path.{suggest_path(folder)}")


def _claimed(folder: Path) -> bool:
    """Marks the folder as in use; False if another run has just done so."""
    try:
        (folder / WRITTEN_FIRST[0]).touch(exist_ok=False)
    except FileExistsError:
        return False
    (folder / CHECKPOINTS).mkdir()
    return True


def _make(folder: Path, made: list[Path]) -> Path:
    """Makes the folder and its parents; adds the new ones to `made`, outermost first."""
    made += [path for path in reversed([folder, *folder.parents]) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _make_next(stem: str, made: list[Path]) -> Path:
    """Makes the first of runs/<stem>-1, -2, … that does not exist yet."""
    runs = _make(Path("runs"), made)
    number = 1
    while True:
        folder = runs / f"{stem}-{number}"
        try:
            folder.mkdir()  # fails if it exists, so that two runs at once never share a folder
        except FileExistsError:
            number += 1
        else:
            made.append(folder)
            return folder


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    """Writes a table as CSV."""
    with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8",
                                                     errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def write_curves(folder: Path, run: TransferResult, photos_name: str,
                 scratch: History | None = None) -> None:
    """Writes curves.png, with the epoch of the best weights if these are not the last ones, and
    with the held-out photos of a network from scratch."""
    losses = run.history.get("val_loss", [])
    best = 1 + int(np.argmin(losses)) if run.last and losses else None
    curves(run.history, folder / "curves.png", photos_name, scratch=scratch, best=best)


def write_run(folder: Path, run: TransferResult, parts: dict[str, Dataset], photos_name: str
              ) -> None:
    """Writes the model, its history and curves, and the split; also last.h5 if the model has the
    weights of an epoch before the last, and lr.png if the learning rate was searched for.

    parts: "train", "test", and "validation" if the best epoch was chosen by it. photos_name: what
    the test photos are called.
    """
    history = run.history
    run.model.save(folder / "model.h5")
    if run.last:
        best = get_weights(run.model)
        set_weights(run.model, run.last)
        try:
            run.model.save(folder / "last.h5")
        finally:
            set_weights(run.model, best)
    if run.rates:
        save(run.rates.figure(), folder / "lr.png")
    epochs = range(1, len(history["loss"]) + 1)
    write_csv(folder / "history.csv", ["epoch", *history],
              zip(epochs, *history.values(), strict=True))
    write_curves(folder, run, "validation" if "validation" in parts else photos_name)
    write_split(folder / "split.csv", parts)
