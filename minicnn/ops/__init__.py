"""The few operations that have no single NumPy call. Arrays in, arrays out, nothing kept."""

from .im2col import col2im, column_blocks, im2col, row_blocks
from .pooling import average_pool, average_pool_backward, max_pool, max_pool_backward
from .windows import crop, output_size, pad, padded_shape, padding_amounts

__all__ = ["average_pool", "average_pool_backward", "col2im", "column_blocks", "crop", "im2col",
           "max_pool", "max_pool_backward", "output_size", "pad", "padded_shape", "padding_amounts",
           "row_blocks"]
