"""How things are compared: in turn, as the median of the ratios of neighbouring measurements."""

import subprocess
import sys
import time
from dataclasses import dataclass
from statistics import median

import numpy as np

from benchmarks.load import LIMIT

# Idle threads of OpenMP, ONNX Runtime and others busy-wait for some milliseconds after their work.
# A pause before each measurement keeps them from slowing down what is measured next.
PAUSE = 0.05  # seconds
TRIALS = 3    # measurements by which the fastest variant of a peer is chosen


@dataclass(frozen=True)
class Comparison:
    """Pairs (ours, the peer's) of neighbouring measurements: seconds, bytes or any other unit."""

    pairs: tuple[tuple[float, float], ...]

    @property
    def ratios(self):
        """Ours / the peer's, of each pair."""
        return [ours / theirs for ours, theirs in self.pairs]

    @property
    def ratio(self):
        """The median of the ratios: a disturbance that lasts hits both sides of a pair."""
        return median(self.ratios)

    @property
    def spread(self):
        """(lowest, highest) ratio."""
        return min(self.ratios), max(self.ratios)

    @property
    def ours(self):
        """Our median."""
        return median(ours for ours, _ in self.pairs)

    @property
    def theirs(self):
        """The peer's median."""
        return median(theirs for _, theirs in self.pairs)


@dataclass(frozen=True)
class Row:
    """A row of the table. note: what was measured, in its units. others: the share of the processor
    that other processes took meanwhile (load.py)."""

    case: str
    peer: str
    comparison: Comparison
    note: str = ""
    others: float = 0.0

    def __str__(self):
        low, high = self.comparison.spread
        warning = (f"NOT VALID: other processes took {self.others:.0%} of the processor; "
                   if self.others > LIMIT else "")
        return (f"| {self.case} | {self.peer} | {self.comparison.ratio:.2f} "
                f"| {low:.2f} … {high:.2f} | {warning}{self.note} |")

    def to_dict(self):
        """For the JSON file: with all pairs, so that other statistics can be computed."""
        low, high = self.comparison.spread
        return {"case": self.case, "peer": self.peer, "ratio": self.comparison.ratio,
                "lowest": low, "highest": high, "pairs": self.comparison.pairs, "note": self.note,
                "others": self.others, "valid": self.others <= LIMIT}


def seconds(function):
    """Of a call, after a pause."""
    time.sleep(PAUSE)
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def in_turn(ours, peers, pairs, measure=seconds):
    """Compares ours with each of the peers {name: function} -> {name: Comparison}.

    The order is ours, peer 1, ours, peer 2, …, and the same again, `pairs` times: each measurement
    of a peer has one of ours directly before it. measure(function) is a number.
    """
    measured = {name: [] for name in peers}
    for _ in range(pairs):
        for name, theirs in peers.items():
            measured[name].append((measure(ours), measure(theirs)))
    return {name: Comparison(tuple(values)) for name, values in measured.items()}


def fastest(variants, trials=TRIALS, measure=seconds):
    """The name among {name: function} with the smallest median of a few measurements in turn."""
    names = list(variants)
    if len(names) == 1:
        return names[0]
    times = {name: [] for name in names}
    for _ in range(trials):
        for name in names:
            times[name].append(measure(variants[name]))
    return min(names, key=lambda name: median(times[name]))


def best_peer(comparisons):
    """The name of the peer with the smallest median, of {name: Comparison}: the hardest to beat."""
    return min(comparisons, key=lambda name: comparisons[name].theirs)


def sgemm(size=4096):
    """(function, flops): a product of large square matrices in NumPy, whose speed is the peak that
    shares are of. BLAS takes as many threads as minicnn does."""
    a = np.random.default_rng(0).random((size, size), np.float32)
    out = np.empty_like(a)
    return lambda: np.matmul(a, a, out=out), 2 * size**3


def process(*arguments):
    """(seconds, the number of bytes that it printed last) of `python -m benchmarks.jobs …`."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "benchmarks.jobs", *map(str, arguments)],
                             stdout=subprocess.PIPE, text=True)
    printed, _ = child.communicate()
    if child.returncode:
        sys.exit(f"benchmarks: the job {arguments} failed with status {child.returncode}.")
    return time.perf_counter() - start, int(printed.split()[-1])
