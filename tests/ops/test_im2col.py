"""im2col and col2im against their definition and against each other."""

import tracemalloc

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from reference import (
    LAYOUTS,
    array,
    assert_close,
    assert_same,
    blocks_of,
    geometries,
    laid_out,
    on_device,
    window_of,
)

from minicnn.ops import Window, array_module, to_cpu
from minicnn.ops.cuda.im2col_blocks import im2col_grid as grid_of_im2col
from minicnn.ops.fast import conv, im2col_blocks, threads

from .columns import col2im, im2col, row_blocks


def some_rows(N, OH, first, count):
    """A slice of the N·OH output rows as the engine takes them: of one image, or whole images."""
    first = first % (N * OH)
    if count >= OH:
        return slice(first // OH * OH, min(N, first // OH + count // OH) * OH)
    return slice(first, min(first + count, (first // OH + 1) * OH))


def test_the_grid_of_im2col_on_cuda_has_eight_pixels_a_block_until_a_gpu_is_busy():
    assert grid_of_im2col(10, 14, 27) == (2, 10, 1)  # 14 pixels: 8 + 6
    assert grid_of_im2col(1024, 224, 27) == (4, 1024, 1)  # 2^12 blocks; each has 56 pixels
    assert grid_of_im2col(2**20, 224, 27) == (1, 65535, 1)  # as many as CUDA has along y
    assert grid_of_im2col(0, 14, 27) == (2, 0, 1)  # an empty batch


@given(geometries(), st.sampled_from(LAYOUTS))
def test_im2col_gathers_what_the_formula_says(geometry, layout):
    (N, *_), window = geometry[0], window_of(geometry)
    x = laid_out(array(np.random.default_rng(0), *geometry[0]), layout)
    cols = im2col(x, window)
    assert cols.flags.c_contiguous and not array_module(x).shares_memory(cols, x)
    expected = reference.im2col(x, *window[:3])
    assert cols.shape == (N * expected.shape[1], *expected.shape[2:])
    assert_same(cols.reshape(expected.shape), expected)


@given(geometries(), st.integers(0, 5), st.integers(1, 6))
def test_im2col_of_some_rows_is_a_piece_of_the_whole_and_fills_what_it_is_given(geometry, first,
                                                                                count):
    x, window = array(np.random.default_rng(0), *geometry[0]), window_of(geometry)
    whole, OH = im2col(x, window), window.output_size[0]
    rows = some_rows(len(x), OH, first, count)
    out = on_device(np.full(whole[rows].size, np.nan))
    cols = im2col(x, window, rows, out)
    assert_same(cols, whole[rows])
    assert_same(out, cols.reshape(-1))  # out is what was filled


@pytest.mark.parametrize("pads", [((3, 0), (0, 0)), ((0, 3), (0, 0)), ((0, 0), (3, 0)),
                                  ((0, 0), (0, 3)), ((4, 4), (4, 4))])
def test_a_window_wholly_in_the_padding_is_zeros_and_gives_nothing_back(pads, rng):
    x, window = array(rng, 2, 3, 3, 2), Window((2, 2), (1, 1), pads, (3, 3))
    cols = im2col(x, window)
    expected = reference.im2col(x, *window[:3])
    beyond = (expected == 0).all(axis=(3, 4, 5))
    assert beyond.any()
    assert_same(cols.reshape(expected.shape), expected)
    c = on_device(np.where(beyond[..., None, None, None], 1.0, np.zeros(expected.shape)))
    dx = col2im(c.reshape(cols.shape), on_device(np.zeros(x.shape)), window)
    assert_same(dx, np.zeros(x.shape))


@given(geometries())
def test_col2im_is_the_adjoint_of_im2col(geometry):
    rng, window = np.random.default_rng(0), window_of(geometry)
    x = array(rng, *geometry[0])
    cols = im2col(x, window)
    c = array(rng, *cols.shape)
    back = col2im(c, on_device(np.zeros(x.shape)), window)
    scale = max(float(abs(cols * c).sum()), 1.0)  # the sums may nearly cancel
    assert_close(((cols * c).sum() - (x * back).sum()) / scale + 1, 1.0, rtol=1e-13)


@given(geometries())
def test_col2im_by_blocks_is_col2im(geometry):
    rng, window = np.random.default_rng(0), window_of(geometry)
    shape, (OH, OW) = geometry[0], window.output_size
    cols = array(rng, shape[0] * OH, OW, *window.kernel, shape[3])
    whole = col2im(cols, on_device(np.zeros(shape)), window)
    for most in (1, 2 * cols[0].size, 1 << 19):
        dx = on_device(np.zeros(shape))
        for rows in row_blocks(shape[0], window, shape[3], most):
            col2im(cols[rows], dx, window, rows)
        assert_close(dx, whole, rtol=1e-13)


def test_col2im_adds_to_what_is_there(rng):
    c, start = array(rng, 2, 2, 2, 2, 1), array(rng, 1, 3, 3, 1)
    window = Window((2, 2), (1, 1), ((0, 0), (0, 0)), (3, 3))
    added = col2im(c, start.copy(), window) - start
    assert_close(added, col2im(c, on_device(np.zeros((1, 3, 3, 1))), window), rtol=1e-14)
    added, c = to_cpu(added), to_cpu(c)
    assert_close(added[0, 1, 1, 0], c[0, 0, 1, 1, 0] + c[0, 1, 1, 0, 0] + c[1, 0, 0, 1, 0]
                 + c[1, 1, 0, 0, 0], rtol=1e-14)  # the middle pixel is seen by all four windows


@pytest.mark.parametrize("budget", [1, 7, 40, 100, 1 << 19])
@given(geometries())
def test_blocks_cut_the_rows_without_gap_or_overlap(budget, geometry):
    (N, _, _, C), window = geometry[0], window_of(geometry)
    (OH, OW), times = window.output_size, np.zeros(N * window.output_size[0], int)
    row_elements = OW * window.kernel[0] * window.kernel[1] * C
    for rows in row_blocks(N, window, C, budget):
        times[rows] += 1
        count = rows.stop - rows.start
        assert rows.start % OH == rows.stop % OH == 0 or rows.start // OH == (rows.stop - 1) // OH
        assert count * row_elements <= max(budget, row_elements)  # never more, but for one row
    assert (times == 1).all()


@pytest.mark.cpu_only
@pytest.mark.parametrize("budget", [1, 7, 40, 100, 1 << 19])
@given(geometries())
def test_threads_together_see_the_whole_column_matrix_once(budget, geometry):
    x, window = array(np.random.default_rng(0), *geometry[0]), window_of(geometry)
    expected = reference.im2col(x, *window[:3])
    expected = expected.reshape(len(x) * window.output_size[0], -1)
    joined, times = np.zeros(expected.shape), np.zeros(len(expected), int)
    with blocks_of(budget):
        parts = im2col_blocks.map_column_blocks(
            lambda blocks: [(rows, cols.copy()) for rows, cols in blocks], x, window)
    for rows, cols in (block for part in parts for block in part):
        times[rows] += 1
        joined[rows] = cols.reshape(joined[rows].shape)
    assert (times == 1).all()
    assert_same(joined, expected)


@pytest.mark.cpu_only
@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.integers(1, 200),
       st.integers(1, 4))
def test_a_block_is_whole_images_or_rows_of_one_image(N, OH, row_elements, most, workers):
    rows = threads.row_blocks(N, OH, row_elements, most, workers)
    assert [k for block in rows for k in range(N * OH)[block]] == list(range(N * OH))
    for block in rows:
        whole = block.start % OH == block.stop % OH == 0
        assert whole or block.start // OH == (block.stop - 1) // OH
        assert (block.stop - block.start) * row_elements <= max(most, row_elements)
    sizes = {block.stop - block.start for block in rows}
    assert max(sizes) - min(sizes) <= max(OH if max(sizes) > OH else 1, 0)  # an even share for all
    assert len(rows) % workers == 0 or max(sizes) in (1, OH)


@pytest.mark.cpu_only
@pytest.mark.parametrize("most", [1, 100])
def test_no_images_are_no_blocks(most):
    assert list(threads.row_blocks(0, 3, 5, most)) == []


@pytest.mark.cpu_only
@pytest.mark.parametrize("strides", [1, 2])
def test_the_sum_of_products_asks_for_its_output_and_a_few_blocks(strides, monkeypatch):
    monkeypatch.setattr(im2col_blocks, "BLOCK_ELEMENTS", 1 << 12)  # 16 KB
    rng = np.random.default_rng(0)
    window = Window((3, 3), (strides,) * 2, ((1, 1), (1, 1)), (64, 64))
    x, W = array(rng, 2, 64, 64, 8, dtype=np.float32), array(rng, 3, 3, 8, 8, dtype=np.float32)
    conv.conv2d_implicit_gemm(x, W, None, window)  # threads are there
    tracemalloc.start()
    z = conv.conv2d_implicit_gemm(x, W, None, window)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - z.nbytes < threads.num_threads() * 10 * (1 << 14)
