"""How long VGG16 could take on a GPU at best: an ESTIMATE from data sheets. Nothing is measured.

    python -m benchmarks.roofline               one photo of 224 × 224, then 32
    python -m benchmarks.roofline --batch 8

The roofline model (Williams, Waterman, Patterson, "Roofline: an insightful visual performance
model", 2009): a kernel takes at least its bytes / the memory's bandwidth, and at least its flops /
the peak rate; the larger of the two bounds it, and its flops per byte (arithmetic intensity) say
which it is. Every kernel is counted as reading and writing each of its arrays once, in float32: no
cache is taken to keep anything from one kernel to the next, and none to lose anything within one.
Launches cost nothing here, and no program reaches a peak; what a cache keeps can make it faster.
Instructions that are no flops cost nothing either: benchmarks.instructions counts them. By that
count an H100 can issue those of im2col and of Winograd's transforms in half to two thirds of the
time that memory takes here, so that memory bounds them, and not the instructions.

im2col runs three kernels a convolution: im2col (reads x, writes cols), matrix product (reads cols
and W, writes z), bias + ReLU (reads and writes z). Implicit GEMM never writes cols, but our kernel
reads x again for every 64 filters and W for every 64 pixels, 16 flop/B: its times hold only as far
as the caches serve that. Winograd's algorithm transforms tiles (reads x, writes V) and kernels
(reads W, writes U), multiplies (reads V and U, writes M) and transforms back (reads M, writes y, in
inference after the 2 × 2 pooling that may follow); its flops are those that it does, a quarter of
the definition's. "selected" is what ops/cuda/conv.py selects: Winograd's where it saves half of the
multiplications, else im2col.

Sources of the peaks:
    H100 SXM5: NVIDIA H100 Tensor Core GPU Architecture (2022) and data sheet: 3.35 TB/s (HBM3),
        66.9 TFLOP/s in FP32 without tensor cores, which CuPy leaves out for float32 (no TF32).
    RTX 4060 Laptop: NVIDIA, GeForce RTX 40 series laptops: 3,072 cores, boost clock 1.47 … 2.37 GHz
        for 35 … 115 W, 128-bit GDDR6 at 16 Gbit/s. Taken: 256 GB/s and the highest clock, 3,072 · 2
        · 2.37 GHz = 14.6 TFLOP/s; a 35 W laptop has 9.0.
    "H100, attained": 50.5 TFLOP/s, cuBLAS' float32 product of 8192 × 8192 on an H100 as measured by
        others (github.com/waynehacking8/blackwell-tensorcore-kernels, bench_sm90a.csv); for memory
        90 % of the peak are assumed, which copies commonly reach. Products of few channels reach
        less than large square ones, so this is still optimistic.
"""

import argparse
import itertools
from collections.abc import Iterable
from math import prod
from typing import NamedTuple

import minicnn as mc
from minicnn.ops.algorithms import input_gradient_window
from minicnn.ops.cuda.conv import select_algorithm
from minicnn.ops.winograd import can_pool

Shape = tuple[int, ...]


class Card(NamedTuple):
    """Peak bytes per second and floating-point operations per second, float32."""

    name: str
    bandwidth: float
    flops: float


CARDS = (Card("H100 SXM5", 3.35e12, 66.9e12),
         Card("RTX 4060 Laptop", 256e9, 3072 * 2 * 2.37e9))
ATTAINED = Card("H100, attained", 0.9 * 3.35e12, 50.5e12)


class Step(NamedTuple):
    """One kernel."""

    name: str
    bytes: int
    flops: int = 0

    def seconds(self, card: Card) -> float:
        """The least that the card needs."""
        return max(self.bytes / card.bandwidth, self.flops / card.flops)


def moved(*shapes: Shape, itemsize: int = 4) -> int:
    """Bytes of arrays of these shapes."""
    return itemsize * sum(map(prod, shapes))


def product(a: Shape, b: Shape, c: Shape, itemsize: int = 4) -> Step:
    """The matrix product a (M, K) @ b (K, F) -> c (M, F)."""
    return Step("matmul", moved(a, b, c, itemsize=itemsize), 2 * a[0] * a[1] * b[1])


def convolution(x: Shape, W: Shape, y: Shape, algorithm: str, itemsize: int = 4) -> list[Step]:
    """x (N, H, Wd, C), W (KH, KW, C, F) -> y (N, OH, OW, F), without bias."""
    M, D, F = prod(y[:3]), prod(W[:3]), W[3]
    if algorithm == "winograd":
        return winograd(x, W, y, y, itemsize)
    if algorithm == "implicit_gemm":
        return [Step("implicit_gemm", moved(x, W, y, itemsize=itemsize), 2 * M * D * F)]
    if algorithm == "direct":  # padding "same" and 3 × 3, or no padding: about as large as x
        return [Step("pad", moved(x, x, itemsize=itemsize)),
                Step("direct_convolution", moved(x, W, y, itemsize=itemsize), 2 * M * D * F)]
    return [Step("im2col", moved(x, (M, D), itemsize=itemsize)),
            product((M, D), (D, F), (M, F), itemsize)]


def winograd(x: Shape, W: Shape, z: Shape, y: Shape, itemsize: int = 4) -> list[Step]:
    """Winograd's convolution of 3 × 3 kernels, x -> z, of which y is written: z, or its maxima."""
    C, F = W[2:]
    T = z[0] * -(-z[1] // 4) * -(-z[2] // 4)  # tiles of 4 × 4 outputs
    V, U, M = (36, T, C), (36, C, F), (36, T, F)
    return [Step("winograd_kernels", moved(W, U, itemsize=itemsize), 2 * 126 * C * F),
            Step("winograd_tiles", moved(x, V, itemsize=itemsize), 2 * 264 * T * C),
            Step("matmul", moved(V, U, M, itemsize=itemsize), 2 * 36 * T * C * F),
            Step("winograd_outputs", moved(M, y, (F,), itemsize=itemsize), 2 * 180 * T * F)]


def winograd_weight_grad(x: Shape, W: Shape, dz: Shape, itemsize: int = 4) -> list[Step]:
    """dW by the adjoint of Winograd's convolution."""
    C, F = W[2:]
    T = dz[0] * -(-dz[1] // 4) * -(-dz[2] // 4)  # tiles of 4 × 4 outputs
    V, dU, dM = (36, T, C), (36, C, F), (36, T, F)
    return [Step("winograd_tiles", moved(x, V, itemsize=itemsize), 2 * 264 * T * C),
            Step("winograd_gradient_tiles", moved(dz, dM, itemsize=itemsize), 2 * 180 * T * F),
            Step("matmul", moved(V, dM, dU, itemsize=itemsize), 2 * 36 * T * C * F),
            Step("winograd_weight_grads", moved(dU, W, itemsize=itemsize), 2 * 126 * C * F)]


def selected(layer: mc.Conv2D, x: Shape) -> str:
    """The algorithm that a GPU computes this layer by."""
    return select_algorithm(x[0], *layer.params["W"].shape[2:], layer.window(x))


def activation(name: str | None, y: Shape, itemsize: int = 4) -> list[Step]:
    """Adding the bias, and the activation: ReLU in the same pass, others in one of their own."""
    once = Step("bias", moved(y, y, y[-1:], itemsize=itemsize), 2 * prod(y))
    return [once] if name in ("relu", None) else [
        once, Step(name, moved(y, y, itemsize=itemsize), 4 * prod(y))]


def forward_steps(layer: mc.Layer, x: Shape, y: Shape, algorithm: str) -> list[Step]:
    """The kernels of layer.forward for x (N, …) -> y (N, …)."""
    if isinstance(layer, mc.Conv2D):
        W = layer.params["W"].shape
        algorithm = selected(layer, x) if algorithm == "selected" else algorithm
        after = activation(layer.activation_name, y)
        if algorithm == "winograd":  # which adds the bias and takes the ReLU itself
            after = after[1:]
        return convolution(x, W, y, algorithm) + after
    if isinstance(layer, mc.Dense):
        return [product(x, layer.params["W"].shape, y), *activation(layer.activation_name, y)]
    if isinstance(layer, mc.MaxPool2D):  # a switch is one byte
        return [Step("max_pool", moved(x, y) + prod(y), prod(layer.pool_size) * prod(y))]
    return []  # Flatten moves nothing


def backward_steps(layer: mc.Layer, x: Shape, y: Shape, input_gradient: bool) -> list[Step]:
    """The kernels of layer.backward, from dy; convolutions have strides 1, so dx is one, too."""
    if isinstance(layer, mc.MaxPool2D):
        return [Step("unpool", moved(x, y) + prod(y), prod(y))]
    if not layer.params:
        return []
    W = layer.params["W"].shape
    M, D, F = prod(y[:-1]), prod(W[:-1]), W[-1]
    steps = [Step("activation", moved(y, y, y), prod(y))] if layer.activation_name else []
    steps += [Step("column_sums", moved(y), prod(y)), product((D, M), (M, F), (D, F))]  # db, dW
    image = isinstance(layer, mc.Conv2D)
    steps += [Step("im2col", moved(x, (M, D)))] if image else []
    if input_gradient and image:
        KH, KW, C, _ = W
        if gradient_window := input_gradient_window(layer.window(x)):
            algorithm = select_algorithm(x[0], F, C, gradient_window)
            steps += convolution(y, (KH, KW, F, C), x, algorithm)
        else:  # strides: dX_col = dZ @ W2dᵀ, and its windows are added up
            steps += [product((M, F), (F, D), (M, D)), Step("col2im", moved((M, D), x))]
    elif input_gradient:
        steps += [product((M, F), (F, D), (M, D))]
    return steps


def network_steps(model: mc.Sequential, batch: int, algorithm: str) -> dict[str, list[Step]]:
    """The kernels of model.predict for `batch` images, by the layer's name; no layer's list is
    empty but that of a pooling which the convolution before it does."""
    shapes = [(batch, *shape) for shape in model.shapes()]
    steps = {layer.name: forward_steps(layer, x, y, algorithm)
             for layer, x, y in zip(model.layers, shapes, shapes[1:], strict=False)}
    steps = {name: found for name, found in steps.items() if found}
    for k, (conv, pool) in enumerate(itertools.pairwise(model.layers)):
        if algorithm == "selected" and isinstance(pool, mc.MaxPool2D) and \
                isinstance(conv, mc.Conv2D) and selected(conv, shapes[k]) == "winograd" and \
                can_pool(pool.window(shapes[k + 1])):
            W = conv.params["W"].shape
            steps |= {conv.name: winograd(shapes[k], W, shapes[k + 1], shapes[k + 2]),
                      pool.name: []}
    return steps


def training_steps(model: mc.Sequential, batch: int) -> list[Step]:
    """The kernels of a step of SGD with momentum, all layers trainable, without the loss."""
    steps: list[Step] = []
    shapes = [(batch, *shape) for shape in model.shapes()]
    for i, (layer, x, y) in enumerate(zip(model.layers, shapes, shapes[1:], strict=False)):
        steps += forward_steps(layer, x, y, "selected")
        steps += backward_steps(layer, x, y, input_gradient=i > 0)
        steps += [Step("momentum", moved(*[p.shape] * 5), 4 * p.size)  # reads p g v, writes p v
                  for p in layer.params.values()]
    return steps


def estimate(steps: Iterable[Step], card: Card) -> tuple[float, str]:
    """(seconds, "memory" or "compute": which of the two bounds the greater part of them)."""
    seconds = {"memory": 0.0, "compute": 0.0}
    for step in steps:
        memory = step.bytes / card.bandwidth >= step.flops / card.flops
        seconds["memory" if memory else "compute"] += step.seconds(card)
    return sum(seconds.values()), max(seconds, key=seconds.get)


def line(name: str, ways: list[list[Step]]) -> str:
    """A layer's row: flops of the definition, then for each way bytes, intensity, times."""
    cells = [name, f"{sum(step.flops for step in ways[0]) / 1e9:.2f}"]
    for steps in ways:
        if not steps:  # a pooling that the convolution does
            cells += ["–"] * (2 + len(CARDS))
            continue
        size, flops = sum(step.bytes for step in steps), sum(step.flops for step in steps)
        cells += [f"{size / 1e6:.1f}", f"{flops / size:.1f}"]
        for card in CARDS:
            seconds, bound = estimate(steps, card)
            cells.append(f"{seconds * 1e3:.3g} {bound}")
    return f"| {' | '.join(cells)} |"


def table(model: mc.Sequential, batch: int) -> str:
    """Every layer of the model, and the sum, in Markdown."""
    ways = [network_steps(model, batch, way) for way in ("im2col", "implicit_gemm", "selected")]
    heads = ["layer", "GFLOP"]
    for way in ("im2col", "implicit GEMM", "selected"):
        heads += [f"{way}: MB", "flop/B", *(f"{card.name}, ms" for card in CARDS)]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    lines += [line(name, [steps[name] for steps in ways]) for name in ways[0]]
    lines.append(line("all", [[s for found in steps.values() for s in found] for steps in ways]))
    return "\n".join(lines)


def summary(model: mc.Sequential, batch: int) -> str:
    """The sums of inference and of a training step, in Markdown."""
    cards = (*CARDS, ATTAINED)
    lines = [f"| {model.name}, batch {batch} | {' | '.join(f'{c.name}, ms' for c in cards)} |",
             f"|{' --- |' * (1 + len(cards))}"]
    ways = {f"inference, {way}": [s for steps in network_steps(model, batch, way).values()
                                  for s in steps]
            for way in ("im2col", "implicit_gemm", "selected")}
    for name, steps in {**ways, "training step": training_steps(model, batch)}.items():
        lines.append(f"| {name} | " + " | ".join(
            f"{estimate(steps, card)[0] * 1e3:.3g}" for card in cards) + " |")
    return "\n".join(lines)


def main() -> None:
    """Prints a table for each batch size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 32],
                        help="photos at a time (default: 1 and 32)")
    batches = parser.parse_args().batch
    print("ESTIMATED from data sheets, forward pass, float32. Nothing has been measured.\n"
          "A time is a lower bound; beside it stands what bounds the greater part of it.")
    for card in CARDS:
        print(f"- {card.name}: {card.bandwidth / 1e9:,.0f} GB/s, {card.flops / 1e12:.1f} TFLOP/s: "
              f"memory bounds below {card.flops / card.bandwidth:.0f} flop/B")
    model = mc.VGG16(weights=None)
    for batch in batches:
        print(f"\nVGG16, batch {batch}, 224 × 224 pixels\n\n{table(model, batch)}")
    base = mc.VGG16(include_top=False, weights=None)
    for batch in batches:
        print(f"\nThe base without the top: the sums\n\n{summary(base, batch)}")


if __name__ == "__main__":
    main()
