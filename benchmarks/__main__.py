"""minicnn against PyTorch and Keras on this processor: time and memory, in one table.

    pip install -e ".[bench]"
    python -m benchmarks                        all rows: about an hour, most of it Keras'
    python -m benchmarks inference training     some rows
    python -m benchmarks --pairs 3 --json table.json

A ratio is minicnn / peer, smaller is better: the median over alternating pairs, ours and theirs in
turn in one process, or in the rows of whole processes one process after the other; of PyTorch's two
layouts the faster one counts. Peaks of memory are those of whole processes. Beside inference stands
the share of this machine's own peak, a product of 4096 × 4096 matrices in NumPy: of the arithmetic
that the definition asks for, and of what was really done. Linux only (it reads /proc).
"""

import argparse
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

import minicnn as mc
from minicnn.inference import MAX_ELEMENTS
from minicnn.ops.fast import threads
from minicnn.ops.fast.conv import select_algorithm
from minicnn.ops.fast.winograd import BLOCK_ELEMENTS, KERNEL_ELEMENTS

LAYOUTS = ("torch", "torch-channels-last")


def machine():
    """One line: processor, cores, versions."""
    text = Path("/proc/cpuinfo").read_text()
    name = next((line.split(":")[1].strip() for line in text.splitlines()
                 if line.startswith("model name")), platform.machine())
    versions = [f"{p} {importlib.metadata.version(p)}" for p in ("numpy", "torch", "keras")]
    return ", ".join([name, f"{len(os.sched_getaffinity(0))} cores, "
                      f"{threads.num_threads()} threads, load {os.getloadavg()[0]:.1f}",
                      f"Python {platform.python_version()}", *versions])


def seconds(function):
    """Of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def paired(ours, theirs, pairs):
    """(median ratio to the fastest of theirs, our median seconds, its median seconds)."""
    for function in (ours, *theirs):
        function()  # warm
    times = [[] for _ in range(1 + len(theirs))]
    for k in range(pairs):
        order = list(enumerate((ours, *theirs)))
        for i, function in order[::-1] if k % 2 else order:
            times[i].append(seconds(function))
    best = min(times[1:], key=median)
    ratio = median(a / b for a, b in zip(times[0], best, strict=True))
    return ratio, median(times[0]), median(best)


def process(*arguments):
    """(seconds, bytes of memory that it printed last) of `python -m benchmarks.jobs …`."""
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "benchmarks.jobs", *map(str, arguments)],
                             stdout=subprocess.PIPE, text=True)
    printed, _ = child.communicate()
    if child.returncode:
        sys.exit(f"benchmarks: the job {arguments} failed with status {child.returncode}.")
    return time.perf_counter() - start, int(printed.split()[-1])


def prepare(folder):
    """1,600 photos of 128 × 128 in two classes, and the base's weights for Keras."""
    from PIL import Image

    parts = mc.data.sample("fashion", "train"), mc.data.sample("fashion", "test")  # 1,000 each
    for i in range(1600):
        path = folder / "photos" / ("odd" if i // 2 % 2 else "even") / f"{i:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(parts[i % 2].read(i // 2)).resize((128, 128)).save(path)
    mc.VGG16(include_top=False, input_shape=(96, 96, 3)).save(folder / "base.weights.h5")


def sgemm_peak():
    """GFLOP/s of a large product."""
    a = np.random.default_rng(0).normal(size=(4096, 4096)).astype(np.float32)
    a @ a
    return 2 * 4096**3 / median(seconds(lambda: a @ a) for _ in range(5)) / 1e9


def arithmetic(model, N):
    """(flops by the definition, flops done) of a forward pass of N photos, convolutions only."""
    most = max(1, MAX_ELEMENTS["cpu"] // max(map(math.prod, model.shapes())))
    if most < N:  # it goes part by part, and each part chooses its algorithms
        parts = [arithmetic(model, min(most, N - k)) for k in range(0, N, most)]
        return tuple(map(sum, zip(*parts, strict=True)))
    direct = done = 0
    for layer, shape in zip(model.layers, model.shapes(), strict=False):
        if not isinstance(layer, mc.Conv2D):
            continue
        W = layer.params["W"]
        (OH, OW, F), C = layer.output_shape(shape), shape[2]
        flops = 2 * N * OH * OW * W[..., 0].size * F
        direct += flops
        if select_algorithm(N, C, F, layer.window(shape)) == "winograd":
            th, tw, tiles, kernels = -(-OH // 4), -(-OW // 4), 1, 1
            if 36 * C * F > KERNEL_ELEMENTS:  # then each thread transforms all tiles, and
                tiles = threads.num_threads()  # the kernels are transformed for each block of tiles
                kernels = len(threads.row_blocks(N, th, tw * C, 2 * BLOCK_ELEMENTS))
            T = N * th * tw
            flops = 2 * (36 * T * C * F + tiles * 36 * 36 * T * C + 16 * 36 * T * F
                         + kernels * 36 * 9 * C * F)
        done += flops
    return direct, done


# The rows


def inference(args, folder):
    """The base at 224 pixels: time, share of the peak, memory above the weights."""
    import torch

    from benchmarks.peers import torch_network

    model, best_rate = mc.VGG16(include_top=False, input_shape=(224, 224, 3)), sgemm_peak()
    for N in (1, 8):
        x = np.random.default_rng(0).normal(size=(N, 224, 224, 3)).astype(np.float32)

        def theirs(channels_last, x=x):
            network, images = torch_network(model, x, channels_last)

            def run():
                with torch.inference_mode():
                    network(images)
            return run

        ratio, ours, best = paired(lambda x=x: model.forward(x, keep=False),
                                   [theirs(False), theirs(True)], args.pairs)
        direct, done = (flops / ours / 1e9 / best_rate for flops in arithmetic(model, N))
        yield (f"VGG16 base, inference, 224 px, batch {N}", "PyTorch", ratio,
               f"{ours:.3g} s against {best:.3g} s; {direct:.0%} of the sgemm peak "
               f"({best_rate:.0f} GFLOP/s) by the definition, {done:.0%} done")
        engines = ("minicnn", *LAYOUTS)
        runs = [[process("inference", engine, folder, N)[1] for engine in engines]
                for _ in range(args.pairs)]
        above = {engine: median(peaks) / 1e6
                 for engine, peaks in zip(engines, zip(*runs, strict=True), strict=True)}
        best = min(above[layout] for layout in LAYOUTS)
        yield (f"the same, batch {N}: peak memory above the weights", "PyTorch",
               above["minicnn"] / best, f"{above['minicnn']:.0f} MB against {best:.0f} MB")


def steps_of(model, x, t, optimizer, torch_optimizer):
    """A training step of ours, and PyTorch's in both layouts."""
    import torch

    from benchmarks.peers import torch_network

    loss = mc.losses.CategoricalCrossEntropy(from_logits=True)
    model.shared = True  # as fit has it

    def ours():
        loss.forward(model.forward(x, training=True), t)
        model.backward(loss.backward(), input_gradient=False)
        optimizer.step(model)

    def theirs(channels_last):
        network, images = torch_network(model, x, channels_last)
        labels, steps = torch.tensor(t), torch_optimizer(network.parameters())

        def step():
            steps.zero_grad()
            torch.nn.functional.cross_entropy(network(images), labels).backward()
            steps.step()
        return step
    return ours, [theirs(False), theirs(True)]


def training(args, folder):
    """All layers of the base learn; the small network learns from 6,000 photos."""
    import torch

    rng = np.random.default_rng(0)
    model = mc.VGG16(include_top=False, input_shape=(64, 64, 3))
    model.replace_head([mc.Dense(10)])
    x, t = rng.normal(size=(16, 64, 64, 3)).astype(np.float32), np.arange(16) % 10
    ratio, ours, best = paired(*steps_of(model, x, t, mc.optimizers.SGD(1e-7),
                                         lambda p: torch.optim.SGD(p, 1e-7)), args.pairs)
    yield ("VGG16 base, a training step, all layers, 64 px, batch 16", "PyTorch", ratio,
           f"{ours:.3g} s against {best:.3g} s")
    model = mc.SmallCNN(10)
    model = model.view(model.layers[:-1], model.input_shape)  # to the logits
    x, t = rng.normal(size=(64, 28, 28, 3)).astype(np.float32), np.arange(64) % 10
    step, theirs = steps_of(model, x, t, mc.optimizers.Adam(1e-5),
                            lambda p: torch.optim.Adam(p, 1e-5))

    def epoch(step):
        def run():
            for _ in range(94):  # 6,000 photos
                step()
        return run
    ratio, ours, best = paired(epoch(step), [epoch(one) for one in theirs], args.pairs)
    yield ("small course network, an epoch of 6,000 photos 28 × 28, batch 64", "PyTorch", ratio,
           f"{ours:.3g} s against {best:.3g} s")


def jobs(name, job, n, peers):
    """A row of whole processes for each peer."""
    def rows(args, folder):
        for engine, title in peers:
            pairs = [(process(job, "minicnn", folder, n), process(job, engine, folder, n))
                     for _ in range(args.pairs)]
            ours, theirs = (median(run[0] for run in side) for side in zip(*pairs, strict=True))
            memory = [median(run[1] for run in side) / 1e6 for side in zip(*pairs, strict=True)]
            yield (name, title, median(a[0] / b[0] for a, b in pairs),
                   f"{ours:.3g} s and {memory[0]:.0f} MB against {theirs:.3g} s and "
                   f"{memory[1]:.0f} MB")
    return rows


def decoding(args, folder):
    """Features of large photos from files, which threads decode ahead, and from memory."""
    from PIL import Image

    from minicnn.training import features

    shots = [mc.data.read_image(path) for path in mc.data.photos().values()]
    for i in range(128):
        path = folder / "large" / ("odd" if i % 2 else "even") / f"{i:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(shots[i // 2 % len(shots)]).resize((1024, 768)).save(path)
    data = mc.data.ImageFolder(folder / "large")
    model, pixels = mc.VGG16(include_top=False, input_shape=(96, 96, 3)), []

    def decode():
        pixels[:] = [p for p, *_ in mc.data.batches(data, range(len(data)), 32, (96, 96))]

    decode()
    arrays = np.concatenate(pixels), data.labels
    ratio, ours, best = paired(lambda: features(model, data), [lambda: features(model, arrays)],
                               args.pairs)
    alone = median(seconds(decode) for _ in range(args.pairs))
    yield ("features of 128 photos of 1024 × 768 from JPEG files, 96 px", "the same from memory",
           ratio, f"{ours:.3g} s against {best:.3g} s, where decoding alone takes {alone:.3g} s")


def growth(args, folder):
    """From 100 to 1,600 photos."""
    pairs = [(process("growth", "minicnn", folder, 1600), process("growth", "minicnn", folder, 100))
             for _ in range(args.pairs)]
    times, peaks = (median(many[k] / few[k] for many, few in pairs) for k in (0, 1))
    yield ("100 → 1,600 photos, whole transfer job at 64 px: time", "itself", times, "")
    yield ("the same: peak memory", "itself", peaks, "")


ROWS = {
    "inference": inference, "training": training,
    "transfer": jobs("whole transfer job: 400 photos, 96 px, frozen base, 20 epochs", "transfer",
                     400, [("keras", "Keras, stock script"),
                           ("keras-features", "Keras, features by hand")]),
    "block5": jobs("the same, block 5 learns too, 10 epochs", "block5", 400,
                   [("keras", "Keras, stock script")]),
    "cold": jobs("cold start to the first prediction with the base", "cold", 1,
                 [("keras", "Keras")]),
    "decoding": decoding, "growth": growth,
}


def main():
    """Prints the table, a row when it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], help="default: all")
    parser.add_argument("--pairs", type=int, default=7, help="measurements of each (default: 7)")
    parser.add_argument("--json", type=Path, help="write the table to this file, too")
    args = parser.parse_args()
    found = {"machine": machine(), "pairs": args.pairs, "rows": []}
    print(f"{found['machine']}\n\n| case | peer | ratio | |\n| --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        for name in args.rows or ROWS:
            for case, peer, ratio, note in ROWS[name](args, Path(folder)):
                print(f"| {case} | {peer} | {ratio:.2f} | {note} |", flush=True)
                found["rows"].append({"case": case, "peer": peer, "ratio": ratio, "note": note})
    if args.json:
        args.json.write_text(json.dumps(found, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
