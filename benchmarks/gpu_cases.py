"""What benchmarks.gpu measures: each operation of ours beside PyTorch's, on the same numbers.

A case is two functions without arguments that return the same numbers in the same order, and the
bytes and flops of ours, by the formulas of benchmarks.roofline. PyTorch sees our (N, H, W, C)
memory as its channels_last, the layout that cuDNN likes best. Nothing here needs a GPU: on
"cuda-sim" PyTorch computes on the processor.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

import minicnn as mc
from benchmarks.roofline import (
    Shape,
    backward_steps,
    convolution,
    moved,
    network_steps,
    winograd_weight_grad,
)
from benchmarks.roofline import training_steps as steps_of_training
from minicnn.ops import Window, array_module, cuda, to_cpu, to_device
from minicnn.ops.algorithms import use_algorithm
from minicnn.ops.cuda import conv, elementwise, im2col_blocks
from minicnn.ops.cuda.direct import conv2d_direct, weight_grad_direct
from minicnn.ops.cuda.winograd import conv2d_winograd, weight_grad_winograd
from minicnn.training import fuse

aten = torch.ops.aten


@dataclass(frozen=True)
class Case:
    """ours() and theirs() return the same numbers in one order; bytes and flops are of ours."""

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    bytes: int
    flops: int = 0


class Twins:
    """Arrays for both: the same numbers, for us on `device`, for PyTorch on the same hardware."""

    def __init__(self, device: str, seed: int = 0) -> None:
        self.device, self.rng = device, np.random.default_rng(seed)

    def of(self, a: np.ndarray) -> tuple[Any, torch.Tensor]:
        """A NumPy array as (ours, theirs), copies both."""
        on_gpu = self.device == "cuda" and torch.cuda.is_available()  # the stand-in is no GPU
        theirs = torch.tensor(a, device="cuda" if on_gpu else "cpu")
        return to_device(np.array(a), self.device), theirs

    def normal(self, *shape: int) -> tuple[Any, torch.Tensor]:
        """Standard normal numbers, float32."""
        return self.of(self.rng.standard_normal(shape, np.float32))


def chw(x: torch.Tensor) -> torch.Tensor:
    """(N, H, W, C) seen as (N, C, H, W)."""
    return x.permute(0, 3, 1, 2)


def hwc(x: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W) seen as (N, H, W, C)."""
    return x.permute(0, 2, 3, 1)


def column_cases(twins: Twins, x_shape: Shape) -> Iterator[Case]:
    """im2col and col2im of 3 × 3 windows, padded; PyTorch's unfold and fold."""
    N, H, Wd, C = x_shape
    window = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (H, Wd))
    x, x_t = twins.normal(*x_shape)
    cols, cols_t = twins.normal(N * H, Wd, 3, 3, C)
    folded = cols_t.reshape(N, H * Wd, 9, C).permute(0, 3, 2, 1).reshape(N, C * 9, H * Wd)
    memory = cols.reshape(-1)

    def im2col():
        return im2col_blocks.im2col_block(x, window, 0, N * H, memory).reshape(cols.shape)

    def col2im():
        dx = array_module(x).zeros_like(x)
        im2col_blocks.col2im_block(cols, dx, window, 0, N * H)
        return dx

    yield Case("col2im", col2im,
               lambda: hwc(F.fold(folded, (H, Wd), 3, padding=1)),
               moved(cols.shape, x_shape, x_shape, x_shape), prod(cols.shape))
    # overwrites cols, so it comes last
    yield Case("im2col", im2col, lambda: F.unfold(chw(x_t), 3, padding=1).view(
        N, C, 3, 3, H, Wd).permute(0, 4, 5, 2, 3, 1), moved(x_shape, cols.shape))


def pooling_cases(twins: Twins, x_shape: Shape) -> Iterator[Case]:
    """Windows of 2 × 2, stride 2, forward and backward."""
    N, H, Wd, C = x_shape
    window, k = Window.on_image((H, Wd), (2, 2), (2, 2)), ([2, 2], [2, 2])
    (x, x_t), (dy, dy_t) = twins.normal(*x_shape), twins.normal(N, H // 2, Wd // 2, C)
    _, switches = cuda.max_pool2d(x, window)
    _, places = aten.max_pool2d_with_indices(chw(x_t), *k)
    one, both = moved(dy.shape), moved(x_shape, dy.shape)
    yield Case("max_pool", lambda: cuda.max_pool2d(x, window),
               lambda: hwc(aten.max_pool2d_with_indices(chw(x_t), *k)[0]),
               both + one // 4, prod(x_shape))
    yield Case("unpool", lambda: cuda.max_unpool2d(dy, switches, x_shape, window),
               lambda: hwc(aten.max_pool2d_with_indices_backward(
                   chw(dy_t), chw(x_t), *k, [0, 0], [1, 1], False, places)), both + one // 4)
    yield Case("average_pool", lambda: cuda.average_pool2d(x, window),
               lambda: hwc(aten.avg_pool2d(chw(x_t), *k)), both, prod(x_shape))
    yield Case("average_pool_backward", lambda: cuda.average_pool2d_grad(dy, x_shape, window),
               lambda: hwc(aten.avg_pool2d_backward(chw(dy_t), chw(x_t), *k, [0, 0], False, True,
                                                    None)), both, prod(x_shape))


def elementwise_cases(twins: Twins, rows: int, K: int) -> Iterator[Case]:
    """Activations and cross-entropies of (rows, K)."""
    (x, x_t), (dy, dy_t), (b, b_t) = twins.normal(rows, K), twins.normal(rows, K), twins.normal(K)
    y, y_t = twins.of(twins.rng.dirichlet(np.ones(K), rows).astype(np.float32))
    z, z_t = twins.normal(rows, K)
    once, size = moved(x.shape), x.size

    def bias_relu():
        elementwise.add_bias_relu(z, b, relu=True)
        return z

    yield Case("bias_relu", bias_relu, lambda: z_t.add_(b_t).relu_(),
               2 * once, 2 * size)
    yield Case("relu", lambda: cuda.relu(x), lambda: x_t.relu(), 2 * once, size)
    yield Case("relu_backward", lambda: cuda.relu_grad(dy, x),
               lambda: aten.threshold_backward(dy_t, x_t, 0), 3 * once, size)
    yield Case("column_sums", lambda: cuda.bias_grad(x), lambda: x_t.sum(0), once, size)
    yield Case("not_finite", lambda: np.float32([cuda.all_finite([x])]),
               lambda: x_t.isfinite().all().float().reshape(1), once, size)
    yield Case("sigmoid", lambda: cuda.sigmoid(x), lambda: x_t.sigmoid(), 2 * once, 4 * size)
    yield Case("sigmoid_backward", lambda: cuda.sigmoid_grad(dy, y),
               lambda: aten.sigmoid_backward(dy_t, y_t), 3 * once, 3 * size)
    yield Case("softmax", lambda: cuda.softmax(x), lambda: x_t.softmax(-1), 2 * once, 4 * size)
    yield Case("softmax_backward", lambda: cuda.softmax_grad(dy, y),
               lambda: aten._softmax_backward_data(dy_t, y_t, -1, y_t.dtype), 3 * once, 4 * size)
    yield Case("sigmoid_cross_entropy", lambda: cuda.sigmoid_cross_entropy(x, y), lambda: (
        F.binary_cross_entropy_with_logits(x_t, y_t, reduction="none"), x_t.sigmoid() - y_t),
        4 * once, 10 * size)
    yield Case("softmax_cross_entropy", lambda: cuda.softmax_cross_entropy(x, y), lambda: (
        F.cross_entropy(x_t, y_t, reduction="none"), x_t.softmax(-1) - y_t), 3 * once, 8 * size)


def optimizer_cases(twins: Twins, size: int) -> Iterator[Case]:
    """One step on a parameter of `size` numbers; PyTorch's fused optimizers where it has them."""
    once = moved((size,))
    torch_fused = {"fused": True}
    for name, ours, theirs, options, passes in (
            ("sgd", mc.optimizers.SGD(0.01), torch.optim.SGD, torch_fused, 3),
            ("momentum", mc.optimizers.SGD(0.01, 0.9), torch.optim.SGD,
             {"momentum": 0.9, **torch_fused}, 5),
            ("rmsprop + sgd", mc.optimizers.RMSprop(0.01), torch.optim.RMSprop,
             {"foreach": True}, 7),
            ("adam", mc.optimizers.Adam(0.01), torch.optim.Adam, torch_fused, 7)):
        (p, p_t), (g, g_t) = twins.normal(size), twins.normal(size)
        p_t.grad = g_t
        step = theirs([p_t], lr=0.01, **options).step

        def update(ours=ours, p=p, g=g, state={}):  # noqa: B006  # the state lasts
            ours.update(p, g, state)
            return p

        def torch_update(step=step, p_t=p_t):
            step()
            return p_t
        yield Case(name, update, torch_update, passes * once, 4 * size)


def convolution_cases(twins: Twins, x_shape: Shape, filters: int) -> Iterator[Case]:
    """3 × 3, stride 1, "same", a bias of zeros: forward by every algorithm, then dW and dx."""
    (x, x_t), (dz, dz_t) = twins.normal(*x_shape), twins.normal(*x_shape[:3], filters)
    W, W_t = twins.of(twins.rng.standard_normal((3, 3, x_shape[3], filters), np.float32) / 10)
    W_t = W_t.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    layer = mc.Conv2D(filters, 3, padding="same")
    layer.params["W"] = W
    window, b = layer.window(x_shape), array_module(x).zeros(filters, x.dtype)
    for algorithm, conv2d in (("im2col", conv.conv2d_im2col),
                              ("implicit_gemm", conv.conv2d_implicit_gemm),
                              ("winograd", conv2d_winograd)):
        def forward(conv2d=conv2d):
            return conv2d(x, W, b, window)
        steps = convolution(x_shape, W.shape, dz.shape, algorithm)
        yield Case(f"convolution, {algorithm}", forward,
                   lambda: hwc(F.conv2d(chw(x_t), W_t, padding=1)),
                   sum(s.bytes for s in steps), sum(s.flops for s in steps))

    def backward(*mask):
        return aten.convolution_backward(chw(dz_t), chw(x_t), W_t, None, [1, 1], [1, 1], [1, 1],
                                         False, [0, 0], 1, mask)
    steps = {step.name: step for step in backward_steps(layer, x_shape, dz.shape, False)}
    product = prod(x_shape) * 9 * filters * 2
    cols = moved((prod(x_shape[:3]), 9 * x_shape[3]))
    all_steps = backward_steps(layer, x_shape, dz.shape, True)
    of_dx = all_steps[len(backward_steps(layer, x_shape, dz.shape, False)):]
    yield Case("convolution, dW", lambda: cuda.conv2d_weight_grad(x, dz, window),
               lambda: backward(False, True, False)[1].permute(2, 3, 1, 0),
               steps["im2col"].bytes + cols + moved(dz.shape, W.shape), product)
    tiles = winograd_weight_grad(x_shape, W.shape, dz.shape)
    yield Case("convolution, dW, winograd", lambda: weight_grad_winograd(x, dz, window),
               lambda: backward(False, True, False)[1].permute(2, 3, 1, 0),
               sum(s.bytes for s in tiles), sum(s.flops for s in tiles))
    yield Case("convolution, dx", lambda: cuda.conv2d_input_grad(dz, W, x_shape, window),
               lambda: hwc(backward(True, False, False)[0]),
               sum(s.bytes for s in of_dx), sum(s.flops for s in of_dx))


def few_channels_cases(twins: Twins, x_shape: Shape, filters: int) -> Iterator[Case]:
    """As convolution_cases, for photos: the direct convolution beside im2col's, forward and dW."""
    (x, x_t), (dz, dz_t) = twins.normal(*x_shape), twins.normal(*x_shape[:3], filters)
    W, W_t = twins.of(twins.rng.standard_normal((3, 3, x_shape[3], filters), np.float32) / 10)
    W_t = W_t.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    window = mc.Conv2D(filters, 3, padding="same").window(x_shape)
    b = array_module(x).zeros(filters, x.dtype)

    def torch_weight_grad():
        _, dW, _ = aten.convolution_backward(chw(dz_t), chw(x_t), W_t, None, [1, 1], [1, 1], [1, 1],
                                             False, [0, 0], 1, (False, True, False))
        return dW.permute(2, 3, 1, 0)
    for algorithm, conv2d, dW in (("im2col", conv.conv2d_im2col, cuda.conv2d_weight_grad),
                                  ("direct", conv2d_direct, weight_grad_direct)):
        steps = convolution(x_shape, W.shape, dz.shape, algorithm)  # those of dW move as much
        work = sum(s.bytes for s in steps), sum(s.flops for s in steps)
        yield Case(f"convolution of few channels, {algorithm}",
                   lambda conv2d=conv2d: conv2d(x, W, b, window),
                   lambda: hwc(F.conv2d(chw(x_t), W_t, padding=1)), *work)
        yield Case(f"convolution of few channels, dW, {algorithm}",
                   lambda dW=dW: dW(x, dz, window), torch_weight_grad, *work)


def twin_network(model: mc.Sequential, twins: Twins
                 ) -> tuple[Callable[[torch.Tensor], torch.Tensor], list[torch.Tensor]]:
    """(x (N, H, W, C) -> logits, parameters): the model in PyTorch, without its softmax."""
    params = [{key: twins.of(to_cpu(p))[1] for key, p in layer.params.items()}
              for layer in model.layers]
    for own in params:
        if "W" in own and own["W"].ndim == 4:
            own["W"] = own["W"].permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
        for p in own.values():
            p.requires_grad_()

    def forward(x):
        x = chw(x)
        for layer, own in zip(model.layers, params, strict=True):
            if isinstance(layer, mc.Conv2D):
                x = F.conv2d(x, own["W"], own["b"], padding="same")
            elif isinstance(layer, mc.Dense):
                x = torch.addmm(own["b"], x, own["W"])
            elif isinstance(layer, mc.MaxPool2D):
                x = F.max_pool2d(x, layer.pool_size, layer.strides)
            else:  # Flatten
                x = hwc(x).flatten(1)
            if own and layer.activation_name == "relu":
                x = x.relu()
        return x
    return forward, [p for own in params for p in own.values()]


def network_cases(twins: Twins, model: mc.Sequential, batch: int) -> Iterator[Case]:
    """Inference by the selected algorithms and by two others, and a training step; the model ends
    with Dense and softmax."""
    x, x_t = twins.normal(batch, *model.input_shape)
    labels = twins.rng.integers(0, model.shapes()[-1][0], batch)
    labels_t = twins.of(labels)[1]
    model.to(twins.device)
    torch_forward, params = twin_network(model, twins)
    layers, loss = fuse(model.layers, mc.losses.CategoricalCrossEntropy())
    network, optimizer = model.view(layers, model.input_shape), mc.optimizers.SGD(1e-6, 0.9)
    torch_optimizer = torch.optim.SGD(params, 1e-6, 0.9, fused=True)

    def infer(algorithm):
        with contextlib.nullcontext() if algorithm == "selected" else use_algorithm(algorithm):
            return model.forward(x, keep=False)

    def torch_infer():
        with torch.inference_mode():
            return torch_forward(x_t).softmax(-1)

    for algorithm in ("selected", "im2col", "implicit_gemm"):
        steps = [s for found in network_steps(model, batch, algorithm).values() for s in found]
        yield Case(f"{model.name} inference, {algorithm}", lambda a=algorithm: infer(a),
                   torch_infer, sum(s.bytes for s in steps), sum(s.flops for s in steps))

    def train():
        value = loss.forward(network.forward(x, training=True), labels)
        network.backward(loss.backward(), input_gradient=False)
        optimizer.step(network)
        return value, layers[0].grads["W"]

    def torch_train():
        torch_optimizer.zero_grad()
        value = F.cross_entropy(torch_forward(x_t), labels_t)
        value.backward()
        torch_optimizer.step()
        return value, params[0].grad.permute(2, 3, 1, 0)

    infer("selected")
    steps = steps_of_training(model, batch)
    yield Case(f"{model.name} training step", train, torch_train, sum(s.bytes for s in steps),
               sum(s.flops for s in steps))
