"""The runs of `minicnn compare`: what is read of their folders, and the options that differ."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..report.run_settings import fact, in_words
from ..utils.errors import FileError
from ..utils.language import gettext as _
from ..utils.suggest import suggest_path

# Options that say nothing about how a model learned.
NOT_OPTIONS = ("output", "no_scratch", "no_label_check", "memory_budget", "features")
# Options that count only beside another one.
NEEDS = {"views": "augment", "finetune_epochs": "finetune", "finetune_lr": "finetune"}
NONE = "–"  # of an option that a run does not have
RESOLVED = ("cut", "size", "device")  # that run.json has under "used" as they took effect


class Run(NamedTuple):
    """A run folder: the (true class, prediction) of each photo, the accuracy of validation or
    held-out photos by epoch, whether it is that of validation photos; the options that had an
    effect and what was measured, in words; how many of an evaluation's photos were in the training.
    """

    name: str
    photos: dict[str, tuple[str, str]]
    epochs: int
    history: list[float]
    validated: bool
    options: dict[str, str]
    measured: dict[str, str]
    in_training: int

    @property
    def num_correct(self) -> int:
        """The number of correct predictions."""
        return sum(true == predicted for true, predicted in self.photos.values())

    @property
    def classes(self) -> set[str]:
        """The true classes of its photos."""
        return {true for true, _predicted in self.photos.values()}


def read_run(path: Path) -> Run:
    """Reads the run in a folder: predictions.csv, and history.csv if it was trained there."""
    if not (path / "predictions.csv").is_file():
        actual, nearest = ("none in it", "") if path.exists() else ("nothing", suggest_path(path))
        raise FileError(f"{path}: expected a run folder with predictions.csv, found {actual}. Name "
                        f"a folder that train or evaluate --output has written.{nearest}")
    rows = table(path / "predictions.csv", ("photo", "true", "predicted"))[1:]
    photos = {photo: (true, predicted) for photo, true, predicted, *_shares in rows}
    if not rows or len(photos) < len(rows):
        raise FileError(f"{path / 'predictions.csv'}: expected a row per photo, found {len(rows)} "
                        f"rows of {len(photos)} photos. Write it again.")
    file, epochs, history, key = path / "history.csv", [], [], None
    if file.exists() and file.stat().st_size:  # after --kfold it is empty, after evaluate not there
        header, *epochs = table(file, ("epoch",))
        key = next((name for name in sorted(header, key=lambda name: "validation" not in name)
                    if name.endswith("_accuracy")), None)
        try:
            history = [] if key is None else [float(row[header.index(key)]) for row in epochs]
        except ValueError as error:
            raise FileError(f"{file}: expected numbers under {key}, received others "
                            f"({error}). Train again.") from error
    split = path / "split.csv"
    validated = split.exists() and any(row[2] == "validation" for row in table(
        split, ("photo", "class", "part")))
    document, scores = read_json(path / "run.json"), read_json(path / "scores.json")
    in_training = scores.get("in_training")
    return Run(str(path), photos, len(epochs), history, validated, options_with_effect(document),
               measured(document), in_training if isinstance(in_training, int) else 0)


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; {} without that file."""
    if not file.is_file():
        return {}
    try:
        document = json.loads(file.read_text("utf-8"))
        if not isinstance(document, dict):
            raise ValueError("no object at its top")
    except (OSError, ValueError) as error:
        raise FileError(f"{file}: expected the {file.name} of a run, received {error}. Remove it, "
                        f"or train again.") from error
    return document


def options_with_effect(document: Mapping[str, Any]) -> dict[str, str]:
    """The options of a run.json, in words, without those that had no effect on the model; with cut,
    size and device as they were, also if they were chosen by default."""
    options = {key: value for key, value in document.items()
               if key not in NOT_OPTIONS and not isinstance(value, Mapping)}
    options |= {key: value for key, value in facts_in(document).items() if key in RESOLVED}
    for key, other in NEEDS.items():
        if not options.get(other):
            options.pop(key, None)
    return {key.replace("_", "-"): in_words(value) for key, value in options.items()}


def measured(document: Mapping[str, Any]) -> dict[str, str]:
    """What a run.json says of the run besides its options, in words: the learning rate that was
    measured, and the number of photos."""
    facts, lines = facts_in(document), {}
    if document.get("lr") is None and isinstance(facts.get("learning_rate"), float):
        lines[_("learning rate (measured)")] = in_words(facts["learning_rate"])
    if isinstance(facts.get("photos"), Mapping):
        lines[_("photos")] = fact("photos", facts["photos"])
    return lines


def facts_in(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a run.json says was used; {} for one without."""
    facts = document.get("used")
    return facts if isinstance(facts, Mapping) else {}


def differing(runs: Sequence[Mapping[str, str]]) -> list[str]:
    """The keys whose values differ among the runs. Runs without any value are left out."""
    with_values = [values for values in runs if values]
    return [key for key in dict.fromkeys(key for values in with_values for key in values)
            if len({values.get(key, NONE) for values in with_values}) > 1]


def table(path: Path, columns: Sequence[str]) -> list[list[str]]:
    """The rows of a CSV file, all of the same length, the first of which begins with `columns`.

    Columns are read by position, not by name, since a class may be called "true".
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"{path}: expected a CSV file, received one that cannot be read "
                        f"({error}).") from error
    if not rows or rows[0][:len(columns)] != [*columns] or {*map(len, rows)} != {len(rows[0])}:
        raise FileError(f"{path}: expected a table that begins with {', '.join(columns)}, all rows "
                        f"of one length, found another. Name a folder of a run.")
    return rows
