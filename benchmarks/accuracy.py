"""The accuracies of docs/benchmarks.md: transfer learning against a small network from scratch.

    python -m benchmarks.accuracy              about half an hour on two cores
    python -m benchmarks.accuracy --seeds 1    a first look

Each seed draws other training photos and another order; the test photos are always the same. Every
run is the one that `minicnn train` does, with its own settings: clouds at 128 pixels, and at 64 for
the network from scratch; clothes at 64 and 28.
"""

import argparse

import numpy as np
from tqdm import tqdm

from minicnn.data import sample
from minicnn.training import from_scratch, transfer

SIZES = {"clouds": {transfer: 128, from_scratch: 64}, "fashion": {transfer: 64, from_scratch: 28}}
TASKS = [*[("clouds", ["cirrus", "cumulus"], n) for n in (5, 10, 20)],
         *[("fashion", ["sandal", "sneaker"], n) for n in (5, 10, 20, 50, 100)],
         ("fashion", None, 100)]


def accuracies(name, classes, per_class, seeds, learn):
    """Test accuracy for each seed (len(seeds),)."""
    test = sample(name, "test", classes)
    return np.array([learn(sample(name, "train", classes, per_class, seed), test, seed=seed,
                           size=SIZES[name][learn]).evaluation.accuracy for seed in seeds])


def main():
    """Prints one table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="runs per row (default: 5)")
    seeds = range(parser.parse_args().seeds)
    print("| task | photos per class | VGG16 to block4_pool + new head | from scratch |")
    print("| --- | --- | --- | --- |")
    for name, classes, per_class in tqdm(TASKS, unit=" rows", disable=None, leave=False):
        cells = []
        for learn in (transfer, from_scratch):
            values = accuracies(name, classes, per_class, seeds, learn)
            cells.append(f"{values.mean():.3f} ± {values.std(ddof=min(1, len(values) - 1)):.3f}")
        task = " / ".join(classes) if classes else "all ten classes"
        print(f"| {task} | {per_class} | {' | '.join(cells)} |", flush=True)
    print(f"\nMean ± standard deviation of {len(seeds)} seeds.")


if __name__ == "__main__":
    main()
