"""What a rank computes in a training step, measured on this machine: benchmarks.scaling's input."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

import minicnn as mc
from benchmarks.scaling_model import Block, Compute, Line
from minicnn.training.thread_parallel import ThreadParallel

ROUNDS = 3   # of measurements; the least counts: the first one warms up, other programs disturb
HEAD_CUT = "block4_pool"  # what minicnn train puts its head on


def vgg16_base(size: int) -> mc.Sequential:
    """VGG16's base with a head for two classes on block5_pool, all of it trainable; its output are
    logits. The weights are drawn: times do not depend on them."""
    model = mc.VGG16(include_top=False, weights=None, input_shape=(size, size, 3))
    return model.replace_head([mc.Dense(1)])


def head_only(size: int) -> mc.Sequential:
    """The head alone, on features of the frozen base: what minicnn train trains."""
    base = mc.VGG16(include_top=False, weights=None, cut=HEAD_CUT, input_shape=(size, size, 3))
    return mc.Sequential([mc.Flatten(), mc.Dense(1)], base.shapes()[-1])


def small_cnn(size: int) -> mc.Sequential:
    """minicnn's small network on photos of 28 × 28, to the logits of two classes."""
    model = mc.SmallCNN(2)
    return model.view(model.layers[:-1], model.input_shape)


# Name: (network for a size, photos of the two measurements).
CASES: dict[str, tuple[Callable[[int], mc.Sequential], tuple[int, int]]] = {
    "VGG16 base": (vgg16_base, (1, 4)),
    "head only": (head_only, (16, 256)),
    "SmallCNN": (small_cnn, (16, 256)),
}


def step_times(model: mc.Sequential, photos: int) -> np.ndarray:
    """Seconds of forward, backward and the optimizer's step for random photos: the least of ROUNDS.
    """
    x = np.random.default_rng(0).normal(size=(photos, *model.input_shape)).astype(np.float32)
    t = np.arange(photos) % 2
    loss, optimizer = mc.losses.BinaryCrossEntropy(from_logits=True), mc.optimizers.Adam(1e-6)
    network, times = ThreadParallel(model), []  # as fit has it: the threads share the photos
    for _ in range(ROUNDS):
        start = time.perf_counter()
        loss.forward(network.forward(x, training=True), t)
        after_forward = time.perf_counter()
        network.backward(loss.backward(), input_gradient=False)
        after_backward = time.perf_counter()
        optimizer.step(network)
        times.append(np.diff([start, after_forward, after_backward, time.perf_counter()]))
    return np.min(times, axis=0)


def gradient_blocks(model: mc.Sequential, photos: int) -> tuple[Block, ...]:
    """The gradients of each layer and its share of the time of backward, the last layer first;
    what layers without parameters take is the next one's. Layer by layer, ROUNDS times."""
    x = np.random.default_rng(0).normal(size=(photos, *model.input_shape)).astype(np.float32)
    rounds = []
    for _ in range(ROUNDS):
        dy, times = np.ones_like(model.forward(x, training=True)), []
        for layer in reversed(model.layers):
            layer.needs_dx = layer is not model.layers[0]
            start = time.perf_counter()
            dy = layer.backward(dy)
            times.append(time.perf_counter() - start)
            layer.needs_dx = True
        rounds.append(times)
    seconds, blocks, waiting = np.min(rounds, axis=0), [], 0.0
    for layer, took in zip(reversed(model.layers), seconds, strict=True):
        waiting += took
        if layer.params:
            size = sum(p.nbytes for p in layer.params.values())
            blocks.append(Block(size, float(waiting / seconds.sum())))
            waiting = 0.0
    return tuple(blocks)


def measure(name: str, size: int) -> Compute:
    """The Compute of a case; photos of VGG16 have size × size pixels."""
    build, (few, many) = CASES[name]
    model = build(size)
    small, large = step_times(model, few), step_times(model, many)
    forward, backward = (Line.through(few, float(small[k]), many, float(large[k])) for k in (0, 1))
    return Compute(forward, backward, float(large[2]), gradient_blocks(model, many))


def feature_seconds(size: int, photos: int = 4) -> float:
    """Seconds per photo of the frozen base below the head."""
    base = mc.VGG16(include_top=False, weights=None, cut=HEAD_CUT, input_shape=(size, size, 3))
    x, times = np.zeros((photos, size, size, 3), np.float32), []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        base.forward(x, keep=False)
        times.append(time.perf_counter() - start)
    return min(times) / photos


def save(file: Path, measured: dict) -> None:
    """Writes what main() measures: texts and numbers, and under "cases" {name: Compute}."""
    cases = {name: asdict(compute) for name, compute in measured["cases"].items()}
    file.write_text(json.dumps({**measured, "cases": cases}, indent=1, ensure_ascii=False),
                    "utf-8")


def read(file: Path) -> dict:
    """What save() has written, which may also be written by hand. Raises OSError, ValueError,
    KeyError or TypeError if it is something else."""
    given = json.loads(file.read_text("utf-8"))
    cases = {name: Compute(Line(**case["forward"]), Line(**case["backward"]), case["update"],
                           tuple(Block(**block) for block in case["blocks"]))
             for name, case in given["cases"].items()}
    return {"machine": dict(given["machine"]), "size": given["size"], "adding": given["adding"],
            "features": given["features"], "others": given["others"], "cases": cases}


def adding_seconds(size: int = 1 << 24) -> float:
    """γ: seconds per byte of adding float32 that have arrived, larger than a cache."""
    a, b, times = np.ones(size // 4, np.float32), np.ones(size // 4, np.float32), []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        np.add(a, b, out=a)
        times.append(time.perf_counter() - start)
    return min(times) / size
