"""Arrays of more than 2³¹ elements: no index of any kernel ends at 32 bits.

They are memory that the system only promises: what nobody touches takes no room. Of each grid one
block runs, the one with the last elements; the simulator leaves arrays of a gigabyte where they
are. Expected is what the same kernel makes of the same numbers in small arrays.
"""

import functools
import mmap
import sys
from unittest import mock

import mutants
import numpy as np
import pytest
from reference import assert_close, assert_same

from minicnn.ops import Window
from minicnn.ops.cuda import launch, simulator
from minicnn.ops.cuda.conv import conv2d_implicit_gemm
from minicnn.ops.cuda.im2col_blocks import geometry, im2col_block
from minicnn.ops.cuda.launch import KERNELS, block_each, by_rows, flat, kernels
from minicnn.ops.cuda.signatures import MATRICES
from minicnn.ops.cuda.simulator import SimArray
from minicnn.utils.errors import KernelError

WINDOW = Window((2, 1), (1, 1), ((1, 0), (0, 0)), (8, 16))  # as many windows as pixels
IMAGE, COLS = (8, 16, 64), (8, 16, 2, 1, 64)
NUMBERS = {"F": 8, "K": 1024, "nesterov": 1, "first": 0, **dict(zip(
    "H Wd C OH OW KH KW SH SW top left".split(), geometry(WINDOW, 64), strict=True))}
BY_WINDOWS = ["im2col", "col2im", "max_pool", "unpool", "average_pool", "average_pool_backward"]
BY_BLOCKS = ["softmax", "softmax_backward", "softmax_cross_entropy"]
# Of Winograd's kernels, those that go over rows of tiles: the numbers after `first` and `rows`.
OF_TILES = {"winograd_tiles": (8, 64, 64, 2, 16, 1, 1),
            "winograd_outputs": (2, 16, 8, 64, 64, 1, 0),
            "winograd_gradient_tiles": (8, 64, 64, 2, 16)}
WINOGRAD = ["winograd_kernels", "winograd_weight_grads", *OF_TILES]
BY_COLUMNS = ["batch_norm", "batch_norm_backward", "prelu", "prelu_backward"]
DIRECT = ["pad", "direct_convolution", "direct_weight_grads"]
OTHERS = ["implicit_gemm", "column_sums", "column_covariance", "bias_relu", "not_finite",
          *BY_COLUMNS, *WINOGRAD, *DIRECT]
FLAT = [name for name in kernels(KERNELS) if name not in BY_WINDOWS + BY_BLOCKS + OTHERS]


def promised(*shape, dtype=np.float32):
    """Zeros that take no memory before they are written."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    if sys.platform == "linux":
        flags |= 0x4000  # MAP_NORESERVE, which Python names from 3.13 on
    memory = mmap.mmap(-1, int(np.prod(shape)) * np.dtype(dtype).itemsize, flags)
    return np.frombuffer(memory, dtype).reshape(shape).view(SimArray)


def with_end(small, *shape):
    """A promised array whose last elements are those of small."""
    big = promised(*shape, dtype=small.dtype)
    big.reshape(-1)[-small.size:] = small.reshape(-1)
    return big


def normal(*shape):
    return simulator.xp.array(np.random.default_rng(0).random(shape), np.float32)


def only(x, y, grid):
    """Launches run block (x, y) of the grid, and no other."""
    return mock.patch.object(simulator, "run", functools.partial(simulator.run,
                                                                 only=y * grid[0] + x))


def one(kernel, kind, name):
    """An array for one image, one row, or 256 elements: places 0 and 1, other numbers 0 … 1."""
    if name == "l" and kernel in BY_BLOCKS:
        return normal(1)
    shape = (COLS if name == "cols" else IMAGE if kernel in BY_WINDOWS else
             (1024,) if kernel in BY_BLOCKS else (256,))
    x = normal(1, *shape)
    return (x > 0.5).astype(np.uint8) if "switch_t" in kind else x


def numbers(N, unit):
    """What the parameters are, by name, for N images, rows or pieces of `unit` elements."""
    rows = N * (8 if unit > 1024 else 1)
    return NUMBERS | {"size": N * unit, "rows": rows, "image_rows": rows}


def check_last_elements(name):
    """In small arrays all blocks run; in large ones the last one, with the same numbers."""
    parameters = kernels(launch.KERNELS)[name].parameters
    small = {n: one(name, kind, n) for kind, n in parameters if "*" in kind}
    unit = 8 * 16 * 64 if name in BY_WINDOWS else small[parameters[0][1]].size
    N = 2**31 // unit + 4
    big = {n: with_end(x, N, *x.shape[1:]) for n, x in small.items()}
    block = (32, 8, 1) if name == "im2col" else (256, 1, 1)
    if name == "im2col":  # 16 pixels, eight a block
        grid, small_grid = (2, launch.by_rows(8 * N, 1)[1], 1), (2, 8, 1)
        x, y = 1, (8 * N - 1) % grid[1]
    elif name in FLAT:
        grid, small_grid = flat(N * unit), flat(unit)
        x, y = (N * unit - 1) // 256 % grid[0], 0
    elif name in BY_BLOCKS:
        grid, small_grid = block_each(N), block_each(1)
        x, y = (N - 1) % grid[0], 0
    else:
        row = small[parameters[1 if name != "unpool" else 2][1]].size // 8
        grid, small_grid = by_rows(8 * N, row), by_rows(8, row)
        x, y = grid[0] - 1, (8 * N - 1) % grid[1]
    for arrays, count, blocks in (small, 1, small_grid), (big, N, grid):
        values = [arrays[n] if "*" in kind else numbers(count, unit).get(n, 0.5)
                  for kind, n in parameters]
        with only(x, y, grid) if arrays is big else mock.MagicMock():
            launch.launch(name, blocks, *values, block=block)
    written = [n for kind, n in parameters if "*" in kind and not kind.startswith("const")]
    for n in written:
        last = min(256, small[n].size)  # those of that block
        assert_same(big[n].reshape(-1)[-last:], small[n].reshape(-1)[-last:])
        assert np.abs(big[n].reshape(-1)[-last:]).max() > 0
        assert n == "l" or big[n].size > 2**31


@pytest.mark.parametrize("name", BY_WINDOWS + BY_BLOCKS + FLAT)
def test_the_last_elements_of_more_than_2_to_the_31_are_right(name):
    assert check_last_elements(name) is None  # an assertion inside would have failed


def noticed(mutant, name, folder, monkeypatch, check=check_last_elements):
    """Whether the last elements of kernel `name` are wrong with that fault."""
    mutants.make(folder, mutant)
    with monkeypatch.context() as patch:
        patch.setattr(launch, "KERNELS", folder)
        patch.setenv("MINICNN_CACHE", str(folder))
        patch.setenv("MINICNN_SIM_FLAGS", "-O0")
        try:
            check(name)
        except (KernelError, AssertionError):
            return True
    return False


@pytest.mark.parametrize("name", BY_WINDOWS + BY_BLOCKS)
def test_an_index_of_32_bits_is_noticed(name, full, tmp_path, monkeypatch):
    """col2im's numbers of rows, test_output_rows_are_numbered_beyond_2_to_the_31 looks at."""
    kinds = {"index": mutants.narrow_index}
    if name != "col2im":
        kinds["number"] = mutants.narrow_number
    some = [m for m in mutants.mutants(kinds) if m.place == name]
    assert {m.kind for m in some} == set(kinds)
    for k, mutant in enumerate(some if full else some[:2]):
        assert noticed(mutant, name, tmp_path / str(k), monkeypatch), str(mutant)


@pytest.mark.parametrize("name", ["relu", "im2col"])
def test_a_loop_that_counts_in_32_bits_is_noticed(name, tmp_path, monkeypatch):
    """EACH, EACH_ROW."""
    some = [m for m in mutants.mutants({"number": mutants.narrow_number}) if m.place == "common.h"]
    assert any(noticed(mutant, name, tmp_path / str(k), monkeypatch)
               for k, mutant in enumerate(some))


def test_output_rows_are_numbered_beyond_2_to_the_31():
    x = with_end(normal(1, 3, 1, 1), 2**30, 3, 1, 1)  # so many images with 3 output rows each
    window = Window((2, 1), (1, 1), ((1, 0), (0, 0)), (3, 1))
    first = 3 * 2**30 - 2
    cols = im2col_block(x, window, first, 2, promised(4))
    a, b, c = np.array(x[-1]).ravel()
    assert_same(cols.reshape(2, 2), [[a, b], [b, c]])
    dx = promised(*x.shape)
    launch.launch("col2im", by_rows(3, 1), cols, dx[-1:], 1, 2, 3, *geometry(window, 1))
    assert_same(dx[-1].ravel(), np.float32([a, 2 * b, c]))


def test_implicit_gemm_of_more_than_2_to_the_31_elements_is_right():
    N, F = 2**31 // (8 * 16 * 64) + 1, 128
    x, W = normal(1, *IMAGE), normal(2, 1, 64, F)
    expected = conv2d_implicit_gemm(x, W, promised(F), WINDOW)
    grid = N * 8 * 16 // 64, F // 64, 1
    big, z = with_end(x, N, *IMAGE), promised(N, 8, 16, F)
    with only(grid[0] - 1, 1, grid):
        launch.launch("implicit_gemm", grid, big, W, z, N * 8 * 16, F,
                      *geometry(WINDOW, 64), block=(16, 16, 1))
    assert_same(z.reshape(-1, F)[-64:, 64:], expected.reshape(-1, F)[-64:, 64:])


def test_column_sums_of_more_than_2_to_the_31_elements_are_right():
    rows, F, parts = 2**25 + 8, 64, 1024
    x = with_end(normal(8, F), rows, F)
    sums, part = promised(parts, F), (rows - 8) // 8 % parts  # of the last eight rows
    with only(1, part, (2, parts)):
        launch.launch("column_sums", (2, parts, 1), x, sums, rows, F, block=(32, 8, 1))
    expected = np.array(x[-8:]).astype(float).sum(axis=0)
    assert_close(sums[part, 32:], expected[32:], rtol=1e-5)


def test_bias_relu_of_more_than_2_to_the_31_elements_is_right():
    rows, F = 2**25 + 8, 64
    last, b, grid = normal(8, F) - 0.5, normal(F) - 0.5, (2, 65535, 1)
    z = with_end(last, rows, F)
    with only(1, (rows - 8) // 8 % grid[1], grid):
        launch.launch("bias_relu", grid, z, b, rows, F, block=(32, 8, 1))
    assert_same(z[-8:, 32:], np.maximum(np.array(last) + np.array(b), 0)[:, 32:])


@pytest.mark.parametrize("name", BY_COLUMNS)
def test_kernels_that_go_down_columns_of_more_than_2_to_the_31_elements_are_right(name):
    rows, F, grid = 2**25 + 8, 64, (2, 65535, 1)
    parameters = [(kind, n) for kind, n in kernels(launch.KERNELS)[name].parameters if "*" in kind]
    small = {n: normal(8, F) - 0.5 if n in MATRICES else normal(F) for _, n in parameters}
    launch.launch(name, (2, 1, 1), *small.values(), 8, F, block=(32, 8, 1))
    big = {n: with_end(x, rows, F) if n in MATRICES else x for n, x in small.items()}
    written = [n for kind, n in parameters if not kind.startswith("const")]
    for n in written:
        big[n][-8:] = 0
    with only(1, (rows - 8) // 8 % grid[1], grid):
        launch.launch(name, grid, *big.values(), rows, F, block=(32, 8, 1))
    for n in written:
        assert_same(big[n][-8:, 32:], small[n][:, 32:])
        assert np.abs(small[n]).max() > 0


def test_column_covariance_of_more_than_2_to_the_31_elements_is_right():
    rows, F, parts = 2**25 + 8, 64, 1024
    last, mean = normal(8, F), normal(F) * 0
    a, x = with_end(last, rows, F), with_end(last + 1, rows, F)
    sums, part = promised(parts, F), (rows - 8) // 8 % parts  # of the last eight rows
    with only(1, part, (2, parts)):
        launch.launch("column_covariance", (2, parts, 1), a, mean, x, mean, sums, rows, F,
                      block=(32, 8, 1))
    c = np.array(last).astype(float)
    assert_close(sums[part, 32:], (c * (c + 1)).sum(axis=0)[32:], rtol=1e-5)


def test_a_nan_behind_2_to_the_31_elements_is_found():
    size = 2**31 + 256
    x, found, grid = promised(size), simulator.xp.array([0], np.uint8), flat(size)
    x[-1] = np.nan
    with only((size - 1) // 256 % grid[0], 0, grid):
        launch.launch("not_finite", grid, x, found, size)
    assert found[0] == 1


def check_last_of_direct(name):
    """The last images of more than 2^31 elements, as if they were alone: 8 × 14 pixels, 64 channels
    and filters."""
    N = 2**31 // (8 * 14 * 64) + 2
    x, W, b = normal(1, 10, 16, 64), normal(3, 3, 64, 64), normal(64)
    numbers = 10, 16, 64, 8, 14, 64, 3, 3, 1, 1
    if name == "pad":
        small = [x, promised(1, 11, 17, 64)]  # padded above and on the left
        large = [with_end(x, N, 10, 16, 64), promised(N, 11, 17, 64)]
        values = [[11, 10, 16, 64, 11, 17, 1, 1], [11 * N, 10, 16, 64, 11, 17, 1, 1]]
        grids = by_rows(11, 17 * 64), by_rows(11 * N, 17 * 64)
    elif name == "direct_convolution":
        small = [x, W, b, promised(1, 8, 14, 64)]
        large = [with_end(x, N, 10, 16, 64), W, b, promised(N, 8, 14, 64)]
        values = [[0, 8, *numbers, 0], [0, 8 * N, *numbers, 0]]
        grids = by_rows(8, 2 * 64), by_rows(8 * N, 2 * 64)
    else:
        dz = normal(1, 8, 14, 64)
        small = [x, dz, promised(1, 9 * 64 * 64)]
        large = [with_end(x, N, 10, 16, 64), with_end(dz, N, 8, 14, 64),
                 promised(N, 9 * 64 * 64)]
        values = [[1, 1, 8, *numbers], [N, N, 8, *numbers]]
        grids = by_rows(1, 48 * 64), by_rows(N, 48 * 64)
    launch.launch(name, grids[0], *small, *values[0])
    rows, grid = values[1][1 if name != "pad" else 0], grids[1]
    with only(grid[0] - 1, (rows - 1) % grid[1], grid):
        launch.launch(name, grid, *large, *values[1])
    last = 64  # of the elements that this block wrote
    assert large[-1].size > 2**31 and large[0].size > 2**31
    assert_same(large[-1].reshape(-1)[-last:], small[-1].reshape(-1)[-last:])
    assert np.abs(small[-1].reshape(-1)[-last:]).max() > 0


@pytest.mark.parametrize("name", DIRECT)
def test_the_last_elements_of_direct_convolutions_of_more_than_2_to_the_31_are_right(name):
    assert check_last_of_direct(name) is None


@pytest.mark.parametrize("name", DIRECT)
def test_an_index_of_32_bits_in_direct_convolutions_is_noticed(name, full, tmp_path, monkeypatch):
    kinds = {"number": mutants.narrow_number, "index": mutants.narrow_index}
    some = [m for m in mutants.mutants(kinds) if m.place == name]
    assert {m.kind for m in some} == set(kinds)
    for k, mutant in enumerate(some if full else some[:2]):
        assert noticed(mutant, name, tmp_path / str(k), monkeypatch, check_last_of_direct), \
            str(mutant)


# Winograd's kernels: images of 8 × 64 pixels, that is 2 rows of 16 tiles, 64 channels and filters

MANY = 2**31 // (8 * 64 * 64) + 1


def launch_winograd(name, inputs, output, images):
    """One of the kernels in its launcher's grid; of a large array only the last block runs."""
    if name == "winograd_weight_grads":
        count = inputs[0].shape[1]
        numbers, grid = (0, count, count), flat(count)
        last = (count - 1) // 256 % grid[0], 0
    elif name == "winograd_kernels":  # of 64 filters
        rows = inputs[0].shape[1] // 64
        numbers, grid = (64 * rows, 64 * rows, rows, 64, 0, 64), by_rows(rows, 64)
        last = 0, (rows - 1) % grid[1]
    else:
        numbers = (0, 2 * images, *OF_TILES[name])
        grid = by_rows(2 * images, 16 * 64)
        last = grid[0] - 1, (2 * images - 1) % grid[1]
    large = max(output.size, inputs[0].size) > 2**31
    with only(*last, grid) if large else mock.MagicMock():
        if name in ("winograd_tiles", "winograd_gradient_tiles"):
            numbers = (output.shape[1], *numbers)
        if name in ("winograd_outputs", "winograd_weight_grads"):
            inputs = [inputs[0], inputs[0].shape[1], *inputs[1:]]
        launch.launch(name, grid, *inputs, output, *numbers)


def check_last_of_winograd(name):
    """In small arrays all blocks run; in large ones the last one, with the same numbers."""
    b = normal(64)
    if name not in OF_TILES:
        read, written = (9, 36) if name == "winograd_kernels" else (36, 9)
        small, big = normal(read, 256), promised(read, 2**26)
        big[:, -256:] = small
        small_out, out = promised(written, 256), promised(written, 2**26)
        count = 64 if name == "winograd_kernels" else 256  # what the last block writes
    elif name != "winograd_outputs":
        small, big = normal(1, 8, 64, 64), promised(MANY, 8, 64, 64)
        big[-1:] = small
        small_out, out, count = promised(36, 2048), promised(36, MANY * 2048), 256
    else:
        small, big = normal(36, 2048), promised(36, MANY * 2048)
        big[:, -2048:] = small
        small_out, out, count = promised(8, 64 * 64), promised(MANY * 8, 64 * 64), 16 * 64
    bias = [b] if name == "winograd_outputs" else []
    launch_winograd(name, [small, *bias], small_out, 1)
    launch_winograd(name, [big, *bias], out, MANY)
    if name == "winograd_outputs":
        small_out, out = small_out[-4:], out[-4:]  # the last row of tiles
    assert_same(out[:, -count:], small_out[:, -count:])
    assert (np.abs(np.array(out[:, -count:])) > 0).any()


@pytest.mark.parametrize("name", WINOGRAD)
def test_winograds_kernels_are_right_beyond_2_to_the_31_elements(name):
    assert check_last_of_winograd(name) is None  # an assertion inside would have failed


def test_a_tile_reaches_over_rows_of_which_five_pass_2_to_the_31():
    """Its pixels are counted from its corner."""
    wide, C = 2**31 // (5 * 64) + 1, 64
    small, big = normal(1, 6, 6, C), promised(1, 6, wide, C)
    big[:, :, :6] = small
    tiles = []
    for x, Wd in (small, 6), (big, wide):
        V = promised(36, C)
        launch.launch("winograd_tiles", by_rows(1, C), x, V, C, 0, 1, 6, Wd, C, 1, 1, 0, 0)
        tiles.append(np.array(V))
    assert_same(tiles[1], tiles[0])
    assert np.abs(tiles[0]).max() > 0


@pytest.mark.parametrize("name", OF_TILES)  # the others have EACH's k
def test_an_index_of_32_bits_in_winograds_kernels_is_noticed(name, full, tmp_path, monkeypatch):
    """Of their numbers `first` and `rows` are small here: the index alone goes beyond."""
    called = {"winograd_tiles": "transform_tile", "winograd_outputs": "transform_outputs",
              "winograd_gradient_tiles": "transform_gradients"}[name]
    some = [m for m in mutants.mutants({"index": mutants.narrow_index})
            if m.place in (name, called)]
    assert {m.place for m in some} == {name, called}
    for k, mutant in enumerate(some if full else some[:1]):
        assert noticed(mutant, name, tmp_path / str(k), monkeypatch,
                       check_last_of_winograd), str(mutant)
