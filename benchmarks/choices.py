"""Is the convolution's algorithm well chosen on this processor? What was selected against the rest.

    python -m benchmarks.choices                      both backends, some minutes
    python -m benchmarks.choices --backend native --pairs 15
    MINICNN_TUNING=0 python -m benchmarks.choices

Rules choose (`pays_off` in minicnn/ops/winograd.py, ops/native/winograd.py and direct.py), from the
numbers of channels, filters and pixels, with constants that were measured once on this machine
(minicnn/ops/tuning.py; MINICNN_TUNING=0: the usual ones). This measures what the rules cost: for
forward, dx and dW of 3 × 3 convolutions of many sizes, the time of the selected algorithm / that of
the best other one, in turn: im2col or Winograd (the direct one, which native selects for few
channels, cannot be asked for elsewhere; fast's dW has one algorithm). 0.50: the selected one takes
half of the time; 1.10: a tenth more, the rule is wrong there. Up to 1.05 may be chance: such
measurements vary by as much.
"""

import argparse
import contextlib

import numpy as np

from benchmarks.__main__ import machine
from benchmarks.load import LIMIT, read_clocks, share_of_others
from benchmarks.measuring import in_turn
from minicnn.ops import Window, ops_for, use
from minicnn.ops.algorithms import use_algorithm
from minicnn.ops.fast.conv import select_algorithm
from minicnn.ops.fast.threads import cores
from minicnn.ops.native.conv import by_kernels
from minicnn.ops.native.direct import weight_grad_pays_off
from minicnn.ops.tuning import constants

ALGORITHMS = ("im2col", "winograd")
# (photos, pixels of a side, channels, filters): VGG16's blocks at 224 and 64 pixels, SmallCNN's,
# and sizes beside the limits of the rules: few channels, small images.
SIZES = ((1, 224, 3, 64), (8, 224, 3, 64), (1, 224, 64, 64), (1, 112, 64, 128), (1, 56, 256, 256),
         (1, 28, 512, 512), (8, 28, 512, 512), (1, 14, 512, 512), (8, 14, 512, 512),
         (16, 64, 64, 64), (16, 16, 256, 256), (16, 4, 512, 512), (1, 7, 64, 64), (64, 28, 8, 16),
         (64, 14, 16, 32), (64, 14, 24, 24), (64, 14, 32, 32), (16, 10, 32, 64), (16, 9, 48, 48),
         (1, 8, 32, 32), (256, 3, 64, 64))


def selected_algorithm(backend, x, W, window):
    """Of the convolution of x (N, H, Wd, C) with W (3, 3, C, F). What native's kernels do not
    compute, fast does."""
    algorithm = by_kernels(x, W.shape, W, window) if backend == "native" else None
    return algorithm or select_algorithm(len(x), *W.shape[2:], window)


def operations(size, backend):
    """(name, function, the selected algorithm) of forward, dx and dW of the convolution of this
    size, padded "same"; without dW where there is one algorithm only."""
    N, side, C, F = size
    rng = np.random.default_rng(0)
    window = Window.on_image((side, side), (3, 3), (1, 1), "same")  # of dz, too
    x, dz = (rng.normal(size=(N, side, side, k)).astype(np.float32) for k in (C, F))
    W, b = rng.normal(size=(3, 3, C, F)).astype(np.float32), np.zeros(F, np.float32)
    W_of_dx = rng.normal(size=(3, 3, F, C)).astype(np.float32)
    forward = selected_algorithm(backend, x, W, window)
    dx = selected_algorithm(backend, dz, W_of_dx, window)
    yield "forward", lambda: ops_for(x).conv2d(x, W, b, window, relu=True), forward
    yield "dx", lambda: ops_for(x).conv2d_input_grad(dz, W, x.shape, window), dx
    if backend == "native":
        dW = forward if forward != "direct" or weight_grad_pays_off(C, window) else "im2col"
        yield "dW", lambda: ops_for(x).conv2d_weight_grad(x, dz, window), dW


def against_others(operation, backend, selected, pairs):
    """Time of the selected algorithm / that of the best other one."""
    def by(algorithm):
        def run():
            with use(backend), use_algorithm(algorithm) if algorithm else contextlib.nullcontext():
                operation()
        run()  # warm: compiled, memory there
        return run

    others = {name: by(name) for name in ALGORITHMS if name != selected}
    return max(one.ratio for one in in_turn(by(None), others, pairs).values())


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
        print(f"\n{constants(backend)}")
        print(f"\n{backend}: time of the selected algorithm / that of the best other one\n\n"
              f"| photos | pixels | channels | filters | forward | dx | dW |\n|{' --- |' * 7}")
        ratios = []
        for size in SIZES:
            cells = {"forward": "", "dx": "", "dW": "–"}
            for name, operation, selected in operations(size, backend):
                ratio = against_others(operation, backend, selected, args.pairs)
                ratios.append((ratio, f"{name} of {size}"))
                cells[name] = f"{ratio:.2f} ({selected})"
            print(f"| {' | '.join(map(str, size))} | {' | '.join(cells.values())} |", flush=True)
        worst, where = max(ratios)
        print(f"\nlargest {worst:.2f} ({where}); above 1.05: "
              f"{sum(ratio > 1.05 for ratio, _ in ratios)} of {len(ratios)}")
    others = share_of_others(clocks, read_clocks(), cores())
    if others > LIMIT:
        print(f"\nNOT VALID: other processes took {others:.0%} of the processor.")


if __name__ == "__main__":
    main()
