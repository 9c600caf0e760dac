"""`minicnn data`: what is in a folder of photos, what is wrong with it, and its split."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

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
from ..data.images import printable
from ..report.folder_page import Finding, findings, relation, write_folder_page
from ..utils.errors import ArgumentError, FileError
from .progress import Bar
from .train_options import next_step

NAMED = 3  # of each kind on the screen; all are on the page


def add(command: Callable) -> None:
    """The command and its options."""
    p, option = command("data", data_command, "look through a folder of photos, and split it")
    p.add_argument("folder", help="your photos, one sub-folder per class; or train/ and test/ or "
                                  "val/, each with one sub-folder per class")
    option("--output", str, None, "FOLDER", "where report.html and split.csv are written "
                                            "(default: NAME-report/)")
    option("--test-fraction", float, None, "SHARE", "of each class (default: 0.25)")
    option("--validation-fraction", float, None, "SHARE", "of each class (default: 0)")
    option("--seed", int, 0, "N", "decides which photos are drawn")
    p.add_argument("--force", action="store_true", help="overwrite report.html and split.csv")


def data_command(args: argparse.Namespace) -> int:
    """What was found, report.html and split.csv; 2 where there can be no split."""
    shares = shares_of(args)
    data, parts, skipped = folder_of(args)
    split_already = parts is not None
    output = output_of(args)
    bar = Bar("reading the photos")
    try:
        found = perceptual_hashes(data, bar)
    finally:
        bar.close()
    if len(found.unread) == len(data):
        raise FileError(f"{args.folder}: expected photos that can be read, found none. "
                        f"{found.unread[0]}")
    groups = near_duplicates(data, found)
    said = findings(data, found, groups, parts, skipped)
    describe(data, found, said)
    flaw = ""
    if not split_already:
        try:
            parts = draw_parts(data, shares, found, groups, args.seed)
        except ArgumentError as problem:
            flaw = str(problem)
    bar = Bar("pictures")
    try:
        write_folder_page(output / "report.html", Path(args.folder).resolve().name, data, found,
                          said, parts, bar)
    finally:
        bar.close()
    if parts is None:
        (output / "split.csv").unlink(missing_ok=True)  # of an earlier run, with --force
        print(f"\n{output}/: report.html")
        print(f"minicnn: no split.csv. {flaw}", file=sys.stderr)
        return 2
    named = subsets(data, parts)
    write_split(output / "split.csv", named)
    sizes = ", ".join(f"{len(part)} {name}" for name, part in named.items())
    print(f"\n{output}/: report.html, split.csv ({sizes})")
    if not split_already:
        print(next_step("train", args.folder, "--split", str(output / "split.csv")))
    return 0


def folder_of(args: argparse.Namespace) -> tuple[Dataset, list[str] | None, list[str]]:
    """The photos, their parts where the folder is split already, and what was skipped."""
    folders = split_folders(args.folder)
    if not folders:
        data = ImageFolder(args.folder)
        return data, None, data.skipped
    for option in ("test_fraction", "validation_fraction"):
        if getattr(args, option) is not None:
            raise ArgumentError(f"--{option.replace('_', '-')}: expected only with a folder that "
                                f"is not split, received one with {', '.join(folders)}. Leave it "
                                f"out.")
    print(f"{args.folder} is split already, into {', '.join(folders)}: looking for photos that are "
          f"in two of them.")
    classes = list(dict.fromkeys(name for part in folders.values() for name in part.classes))
    items = [item for part in folders.values() for item in part.items]
    labels = [classes.index(part.classes[k]) for part in folders.values() for k in part.labels]
    names = [Path(item).relative_to(args.folder).as_posix() for item in items]
    return (Dataset(items, labels, classes, names),
            [name for name, part in folders.items() for _ in part.items],
            [line for part in folders.values() for line in part.skipped])


def output_of(args: argparse.Namespace) -> Path:
    """The folder of the report, made, and empty without --force."""
    folder = Path(args.folder).resolve()
    output = Path(args.output or f"{folder.name}-report")
    if folder in (output.resolve(), *output.resolve().parents):
        raise FileError(f"{output}: expected a folder outside that of the photos, where it would "
                        f"count as a class. Choose another --output.")
    try:
        output.mkdir(parents=True, exist_ok=True)
        used = any(output.iterdir())
    except OSError as problem:
        raise FileError(f"{output}: expected a folder that can be written, received: "
                        f"{problem.strerror}. Choose another --output.") from problem
    if used and not args.force:
        raise FileError(f"{output}: expected a new or empty folder, found one in use. Choose "
                        f"another --output, or overwrite its report.html and split.csv with "
                        f"--force.")
    return output


def shares_of(args: argparse.Namespace) -> dict[str, float]:
    """The share of each part; those that cannot be are refused before a photo is read."""
    test = 0.25 if args.test_fraction is None else args.test_fraction
    validation = args.validation_fraction or 0.0
    if not (test >= 0 and validation >= 0 and test + validation < 1):
        raise ArgumentError(f"--test-fraction, --validation-fraction: expected shares from 0 that "
                            f"leave photos to learn from, received {test} and {validation}.")
    if args.seed < 0:
        raise ArgumentError(f"--seed: expected a whole number from 0, received {args.seed}.")
    return {"train": 1 - test - validation, "validation": validation, "test": test}


def describe(data: Dataset, found: Fingerprints, said: list[Finding]) -> None:
    """Classes and counts, then every finding with its first photos."""
    say(f"{len(data)} photos, {len(data.classes)} classes")
    width = max(map(len, data.classes))
    for name, count in data.counts.items():
        say(f"  {name:<{width}} {count:>6}")
    for one in said:
        say(f"\n{one.title}. {one.advice}")
        for group in one.groups[:NAMED]:
            names = ", ".join(printable(data.names[i]) for i in group[:NAMED])
            more = f" and {len(group) - NAMED} more" if len(group) > NAMED else ""
            say(f"  {names}{more}" + (f": {relation(found, group)}" if len(group) > 1 else ""))
        for line in one.lines[:NAMED]:
            say(f"  {line}")
        rest = max(len(one.groups), len(one.lines)) - NAMED
        if rest > 0:
            say(f"  and {rest} more, see report.html")
    if not said:
        say("Nothing to mend.")


def say(text: str) -> None:
    """Prints, whatever bytes the name of a file holds."""
    print(text.encode("utf-8", "backslashreplace").decode())
