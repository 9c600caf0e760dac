"""`minicnn compare`: several runs in a table and a figure, with McNemar's test."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..evaluation import mcnemar, wilson_interval
from ..plotting.comparison import comparison_figure
from ..plotting.drawing import save
from ..report.run_settings import in_words
from ..utils.errors import ArgumentError, FileError
from ..utils.language import gettext as _
from ..utils.suggest import suggest_path
from .json_output import add_json, write_json
from .model_words import MODEL_FILE
from .output_names import new_file
from .terminal import percent

ABOUT = """\
The accuracy of each run on its held-out photos, with its 95 % interval, and for
each pair McNemar's test: is the difference more than chance?"""
EXAMPLES = (("two runs", "minicnn compare runs/photos-1 runs/photos-2"),
            ("with a figure of their curves", "minicnn compare runs/* -o compared.png"),
            ("two models on other photos",
             "minicnn compare runs/photos-1-on-new-1 runs/photos-2-on-new-1"))

# Of run.json: what differs between any two runs and says nothing about how they learned.
NOT_OPTIONS = ("date", "started", "duration", "duration_s", "seconds", "command", "command_line",
               "output", "machine", "no_scratch", "no_label_check", "memory_budget")


class Run(NamedTuple):
    """A run folder: the (true class, prediction) of each photo, the accuracy of validation or
    held-out photos by epoch, whether it is that of validation photos, and the options of run.json.
    """

    name: str
    photos: dict[str, tuple[str, str]]
    epochs: int
    history: list[float]
    validated: bool
    options: dict[str, Any]

    @property
    def num_correct(self) -> int:
        """The number of correct predictions."""
        return sum(true == predicted for true, predicted in self.photos.values())

    @property
    def classes(self) -> set[str]:
        """The true classes of its photos."""
        return {true for true, _ in self.photos.values()}


def add(command: Callable) -> None:
    """The command and its options."""
    _, option = command("compare", compare_command, "compare runs: a table, a figure, a test",
                        "RUN RUN ... [OPTIONS]", ABOUT, EXAMPLES)
    option.words("runs", "RUN", "two or more folders that train, or evaluate --output, has "
                                "written", "+")
    option("-o --output", str, None, "FILE.png", "where the figure is written (default: none)")
    option.flag("--force", "overwrite that file")
    add_json(option)


def compare_command(args: argparse.Namespace) -> None:
    """The table, McNemar's test of each pair, the figure."""
    paths = [path.parent if path.name == MODEL_FILE else path for path in map(Path, args.runs)]
    if len(paths) < 2 or len({path.resolve() for path in paths}) < len(paths):
        raise ArgumentError(f"compare: expected two different run folders or more, received "
                            f"{', '.join(args.runs)}. Name another.")
    output = new_file(args.output, (".png",), args.force) if args.output else None
    runs = [read_run(path) for path in paths]
    width = max(len(_("run")), *(len(run.name) + 3 for run in runs))
    wide, epochs_wide = max(9, len(_("accuracy"))), max(6, len(_("epochs")))
    print(f"{_('run'):<{width}} {_('right'):>9} {_('accuracy'):>{wide}}   "
          f"{_('95 % interval'):<17} {_('epochs'):>{epochs_wide}} {_('best validation'):>18}")
    results = []
    for k, run in enumerate(runs, 1):
        low, high = wilson_interval(run.num_correct, len(run.photos))
        accuracy = run.num_correct / len(run.photos)
        results.append((accuracy, low, high))
        share = f"{run.num_correct}/{len(run.photos)}"
        interval = _("{low:.1f} … {high:.1f} %", low=100 * low, high=100 * high)
        best = (_("{accuracy} at {epoch}", accuracy=percent(max(run.history)),
                  epoch=np.argmax(run.history) + 1)
                if run.validated and run.history else "–")  # the test must not choose the epoch
        print(f"{f'{k}  {run.name}':<{width}} {share:>9} {percent(accuracy):>{wide}}   "
              f"{interval:<17} {run.epochs or '–':>{epochs_wide}} {best:>18}")
    names, values = different_options(runs)
    print_options(runs, names, values)
    for sentence in doubts(runs):
        print(f"\n{sentence}")
    print("\n" + _("McNemar's test, on the photos (same name, same class) that both have "
                   "predicted:"))
    pairs = list(combinations(range(len(runs)), 2))
    for i, j in pairs:
        print(_("{first} and {second}: {words}", first=i + 1, second=j + 1,
                words=paired(runs[i], runs[j])))
    if len(pairs) > 1:
        print(_("With {count} pairs, take a difference as shown below p = {limit:.2g}, not 0.05 "
                "(Bonferroni).", count=len(pairs), limit=0.05 / len(pairs)))
    if output:
        differences = [", ".join(f"{name} {value}" for name, value in zip(names, row, strict=True)
                                 if value != "–") for row in values]
        save(comparison_figure([run.name for run in runs], [run.history for run in runs], results,
                               [run.validated for run in runs], differences), Path(output))
        print(f"\n{output}")
    write_json(args, {"runs": [run_as_json(run) for run in runs], "figure": output, "pairs": [
        {"runs": [runs[i].name, runs[j].name]} | pair_as_json(runs[i], runs[j])
        for i, j in pairs]})


def run_as_json(run: Run) -> dict[str, Any]:
    """A run for --json. best: by validation photos, or None without any."""
    best = ({"accuracy": max(run.history), "epoch": int(np.argmax(run.history)) + 1}
            if run.validated and run.history else None)
    return {"run": run.name, "photos": len(run.photos), "right": run.num_correct,
            "accuracy": run.num_correct / len(run.photos),
            "interval": wilson_interval(run.num_correct, len(run.photos)),
            "epochs": run.epochs, "best_validation": best}


def pair_as_json(a: Run, b: Run) -> dict[str, Any]:
    """McNemar's test for --json; p is None if the runs share no photo."""
    same = shared_photos(a, b)
    if not same:
        return {"photos": 0, "right_only_in_first": 0, "right_only_in_second": 0, "p": None}
    only_a, only_b, p = mcnemar(correct(a, same), correct(b, same))
    return {"photos": len(same), "right_only_in_first": only_a, "right_only_in_second": only_b,
            "p": p}


def shared_photos(a: Run, b: Run) -> list[str]:
    """The photos that both have predicted, with the same true class."""
    return [name for name, (true, _) in a.photos.items()
            if name in b.photos and b.photos[name][0] == true]


def correct(run: Run, names: Sequence[str]) -> np.ndarray:
    """Whether the run is right about each of these photos."""
    return np.array([run.photos[name][0] == run.photos[name][1] for name in names])


def read_run(path: Path) -> Run:
    """Reads the run in a folder: predictions.csv, and history.csv if it was trained there."""
    if not (path / "predictions.csv").is_file():
        actual, nearest = ("none in it", "") if path.exists() else ("nothing", suggest_path(path))
        raise FileError(f"{path}: expected a run folder with predictions.csv, found {actual}. Name "
                        f"a folder that train or evaluate --output has written.{nearest}")
    rows = table(path / "predictions.csv", ("photo", "true", "predicted"))[1:]
    photos = {photo: (true, predicted) for photo, true, predicted, *_ in rows}
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
    return Run(str(path), photos, len(epochs), history, validated, read_run_options(path))


def read_run_options(path: Path) -> dict[str, Any]:
    """The options in run.json, those one level below included; {} without that file."""
    file = path / "run.json"
    if not file.is_file():
        return {}
    try:
        options = json.loads(file.read_text("utf-8"))
        if not isinstance(options, dict):
            raise ValueError("no object at its top")
    except (OSError, ValueError) as error:
        raise FileError(f"{file}: expected the run.json of a run, received {error}. Remove it, or "
                        f"train again.") from error
    flat: dict[str, Any] = {}
    for key, value in options.items():
        flat |= {f"{key} {inner}": part for inner, part in value.items()} if isinstance(
            value, dict) else {key: value}
    return {key: value for key, value in flat.items() if key.split()[-1] not in NOT_OPTIONS}


def different_options(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    """(the options in which runs with a run.json differ, their values for each run)."""
    with_options = [run.options for run in runs if run.options]
    keys = [key for key in dict.fromkeys(key for options in with_options for key in options)
            if len({json.dumps(options.get(key), sort_keys=True) for options in with_options}) > 1]
    repeated = {f"used {key}" for key in keys if all(  # --size 96 beside used size 96
        options.get(f"used {key}", options.get(key)) == options.get(key)
        for options in with_options)}
    keys = [key for key in keys if key not in repeated]
    return [key.replace("_", "-") for key in keys], [
        ["–" if run.options.get(key) in (None, "") else in_words(run.options[key])
         for key in keys] for run in runs]


def print_options(runs: Sequence[Run], names: Sequence[str], values: Sequence[Sequence[str]]
                  ) -> None:
    """The options that differ, a line for each; or that none does."""
    if sum(bool(run.options) for run in runs) < 2:
        return
    if not names:
        print("\n" + _("The runs have the same options."))
        return
    columns = [[str(k), *row] for k, row in enumerate(values, 1)]
    rows = list(zip(["", *names], *columns, strict=True))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print("\n" + _("Options that differ, by run:"))
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)
                        ).rstrip())


def doubts(runs: Sequence[Run]) -> list[str]:
    """Warnings if the runs answer different questions, or were tested on different photos."""
    sentences = []
    first = runs[0]
    others = [(k, run) for k, run in enumerate(runs[1:], 2) if run.classes != first.classes]
    if others:
        classes = "; ".join(f"{k} {', '.join(sorted(run.classes)[:6])}"
                            for k, run in [(1, first), *others])
        sentences.append(_("Warning: the runs have different classes: {classes}. Their accuracies "
                           "answer different questions.", classes=classes))
    elif any(run.photos.keys() != first.photos.keys() for run in runs):
        common = set.intersection(*(set(run.photos) for run in runs))
        sentences.append(_("Warning: the runs were tested on different photos, {count} of which "
                           "all have in common. Compare the intervals, or evaluate all on one "
                           "folder: minicnn evaluate MODEL FOLDER.", count=len(common)))
    return sentences


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


def paired(a: Run, b: Run) -> str:
    """McNemar's test of two runs, in words."""
    shared = [name for name in a.photos if name in b.photos]
    same = shared_photos(a, b)
    if not same:
        reason = (_("the true classes of all that both have differ") if shared else
                  _("they have no photo in common"))
        return _("no test, {reason}. Evaluate both on one folder: minicnn evaluate MODEL FOLDER.",
                 reason=reason)
    only_a, only_b, p = mcnemar(correct(a, same), correct(b, same))
    left_out = len(shared) - len(same)
    counts = {"count": len(same), "first": only_a, "second": only_b, "p": p}
    text = (_("{count} photos, {first} right only in the first, {second} only in the second: "
              "p = {p:.2g}, a difference shown.", **counts) if p < 0.05 else
            _("{count} photos, {first} right only in the first, {second} only in the second: "
              "p = {p:.2g}, no difference shown.", **counts))
    if left_out:
        text += " " + _("{count} with another true class are left out.", count=left_out)
    return text
