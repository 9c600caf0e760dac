"""im2col and col2im as the running test's backend has them: whole, or a block of output rows."""

import numpy as np
import reference
from reference import running_ops

from minicnn import ops
from minicnn.ops import array_module
from minicnn.ops.cuda import im2col_blocks as on_cuda
from minicnn.ops.fast import im2col_blocks as on_cpu
from minicnn.ops.reference import conv as by_reference


def im2col(x, window, rows=None, out=None):
    """cols (R, OW, KH, KW, C) of these output rows, in the memory `out` if given."""
    (OH, OW), C = window.output_size, x.shape[3]
    rows = slice(0, len(x) * OH) if rows is None else rows
    count = rows.stop - rows.start
    if running_ops() is ops.reference:
        cols = by_reference.im2col(x, window).reshape(len(x) * OH, -1)[rows]
        if out is not None:
            out[...] = cols.reshape(-1)
    else:
        if out is None:
            size = count * OW * int(np.prod(window.kernel)) * C
            out = array_module(x).empty(size, x.dtype)
        if reference.DEVICE == "cpu":
            cols = on_cpu.im2col_block(x, window, rows, out)
        else:
            cols = on_cuda.im2col_block(x, window, rows.start, count, out)
    return cols.reshape(count, OW, *window.kernel, C)


def col2im(cols, dx, window, rows=None):
    """Adds cols (R, OW, KH, KW, C) to their windows in dx; returns dx."""
    OH = window.output_size[0]
    rows = slice(0, len(dx) * OH) if rows is None else rows
    if running_ops() is ops.reference:
        whole = np.zeros((len(dx) * OH, *cols.shape[1:]), cols.dtype)
        whole[rows] = cols
        dx += by_reference.col2im(whole, dx.shape, window)
    elif reference.DEVICE == "cpu":
        on_cpu.col2im_block(cols, dx, window, rows)
    else:
        on_cuda.col2im_block(cols, dx, window, rows.start, rows.stop - rows.start)
    return dx


def row_blocks(N, window, C, max_elements):
    """The blocks into which the running test's backend cuts N·OH output rows."""
    with reference.blocks_of(max_elements):
        if reference.DEVICE == "cpu":
            elements = window.output_size[1] * int(np.prod(window.kernel)) * C
            return on_cpu.row_blocks(N, window.output_size[0], elements, max_elements)
        return [slice(first, first + count)
                for first, count in on_cuda.row_blocks(N, window, C)]
