"""Ranks against threads: VGG16's features of many photos, by R ranks of one thread and by one
process of R threads, in turn.

    python -m benchmarks.ranks [--ranks 2] [--photos 256] [--size 128] [--pairs 5]

Each run is a process of its own, with the photos in memory (decoding is the same work for both),
and is measured after a warm-up, from the moment when all ranks begin until all have the features.
What is printed are the fastest run of each and the median of the pairs' quotients.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import minicnn as mc
from minicnn.training import extract_features
from minicnn.utils.ranks import ALONE, working_with


def measure(count, size):
    """Seconds for the features of `count` photos, printed by rank 0."""
    ranks = mc.distributed.connect() if mc.distributed.launched()[0] > 1 else ALONE
    model = mc.VGG16(include_top=False, input_shape=(size, size, 3), cut="block4_pool")
    model.freeze()
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    data = mc.data.Dataset.from_arrays(pixels, np.arange(count) % 2)
    with working_with(ranks):
        extract_features(model, data.subset(range(8 * ranks.size)))
        ranks.wait_for_all()
        began = time.perf_counter()
        extract_features(model, data)
        seconds = time.perf_counter() - began
    if ranks.is_first:
        print(seconds)


def run(command, threads):
    """The seconds that the child prints."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    return float(subprocess.run(command, check=True, capture_output=True, text=True,
                                env=environment).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    for name, default in (("ranks", 2), ("photos", 256), ("size", 128), ("pairs", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        measure(args.photos, args.size)
        return
    beside = str(Path(sys.executable).parent)
    mpiexec = shutil.which("mpiexec", path=beside) or shutil.which("mpiexec")
    if mpiexec is None:
        sys.exit('No mpiexec: pip install -e ".[mpi]"')
    child = [sys.executable, "-m", "benchmarks.ranks", "--child", "--photos", str(args.photos),
             "--size", str(args.size)]
    by_ranks = [mpiexec, "--allow-run-as-root", "--oversubscribe", "-n", str(args.ranks), *child]
    print(f"{args.photos} photos of {args.size} × {args.size}, VGG16 up to block4_pool; "
          f"1 process of {args.ranks} threads, {args.ranks} ranks of 1 thread")
    pairs = []
    for _ in range(args.pairs):
        pairs.append((run(child, args.ranks), run(by_ranks, 1)))
        print(f"  {pairs[-1][0]:.2f} s   {pairs[-1][1]:.2f} s", flush=True)
    threads, ranks = map(min, zip(*pairs, strict=True))
    quotient = statistics.median(ranks / threads for threads, ranks in pairs)
    print(f"fastest: {threads:.2f} s, {ranks:.2f} s, {ranks / threads:.2f} of it; "
          f"median of the pairs: {quotient:.2f}")


if __name__ == "__main__":
    main()
