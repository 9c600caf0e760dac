"""The native backend: fast, with kernels/*.cu compiled for this processor where that pays."""

from ..fast import (
    all_finite,
    average_pool2d,
    average_pool2d_grad,
    batch_moments,
    batch_norm,
    batch_norm_input_grad,
    batch_norm_param_grads,
    clipped_line,
    clipped_line_grad,
    dense,
    dense_input_grad,
    dense_weight_grad,
    elu,
    elu_grad,
    leaky_relu,
    leaky_relu_grad,
    prelu,
    prelu_grad,
    relu,
    rmsprop_step,
    sgd_step,
    sigmoid,
    sigmoid_cross_entropy,
    sigmoid_grad,
    silu,
    silu_grad,
    softmax,
    softmax_cross_entropy,
    softmax_grad,
    softplus,
    softplus_grad,
    tanh,
    tanh_grad,
)
from .conv import conv2d, conv2d_input_grad, conv2d_max_pool, conv2d_weight_grad
from .elementwise import bias_grad, relu_grad
from .pooling import max_pool2d, max_unpool2d
from .steps import adam_step, momentum_step

__all__ = ["adam_step", "all_finite", "average_pool2d", "average_pool2d_grad", "batch_moments",
           "batch_norm", "batch_norm_input_grad", "batch_norm_param_grads", "bias_grad",
           "clipped_line", "clipped_line_grad", "conv2d", "conv2d_input_grad", "conv2d_max_pool",
           "conv2d_weight_grad", "dense", "dense_input_grad", "dense_weight_grad", "elu",
           "elu_grad", "leaky_relu", "leaky_relu_grad", "max_pool2d", "max_unpool2d",
           "momentum_step", "prelu", "prelu_grad", "relu", "relu_grad", "rmsprop_step", "sgd_step",
           "sigmoid", "sigmoid_cross_entropy", "sigmoid_grad", "silu", "silu_grad", "softmax",
           "softmax_cross_entropy", "softmax_grad", "softplus", "softplus_grad", "tanh",
           "tanh_grad"]
