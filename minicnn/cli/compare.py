"""`minicnn compare`: several runs in a table and a figure, with McNemar's test."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation import mcnemar, wilson_interval
from ..plotting.comparison import comparison_figure
from ..plotting.drawing import save
from ..utils.errors import ArgumentError
from ..utils.language import gettext as _
from .compared_runs import NONE, Run, differing, read_run
from .json_output import add_json, write_json
from .model_words import MODEL_FILE
from .output_names import new_file
from .terminal import aligned, percent, say

ABOUT = """\
The accuracy of each run on its held-out photos, with its 95 % interval, and for
each pair McNemar's test: is the difference more than chance?"""
EXAMPLES = (("two runs", "minicnn compare runs/photos-1 runs/photos-2"),
            ("with a figure of their curves", "minicnn compare runs/* -o compared.png"),
            ("two models on other photos",
             "minicnn compare runs/photos-1-on-new-1 runs/photos-2-on-new-1"))


def add(command: Callable) -> None:
    """The command and its options."""
    option = command("compare", compare_command, "compare runs: a table, a figure, a test",
                     "RUN RUN ... [OPTIONS]", ABOUT, EXAMPLES)[1]
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
    results = [(run.num_correct / len(run.photos),
                *wilson_interval(run.num_correct, len(run.photos))) for run in runs]
    print("\n".join(table_of(runs, results)))
    print_differences(runs)
    for sentence in doubts(runs):
        say(f"\n{sentence}")
    say("\n" + _("McNemar's test, on the photos (same name, same class) that both have "
                 "predicted:"))
    pairs = list(combinations(range(len(runs)), 2))
    for i, j in pairs:
        say(_("{first} and {second}: {words}", first=i + 1, second=j + 1,
              words=paired(runs[i], runs[j])))
    tests = sum(bool(shared_photos(runs[i], runs[j])) for i, j in pairs)
    if tests > 1:
        say(_("With {count} tests, take a difference as shown below p = {limit:.2g}, not 0.05 "
              "(Bonferroni).", count=tests, limit=0.05 / tests))
    if output:
        names = differing([run.options for run in runs])
        options = [", ".join(f"{name} {run.options[name]}" for name in names
                             if run.options.get(name, NONE) != NONE) for run in runs]
        save(comparison_figure([run.name for run in runs], [run.history for run in runs], results,
                               [run.validated for run in runs], options), Path(output))
        print(f"\n{output}")
    write_json(args, {"runs": [run_as_json(run) for run in runs], "figure": output, "pairs": [
        {"runs": [runs[i].name, runs[j].name]} | pair_as_json(runs[i], runs[j])
        for i, j in pairs]})


def table_of(runs: Sequence[Run], results: Sequence[tuple[float, float, float]]) -> list[str]:
    """The lines of the table. results: accuracy and the ends of its interval, of each run. It has
    the best epoch only if that is one by validation photos: the test must not choose it."""
    rows = [[_("run"), _("right"), _("accuracy"), _("95 % interval"), _("epochs")]]
    for k, (run, (accuracy, low, high)) in enumerate(zip(runs, results, strict=True), 1):
        rows.append([f"{k}  {run.name}", f"{run.num_correct}/{len(run.photos)}",
                     percent(accuracy),
                     _("{low:.1f} … {high:.1f} %", low=100 * low, high=100 * high),
                     str(run.epochs or NONE)])
    if any(run.validated and run.history for run in runs):
        best = [_("{accuracy} at {epoch}", accuracy=percent(max(run.history)),
                  epoch=np.argmax(run.history) + 1) if run.validated and run.history else NONE
                for run in runs]
        rows = [[*row, cell] for row, cell in
                zip(rows, [_("best validation"), *best], strict=True)]
    return aligned(rows)


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
    return [name for name, (true, _predicted) in a.photos.items()
            if name in b.photos and b.photos[name][0] == true]


def correct(run: Run, names: Sequence[str]) -> np.ndarray:
    """Whether the run is right about each of these photos."""
    return np.array([run.photos[name][0] == run.photos[name][1] for name in names])


def print_differences(runs: Sequence[Run]) -> None:
    """The options that differ and what was measured, a paragraph for each run; or that none does.
    """
    if sum(bool(run.options) for run in runs) < 2:
        return
    options = differing([run.options for run in runs])
    names = options + differing([run.measured for run in runs])
    if not options:
        say("\n" + _("The runs have the same options."))
    if not names:
        return
    say("\n" + (_("Options that differ, by run:") if options else _("What differs, by run:")))
    for k, run in enumerate(runs, 1):
        values = run.options | run.measured
        if values:  # an evaluation has none
            say(f"{k}  " + _("; ").join(f"{name} {values.get(name, NONE)}" for name in names))


def doubts(runs: Sequence[Run]) -> list[str]:
    """Warnings if the runs answer different questions, were tested on different photos, or on some
    that they were trained on."""
    sentences = [
        _("Warning: {count} of the {total} photos of {number} were in its training, so that its "
          "accuracy is too high. Evaluate it on others.", count=run.in_training,
          total=len(run.photos), number=k)
        for k, run in enumerate(runs, 1) if run.in_training]
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
