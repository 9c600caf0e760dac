"""The folder that a training run leaves behind."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from ..data import Dataset
from ..data.splits import write_split
from ..plotting.drawing import save
from ..training import TransferResult, get_weights, set_weights
from ..utils.errors import FileError
from ..utils.files import atomic_write
from .figures import curves

FILES = ("model.h5", "run.json", "split.csv", "history.csv", "curves.png", "predictions.csv",
         "scores.json", "confusion.png", "confusion_percent.png", "roc.png", "precision_recall.png",
         "calibration.png", "batch.png", "predictions.png", "worst.png", "report.html")
CHECKPOINTS = "checkpoints"  # a folder that is there as long as the run is not done
AT_FIRST = ("history.csv", "split.csv", "run.json")  # what a run writes before it learns


@contextmanager
def run_folder(path: str | os.PathLike | None = None, stem: str = "train") -> Iterator[Path]:
    """Makes `path`, or the first of runs/<stem>-1, -2, … that is free, before the work begins.

    Where the work ends in an error before a first checkpoint, what was made here is removed again.
    Raises FileError where `path` holds something already, or cannot be made.
    """
    made: list[Path] = []
    try:
        folder = _make(Path(path), made) if path is not None else _make_next(stem, made)
        used = any(folder.iterdir()) or not _claimed(folder)
    except OSError as problem:
        raise FileError(f"{path or 'runs'}: expected a folder that can be written, received: "
                        f"{problem.strerror}. Choose another --output.") from problem
    if used:
        raise FileError(f"{folder}: expected a new or empty folder for this run, found one in use. "
                        f"Nothing is overwritten: choose another --output.")
    try:
        yield folder
    except BaseException:
        with suppress(OSError):  # rmdir refuses a folder that is not empty
            if {one.name for one in folder.iterdir()} <= {*AT_FIRST, CHECKPOINTS}:
                if (folder / CHECKPOINTS).exists():
                    (folder / CHECKPOINTS).rmdir()
                for name in AT_FIRST:
                    (folder / name).unlink(missing_ok=True)
            for one in reversed(made):
                one.rmdir()
        raise


@contextmanager
def resumed_folder(path: str | os.PathLike) -> Iterator[Path]:
    """The folder of a run that was interrupted. Raises FileError where it is none, or done."""
    folder = Path(path)
    if not (folder / CHECKPOINTS).is_dir() or not (folder / "run.json").exists():
        found = "one that is done" if (folder / "model.h5").exists() else "none"
        raise FileError(f"{folder}: expected the folder of a run that was interrupted, found "
                        f"{found}. Look into runs/.")
    yield folder


def _claimed(folder: Path) -> bool:
    """Marks the folder as in use; False where another run, which saw it empty, too, was faster."""
    try:
        (folder / AT_FIRST[0]).touch(exist_ok=False)
    except FileExistsError:
        return False
    (folder / CHECKPOINTS).mkdir()
    return True


def _make(folder: Path, made: list[Path]) -> Path:
    """Makes folder and its parents; adds those that were not there to `made`, outermost first."""
    made += [one for one in reversed([folder, *folder.parents]) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _make_next(stem: str, made: list[Path]) -> Path:
    home = _make(Path("runs"), made)
    for number in count(1):
        with suppress(FileExistsError):  # mkdir decides: two runs at once never share a folder
            (home / f"{stem}-{number}").mkdir()
            made.append(home / f"{stem}-{number}")
            return made[-1]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    """One table as CSV."""
    with atomic_write(path) as draft, draft.open("w", newline="", encoding="utf-8",
                                              errors="surrogateescape") as f:
        writer = csv.writer(f)
        writer.writerow(header)
        writer.writerows(rows)


def write_run(folder: Path, run: TransferResult, parts: dict[str, Dataset], held_out: str) -> None:
    """Writes the model, its history and curves, and who was where; last.h5 where the model has the
    weights of an epoch before the last, lr.png if the learning rate was searched for.

    parts: "train", "test", and "validation" where the best epoch was chosen. held_out: what the
    test photos are called.
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
    curves(history, folder / "curves.png", "validation" if "validation" in parts else held_out)
    write_split(folder / "split.csv", parts)
