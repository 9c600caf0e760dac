"""Runs that are killed, or whose disk is full, again and again: do they end as if nothing had been?

    python tests/training/interruptions.py --kills 100 --full-disks 20

Each life of a run is a process of its own (`minicnn train`, then `minicnn train --resume`) with a
checkpoint after every step; SIGKILL comes at a random instant. In the end all files of the run
folder must be those of a run that nobody interrupted, byte by byte.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLI = f"""
import sys
sys.path.append({str(Path(__file__).parent)!r})
""" + """
import os, pkgutil, resource, signal, sys
import minicnn.training.callbacks.checkpoint as c
from minicnn.cli import main
from minicnn.plotting import drawing

c.MIN_SECONDS = c.MIN_TIMES = 0
place, left, limit, drawn = sys.argv.pop(1), *(int(sys.argv.pop(1)) for _ in range(3))
if not drawn:
    from interruptions import undrawn
    drawing.png = undrawn
if place:
    def dying(*args, **options):
        global left
        left -= 1
        if left == 0 and limit < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if left == 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return function(*args, **options)

    owner, _, name = place.rpartition(".")
    owner = pkgutil.resolve_name(owner)  # a module or a class
    function = getattr(owner, name)
    setattr(owner, name, dying)
sys.exit(main())
"""
RUNS = {  # name: options
    "head": "--size 32 --epochs 25 --per-class 10 --batch-size 8 --dropout 0.3 --patience 20 "
            "--schedule one-cycle --augment flip,shift --views 2 --find-lr",
    "fine-tuned": "--size 32 --epochs 4 --per-class 8 --batch-size 4 --finetune block2 "
                  "--finetune-epochs 2 --patience 9 --no-scratch --memory-budget 0 "
                  "--schedule cosine",
    "folds": "--size 32 --epochs 5 --per-class 6 --batch-size 4 --kfold 3 --class-weights "
             "--schedule step --weight-decay 0.01",
    "six classes": "--size 32 --epochs 5 --per-class 5 --classes all --label-smoothing 0.1 "
                   "--memory-budget 0",
}
EVERYWHERE = ("--size 32 --epochs 2 --per-class 6 --batch-size 4 --find-lr --augment flip --views 2"
              " --finetune block2 --finetune-epochs 1 --patience 9 --dropout 0.2 --memory-budget 0")
PLACES = {  # what a run with these options does: the call of which function
    "features": ("minicnn.training.features.release_pages", 2),
    "learning rate": ("minicnn.training.lr_finder.set_weights", 1),
    "validation": ("minicnn.training.state.TrainingState.validate", 1),
    "writing a checkpoint": ("os.fsync", 1),
    "a checkpoint takes its name": ("pathlib.Path.replace", 1),
    "going on": ("minicnn.training.callbacks.checkpoint.set_weights", 1),
    "between the phases": ("minicnn.training.transfer.fine_tune", 1),
    "fine-tuning, validation": ("minicnn.training.state.TrainingState.validate", 1),
    "test": ("minicnn.training.transfer.evaluate_photos", 1),
    "writing the results": ("minicnn.report.runs.write_csv", 1),
    "from scratch": ("minicnn.training.state.TrainingState.validate", 1),
    "taking the checkpoints away": ("os.rmdir", 1),
}


def undrawn(figure: Figure) -> bytes:
    """What a figure shows, its texts, lines and pictures, without its pixels: these take longer
    than a short training."""
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D
    from matplotlib.text import Text

    return b"".join([
        *(text.get_text().encode() for text in figure.findobj(Text)),
        *(line.get_xydata().tobytes() for line in figure.findobj(Line2D)),
        *(image.get_array().tobytes() for image in figure.findobj(AxesImage))])


def start(arguments: list[str], place: str = "", call: int = 0, limit: int = -1,
          drawn: bool = True) -> subprocess.Popen:
    """A life of a run. place, call: the function in whose so many-th call it is killed, or with
    limit the disk is full: no file becomes larger. drawn: whether figures have pixels."""
    return subprocess.Popen([sys.executable, "-c", CLI, place, str(call), str(limit),
                             str(int(drawn)), "train", *arguments], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def life_of(folder: Path, options: list[str]) -> list[str]:
    """The arguments that begin a run, or go on with it."""
    if (folder / "run.json").exists() and (folder / "checkpoints").exists():
        return ["--resume", str(folder)]
    shutil.rmtree(folder, ignore_errors=True)  # it was killed before it had learnt anything
    return [*options, "--output", str(folder)]


def content(folder: Path) -> dict[str, bytes]:
    """All files below, hidden ones too; of run.json and the page what does not depend on when it
    ran, and how often it was resumed."""
    files = {file.relative_to(folder).as_posix(): file.read_bytes()
             for file in folder.rglob("*") if file.is_file()}
    if "run.json" in files:
        document = json.loads(files["run.json"])
        for key in ("command", "started", "resumed", "seconds"):
            document.get("used", {}).pop(key, None)
        files["run.json"] = json.dumps(document).encode()
    if "report.html" in files:
        files["report.html"] = re.sub(rb'<(pre|div)[^>]* class="record">.*?</\1>', b"",
                                      files["report.html"], flags=re.S)
    return files


def undisturbed(home: Path, options: list[str], drawn: bool = True) -> tuple[Path, float]:
    """The run that nobody interrupts, and its seconds from the first line on."""
    folder = home / "undisturbed"
    process = start([*options, "--output", str(folder)], drawn=drawn)
    process.stdout.readline()
    began = time.monotonic()
    said = process.communicate()[0]
    assert process.returncode == 0, said
    return folder, time.monotonic() - began


def kill_until_done(folder: Path, options: list[str], seconds: float, dice: random.Random,
                    least: int = 0) -> int:
    """Lives of at most a random part of `seconds` until one ends by itself, after `least` kills at
    the earliest; returns the kills."""
    kills = 0
    while True:
        process = start(life_of(folder, options))
        process.stdout.readline()  # the photos are there, the run begins
        try:
            process.wait(dice.uniform(0, seconds * (0.5 if kills < least else 1.5)))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        said = process.communicate()[0]
        assert process.returncode == 0, said
        return kills


def kill_everywhere(folder: Path, options: list[str], places: Iterable[str] = PLACES,
                    drawn: bool = True) -> None:
    """A run that is killed at each of these PLACES, one life each, and then ends."""
    for what, (place, call) in ((name, PLACES[name]) for name in places):
        process = start(life_of(folder, options), place, call, drawn=drawn)
        said = process.communicate()[0]
        assert process.returncode == -9, f"{what}: not killed. {said}"
    process = start(life_of(folder, options), drawn=drawn)
    said = process.communicate()[0]
    assert process.returncode == 0, said


def full_disk(folder: Path, options: list[str], limit: int, after: float = 0, place: str = "",
              call: int = 1) -> str:
    """A run in which no file can become larger than `limit` from some instant on: so many seconds
    after its first line, or a call of `place`. Then without that; returns what it said ("" where it
    did not mind)."""
    process = start([*options, "--output", str(folder)], place, call, limit)
    if not place:
        if after:
            process.stdout.readline()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(after)
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    said = process.communicate()[0]
    if process.returncode == 0:
        return ""
    assert process.returncode == 2, said
    assert "Traceback" not in said and "expected" in said, said
    process = start(life_of(folder, options))
    more = process.communicate()[0]
    assert process.returncode == 0, more
    return said.strip().splitlines()[-1]


def main(words: list[str] | None = None) -> int:
    """The table; 1 where a run did not end as if nothing had been."""
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--kills", type=int, default=100)
    p.add_argument("--full-disks", type=int, default=20)
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args(words)
    dice, wrong = random.Random(args.seed), 0
    print(f"{'run':<12} {'kills':>6} {'ends':>5} {'identical':>10} {'full disks':>11} "
          f"{'identical':>10}")
    with tempfile.TemporaryDirectory() as home:
        for name, words in RUNS.items():
            options, (kills, ends, same, full, fine) = words.split(), (0,) * 5
            expected, seconds = undisturbed(Path(home) / name, options)
            while kills < args.kills / len(RUNS):
                folder = Path(home) / name / f"killed-{ends}"
                kills += kill_until_done(folder, options, seconds, dice, least=3)
                ends += 1
                same += content(folder) == content(expected)
            largest = max(map(len, content(expected).values()))
            while full < args.full_disks / len(RUNS):
                folder = Path(home) / name / f"full-{full}"
                limit = int(largest ** dice.uniform(0.45, 0.999))
                if full_disk(folder, options, limit, dice.uniform(0, seconds) * (full % 2)):
                    full += 1
                    fine += content(folder) == content(expected)
                shutil.rmtree(folder)
            print(f"{name:<12} {kills:>6} {ends:>5} {same:>10} {full:>11} {fine:>10}", flush=True)
            wrong += ends - same + full - fine
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
