"""Every kernel, launched by the functions of minicnn.ops.cuda, against formulas in float64 that
know nothing of it: in the simulator, or where DEVICE says.

    python tests/kernels/checks.py [--kernels FOLDER] [NAME …]     all kernels, or those named

Without pytest, so that a sanitizer or a mutant is run by it too. CHECKS[name](dtype, rng, large):
large False: many small shapes; True: few shapes that are larger than the grid, so that threads and
blocks take several elements and rows, and windows of more places than a byte counts.
"""

import argparse
import contextlib
import math
import sys
from pathlib import Path
from unittest import mock

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
import reference  # noqa: E402

from minicnn.ops import Window, cuda, to_cpu, to_device  # noqa: E402
from minicnn.ops.cuda import (  # noqa: E402
    conv,
    direct,
    elementwise,
    im2col_blocks,
    launch,
    simulator,
    winograd,
)

DEVICE = "cuda-sim"  # or "cuda"
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}  # of the largest number expected
OPS = [module for name, module in sorted(sys.modules.items())
       if name.startswith("minicnn.ops.cuda.") and module is not launch
       and getattr(module, "launch", 0) is launch.launch]


# Comparing, launching, drawing


def agree(actual, expected):
    """The same shape, NaN and ±∞ at the same places, all else within the tolerance."""
    actual, expected = to_cpu(actual), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    error = np.abs(actual[finite] - expected[finite])
    bound = TOLERANCE[actual.dtype.name] * np.abs(expected[finite]).max(initial=0)
    assert (error <= bound).all(), f"off by {error.max()}, allowed {bound}"


def there(x):
    return to_device(x, DEVICE)


@contextlib.contextmanager
def grid_of(large):
    """With `large` a launch has at most 2×3 blocks, whatever the launcher asks for: threads have to
    come round again. (A tile of implicit_gemm has its block, a part of column_sums its block row.)
    """
    def small(kernel, grid, *values, **options):
        most = {"implicit_gemm": grid, "column_sums": (1, grid[1], 1),
                "column_covariance": (1, grid[1], 1)}.get(kernel, (2, 3, 1))
        launch.launch(kernel, tuple(map(min, grid, most)), *values, **options)
    with contextlib.ExitStack() as patches:
        for module in OPS if large else ():
            patches.enter_context(mock.patch.object(module, "launch", small))
        yield


def normal(dtype, rng, *shape):
    return rng.normal(size=shape).astype(dtype)


def sizes(large):
    return (3001,) if large else (1, 5, 255, 256, 257)


def windows(rng, large, pooling=False):
    """Shapes of x and windows over it: rectangular, off the middle, apart, overlapping, over one
    pixel, and (but for pooling) wholly in the padding."""
    if large:
        # rows of over 512 elements; windows of 256 places, a byte; of 272, an int
        yield (2, 3, 140, 8), Window((2, 3), (1, 2), ((1, 0), (0, 2)), (3, 140))
        yield (1, 18, 19, 2), Window((16, 16), (2, 3), ((5, 3), (2, 7)), (18, 19))
        yield (1, 20, 21, 2), Window((17, 16), (3, 2), ((3, 6), (7, 1)), (20, 21))
        return
    yield (1, 1, 1, 1), Window((1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))
    yield (2, 5, 7, 3), Window((3, 2), (2, 3), ((1, 2), (0, 1)), (5, 7))
    yield (1, 8, 9, 1), Window((2, 3), (3, 4), ((0, 1), (2, 0)), (8, 9))
    yield (3, 4, 3, 2), Window((4, 3), (1, 1), ((3, 1), (1, 2)), (4, 3))
    yield (2, 6, 5, 2), Window((2, 2), (2, 2), ((0, 0), (0, 0)), (6, 5))
    if not pooling:
        yield (2, 3, 4, 2), Window((2, 2), (1, 3), ((3, 2), (4, 5)), (3, 4))
    for _ in range(4):
        kernel, strides = rng.integers(1, 5, 2), rng.integers(1, 4, 2)
        pads = rng.integers(0, kernel[:, None] if pooling else 4, (2, 2))
        H, Wd = np.maximum(kernel - pads.sum(1), 1) + rng.integers(0, 5, 2)
        yield ((int(rng.integers(1, 4)), int(H), int(Wd), int(rng.integers(1, 4))),
               Window(*(tuple(map(int, v)) for v in (kernel, strides)),
                      tuple(tuple(map(int, v)) for v in pads), (int(H), int(Wd))))


def about_two(large):
    """Windows of 2 × 2 two pixels apart, which max_pool.cu has code of its own for, and those that
    differ from them by one number."""
    if not large:
        for k in range(4):
            for number in 1, 3:
                numbers = [2] * k + [number] + [2] * (3 - k)
                yield (1, 7, 6, 2), Window((*numbers[:2],), (*numbers[2:],), ((0, 0), (0, 0)),
                                           (7, 6))
        yield (1, 7, 5, 2), Window((2, 2), (2, 2), ((0, 1), (1, 0)), (7, 5))


def output(shape, window, *last):
    """The shape (N, OH, OW, …) of what the windows give."""
    return (*reference.output_shape(shape, *window[:3])[:3], *last)


def covered(n, i, j, shape, window):
    """The places (k, (n, h, w)) of a window that are pixels, in the order k = p·KW + q."""
    for k, (p, q) in enumerate(np.ndindex(window.kernel)):
        h, w = reference.seen(i, j, p, q, *window[1:3])
        if 0 <= h < shape[1] and 0 <= w < shape[2]:
            yield k, (n, h, w)


# Windows


def im2col(x, window, first, count):
    """The columns of these output rows, (count, OW, KH, KW, C)."""
    shape = count, window.output_size[1], *window.kernel, x.shape[3]
    out = there(np.zeros(math.prod(shape), x.dtype))
    return im2col_blocks.im2col_block(there(x), window, first, count, out).reshape(shape)


def check_im2col(dtype, rng, large):
    longer = (1, 3, 4, 35), Window((2, 2), (1, 1), ((0, 1), (1, 0)), (3, 4))  # than two warps
    for shape, window in [*windows(rng, large), longer]:
        x = normal(dtype, rng, *shape)
        expected = reference.im2col(x, *window[:3])
        rows = expected.reshape(-1, *expected.shape[2:])
        start = int(rng.integers(0, len(rows)))
        stop = int(rng.integers(start, len(rows))) + 1
        agree(im2col(x, window, 0, len(rows)), rows)
        agree(im2col(x, window, start, stop - start), rows[start:stop])


def check_col2im(dtype, rng, large):
    for shape, window in windows(rng, large):
        N, OH, OW = output(shape, window)
        cols = normal(dtype, rng, N * OH, OW, *window.kernel, shape[3])
        dx = normal(dtype, rng, *shape)
        expected = dx.astype(float)
        for n, i, j in np.ndindex(N, OH, OW):
            for k, pixel in covered(n, i, j, shape, window):
                expected[pixel] += cols[n * OH + i, j][divmod(k, window.kernel[1])]
        got = there(dx)
        im2col_blocks.col2im_block(there(cols), got, window, 0, N * OH)
        agree(got, expected)
        cut, got = int(rng.integers(0, N * OH + 1)), there(dx)
        for rows in slice(0, cut), slice(cut, N * OH):  # in two chunks, wherever they meet
            if rows.start < rows.stop:
                im2col_blocks.col2im_block(there(cols[rows]), got, window, rows.start,
                                  rows.stop - rows.start)
        agree(got, expected)


def pictures(dtype, rng, shape):
    """x with all numbers different, with ties, NaN and −∞, with nothing but −∞, and growing."""
    yield normal(dtype, rng, *shape)
    x = rng.integers(-1, 2, shape).astype(dtype)
    x[rng.random(shape) < 0.1] = np.nan
    x[rng.random(shape) < 0.2] = -np.inf
    yield x
    yield np.full(shape, -np.inf, dtype)
    yield np.arange(math.prod(shape), dtype=dtype).reshape(shape)  # the last place of a window wins


def check_max_pool(dtype, rng, large):
    for shape, window in [*windows(rng, large), *about_two(large)]:
        for x in pictures(dtype, rng, shape):
            y, switches = np.empty((2, *output(shape, window, shape[3])))
            for n, i, j, c in np.ndindex(y.shape):
                seen = {k: x[pixel][c] for k, pixel in covered(n, i, j, shape, window)}
                nan = min((k for k, value in seen.items() if value != value), default=math.inf)
                before = {k: value for k, value in seen.items() if k < nan and value > -math.inf}
                switches[n, i, j, c] = max(before, key=before.get, default=0)  # the first of equals
                y[n, i, j, c] = math.nan if nan < math.inf else max(before.values(),
                                                                    default=-math.inf)
            got, places = cuda.max_pool2d(there(x), window)
            agree(got, y)
            assert places.dtype == (np.uint8 if math.prod(window.kernel) <= 256 else np.int32)
            np.testing.assert_array_equal(to_cpu(places), switches)


def check_unpool(dtype, rng, large):
    for shape, window in [*windows(rng, large), *about_two(large)]:
        y = normal(dtype, rng, *output(shape, window, shape[3]))
        places = math.prod(window.kernel)
        switches = rng.integers(0, places, y.shape).astype(np.uint8 if places <= 256 else np.int32)
        agree(cuda.max_unpool2d(there(y), there(switches), shape, window),
              reference.unpool(y, switches, shape, *window[:3]))


def check_average_pool(dtype, rng, large):
    for shape, window in windows(rng, large, pooling=True):
        x = normal(dtype, rng, *shape)
        y = np.empty(output(shape, window, shape[3]))
        for place in np.ndindex(y.shape[:3]):
            seen = [x[pixel].astype(float) for _, pixel in covered(*place, shape, window)]
            y[place] = sum(seen) / len(seen)
        agree(cuda.average_pool2d(there(x), window), y)


def check_average_pool_backward(dtype, rng, large):
    for shape, window in windows(rng, large, pooling=True):
        dy = normal(dtype, rng, *output(shape, window, shape[3]))
        dx = np.zeros(shape)
        for place in np.ndindex(dy.shape[:3]):
            pixels = [pixel for _, pixel in covered(*place, shape, window)]
            for pixel in pixels:
                dx[pixel] += dy[place].astype(float) / len(pixels)
        agree(cuda.average_pool2d_grad(there(dy), shape, window), dx)


def check_implicit_gemm(dtype, rng, large):
    cases = [(*case, int(rng.integers(1, 6))) for case in windows(rng, large)]
    if large:  # several tiles each way: the last ones half empty, all full
        cases = [((2, 7, 11, 19), Window((2, 3), (1, 1), ((1, 0), (2, 1)), (7, 11)), 67),
                 ((2, 8, 8, 3), Window((1, 1), (1, 1), ((0, 0), (0, 0)), (8, 8)), 128)]
    for shape, window, F in cases:
        x, W = normal(dtype, rng, *shape), normal(dtype, rng, *window.kernel, shape[3], F)
        expected = np.tensordot(reference.im2col(x, *window[:3]), W.astype(float), 3)
        b = normal(dtype, rng, F)
        agree(conv.conv2d_implicit_gemm(there(x), there(W), there(b), window), expected + b)


def direct_cases(rng, large):
    """(shape of x, window, F); `large` rows of over 512 numbers, in x and y. Runs that are divided
    by 12, 9, 3 and by none of them."""
    for shape, window in windows(rng, large):
        yield shape, window, int(rng.integers(1, 6))
    if large:
        yield (3, 4, 300, 3), Window((2, 3), (1, 2), ((1, 0), (1, 2)), (4, 300)), 40
    else:
        for C, KW, SW in (3, 3, 1), (4, 3, 2), (1, 3, 1), (6, 2, 1), (11, 1, 1):
            yield (2, 14, 17, C), Window((11, KW), (2, SW), ((1, 0), (1, 1)), (14, 17)), 3


def check_pad(dtype, rng, large):
    for shape, window in windows(rng, large):
        x = normal(dtype, rng, *shape)
        agree(direct.padded_images(there(x), window), np.pad(x, ((0, 0), *window.pads, (0, 0))))


def check_direct_convolution(dtype, rng, large):
    for shape, window, F in direct_cases(rng, large):
        x, b = normal(dtype, rng, *shape), normal(dtype, rng, F)
        W = normal(dtype, rng, *window.kernel, shape[3], F)
        z = np.tensordot(reference.im2col(x, *window[:3]), W.astype(float), 3) + b
        agree(direct.conv2d_direct(there(x), there(W), there(b), window), z)
        agree(direct.conv2d_direct(there(x), there(W), there(b), window, relu=True),
              np.maximum(z, 0))
        agree(direct.conv2d_direct(there(x), there(W), None, window), z - b)
        first = int(rng.integers(0, z.shape[0] * z.shape[1]))
        y = there(np.full(z.shape, 7, dtype))  # the rows before `first` are left alone
        padded = there(np.pad(x, ((0, 0), *window.pads, (0, 0))))
        rows = z.shape[0] * z.shape[1] - first
        direct.launch("direct_convolution", launch.by_rows(rows, -(-z.shape[2] // 7) * F), padded,
                      there(W), there(b), y, first, rows, *padded.shape[1:], *z.shape[1:],
                      *window.kernel, *window.strides, 0)
        expected = z.reshape(-1, *z.shape[2:])
        expected[:first] = 7
        agree(to_cpu(y).reshape(expected.shape), expected)


def check_direct_weight_grads(dtype, rng, large):
    for shape, window, F in direct_cases(rng, large):
        x, dz = normal(dtype, rng, *shape), normal(dtype, rng, *output(shape, window, F))
        cols = reference.im2col(x, *window[:3])
        expected = np.einsum("nijpqc,nijf->npqcf", cols, dz.astype(float))
        agree(direct.weight_grad_direct(there(x), there(dz), window), expected.sum(axis=0))
        # Two parts of the batch and of their images, added to what is there.
        padded = there(np.pad(x, ((0, 0), *window.pads, (0, 0))))
        half, OH = shape[0] // 2, dz.shape[1]
        sums = np.stack([expected[:half].sum(axis=0), expected[half:].sum(axis=0)])
        dW = there(np.ones(sums.shape, dtype))
        direct.launch("direct_weight_grads", launch.by_rows(2, sums[0].size), padded, there(dz), dW,
                      shape[0], 2, max(1, OH // 2), *padded.shape[1:], *dz.shape[1:],
                      *window.kernel, *window.strides)
        agree(dW, sums + 1)


def check_winograd_tiles(dtype, rng, large):
    """V = Bᵀ d B of every tile d, by the polynomials that the matrices come from."""
    for shape, pads in winograd_images(rng, large):
        (N, H, Wd, C), ((top, bottom), (left, right)) = shape, pads
        x = normal(dtype, rng, *shape)
        TH, TW = -(-(H + top + bottom - 2) // 4), -(-(Wd + left + right - 2) // 4)
        padded = np.zeros((N, 4 * TH + 2, 4 * TW + 2, C))
        inside = padded[:, top:top + H, left:left + Wd]  # less what no tile reaches
        inside[...] = x[:, :inside.shape[1], :inside.shape[2]]
        d = np.array([[[padded[n, i:i + 6, j:j + 6] for j in range(0, 4 * TW, 4)]
                       for i in range(0, 4 * TH, 4)] for n in range(N)])
        B_T = at_six_points(6, SCALE)
        expected = np.einsum("ip,jq,nabpqc->ijnabc", B_T, B_T, d).reshape(36, N * TH, TW, C)
        start = int(rng.integers(0, N * TH))
        stop = int(rng.integers(start, N * TH)) + 1
        for first, end, gap in (0, N * TH, 0), (start, stop, 5):
            size = (end - first) * TW * C  # and numbers between the matrices that are left alone
            V = there(np.full((36, size + gap), 7, dtype))
            winograd.launch("winograd_tiles", launch.by_rows(end - first, TW * C), there(x), V,
                            size + gap, first, end - first, H, Wd, C, TH, TW, top, left)
            agree(to_cpu(V)[:, :size].reshape(36, -1, TW, C), expected[:, first:end])
            assert (to_cpu(V)[:, size:] == 7).all()


def check_winograd_kernels(dtype, rng, large):
    """U = G g Gᵀ: both polynomials' values at the six points, scaled against those of Bᵀ."""
    for C, F in ((17, 541),) if large else ((3, 5), (2, 1), (1, 4)):
        W = normal(dtype, rng, 3, 3, C, F)
        G = np.array(POWERS)[:, :3] / np.array(SCALE)[:, None]
        G[5] = 0, 0, 1
        expected = np.einsum("ip,jq,pqcf->ijcf", G, G, W.astype(float)).reshape(36, C, F)
        cut = int(rng.integers(0, F + 1))
        for first, K, gap in (0, cut, 0), (cut, F - cut, 3), (0, F, 1):
            matrix = C * K + gap  # with numbers between the matrices that are left alone
            U = there(np.full((36, matrix), 7, dtype))
            winograd.launch("winograd_kernels", launch.by_rows(C, K), there(W), U, C * F, matrix,
                            C, F, first, K)
            parts = to_cpu(U)
            agree(parts[:, :C * K].reshape(36, C, K), expected[..., first:first + K])
            assert (parts[:, C * K:] == 7).all()


def check_winograd_outputs(dtype, rng, large):
    """y = Aᵀ m A + b: interpolation's adjoint evaluates four coefficients at the six points."""
    A_T = np.array(POWERS)[:, :4].T.astype(float)
    A_T[:, 5] = 0, 0, 0, 1
    for OH, OW in ((11, 530),) if large else ((1, 1), (4, 8), (6, 7), (9, 3)):
        for relu, pool in (False, False), (True, False), (False, True), (True, True):
            N, F, TH, TW = 2, 3, -(-OH // 4), -(-OW // 4)
            M, b = normal(dtype, rng, 36, N * TH, TW, F), normal(dtype, rng, F)
            z = np.einsum("ip,jq,pqnatf->naitjf", A_T, A_T,
                          M.astype(float).reshape(6, 6, N, TH, TW, F))
            z = z.reshape(N, 4 * TH, 4 * TW, F)[:, :OH, :OW] + b
            if pool:
                if min(OH, OW) < 2:
                    continue
                z = z[:, :OH // 2 * 2, :OW // 2 * 2].reshape(N, OH // 2, 2, OW // 2, 2, F)
                z = z.max(axis=(2, 4))
            expected = np.maximum(z, 0) if relu else z
            cut = int(rng.integers(1, N * TH + 1))  # in two chunks
            y = there(np.full(z.shape, np.nan, dtype))
            for first, end, gap in (0, cut, 0), (cut, N * TH, 5):
                if end > first:
                    size = (end - first) * TW * F
                    apart = np.full((36, size + gap), np.nan, dtype)
                    apart[:, :size] = M[:, first:end].reshape(36, size)
                    winograd.launch("winograd_outputs", launch.by_rows(end - first, TW * F),
                                    there(apart), size + gap, there(b), y, first, end - first, TH,
                                    TW, *z.shape[1:3], F, int(relu), int(pool))
            agree(y, expected)


def check_winograd_gradient_tiles(dtype, rng, large):
    """dM = A dz Aᵀ of every tile: four coefficients evaluated at the six points."""
    A = np.array(POWERS)[:, :4].astype(float)
    A[5] = 0, 0, 0, 1
    for OH, OW in ((11, 530),) if large else ((1, 1), (4, 8), (6, 7), (9, 3)):
        N, F, TH, TW = 2, 3, -(-OH // 4), -(-OW // 4)
        dz = normal(dtype, rng, N, OH, OW, F)
        padded = np.zeros((N, 4 * TH, 4 * TW, F))
        padded[:, :OH, :OW] = dz
        tiles = padded.reshape(N, TH, 4, TW, 4, F)
        expected = np.einsum("pi,qj,naitjf->pqnatf", A, A, tiles).reshape(36, N * TH, TW, F)
        cut = int(rng.integers(1, N * TH + 1))
        for first, end, gap in (0, cut, 0), (cut, N * TH, 5):
            if end > first:
                size = (end - first) * TW * F
                dM = there(np.full((36, size + gap), 7, dtype))
                winograd.launch("winograd_gradient_tiles", launch.by_rows(end - first, TW * F),
                                there(dz), dM, size + gap, first, end - first, OH, OW, F, TH, TW)
                agree(to_cpu(dM)[:, :size].reshape(36, -1, TW, F), expected[:, first:end])
                assert (to_cpu(dM)[:, size:] == 7).all()


def check_winograd_weight_grads(dtype, rng, large):
    """dW = Gᵀ dU G, the adjoint of U = G g Gᵀ."""
    C, F = (17, 41) if large else (3, 5)
    dU = normal(dtype, rng, 36, C, F)
    G = np.array(POWERS)[:, :3] / np.array(SCALE)[:, None]
    G[5] = 0, 0, 1
    dW, cut = there(np.full((3, 3, C, F), np.nan, dtype)), int(rng.integers(0, C * F + 1))
    for first, count, gap in (0, cut, 0), (cut, C * F - cut, 5):
        apart = np.full((36, C * F + gap), np.nan, dtype)
        apart[:, :C * F] = dU.reshape(36, C * F)
        winograd.launch("winograd_weight_grads", launch.flat(count), there(apart), C * F + gap, dW,
                        first, count, C * F)
    agree(dW, np.einsum("ip,jq,ijcf->pqcf", G, G, dU.astype(float).reshape(6, 6, C, F)))


# The points of Winograd's algorithm, 0, ±1, ±2 and ∞ (the leading coefficient), raised to powers,
# and what the rows of Bᵀ are multiplied by to be whole numbers.
POWERS = [[t ** k for k in range(6)] for t in (0, 1, -1, 2, -2)] + [[0, 0, 0, 0, 0, 1]]
SCALE = [4, -6, -6, 24, 24, 1]


def at_six_points(n, scale):
    """The inverse transpose of evaluating a polynomial of n coefficients, row by row scaled."""
    return np.linalg.inv(np.array(POWERS, float)[:, :n]).T * np.array(scale)[:, None]


def winograd_images(rng, large):
    """Shapes of x and pads for windows of 3×3 with strides 1."""
    if large:  # rows of over 512 elements
        yield (2, 6, 300, 8), ((1, 2), (0, 1))
        return
    yield (1, 3, 3, 1), ((0, 0), (0, 0))
    yield (2, 6, 10, 2), ((1, 1), (1, 1))
    yield (1, 2, 1, 3), ((2, 3), (1, 4))
    for _ in range(3):
        H, Wd = (int(n) for n in rng.integers(3, 12, 2))
        pads = tuple(tuple(map(int, side)) for side in rng.integers(0, 3, (2, 2)))
        yield (2, H, Wd, int(rng.integers(1, 4))), pads


# Elements


def special(dtype, rng, size):
    """Numbers, and where there is room for them zeros, NaN and what overflows exp."""
    x = normal(dtype, rng, size)
    few = [0, -0.0, math.nan, 1000, -1000, 90, -90]
    x[:len(few) if size > len(few) else 0] = few[:size] if size > len(few) else []
    return x


def check_relu(dtype, rng, large):
    for size in sizes(large):
        x = special(dtype, rng, size)
        agree(cuda.relu(there(x)), [v if v > 0 or v != v else 0 for v in x.tolist()])


def check_relu_backward(dtype, rng, large):
    for size in sizes(large):
        y, dy = np.maximum(special(dtype, rng, size), 0), normal(dtype, rng, size)
        agree(cuda.relu_grad(there(dy), there(y)),
              [d if v > 0 else 0 for d, v in zip(dy.tolist(), y.tolist(), strict=True)])


def check_bias_relu(dtype, rng, large):
    for shape in ((135, 150),) if large else ((1, 1), (2, 3, 5), (85, 3), (257, 1)):
        z, b = normal(dtype, rng, *shape), normal(dtype, rng, shape[-1])
        z.flat[-1] = math.nan
        expected = z.astype(float) + b
        got = there(z)
        elementwise.add_bias_relu(got, there(b), relu=True)  # in place
        agree(got, np.where(expected < 0, 0, expected))


def check_column_sums(dtype, rng, large):
    for shape in ((1700, 70),) if large else ((1, 1), (3, 5), (2, 3, 31), (64, 32), (201, 33)):
        x = normal(dtype, rng, *shape)
        agree(cuda.bias_grad(there(x)), [math.fsum(column) for column in
                                        x.reshape(-1, shape[-1]).T.tolist()])


def channels(dtype, rng, large):
    """x (M, C) and a normal array like it: one row, fewer columns than threads, more; far from 0
    beside its spread."""
    for shape in ((1700, 70),) if large else ((1, 1), (3, 5), (2, 3, 31), (64, 32), (201, 33),
                                                 (9, 70)):
        x = normal(dtype, rng, *shape)
        yield x + rng.choice([0, 20], shape[-1]).astype(dtype), normal(dtype, rng, *shape)


def as_columns(x):
    return x.reshape(-1, x.shape[-1]).astype(float)


def check_column_covariance(dtype, rng, large):
    for x, dy in channels(dtype, rng, large):
        mean, variance = cuda.batch_moments(there(x))
        columns = as_columns(x).T.tolist()
        means = [math.fsum(c) / len(c) for c in columns]
        agree(mean, means)
        agree(variance, [math.fsum((v - m) ** 2 for v in c) / len(c)
                         for c, m in zip(columns, means, strict=True)])
        std, centre = 1 + rng.random((2, x.shape[-1])).astype(dtype)
        dgamma, dbeta = cuda.batch_norm_param_grads(there(dy), there(x), there(centre), there(std))
        agree(dgamma, (as_columns(dy) * (as_columns(x) - centre)).sum(0) / std)
        agree(dbeta, as_columns(dy).sum(0))


def check_batch_norm(dtype, rng, large):
    for x, _ in channels(dtype, rng, large):
        mean, std, gamma, beta = 1 + rng.random((4, x.shape[-1])).astype(dtype)
        x.flat[-1] = math.nan
        y = cuda.batch_norm(*map(there, (x, mean, std, gamma, beta)))
        agree(y, (x.astype(float) - mean) / std * gamma + beta)


def check_batch_norm_backward(dtype, rng, large):
    for x, dy in channels(dtype, rng, large):
        mean, std, gamma, dgamma, dbeta = 1 + rng.random((5, x.shape[-1])).astype(dtype)
        dx = cuda.batch_norm_input_grad(*map(there, (dy, x, mean, std, gamma, dgamma, dbeta)))
        M = x.size // x.shape[-1]
        normalized = (x.astype(float) - mean) / std
        agree(dx, gamma / std.astype(float) * (dy - dbeta / M - normalized * dgamma / M))


def sigma(x):
    return math.nan if x != x else 1 / (1 + math.exp(-x)) if x > -700 else 0


def check_sigmoid(dtype, rng, large):
    for size in sizes(large):
        x = special(dtype, rng, size)
        agree(cuda.sigmoid(there(x)), [sigma(v) for v in x.tolist()])


def check_sigmoid_backward(dtype, rng, large):
    for size in sizes(large):
        x, dy = normal(float, rng, size), normal(dtype, rng, size)
        y = (1 / (1 + np.exp(-x))).astype(dtype)
        agree(cuda.sigmoid_grad(there(dy), there(y)), dy.astype(float) * (y - y.astype(float) ** 2))


def check_tanh_forward(dtype, rng, large):
    for size in sizes(large):
        x = special(dtype, rng, size)
        agree(cuda.tanh(there(x)), [math.tanh(v) for v in x.tolist()])


def check_tanh_backward(dtype, rng, large):
    for size in sizes(large):
        y, dy = np.tanh(normal(float, rng, size)).astype(dtype), normal(dtype, rng, size)
        agree(cuda.tanh_grad(there(dy), there(y)), dy.astype(float) * (1 - y.astype(float) ** 2))


def check_elu(dtype, rng, large):
    for size in sizes(large):
        x = special(dtype, rng, size)
        agree(cuda.elu(there(x), 0.5), [v if v > 0 else math.expm1(v) / 2 for v in x.tolist()])


def check_elu_backward(dtype, rng, large):
    for size in sizes(large):
        y, dy = special(dtype, rng, size), normal(dtype, rng, size)
        agree(cuda.elu_grad(there(dy), there(y), 0.5),
              [d if v > 0 else d * (v + 0.5) for d, v in zip(dy.tolist(), y.tolist(), strict=True)])


def check_leaky_relu(dtype, rng, large):
    for size in sizes(large):
        x = special(dtype, rng, size)
        agree(cuda.leaky_relu(there(x), 0.25), [v if v > 0 else v / 4 for v in x.tolist()])


def check_leaky_relu_backward(dtype, rng, large):
    for size in sizes(large):
        y, dy = special(dtype, rng, size), normal(dtype, rng, size)
        agree(cuda.leaky_relu_grad(there(dy), there(y), 0.25),
              [d if v > 0 else d / 4 for d, v in zip(dy.tolist(), y.tolist(), strict=True)])


def check_clipped_line(dtype, rng, large):
    for size in sizes(large):
        x = special(dtype, rng, size)
        agree(cuda.clipped_line(there(x), 0.25, 0.5, 0.75),
              [v if v != v else sorted((0, v / 4 + 0.5, 0.75))[1] for v in x.tolist()])


def check_clipped_line_backward(dtype, rng, large):
    for size in sizes(large):
        y, dy = normal(dtype, rng, size), normal(dtype, rng, size)
        y[:2], y[-2:] = 0, 0.75
        agree(cuda.clipped_line_grad(there(dy), there(y), 0.25, 0.75),
              [d / 4 if 0 < v < 0.75 else 0 for d, v in zip(dy.tolist(), y.tolist(), strict=True)])


def check_silu(dtype, rng, large):
    for size in sizes(large):
        x = special(dtype, rng, size)
        agree(cuda.silu(there(x)), [v * sigma(v) for v in x.tolist()])


def check_silu_backward(dtype, rng, large):
    for size in sizes(large):
        x, dy = special(dtype, rng, size), normal(dtype, rng, size)
        agree(cuda.silu_grad(there(dy), there(x)),
              [d * (sigma(v) + v * sigma(v) * sigma(-v))
               for d, v in zip(dy.tolist(), x.tolist(), strict=True)])


def check_softplus(dtype, rng, large):
    for size in sizes(large):
        x = special(dtype, rng, size)
        with np.errstate(invalid="ignore"):
            agree(cuda.softplus(there(x)), np.logaddexp(0, x.astype(float)))


def check_softplus_backward(dtype, rng, large):
    for size in sizes(large):
        x, dy = special(dtype, rng, size), normal(dtype, rng, size)
        agree(cuda.softplus_grad(there(dy), there(x)),
              [d * sigma(v) for d, v in zip(dy.tolist(), x.tolist(), strict=True)])


def check_prelu(dtype, rng, large):
    for x, _ in channels(dtype, rng, large):
        alpha = normal(dtype, rng, x.shape[-1])
        x.flat[0], x.flat[-1] = 0, math.nan
        expected = x.astype(float)
        negative = ~(x > 0)
        expected[negative] = (alpha.astype(float) * x)[negative]
        agree(cuda.prelu(there(x), there(alpha)), expected)


def check_prelu_backward(dtype, rng, large):
    for shape in ((1700, 70),) if large else ((1, 1), (3, 5), (2, 3, 31), (64, 32), (201, 33),
                                                 (9, 70)):
        x, dy, alpha = normal(dtype, rng, *shape), normal(dtype, rng, *shape), normal(
            dtype, rng, shape[-1])
        x.flat[0] = 0
        dx, dalpha = cuda.prelu_grad(there(dy), there(x), there(alpha.reshape(
            (1,) * (len(shape) - 2) + shape[-1:])))
        agree(dx, np.where(np.sign(x) == 1, dy.astype(float), alpha * dy.astype(float)))
        products = dy.astype(float) * np.minimum(x, 0)
        agree(dalpha, products.reshape(-1, shape[-1]).sum(0).reshape(
            (1,) * (len(shape) - 2) + shape[-1:]))


def check_sigmoid_cross_entropy(dtype, rng, large):
    for size in sizes(large):
        for z in special(dtype, rng, size), normal(dtype, rng, size):
            t = rng.random(size).astype(dtype)
            l, dz = cuda.sigmoid_cross_entropy(there(z), there(t))  # noqa: E741
            z, t = z.astype(float), t.astype(float)
            with np.errstate(invalid="ignore"):
                agree(l, np.logaddexp(0, z) - z * t)  # −t log σ(z) − (1 − t) log σ(−z)
            agree(dz, [sigma(a) - b for a, b in zip(z, t, strict=True)])


def check_not_finite(dtype, rng, large):
    for size in sizes(large):
        x = np.full(size, np.finfo(dtype).max, dtype)  # finite, although its sum is not
        assert cuda.all_finite([there(x), there(-x)])
        for bad in np.nan, np.inf, -np.inf:
            y = normal(dtype, rng, size)
            y[rng.integers(size)] = bad
            assert not cuda.all_finite([there(x), there(y), there(x)])


# Rows


def rows_of(dtype, rng, large):
    """(rows, K): fewer columns than threads, as many, more; far from 0 and from each other; with
    −∞; with NaN."""
    for shape in ((5, 700),) if large else ((1, 1), (3, 5), (2, 256), (4, 257)):
        yield normal(dtype, rng, *shape)
        x = normal(dtype, rng, *shape) * 3 + rng.choice([0, 5000, -5000], (shape[0], 1))
        x[rng.random(shape) < 0.1] = -np.inf
        x[:, -1] = x[:, -1].clip(-9999)
        x[-1, -1] = 8000
        x[len(x) // 2, 0] = 9000  # exp overflows unless these very numbers are subtracted
        x[0, 0] = math.nan
        yield x.astype(dtype)


def softmax_of(x):
    """In float64, and the logarithm of each row's sum, both relative to its maximum."""
    shifted = x.astype(float) - x.max(axis=1, keepdims=True)
    total = np.array([[math.fsum(row)] for row in np.exp(shifted).tolist()])
    return np.exp(shifted) / total, np.log(total)


def check_softmax(dtype, rng, large):
    for x in rows_of(dtype, rng, large):
        agree(cuda.softmax(there(x)), softmax_of(x)[0])


def check_softmax_backward(dtype, rng, large):
    for x in rows_of(dtype, rng, large):
        y = softmax_of(np.nan_to_num(x, neginf=-1))[0].astype(dtype)
        dy = normal(dtype, rng, *x.shape)
        dx = np.empty(x.shape)
        for row, p, d in zip(dx, y.astype(float), dy.astype(float), strict=True):
            row[:] = d @ (np.diag(p) - np.outer(p, p))  # the whole Jacobian
        agree(cuda.softmax_grad(there(dy), there(y)), dx)


def check_softmax_cross_entropy(dtype, rng, large):
    for z in rows_of(dtype, rng, large):
        z[z == -np.inf] = -1  # whose 0 · −∞ would be NaN
        t = rng.random(z.shape)
        t = (t / t.sum(axis=1, keepdims=True)).astype(dtype)
        l, dz = cuda.softmax_cross_entropy(there(z), there(t))  # noqa: E741
        p, logs = softmax_of(z)
        most = z.max(axis=1, keepdims=True).astype(float)
        agree(l, logs.ravel() - (t * (z - most)).sum(axis=1))
        agree(dz, p - t)


# Updates


def rates(dtype, rng, count):
    """Numbers in 0.1 … 0.9, exact in float."""
    return [float(v) for v in rng.uniform(0.1, 0.9, count).astype(dtype)]


def check_sgd(dtype, rng, large):
    for size in sizes(large):
        (lr,), p, g = rates(dtype, rng, 1), *normal(dtype, rng, 2, size)
        got = there(p)
        cuda.sgd_step(got, there(g), lr)
        agree(got, p - lr * g.astype(float))


def check_momentum(dtype, rng, large):
    for size in sizes(large):
        for nesterov in False, True:
            (lr, mu), (p, g, v) = rates(dtype, rng, 2), normal(dtype, rng, 3, size)
            new_p, new_v = there(p), there(v)
            cuda.momentum_step(new_p, there(g), new_v, lr, mu, nesterov)
            expected = mu * v.astype(float) + g
            agree(new_v, expected)
            agree(new_p, p - lr * (g + mu * expected if nesterov else expected))


def check_rmsprop(dtype, rng, large):
    for size in sizes(large):
        (lr, alpha, eps), (p, g) = rates(dtype, rng, 3), normal(dtype, rng, 2, size)
        s = rng.random(size).astype(dtype)
        new_p, new_s = there(p), there(s)
        cuda.rmsprop_step(new_p, there(g), new_s, None, lr, alpha, eps)
        expected = alpha * s.astype(float) + (1 - alpha) * g.astype(float) ** 2
        agree(new_s, expected)
        agree(new_p, p - lr * (g / (expected ** 0.5 + eps)))


def check_adam(dtype, rng, large):
    for size in sizes(large):
        (lr, beta1, beta2, eps), t = rates(dtype, rng, 4), 3
        (p, g, m), s = normal(dtype, rng, 3, size), rng.random(size).astype(dtype)
        new_p, new_m, new_s = there(p), there(m), there(s)
        cuda.adam_step(new_p, there(g), new_m, new_s, t, lr, beta1, beta2, eps)
        mean = beta1 * m.astype(float) + (1 - beta1) * g
        square = beta2 * s.astype(float) + (1 - beta2) * g.astype(float) ** 2
        agree(new_m, mean)
        agree(new_s, square)
        agree(new_p, p - lr * (mean / (1 - beta1**t)) / ((square / (1 - beta2**t)) ** 0.5 + eps))


CHECKS = {name.removeprefix("check_"): function for name, function in list(globals().items())
          if name.startswith("check_")}


def run(name, dtype, large, seed=0):
    """One check, with numbers that are always the same."""
    with grid_of(large):
        CHECKS[name](np.dtype(dtype), np.random.default_rng(seed), large)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CHECKS))
    parser.add_argument("--kernels", type=Path, default=launch.KERNELS,
                        help="folder of .cu files")
    given = parser.parse_args()
    launch.KERNELS, simulator.runs = given.kernels.resolve(), 2
    for name in given.names or CHECKS:
        for dtype in TOLERANCE:
            for large in False, True:
                run(name, dtype, large)
        sys.stdout.write(f"{name}: agrees\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
