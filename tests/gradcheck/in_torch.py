"""The layers of readers/ in PyTorch, whose autograd says what their gradients are."""

import numpy as np
import torch
import torch.nn.functional as F


def to_channels_first(x):
    return x.permute(0, 3, 1, 2)


def to_channels_last(x):
    return x.permute(0, 2, 3, 1)


def batch_norm(x, layer, params, training):
    running = (None, None) if training else (
        torch.as_tensor(layer.running_mean), torch.as_tensor(layer.running_var))
    y = F.batch_norm(to_channels_first(x), *running, params["gamma"], params["beta"],
                     training=training, eps=1e-3)
    return to_channels_last(y)


def layer_norm(x, layer, params, training):
    return F.layer_norm(x, x.shape[1:], params["gamma"], params["beta"], eps=1e-3)


def prelu(x, layer, params, training):
    return to_channels_last(F.prelu(to_channels_first(x), params["alpha"]))


def masked_dropout(x, layer, params, training):
    return x * torch.as_tensor(layer.mask) / (1 - layer.rate) if training else x


def depthwise_conv(x, layer, params, training):
    W = params["W"].permute(2, 0, 1)[:, None]  # (C, 1, KH, KW)
    xp = F.pad(to_channels_first(x), (0, 1, 1, 1))
    return to_channels_last(F.conv2d(xp, W, params["b"], groups=x.shape[-1]))


def upsampling(x, layer, params, training):
    y = F.interpolate(to_channels_first(x), scale_factor=2, mode="bilinear", align_corners=False)
    return to_channels_last(y)


def attention(x, layer, params, training):
    tokens = x.reshape(len(x), -1, x.shape[-1])
    q, k, v = (tokens @ params[key] for key in ("Wq", "Wk", "Wv"))
    return F.scaled_dot_product_attention(q, k, v).reshape(*x.shape[:-1], -1)


def log_softmax(x, layer, params, training):
    return F.log_softmax(x, dim=-1)


def maxout(x, layer, params, training):
    z = torch.einsum("nhwc,kcf->knhwf", x, params["W"]) + params["b"][:, None, None, None]
    return z.amax(dim=0)


def pyramid_pooling(x, layer, params, training):
    x = to_channels_first(x)
    pooled = [F.adaptive_max_pool2d(x, n) for n in (1, 2)]
    return torch.cat([p.permute(0, 2, 3, 1).reshape(len(x), -1) for p in pooled], dim=1)


def relu6(x, layer, params, training):
    return F.relu6(x)


def hard_swish(x, layer, params, training):
    return F.hardswish(x)


def group_norm(x, layer, params, training):
    y = F.group_norm(to_channels_first(x), 2, params["gamma"], params["beta"], eps=1e-3)
    return to_channels_last(y)


def swiglu(x, layer, params, training):
    return (x @ params["Wu"]) * F.silu(x @ params["Wv"])


def l2_normalise(x, layer, params, training):
    return x / torch.sqrt(torch.square(x).sum(-1, keepdim=True) + 1e-6)


def blur(x, layer, params, training):
    weights = torch.exp(-torch.arange(-1, 3, dtype=x.dtype) ** 2 / 2)
    kernel = torch.outer(weights, weights).repeat(x.shape[-1], 1, 1, 1)
    xp = F.pad(to_channels_first(x), (1, 2, 1, 2))
    return to_channels_last(F.conv2d(xp, kernel, groups=x.shape[-1]))


def mirror_max(x, layer, params, training):
    return torch.stack([x, x.flip(1)]).amax(0)


def float32_dense(x, layer, params, training):
    return torch.tanh(F.linear(x, params["W"].T, params["b"]))


def standardise(x, layer, params, training):
    return (x - x.mean(0)) / x.std(0)


def warm_softmax(x, layer, params, training):
    return F.softmax(x / (2.5 if training else 1), -1)


def scales(x, layer, params, training):
    return torch.tanh(x) * torch.tensor([1, 1e7, 2])


def average_pool(x, layer, params, training):
    return to_channels_last(F.avg_pool2d(to_channels_first(x), 2))


def channel_means(x, layer, params, training):
    return F.adaptive_avg_pool2d(to_channels_first(x), 1).flatten(1)


FORWARD = {f.__name__: f for f in (
    batch_norm, layer_norm, prelu, masked_dropout, depthwise_conv, upsampling, attention,
    log_softmax, maxout, pyramid_pooling, relu6, hard_swish, group_norm, swiglu, l2_normalise, blur,
    mirror_max, float32_dense, standardise, warm_softmax, scales, average_pool, channel_means)}


def gradients(name, layer, x, dy, training):
    """{"y": …, "dx": …, "dgamma": …} by PyTorch, for the layer's parameters."""
    x = torch.tensor(x, requires_grad=True)
    params = {key: torch.tensor(p, requires_grad=True) for key, p in layer.params.items()}
    y = FORWARD[name](x, layer, params, training)
    y.backward(torch.as_tensor(dy))
    arrays = {"y": y.detach(), "dx": x.grad, **{f"d{key}": p.grad for key, p in params.items()}}
    return {key: np.asarray(value) for key, value in arrays.items()}
