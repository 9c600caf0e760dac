"""minicnn's networks in PyTorch, with the same weights."""

import torch
from torch import nn

import minicnn as mc


def torch_network(model, x, channels_last):
    """(network, x): a minicnn network of convolutions, poolings and dense layers, without its last
    softmax, and network input (N, H, Wd, C), both in PyTorch's default layout or channels_last."""
    modules, maps = [], ()
    for layer, before in zip(model.layers, model.shapes(), strict=False):
        if isinstance(layer, mc.Conv2D):
            KH, KW, C, F = layer.params["W"].shape
            modules.append(nn.Conv2d(C, F, (KH, KW), layer.strides, layer.padding))
            modules[-1].weight.data = torch.tensor(layer.params["W"]).permute(3, 2, 0, 1)
        elif isinstance(layer, mc.Dense):
            modules.append(nn.Linear(*layer.params["W"].shape))
            W = torch.tensor(layer.params["W"])
            if maps and isinstance(modules[-2], nn.Flatten):  # rows (h, w, c), there (c, h, w)
                W = W.reshape(*maps, -1).permute(2, 0, 1, 3).flatten(0, 2)
            modules[-1].weight.data = W.T
        elif isinstance(layer, mc.MaxPool2D):
            modules.append(nn.MaxPool2d(layer.pool_size, layer.strides))
        elif isinstance(layer, mc.Flatten):
            modules.append(nn.Flatten())
            maps = before
        else:
            raise TypeError(f"{layer!r} has no counterpart here.")
        if layer.params:
            modules[-1].bias.data = torch.tensor(layer.params["b"])
        if getattr(layer, "activation_name", None) == "relu":
            modules.append(nn.ReLU(inplace=True))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for module in modules:
        for p in module.parameters():
            form = layout if p.ndim == 4 else torch.contiguous_format
            p.data = p.data.contiguous(memory_format=form)
    images = torch.tensor(x).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    return nn.Sequential(*modules), images
