"""Photos of an evaluation that the model was trained on: the split.csv of its run names them."""

from __future__ import annotations

import csv
import filecmp
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Dataset
from ..evaluation import Evaluation, wilson_interval
from ..utils.arrays import BoolArray
from ..utils.language import gettext as _
from .model_words import MODEL_FILE

PARTS = ("train", "validation")  # that decide what the model becomes


def in_training(model: str, data: Dataset) -> BoolArray:
    """(N,): whether each photo was in the training or the validation of the model.

    model: a run's folder, or the model in it; other models name no photos. A photo is known by its
    path, or by its name within the folder of photos, and then its content has to be the same, if
    the folder that the run was trained on is still there.
    """
    run = Path(model).parent if Path(model).name == MODEL_FILE else Path(model)
    source, names = training_names(run)
    paths = {os.path.realpath(source / name) for name in names}
    return np.array([
        os.path.realpath(path) in paths or (name in names and is_same(source, name, path))
        for path, name in zip(data.items, data.names, strict=True)], bool)


def training_names(run: Path) -> tuple[Path, set[str]]:
    """(the folder of photos that the run was trained on, the names of PARTS in it); no names for
    what is no run of a folder."""
    with suppress(OSError, ValueError, csv.Error):
        options = json.loads((run / "run.json").read_text("utf-8"))
        with (run / "split.csv").open(newline="", encoding="utf-8",
                                      errors="surrogateescape") as file:
            rows = [row for row in csv.reader(file) if len(row) == 3]
        if isinstance(options, Mapping):
            folder = options.get("folder") or (options.get("used") or {}).get("folder")
            if isinstance(folder, str):
                return Path(folder), {name for name, _class, part in rows if part in PARTS}
    return Path(), set()


def is_same(source: Path, name: str, path: str | os.PathLike) -> bool:
    """Whether the file is the one of that name in `source`; True if there is no such folder."""
    if not source.is_dir():
        return True
    with suppress(OSError):
        return filecmp.cmp(source / name, path, shallow=False)
    return False


def without_training_photos(result: Evaluation, trained: BoolArray
                            ) -> tuple[list[str], dict[str, Any]]:
    """([a warning with the accuracy on the photos that were not in the training], the same as keys
    of scores.json); no warning if none was."""
    count, total = int(trained.sum()), len(trained)
    num_others = total - count
    num_correct = int((result.predicted == result.labels)[~trained].sum())
    facts: dict[str, Any] = {"in_training": count, "others": None}
    if not count:
        return [], facts
    if not num_others:
        return [_("All of these photos were in its training: the accuracy says nothing about "
                  "new ones.")], facts
    accuracy = num_correct / num_others
    low, high = wilson_interval(num_correct, num_others)
    facts["others"] = {"photos": num_others, "right": num_correct, "accuracy": accuracy,
                       "interval": (low, high)}
    return [_("{count} of these {total} photos were in its training. On the {others} others: "
              "{correct} right, {accuracy:.1f} % (95 % interval {low:.1f} … {high:.1f} %).",
              count=count, total=total, others=num_others, correct=num_correct,
              accuracy=100 * accuracy, low=100 * low, high=100 * high)], facts
