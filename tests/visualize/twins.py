"""One small network twice, minicnn's and PyTorch's, for the comparisons with Captum."""

import numpy as np
import torch
from torch import nn

import minicnn as mc


def photo(seed=3, shape=(12, 10, 3)):
    """Network input of this shape."""
    return np.random.default_rng(seed).normal(size=shape)


def both(units=4, softmax=False, seed=0):
    """One network twice: minicnn's, and PyTorch's up to the logits, NCHW, in float64."""
    model = mc.Sequential([
        mc.Conv2D(5, 3, padding="same", activation="relu", name="conv1"), mc.MaxPool2D(2),
        mc.Conv2D(6, 3, padding="same", activation="relu", name="conv2"), mc.Flatten(),
        mc.Dense(7, activation="relu", name="dense"), mc.Dense(units, name="logits"),
        *[mc.Softmax()] * softmax], (12, 10, 3), seed)
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        layer.params = {key: rng.normal(size=p.shape) * (0.3 if key == "W" else 0.1)
                        for key, p in layer.params.items()}
    net = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                        nn.Conv2d(5, 6, 3, padding=1), nn.ReLU(), nn.Flatten(),
                        nn.Linear(180, 7), nn.ReLU(), nn.Linear(7, units)).double()
    ours = [layer for layer in model.layers if layer.params]
    for theirs, layer in zip([net[0], net[3], net[6], net[8]], ours, strict=True):
        W = layer.params["W"]
        if layer.name == "dense":  # rows (h, w, c) here, (c, h, w) there
            W = W.reshape(6, 5, 6, 7).transpose(2, 0, 1, 3).reshape(180, 7)
        W = W.transpose(3, 2, 0, 1) if W.ndim == 4 else W.T
        with torch.no_grad():
            theirs.weight.copy_(torch.tensor(W.copy()))
            theirs.bias.copy_(torch.tensor(layer.params["b"]))
    return model, net


def nchw(x):
    return torch.tensor(x.transpose(2, 0, 1)[None], requires_grad=True)


def nhwc(x):
    return x.detach()[0].permute(1, 2, 0).numpy()
