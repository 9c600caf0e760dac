"""`minicnn data`: the contents of a folder of photos, its problems, and a split."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..data import (
    Dataset,
    Fingerprints,
    ImageFolder,
    draw_parts,
    near_duplicates,
    perceptual_hashes,
    split_folders,
    subsets,
    write_split,
)
from ..data.file_table import concatenate, names_from
from ..data.listing import OtherFile
from ..data.open_image import printable
from ..report.folder_findings import Finding, findings, relation
from ..report.folder_labels import label_finding
from ..report.folder_page import headline, write_folder_page
from ..report.run_sections import part_name
from ..training import ProgressBar, check_labels
from ..utils.arrays import IntArray
from ..utils.errors import ArgumentError, FileError
from ..utils.language import gettext as _
from .first_session import program, suggested_command
from .json_output import add_json, write_json
from .model_words import check_photos
from .option_values import SEED, SHARE_OR_NONE
from .output_names import unused_folder
from .progress import Bar
from .unused_options import unused_option

ABOUT = """\
Reports what would spoil a training: copies of a photo (near copies, too) within
a class and across classes, files that cannot be read, tiny, rotated and nearly
even photos. Writes a page with pictures, and which photo is for training and
which for the test. Nothing in your folder is changed."""
EXAMPLES = (("one sub-folder per class: photos/cirrus/, photos/cumulus/", "minicnn data photos/"),
            ("wrong labels, too", "minicnn data photos/ --labels"),
            ("a dataset that is split already, into train/ and test/", "minicnn data dataset/"))
MAX_NAMED = 3  # groups, photos and lines of a problem on the screen; all are on the page


def add(command: Callable) -> None:
    """The command and its options."""
    option = command("data", data_command, "check a folder of photos (a dataset), and split it",
                     "FOLDER [OPTIONS]", ABOUT, EXAMPLES)[1]
    option.words("folder", "FOLDER", "your photos, one sub-folder per class; or train/ and test/ "
                                     "or val/, each with one sub-folder per class")
    split = option.group("split")
    split("--test-fraction", SHARE_OR_NONE, None, "SHARE",
          "share of each class that is held out for the test (default: 0.25)")
    split("--validation-fraction", SHARE_OR_NONE, None, "SHARE",
          "share of each class for validation (default: 0)")
    split("--seed", SEED, 0, "N", "seed of the choice of photos")
    option.group("labels").flag(
        "--labels", "also look for photos with a wrong label, by networks that have not seen the "
        "photo: seconds for hundreds of photos, minutes for thousands")
    output = option.group("output")
    output("--output", str, None, "FOLDER", "where report.html and split.csv are written (default: "
                                            "NAME-report/, then NAME-report-2/, …)")
    output.flag("--force", "overwrite report.html and split.csv")
    add_json(output)


def data_command(args: argparse.Namespace) -> int:
    """Prints the problems, writes report.html and split.csv; returns 2 if there can be no split."""
    check_photos("data", args.folder)
    shares = shares_of(args)
    data, parts, others = folder_of(args)
    split_already = parts is not None
    output = output_of(args)
    bar = Bar(_("reading the photos"))
    try:
        fingerprints = perceptual_hashes(data, bar)
    finally:
        bar.close()
    if len(fingerprints.unread) == len(data):
        raise FileError(f"{args.folder}: expected photos that can be read, found none. "
                        f"{fingerprints.unread[0]}")
    groups = near_duplicates(data, fingerprints)
    problems = findings(data, fingerprints, groups, parts, others)
    about_labels = _("Labels: not checked. Add --labels; train checks those of its training "
                     "photos.")
    if args.labels:
        more, about_labels = wrong_labels(data, sorted(fingerprints.unread), groups)
        problems += more
    title = Path(args.folder).resolve().name
    describe(title, data, fingerprints, problems)
    print_wrapped("\n" * bool(problems) + about_labels)
    no_split = ""
    if not split_already:
        try:
            parts = draw_parts(data, shares, fingerprints, groups, args.seed)
        except ArgumentError as error:
            no_split = str(error)
    bar = Bar(_("pictures"))
    try:
        write_folder_page(output / "report.html", title, data, fingerprints, problems, parts, bar)
    finally:
        bar.close()
    answer = {"folder": args.folder, "photos": len(data), "classes": data.counts,
              "problems": [problem_as_json(problem, data) for problem in problems if args.json],
              "labels_checked": args.labels,
              "report": output / "report.html"}
    if parts is None:
        (output / "split.csv").unlink(missing_ok=True)  # of an earlier run, with --force
        print(f"\n{output}/: report.html")
        print(_("Open: {page}", page=output / "report.html"))
        print(f"minicnn: no split.csv. {no_split}", file=sys.stderr)
        write_json(args, answer | {"split": None, "parts": None})
        return 2
    named = subsets(data, parts)
    write_json(args, answer | {"split": output / "split.csv", "parts": {
        name: len(part) for name, part in named.items()}})
    write_split(output / "split.csv", named)
    sizes = ", ".join(f"{len(part)} {part_name(name)}" for name, part in named.items())
    print(f"\n{output}/: report.html, split.csv ({sizes})")
    print(_("Open: {page}", page=output / "report.html"))
    train = ["train", args.folder, "--split", str(output / "split.csv")]
    if any(problem.serious for problem in problems):
        print(again(args, output))
        if not split_already:
            print(_("Or train without: {command}", command=shlex.join([*program(), *train])))
    elif not split_already:
        print(suggested_command(*train))
    return 0


def again(args: argparse.Namespace, output: Path) -> str:
    """The command that overwrites this report, once what is wrong has been put right."""
    words = [word for word in args.argv if word != "--force"]
    if args.output is None and output.name != default_output(args):
        words += ["--output", str(output)]
    return _("Once that is fixed, again: {command}",
             command=shlex.join([*program(), *words, "--force"]))


def wrong_labels(data: Dataset, unread: list[int], groups: IntArray) -> tuple[list[Finding], str]:
    """([the finding, if a label is doubted], a sentence on the check). unread: the photos that
    cannot be read. groups: of near copies, which are left out together."""
    checked = sorted(set(range(len(data))) - set(unread))
    with ProgressBar() as bar:
        result = check_labels(data.subset(checked), groups=groups[checked].tolist(),
                              callbacks=[bar])
    if result is None:
        return [], _("The labels could not be checked: that needs two photos of each class that "
                     "differ.")
    finding = label_finding(data, checked, result)
    if finding:
        return [finding], _("Labels: those of {count} photos are checked.", count=len(checked))
    return [], _("Labels: those of {count} photos are checked, and none is doubted.",
                 count=len(checked))


def problem_as_json(problem: Finding, data: Dataset) -> dict[str, Any]:
    """A problem for --json: the photos by their names, in groups that belong together."""
    return {"problem": problem.title, "advice": problem.advice, "lines": problem.lines,
            "photos": [[data.names[i] for i in group] for group in problem.groups]}


def folder_of(args: argparse.Namespace) -> tuple[Dataset, list[str] | None, list[OtherFile]]:
    """(photos, the part of each photo or None if the folder is not split, the other files)."""
    folders = split_folders(args.folder)
    if not folders:
        data = ImageFolder(args.folder)
        return data, None, data.others
    for option in ("test_fraction", "validation_fraction"):
        if getattr(args, option) is not None:
            raise unused_option(f"--{option.replace('_', '-')}", "a folder that is not split",
                                f"one with {', '.join(folders)}")
    print(_("{folder} is already split into {parts}: looking for photos that are in two of them.",
            folder=args.folder, parts=", ".join(folders)))
    classes = list(dict.fromkeys(name for part in folders.values() for name in part.classes))
    labels = [np.array([classes.index(name) for name in part.classes])[part.labels]
              for part in folders.values()]
    return (Dataset(concatenate([part.items for part in folders.values()]), np.concatenate(labels),
                    classes, concatenate([names_from(part.items, args.folder)
                                          for part in folders.values()])),
            [name for name, part in folders.items() for _item in part.items],
            [other for part in folders.values() for other in part.others])


def output_of(args: argparse.Namespace) -> Path:
    """Makes the folder of the report; it has to be empty without --force."""
    folder = Path(args.folder).resolve()
    output = Path(args.output or default_output(args))
    if args.output is None and not args.force:
        output = unused_folder(output)
    if folder in (output.resolve(), *output.resolve().parents):
        raise FileError(f"{output}: expected a folder outside that of the photos, where it would "
                        f"count as a class. Choose another --output.")
    try:
        output.mkdir(parents=True, exist_ok=True)
        used = any(output.iterdir())
    except OSError as error:
        raise FileError(f"{output}: expected a folder that can be written, received: "
                        f"{error.strerror}. Choose another --output.") from error
    if used and not args.force:
        raise FileError(f"{output}: expected a new or empty folder, found one in use. Choose "
                        f"another --output, or overwrite its report.html and split.csv with "
                        f"--force.")
    return output


def default_output(args: argparse.Namespace) -> str:
    """The first folder that is tried without --output."""
    return f"{Path(args.folder).resolve().name}-report"


def shares_of(args: argparse.Namespace) -> dict[str, float]:
    """The share of each part. Raises ArgumentError before any photo is read."""
    test = 0.25 if args.test_fraction is None else args.test_fraction
    validation = args.validation_fraction or 0.0
    if test + validation >= 1:
        raise ArgumentError(f"--test-fraction, --validation-fraction: expected shares that leave "
                            f"training photos, received {test} and {validation}. Choose smaller "
                            f"ones.")
    return {"train": 1 - test - validation, "validation": validation, "test": test}


def describe(title: str, data: Dataset, fingerprints: Fingerprints, problems: list[Finding]
             ) -> None:
    """Prints classes and counts, then every problem with its first photos, the most serious first.
    """
    print_wrapped(headline(title, data, problems))
    width = max(map(len, data.classes))
    for name, count in data.counts.items():
        print_wrapped(f"  {name:<{width}} {count:>6}")
    for problem in problems:
        level = (_("fix") if problem.serious else _("look")) + _(": ")
        print_wrapped(f"\n{level}{problem.title}. {problem.advice}", indent=" " * len(level))
        groups = [] if problem.lines else problem.groups  # its lines name the photos
        for group in groups[:MAX_NAMED]:
            names = ", ".join(printable(data.names[i]) for i in group[:MAX_NAMED])
            rest = len(group) - MAX_NAMED
            more = _(" and {count} more", count=rest) if rest > 0 else ""
            reason = _(": ") + relation(fingerprints, group) if len(group) > 1 else ""
            print_wrapped(f"  {names}{more}{reason}")
        for line in problem.brief or problem.lines[:MAX_NAMED]:
            print_wrapped(f"  {line}")
        shown = len(problem.brief) or MAX_NAMED
        rest = max(len(problem.groups), len(problem.lines)) - shown
        if rest > 0:
            print_wrapped("  " + _("and {count} more, see report.html", count=rest))


def print_wrapped(text: str, indent: str = "    ") -> None:
    """Prints; in a terminal its lines are broken between words. indent: of all but the first.
    Bytes of file names that are no UTF-8 are escaped."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if sys.stdout.isatty():
        begin = text[:len(text) - len(text.lstrip())]
        text = begin + textwrap.fill(
            text[len(begin):], shutil.get_terminal_size().columns - 1 - len(begin.lstrip("\n")),
            subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    print(text)
