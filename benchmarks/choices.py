"""Is the convolution's algorithm well chosen on this processor? What was selected against the rest.

    python -m benchmarks.choices                      both backends, some minutes
    python -m benchmarks.choices --backend native --pairs 15

Rules choose (`pays_off` in minicnn/ops/winograd.py, ops/native/winograd.py and direct.py), from the
numbers of channels, filters and pixels alone, so that the same computation gives the same numbers
on every machine. This measures what the rules cost: for forward, dx and dW of 3 × 3 convolutions
of many sizes, the selected algorithm and, in turn with it, those that could have been taken
instead. Cost 1.00: the selected one was the fastest; 1.10: another one takes a tenth less. The last
line has the mean over all sizes and the largest cost. Below 1.05 it is within what such
measurements vary.
"""

import argparse
import contextlib
from statistics import geometric_mean

import numpy as np

from benchmarks.__main__ import machine
from benchmarks.load import LIMIT, read_clocks, share_of_others
from benchmarks.measuring import in_turn
from minicnn.ops import Window, ops_for, use
from minicnn.ops.algorithms import use_algorithm
from minicnn.ops.fast.threads import cores

ALGORITHMS = ("im2col", "winograd")
# (photos, pixels of a side, channels, filters): VGG16's blocks at 224 and 64 pixels, SmallCNN's,
# and sizes beside the limits of the rules: few channels, small images.
SIZES = ((1, 224, 3, 64), (8, 224, 3, 64), (1, 224, 64, 64), (1, 112, 64, 128), (1, 56, 256, 256),
         (1, 28, 512, 512), (8, 28, 512, 512), (1, 14, 512, 512), (8, 14, 512, 512),
         (16, 64, 64, 64), (16, 16, 256, 256), (16, 4, 512, 512), (1, 7, 64, 64), (64, 28, 8, 16),
         (64, 14, 16, 32), (64, 14, 24, 24), (64, 14, 32, 32), (16, 10, 32, 64), (16, 9, 48, 48),
         (1, 8, 32, 32), (256, 3, 64, 64))


def operations(size):
    """{"forward": function, "dx": …, "dW": …} of the convolution of this size, padded "same"."""
    N, side, C, F = size
    rng = np.random.default_rng(0)
    window = Window.on_image((side, side), (3, 3), (1, 1), "same")
    x, dz = (rng.normal(size=(N, side, side, k)).astype(np.float32) for k in (C, F))
    W, b = rng.normal(size=(3, 3, C, F)).astype(np.float32), np.zeros(F, np.float32)
    return {"forward": lambda: ops_for(x).conv2d(x, W, b, window, relu=True),
            "dx": lambda: ops_for(x).conv2d_input_grad(dz, W, x.shape, window),
            "dW": lambda: ops_for(x).conv2d_weight_grad(x, dz, window)}


def cost(operation, backend, pairs):
    """(time of the selected algorithm / that of the fastest, the fastest's name if it is another).
    """
    def by(algorithm):
        def run():
            with use(backend), use_algorithm(algorithm) if algorithm else contextlib.nullcontext():
                operation()
        run()  # warm: compiled, memory there
        return run

    compared = in_turn(by(None), {name: by(name) for name in ALGORITHMS}, pairs)
    fastest = max(ALGORITHMS, key=lambda name: compared[name].ratio)
    ratio = compared[fastest].ratio
    return (ratio, fastest) if ratio > 1 else (1.0, "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=("fast", "native"), nargs="*",
                        default=["fast", "native"], help="default: both")
    parser.add_argument("--pairs", type=int, default=7, metavar="N", help="pairs of measurements")
    args = parser.parse_args()
    for what, text in machine().items():
        print(f"{what}: {text}")
    clocks = read_clocks()
    for backend in args.backend:
        print(f"\n{backend}: time of the selected algorithm / that of the fastest\n\n"
              f"| photos | pixels | channels | filters | forward | dx | dW |\n|{' --- |' * 7}")
        costs = []
        for size in SIZES:
            cells = []
            for name, operation in operations(size).items():
                ratio, better = cost(operation, backend, args.pairs)
                costs.append((ratio, f"{name} of {size}"))
                cells.append(f"{ratio:.2f} {better}".strip())
            print(f"| {' | '.join(map(str, size))} | {' | '.join(cells)} |", flush=True)
        worst, where = max(costs)
        print(f"\nmean {geometric_mean(ratio for ratio, _ in costs):.3f}, largest {worst:.2f} "
              f"({where}), above 1.05: {sum(ratio > 1.05 for ratio, _ in costs)} of {len(costs)}")
    others = share_of_others(clocks, read_clocks(), cores())
    if others > LIMIT:
        print(f"\nNOT VALID: other processes took {others:.0%} of the processor.")


if __name__ == "__main__":
    main()
