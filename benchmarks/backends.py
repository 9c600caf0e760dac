"""What the compiled kernels bring: the native backend against fast, operation by operation.

    python -m benchmarks.backends                the convolutions of VGG16 and of the small network,
                                                 pooling, the optimizers' steps
    python -m benchmarks.backends --batch 1      one photo at a time

A number is the speedup of native over fast: the median over pairs of neighbouring measurements of
time of fast / time of native, both on all cores. It holds for this processor only, and only if
nothing else runs (benchmarks/load.py). Needs a C++ compiler, as native does.
"""

import argparse

import numpy as np

import minicnn as mc
from benchmarks.__main__ import machine
from benchmarks.load import LIMIT, read_clocks, share_of_others
from benchmarks.measuring import in_turn
from minicnn.inference.fused_conv import FusedConv, fuse
from minicnn.ops import ops_for, use
from minicnn.ops.fast.threads import cores

SIZE = 224  # pixels of a side
ELEMENTS = 5_000_000  # of an optimizer's arrays


def speedup(operation, pairs):
    """Time of fast / time of native; 1: equally fast."""
    def by(name):
        def run():
            with use(name):
                operation()
        run()  # warm: compiled, loaded, memory there
        return run
    return in_turn(by("fast"), {"native": by("native")}, pairs)["native"].ratio


def layers(model, batch):
    """(name, forward, dx, dW) of a model's convolutions, forward with ReLU and pooling as inference
    fuses them; each a function."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 50, (batch, *model.input_shape)).astype(np.float32)
    for part in fuse(model.layers):
        if not (isinstance(part, (FusedConv, mc.Conv2D))):
            return  # the dense layers
        conv = part.conv if isinstance(part, FusedConv) else part
        W, window = conv.params["W"], conv.window(x.shape)
        dz = rng.normal(size=(batch, *window.output_size, W.shape[3])).astype(np.float32)

        def forward(part=part, x=x):
            return part.forward(x, False, keep=False)

        def dx(dz=dz, W=W, shape=x.shape, window=window):
            return ops_for(dz).conv2d_input_grad(dz, W, shape, window)

        def dW(x=x, dz=dz, window=window):  # noqa: N802
            return ops_for(x).conv2d_weight_grad(x, dz, window)

        yield part.layers[0].name if isinstance(part, FusedConv) else part.name, forward, dx, dW
        x = forward()


def elementwise():
    """(name, function) of what goes through memory once instead of many times."""
    rng = np.random.default_rng(0)
    p, g, m, s = (rng.random(ELEMENTS).astype(np.float32) for _ in range(4))
    y = rng.normal(size=ELEMENTS).astype(np.float32)
    yield "adam_step", lambda: ops_for(p).adam_step(p, g, m, s, 3, 1e-3, 0.9, 0.999, 1e-7)
    yield "momentum_step", lambda: ops_for(p).momentum_step(p, g, m, 1e-3, 0.9)
    yield "relu_grad", lambda: ops_for(g).relu_grad(g, y)
    window = mc.MaxPool2D(2).window((56, 56, 64))
    x = rng.normal(size=(ELEMENTS // (56 * 56 * 64), 56, 56, 64)).astype(np.float32)
    maxima, switches = ops_for(x).max_pool2d(x, window)
    yield "max_pool2d", lambda: ops_for(x).max_pool2d(x, window)
    yield "max_unpool2d", lambda: ops_for(x).max_unpool2d(maxima, switches, x.shape, window)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="photos at a time")
    parser.add_argument("--pairs", type=int, default=7, metavar="N", help="pairs of measurements")
    args = parser.parse_args()
    for what, text in machine().items():
        print(f"{what}: {text}")
    clocks = read_clocks()
    vgg16 = mc.VGG16(include_top=False, input_shape=(SIZE, SIZE, 3))
    small = mc.SmallCNN(10)
    for title, model, batch in ((f"VGG16, {SIZE} px, batch {args.batch}", vgg16, args.batch),
                                (f"SmallCNN, batch {8 * args.batch}", small, 8 * args.batch)):
        print(f"\n{title}: speedup of native over fast\n\n"
              f"| layer | forward | dx | dW |\n| --- | --- | --- | --- |")
        for name, *operations in layers(model, batch):
            numbers = [speedup(operation, args.pairs) for operation in operations]
            print(f"| {name} | {' | '.join(f'{number:.2f}' for number in numbers)} |", flush=True)
    print(f"\n{ELEMENTS / 1e6:.0f} million elements\n\n| operation | |\n| --- | --- |")
    for name, operation in elementwise():
        print(f"| {name} | {speedup(operation, args.pairs):.2f} |", flush=True)
    others = share_of_others(clocks, read_clocks(), cores())
    if others > LIMIT:
        print(f"\nNOT VALID: other processes took {others:.0%} of the processor.")


if __name__ == "__main__":
    main()
