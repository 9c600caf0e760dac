"""im2col and col2im against their definition and against each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import LAYOUTS, array, assert_close, blocks_of, geometries, laid_out

from minicnn import ops


@given(geometries(), st.sampled_from(LAYOUTS))
def test_im2col_gathers_what_the_formula_says(geometry, layout):
    (N, H, Wd, C), kernel, strides, _ = geometry
    x = laid_out(array(np.random.default_rng(0), N, H + 4, Wd + 4, C), layout)
    cols = ops.im2col(x, kernel, strides)
    assert cols.flags.c_contiguous and not np.shares_memory(cols, x)
    assert cols.shape[1:5] == ((H + 4 - kernel[0]) // strides[0] + 1,
                               (Wd + 4 - kernel[1]) // strides[1] + 1, *kernel)
    for n, i, j, p, q, c in np.ndindex(cols.shape):
        assert cols[n, i, j, p, q, c] == x[n, i * strides[0] + p, j * strides[1] + q, c]


@given(geometries())
def test_col2im_is_the_adjoint_of_im2col(geometry):
    (N, H, Wd, C), kernel, strides, _ = geometry
    rng = np.random.default_rng(0)
    x = array(rng, N, H + 4, Wd + 4, C)
    cols = ops.im2col(x, kernel, strides)
    c = array(rng, *cols.shape)
    back = ops.col2im(c, np.zeros(x.shape), strides)
    assert_close((cols * c).sum(), (x * back).sum(), rtol=1e-11)


def test_col2im_adds_to_what_is_there(rng):
    c, start = array(rng, 1, 2, 2, 2, 2, 1), array(rng, 1, 3, 3, 1)
    added = ops.col2im(c, start.copy(), (1, 1)) - start
    assert_close(added, ops.col2im(c, np.zeros((1, 3, 3, 1)), (1, 1)), rtol=1e-14)
    assert_close(added[0, 1, 1, 0], c[0, 0, 0, 1, 1, 0] + c[0, 0, 1, 1, 0, 0] + c[0, 1, 0, 0, 1, 0]
                 + c[0, 1, 1, 0, 0, 0], rtol=1e-14)  # the middle pixel is seen by all four windows


@pytest.mark.parametrize("budget", [1, 7, 40, 100, 1 << 19])
@given(geometries())
def test_blocks_cut_the_column_matrix_without_gap_or_overlap(budget, geometry):
    (N, H, Wd, C), kernel, strides, _ = geometry
    x = array(np.random.default_rng(0), N, H + 4, Wd + 4, C)
    whole = ops.im2col(x, kernel, strides)
    joined, times = np.zeros(whole.shape), np.zeros(whole.shape[:2], int)
    with blocks_of(budget):
        for block, cols in ops.column_blocks(x, kernel, strides):
            times[block] += 1
            joined[block] = cols.reshape(joined[block].shape)
            one_row = whole[0, 0].size
            assert cols.size <= max(budget, one_row)  # never more than asked, but for one row
    assert (times == 1).all()
    np.testing.assert_array_equal(joined, whole)
