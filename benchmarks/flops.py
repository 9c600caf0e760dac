"""How many floating-point operations a forward pass takes: by the definition, and those that
minicnn's algorithms really do.

Counted are the convolutions of a network: their products of matrices, (M, K)·(K, N) as 2·M·K·N
operations, and Winograd's transforms. Copies, biases, ReLU and pooling are not counted, though they
take time.

minicnn's algorithms on a processor, by the backend fast (ops/fast/):

    im2col      as many as by the definition: X_col (N·OH·OW, KH·KW·C) · W2d (KH·KW·C, F)
    winograd    of T tiles of 4×4 outputs (ops/winograd.py), all four of them dense products:
        way in      Bᵀ⊗Bᵀ (36, 36) · tiles (36, T·C)
        kernels     G⊗G (36, 9) · W (9, C·F)
        products    V (36, T, C) · U (36, C, F)
        way out     Aᵀ⊗Aᵀ (16, 36) · M (36, T·F)

If U does not fit in the memory that is set aside for it, each thread computes some of the filters:
then each transforms all tiles itself, and U once more for each block of tiles.

The backend native (ops/native/) transforms as kernels/winograd.cu says, all tiles and kernels once:
264 multiply-adds for each tile and channel, 126 for each kernel, 180 for each tile and filter. Its
direct convolution multiplies as often as the definition, but for pixels that it computes twice at
the end of a row. tests/test_benchmarks_flops.py watches the products and compares: whoever changes
an algorithm sees it there.
"""

from dataclasses import dataclass

import numpy as np

import minicnn as mc
from minicnn.inference.fused_conv import FusedConv, fuse
from minicnn.inference.groups import MAX_ELEMENTS, elements_per_image, first_that_fits
from minicnn.ops.fast import threads
from minicnn.ops.fast.conv import select_algorithm
from minicnn.ops.fast.winograd import BLOCK_ELEMENTS, KERNEL_ELEMENTS
from minicnn.ops.native.winograd import pays_off
from minicnn.ops.winograd import A_T, B_T, G
from minicnn.summary import backend_name


@dataclass(frozen=True)
class Flops:
    """Operations. definition: what the formula of the convolution asks for; products: those of the
    algorithm over channels; transforms: those on the way there and back."""

    definition: int = 0
    products: int = 0
    transforms: int = 0

    @property
    def done(self):
        """All that the algorithm multiplies and adds."""
        return self.products + self.transforms

    def __add__(self, other):
        return Flops(self.definition + other.definition, self.products + other.products,
                     self.transforms + other.transforms)


def product(M, K, N):
    """(M, K)·(K, N): K multiplications and K additions for each of M·N numbers."""
    return 2 * M * K * N


def on_both_sides(matrix):
    """Multiply-adds of matrix · d · matrixᵀ, matrix (M, K), as kernels/winograd.h computes it,
    without those with a zero."""
    M, K = matrix.shape
    return np.count_nonzero(matrix) * (K + M)


def convolution(N, shape, layer, workers, backend=None):
    """The Flops of a Conv2D for N photos (N, *shape) on so many threads, by the backend that
    computes unless another one is named."""
    KH, KW, C, F = layer.params["W"].shape
    OH, OW, _ = layer.output_shape(shape)
    definition = product(N * OH * OW, KH * KW * C, F)
    native, window = (backend or backend_name()) == "native", layer.window(shape)
    if not (pays_off(C, F, window) if native
            else select_algorithm(N, C, F, window) == "winograd"):
        return Flops(definition, definition)
    tile_rows, tile_columns = -(-OH // 4), -(-OW // 4)
    T = N * tile_rows * tile_columns
    if native:
        transforms = 2 * (on_both_sides(B_T) * T * C + on_both_sides(G) * C * F
                          + on_both_sides(A_T) * T * F)
        return Flops(definition, 36 * product(T, C, F), transforms)
    times_tiles = times_kernels = 1  # how often each is transformed
    if 36 * C * F > KERNEL_ELEMENTS:
        times_tiles = min(workers, F)
        times_kernels = len(threads.row_blocks(N, tile_rows, tile_columns * C, 2 * BLOCK_ELEMENTS))
    return Flops(definition, 36 * product(T, C, F),
                 times_tiles * product(36, 36, T * C) + times_kernels * product(36, 9, C * F)
                 + product(16, 36, T * F))


def forward(model, N, workers=None):
    """The Flops of inference of N photos: of the network's convolutions, on num_threads() threads
    unless told otherwise. Inference computes the first layers group by group
    (inference/groups.py), and each group chooses its algorithms. What bands of a large photo
    compute twice, rows and Winograd's kernels, is not counted."""
    workers, shapes = workers or threads.num_threads(), iter(model.shapes())
    layers = fuse(model.layers)
    total = Flops()
    groups = groups_of_layers(elements_per_image(layers, model.shapes()), N)
    for layer, sizes in zip(layers, groups, strict=True):
        for single in layer.layers if isinstance(layer, FusedConv) else [layer]:
            shape = next(shapes)
            if isinstance(single, mc.Conv2D):
                for size in sizes:
                    total += convolution(size, shape, single, workers)
    return total


def groups_of_layers(elements, N):
    """For each layer the numbers of photos that groups.infer_in_groups gives it, N in all."""
    first = first_that_fits(elements, N, MAX_ELEMENTS["cpu"])
    halves = [groups_of_layers(elements[:first], n) for n in (-(-N // 2), N // 2) if first > 0]
    return [sum(sizes, []) for sizes in zip(*halves, strict=True)] + [[N]] * (len(elements) - first)
