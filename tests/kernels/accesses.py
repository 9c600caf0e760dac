"""Every kernel launched once on numbers that fill its warps and tiles, without padding, and what
its accesses to memory then are: transactions per warp and bank conflicts.

    python tests/kernels/accesses.py     the line that belongs into the header of each kernel's file
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from minicnn.ops import Window, cuda, to_device  # noqa: E402
from minicnn.ops.cuda import (  # noqa: E402
    conv,
    direct,
    elementwise,
    im2col_blocks,
    ladder,
    launch,
    winograd,
)
from minicnn.ops.cuda.accesses import record  # noqa: E402

LINE = "// Per warp: "
POOLING = Window((2, 2), (2, 2), ((0, 0), (0, 0)), (8, 8))
CONVOLUTION = Window((3, 3), (1, 1), ((0, 0), (0, 0)), (6, 10))
POINTWISE = Window((1, 1), (1, 1), ((0, 0), (0, 0)), (8, 8))


def numbers(*shape, dtype=np.float32):
    return to_device(np.random.default_rng(0).random(shape).astype(dtype), "cuda-sim")


def zeros(*shape, dtype=np.float32):
    return to_device(np.zeros(shape, dtype), "cuda-sim")


def step(update, states, *numbers_after):
    """An optimizer's update of 1,024 parameters."""
    return lambda: update(numbers(1024), numbers(1024), *(numbers(1024) for _ in range(states)),
                          *numbers_after)


def two_arrays(function):
    return lambda: function(numbers(1024), numbers(1024))


def winograd_convolution():
    """Tiles of 4 × 4 outputs, padded by nothing, whose 6 × 6 pixels lie within the image."""
    image = Window((3, 3), (1, 1), ((0, 0), (0, 0)), (10, 10))
    winograd.conv2d_winograd(numbers(1, 10, 10, 32), numbers(3, 3, 32, 32), numbers(32), image)
    winograd.weight_grad_winograd(numbers(1, 10, 10, 32), numbers(1, 8, 8, 32), image)


def direct_convolution():
    """Rows of 7 pixels, 32 filters; the padding fills whole warps."""
    image = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (6, 7))
    direct.conv2d_direct(numbers(1, 6, 7, 32), numbers(3, 3, 32, 32), numbers(32), image)
    direct.weight_grad_direct(numbers(1, 6, 7, 32), numbers(1, 6, 7, 32), image)


def climb(one):
    """A step of the ladder makes one full tile."""
    image = Window((1, 1), (1, 1), ((0, 0), (0, 0)), (1, one.pixels))
    return lambda: ladder.conv2d(one, numbers(1, 1, one.pixels, 32), numbers(1, 1, 32, one.filters),
                                 image)


LAUNCHES = {
    "im2col": lambda: im2col_blocks.im2col_block(
        numbers(1, 6, 10, 32), CONVOLUTION, 0, 4, zeros(4 * 8 * 9 * 32)),
    "col2im": lambda: im2col_blocks.col2im_block(
        numbers(4 * 8, 9 * 32), zeros(1, 6, 10, 32), CONVOLUTION, 0, 4),
    "implicit_gemm": lambda: conv.conv2d_implicit_gemm(
        numbers(1, 8, 8, 32), numbers(1, 1, 32, 64), numbers(64), POINTWISE),
    "bias_relu": lambda: elementwise.add_bias_relu(numbers(32, 32), numbers(32), relu=True),
    "column_sums": lambda: cuda.bias_grad(numbers(64, 32)),
    "column_covariance": lambda: cuda.batch_norm_param_grads(
        numbers(64, 32), numbers(64, 32), numbers(32), numbers(32)),
    "batch_norm": lambda: cuda.batch_norm(numbers(32, 32), *(numbers(32) for _ in range(4))),
    "batch_norm_backward": lambda: cuda.batch_norm_input_grad(
        numbers(32, 32), numbers(32, 32), *(numbers(32) for _ in range(5))),
    **dict.fromkeys(("winograd_kernels", "winograd_tiles", "winograd_outputs",
                     "winograd_gradient_tiles", "winograd_weight_grads"), winograd_convolution),
    **dict.fromkeys(("pad", "direct_convolution", "direct_weight_grads"), direct_convolution),
    "not_finite": lambda: cuda.all_finite([numbers(1024)]),
    "relu": lambda: cuda.relu(numbers(1024)),
    "relu_backward": two_arrays(cuda.relu_grad),
    "max_pool": lambda: cuda.max_pool2d(numbers(1, 8, 8, 32), POOLING),
    "unpool": lambda: cuda.max_unpool2d(numbers(1, 4, 4, 32), zeros(1, 4, 4, 32, dtype=np.uint8),
                                        (1, 8, 8, 32), POOLING),
    "average_pool": lambda: cuda.average_pool2d(numbers(1, 8, 8, 32), POOLING),
    "average_pool_backward": lambda: cuda.average_pool2d_grad(numbers(1, 4, 4, 32), (1, 8, 8, 32),
                                                              POOLING),
    "sigmoid": lambda: cuda.sigmoid(numbers(1024)),
    "sigmoid_backward": two_arrays(cuda.sigmoid_grad),
    "tanh_forward": lambda: cuda.tanh(numbers(1024)),
    "tanh_backward": two_arrays(cuda.tanh_grad),
    "elu": lambda: cuda.elu(numbers(1024), 0.5),
    "elu_backward": lambda: cuda.elu_grad(numbers(1024), numbers(1024), 0.5),
    "leaky_relu": lambda: cuda.leaky_relu(numbers(1024), 0.5),
    "leaky_relu_backward": lambda: cuda.leaky_relu_grad(numbers(1024), numbers(1024), 0.5),
    "clipped_line": lambda: cuda.clipped_line(numbers(1024), 0.5, 0.5, 1),
    "clipped_line_backward": lambda: cuda.clipped_line_grad(numbers(1024), numbers(1024), 0.5, 1),
    "silu": lambda: cuda.silu(numbers(1024)),
    "silu_backward": two_arrays(cuda.silu_grad),
    "softplus": lambda: cuda.softplus(numbers(1024)),
    "softplus_backward": two_arrays(cuda.softplus_grad),
    "prelu": lambda: cuda.prelu(numbers(32, 32), numbers(32)),
    "prelu_backward": lambda: cuda.prelu_grad(numbers(32, 32), numbers(32, 32), numbers(32)),
    "sigmoid_cross_entropy": two_arrays(cuda.sigmoid_cross_entropy),
    "softmax": lambda: cuda.softmax(numbers(2, 512)),
    "softmax_backward": lambda: cuda.softmax_grad(numbers(2, 512), numbers(2, 512)),
    "softmax_cross_entropy": lambda: cuda.softmax_cross_entropy(numbers(2, 512), numbers(2, 512)),
    "sgd": step(cuda.sgd_step, 0, 0.1),
    "momentum": step(cuda.momentum_step, 1, 0.1, 0.9, True),
    "rmsprop": lambda: cuda.rmsprop_step(numbers(1024), numbers(1024), numbers(1024), None, 0.1,
                                         0.9, 1e-8),
    "adam": step(cuda.adam_step, 2, 1, 0.1, 0.9, 0.999, 1e-8),
    **{one.name: climb(one) for one in ladder.STEPS},
}


def every_kernel():
    """All kernels of kernels/ and of the ladder, by name."""
    return {**launch.kernels(launch.KERNELS), **launch.kernels(launch.KERNELS / "ladder")}


def measured(name):
    """The accesses of the kernel's first launch."""
    with record() as launches:
        LAUNCHES[name]()
    return next(one for one in launches if one.kernel == name)


def main():
    for name, kernel in every_kernel().items():
        sys.stdout.write(f"{kernel.file.name:24} {LINE}{measured(name)}\n")


if __name__ == "__main__":
    main()
