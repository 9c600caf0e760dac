"""Damaged files by the thousand, in a child process: what the fuzzers of photos and weights share.

A fuzzer is a module with
    KINDS                       what its files are called in the table
    DAMAGE                      functions of (bytearray, rng) that damage in place
    seeds() -> {name: content}  good files; the first word of a name is its line of the table
    mutant(number, seed, seeds) -> (name, names of the damage, content)
    judge(path) -> "read", "refused", or what is wrong
    allowed(content, said) -> whether such words on stderr are nobody's fault
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

SECONDS, MEGABYTES = 5, 300
ROOT = Path(__file__).parents[1]
HANG = 60  # seconds after which a child is ended


# ---- the damage
def flip(x, rng):
    for at in rng.integers(0, 8 * len(x), rng.integers(1, 16)):
        x[at // 8] ^= 1 << at % 8


def flip_head(x, rng):
    x[rng.integers(0, min(len(x), 200))] ^= 1 << int(rng.integers(8))


def truncate(x, rng):
    del x[rng.integers(0, len(x)):]


def overwrite(x, rng):
    at, size = rng.integers(0, len(x)), rng.integers(1, 64)
    x[at:at + size] = (bytes([rng.choice([0, 255])]) * size if rng.random() < 0.5
                       else rng.bytes(size))


def insert(x, rng):
    at = rng.integers(0, len(x))
    x[at:at] = rng.bytes(rng.integers(1, 600))


def delete(x, rng):
    at = rng.integers(0, len(x))
    del x[at:at + rng.integers(1, 64)]


def swap(x, rng):
    a, b, c, d = sorted(rng.integers(0, len(x) + 1, 4))
    x[a:d] = x[c:d] + x[b:c] + x[a:b]


def repeat(x, rng):
    a, b = sorted(rng.integers(0, len(x) + 1, 2))
    x[a:a] = x[a:b] * int(rng.integers(1, 20))


SIMPLE = (flip, flip_head, truncate, overwrite, insert, delete, swap, repeat)


# ---- the judge
def peak():
    """The most memory, in MB, since the last call; without /proc since the beginning."""
    try:
        text = Path("/proc/self/status").read_text()
        Path("/proc/self/clear_refs").write_text("5")
        return int(text.split("VmHWM:")[1].split()[0]) / 1e3
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            1e6 if sys.platform == "darwin" else 1e3)


def child(fuzz, first, last, seed, folder):
    """Says of each number, on stdout, that it begins and how it ends."""
    seeds, path, written = fuzz.seeds(), Path(folder) / "file", 0
    for content in seeds.values():
        path.write_bytes(content)
        fuzz.judge(path)
    base = peak()
    base = max(base, peak())
    for number in range(first, last):
        print(json.dumps([number]), flush=True)
        name, done, content = fuzz.mutant(number, seed, seeds)
        path.write_bytes(content)
        peak()
        begin = time.perf_counter()
        outcome = fuzz.judge(path)
        seconds, more = time.perf_counter() - begin, peak() - base
        said, written = os.pread(2, 10_000, written).decode(), os.fstat(2).st_size  # it is a file
        if said and not fuzz.allowed(content, said):
            outcome = f"output: {said}"
        outcome = "slow" if seconds > SECONDS else "memory" if more > MEGABYTES else outcome
        print(json.dumps([number, name, done, outcome, seconds, more]), flush=True)


def run(fuzz, count, seed=0, patch=""):
    """[[number, name, damage, outcome, seconds, MB], …] of so many files, in their order.

    patch: Python for the child to run first, in which `fuzz` is that module.
    """
    rows = []
    while len(rows) < count:
        with tempfile.TemporaryDirectory() as folder, Path(folder, "err").open("w+") as err:
            code = (f"from tests import fuzzing\nfrom tests.{Path(fuzz.__file__).parent.name} "
                    f"import fuzz\n{patch}\n"
                    f"fuzzing.child(fuzz, {len(rows)}, {count}, {seed}, {folder!r})")
            with subprocess.Popen([sys.executable, "-W", "error", "-c", code], text=True,
                                  stdout=subprocess.PIPE, stderr=err, cwd=ROOT,
                                  env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
                begun = follow(process, rows)
            if not begun and process.returncode:
                raise RuntimeError((Path(folder) / "err").read_text())
        if begun:
            name, done, _ = fuzz.mutant(len(rows), seed, fuzz.seeds())
            outcome = "hang" if process.returncode == -9 else f"crash {process.returncode}"
            rows.append([len(rows), name, done, outcome, 0.0, 0.0])
    return rows


def follow(process, rows):
    """Adds what a child says to rows, and ends it when it says nothing for too long. -> whether it
    has begun a file without an end."""
    begun = False
    while True:
        timer = threading.Timer(HANG if begun else 60, process.kill)  # to begin takes its time
        timer.start()
        line = process.stdout.readline()
        timer.cancel()
        if not line:
            return begun
        row = json.loads(line)
        begun = len(row) == 1
        if not begun:
            rows.append(row)


def failures(rows):
    return [row for row in rows if row[3] not in ("read", "refused")]


def table(rows, kinds="files"):
    """A line for the first word of each name, and one of all."""
    lines = [f"{'format':<8} {kinds:>7} {'read':>6} {'refused':>8} {'failed':>7} "
             f"{'slowest':>9} {'memory':>8}"]
    formats = list(dict.fromkeys(row[1].split()[0] for row in rows))
    for kind in [*formats, "all"]:
        part = [row for row in rows if kind in ("all", row[1].split()[0])]
        counts = Counter(row[3] for row in part)
        lines.append(f"{kind:<8} {len(part):>7,} {counts['read']:>6,} {counts['refused']:>8,} "
                     f"{len(failures(part)):>7} {max(row[4] for row in part):>7.2f} s "
                     f"{max(row[5] for row in part):>5.0f} MB")
    return "\n".join(lines)


def main(fuzz, count):
    """The command line: as many files as --count says, a table, the failures."""
    parser = argparse.ArgumentParser(description=fuzz.__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    begin, rows = time.time(), run(fuzz, args.count, args.seed)
    print(table(rows, fuzz.KINDS))
    print(f"{len(rows)} {fuzz.KINDS} in {time.time() - begin:.0f} s, seed {args.seed}")
    for row in failures(rows):
        print(*row)
    sys.exit(1 if failures(rows) else 0)
