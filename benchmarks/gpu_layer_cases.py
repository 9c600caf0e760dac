"""Cases of benchmarks.gpu: batch normalization and the activations beside ReLU and Sigmoid."""

from collections.abc import Iterator

import torch
from torch.nn import functional as F

from benchmarks.gpu_cases import Case, Twins
from benchmarks.roofline import moved
from minicnn.ops import cuda

aten = torch.ops.aten


def activation_cases(twins: Twins, rows: int, K: int) -> Iterator[Case]:
    """tanh, ELU, leaky ReLU, hard sigmoid, SiLU, softplus, and PReLU with an alpha for each column,
    of (rows, K)."""
    (x, x_t), (dy, dy_t), (alpha, alpha_t) = (
        twins.normal(rows, K), twins.normal(rows, K), twins.normal(K))
    once, size = moved(x.shape), x.size
    yield Case("tanh", lambda: cuda.tanh(x), lambda: x_t.tanh(), 2 * once, 4 * size)
    yield Case("tanh_backward", lambda: cuda.tanh_grad(dy, x),
               lambda: aten.tanh_backward(dy_t, x_t), 3 * once, 3 * size)
    yield Case("elu", lambda: cuda.elu(x, 0.5), lambda: F.elu(x_t, 0.5), 2 * once, 3 * size)
    yield Case("elu_backward", lambda: cuda.elu_grad(dy, x, 0.5),
               lambda: aten.elu_backward(dy_t, 0.5, 1, 1, True, x_t), 3 * once, 2 * size)
    yield Case("leaky_relu", lambda: cuda.leaky_relu(x, 0.1), lambda: F.leaky_relu(x_t, 0.1),
               2 * once, size)
    yield Case("leaky_relu_backward", lambda: cuda.leaky_relu_grad(dy, x, 0.1),
               lambda: aten.leaky_relu_backward(dy_t, x_t, 0.1, False), 3 * once, size)
    yield Case("clipped_line", lambda: cuda.clipped_line(x, 1 / 6, 0.5, 1),
               lambda: F.hardsigmoid(x_t), 2 * once, 4 * size)
    yield Case("clipped_line_backward", lambda: cuda.clipped_line_grad(dy, x, 1, 6),
               lambda: aten.hardtanh_backward(dy_t, x_t, 0, 6), 3 * once, 3 * size)
    yield Case("silu", lambda: cuda.silu(x), lambda: F.silu(x_t), 2 * once, 5 * size)
    yield Case("silu_backward", lambda: cuda.silu_grad(dy, x),
               lambda: aten.silu_backward(dy_t, x_t), 3 * once, 9 * size)
    yield Case("softplus", lambda: cuda.softplus(x), lambda: F.softplus(x_t), 2 * once, 5 * size)
    yield Case("softplus_backward", lambda: cuda.softplus_grad(dy, x),
               lambda: aten.softplus_backward(dy_t, x_t, 1, 20), 3 * once, 5 * size)
    yield Case("prelu", lambda: cuda.prelu(x, alpha), lambda: F.prelu(x_t, alpha_t),
               2 * once, size)

    def prelu_backward():
        dx, products = aten._prelu_kernel_backward(dy_t, x_t, alpha_t.reshape(1, K))
        return dx, products.sum(0)
    yield Case("prelu_backward", lambda: cuda.prelu_grad(dy, x, alpha), prelu_backward,
               5 * once, 3 * size)


def batch_norm_cases(twins: Twins, rows: int, K: int) -> Iterator[Case]:
    """The moments of (rows, K), their use, and the way back."""
    (x, x_t), (dy, dy_t), (gamma, gamma_t), (beta, beta_t) = (
        twins.normal(rows, K), twins.normal(rows, K), twins.normal(K), twins.normal(K))
    once, size = moved(x.shape), x.size
    variance_t, mean_t = torch.var_mean(x_t, 0, correction=0)
    mean, std = (twins.of(numbers.cpu().numpy())[0] for numbers in (mean_t, variance_t.sqrt()))
    dgamma, dbeta = cuda.batch_norm_param_grads(dy, x, mean, std)
    yield Case("batch_moments", lambda: cuda.batch_moments(x),
               lambda: torch.var_mean(x_t, 0, correction=0)[::-1], 2 * once, 4 * size)
    yield Case("batch_norm", lambda: cuda.batch_norm(x, mean, std, gamma, beta),
               lambda: F.batch_norm(x_t, mean_t, variance_t, gamma_t, beta_t, eps=0),
               2 * once, 2 * size)

    def torch_backward(*mask):
        return aten.native_batch_norm_backward(dy_t, x_t, gamma_t, None, None, mean_t,
                                               variance_t.rsqrt(), True, 0.0, mask)
    yield Case("batch_norm, dγ and dβ", lambda: cuda.batch_norm_param_grads(dy, x, mean, std),
               lambda: torch_backward(False, True, True)[1:], 3 * once, 4 * size)
    yield Case("batch_norm_backward",
               lambda: cuda.batch_norm_input_grad(dy, x, mean, std, gamma, dgamma, dbeta),
               lambda: torch_backward(True, False, False)[0], 3 * once, 6 * size)
