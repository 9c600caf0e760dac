"""The few operations that have no single NumPy call, each once for NumPy and once for CUDA.

Arrays in, arrays out, nothing kept; the type of the array says which of the two it is.
"""

from .activations import (
    bias_relu,
    column_sums,
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    sigmoid_cross_entropy,
    softmax,
    softmax_backward,
    softmax_cross_entropy,
)
from .im2col import BLOCK_ELEMENTS, col2im, column_blocks, im2col, implicit_gemm, row_blocks
from .pooling import average_pool, average_pool_backward, max_pool, unpool
from .updates import adam, momentum, rmsprop, sgd
from .windows import Window, crop, pad, padding_amounts

__all__ = ["BLOCK_ELEMENTS", "Window", "adam", "average_pool", "average_pool_backward", "bias_relu",
           "col2im", "column_blocks", "column_sums", "crop", "im2col", "implicit_gemm", "max_pool",
           "momentum", "pad", "padding_amounts", "relu", "relu_backward", "rmsprop", "row_blocks",
           "sgd", "sigmoid", "sigmoid_backward", "sigmoid_cross_entropy", "softmax",
           "softmax_backward", "softmax_cross_entropy", "unpool"]
