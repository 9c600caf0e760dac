"""What docs/reliability.md says, measured: one table, in Markdown.

    python -m tests.reliability           a sample of each, a few minutes
    python -m tests.reliability --full    as many as the page names, and the coverage: hours

Each line comes from a command that can be run alone and then says more. Exits with 1 where
something is not as it must be.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUDGET, CONSTANT = 100, 300  # MB for features; MB for all else that `minicnn train` takes
TRAIN = """
import sys
from minicnn.cli import main
from tests.fuzzing import peak

status = main(["train", *sys.argv[1:]])
print(peak())
sys.exit(status)
"""
Row = tuple[str, str, bool, str]  # what, the result, as it must be, the command


def said(*words: object) -> str:
    """What `python WORDS…` prints."""
    return subprocess.run([sys.executable, *map(str, words)], text=True, cwd=ROOT,
                          stdout=subprocess.PIPE).stdout


def summary(text: str) -> list[str]:
    """The words of a table's last line, that of all."""
    return [line.split() for line in text.splitlines() if line.startswith("all ")][-1]


def damaged(what: str, module: str, count: int, seed: int = 0) -> Row:
    """Files that are damaged and read."""
    command = f"-m {module} --count {count}" + (f" --seed {seed}" if seed else "")
    _, tried, read, refused, failed, slowest, _, memory, _ = summary(said(*command.split()))
    return (f"damaged {what}", f"{tried}: {read} read, {refused} refused with an error message, "
            f"{failed} failures; at most {slowest} s and {memory} MB", failed == "0", command)


def interrupted(kills: int, full_disks: int) -> Iterator[Row]:
    """Trainings that are killed, or whose disk is full."""
    command = f"tests/training/interruptions.py --kills {kills} --full-disks {full_disks}"
    lines = [line.split()[-5:] for line in said(*command.split()).splitlines()[1:]]
    killed, ends, same, full, fine = (sum(map(int, column)) for column in zip(*lines, strict=True))
    yield ("trainings killed at random instants", f"{killed} kills, {ends} trainings: {same} end "
           f"with every file the same to the last bit", ends == same, command)
    yield ("trainings whose disk is full", f"{full}: {fine} end with every file the same, once "
           f"there is room", full == fine, command)


def memory() -> Row:
    """Features that are larger than the budget."""
    with tempfile.TemporaryDirectory() as folder:
        peak, free = (float(said("-c", TRAIN, "--sample", "fashion", "--classes", "all",
                                 "--per-class", 10, "--size", 64, "--cut", "block1_pool",
                                 "--epochs", 1, "--no-scratch", "--memory-budget", budget,
                                 "--output", f"{folder}/{budget}").split()[-1])
                      for budget in (BUDGET, 1000))
    size = 1100 * 32 * 32 * 64 * 4 / 1e6
    return ("memory against its budget", f"{size:.0f} MB of features, a budget of {BUDGET} MB: a "
            f"training takes {peak:.0f} MB (of 1,000 MB: {free:.0f})", peak < BUDGET + CONSTANT,
            "-m tests.reliability")


def formulas(count: int) -> Row:
    """Mutants of the engine."""
    command = f"-m tests.mutation --count {count}"
    _, tried, killed, alive = summary(said(*command.split()))
    return ("mutated formulas", f"{tried} mutants: {killed} killed by the tests, {alive} not",
            int(killed) >= 0.95 * int(tried), command)


def coverage() -> Row:
    """Of minicnn/ by the tests."""
    command = "-m coverage run -m pytest"
    said(*command.split())
    said("-m", "coverage", "combine")
    with tempfile.TemporaryDirectory() as folder:
        said("-m", "coverage", "json", "-o", f"{folder}/all.json")
        found = json.loads(Path(folder, "all.json").read_text())["totals"]
    lines, branches = (found[f"percent_{what}_covered"] for what in ("statements", "branches"))
    return ("code that the tests run", f"{lines:.1f} % of {found['num_statements']:,} lines, "
            f"{branches:.1f} % of {found['num_branches']:,} branches",
            lines >= 97 and branches >= 92, command)


def rows(full: bool) -> Iterator[Row]:
    """All of them; the coverage only in full."""
    yield damaged("photos", "tests.data.fuzz", 20_000 if full else 200)
    yield damaged("weight files", "tests.weights.fuzz", 25_000 if full else 200, 21)
    yield from interrupted(*(100, 20) if full else (4, 4))
    yield memory()
    yield formulas(210 if full else 20)
    if full:
        yield coverage()


def main() -> int:
    """The table."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--full", action="store_true", help="in the numbers of docs/reliability.md")
    fine = True
    print("| what | result | command |\n| --- | --- | --- |")
    for what, result, right, command in rows(p.parse_args().full):
        fine &= right
        print(f"| {what} | {'' if right else 'WRONG: '}{result} | `python {command}` |", flush=True)
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
