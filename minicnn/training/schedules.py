"""How large a step: over the training, for which layers, and where to begin."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from ..errors import ArgumentError
from ..model import Sequential
from ..optimizers import Optimizer

Schedule = Callable[[float], float]  # share of the training that is done, 0 … 1 -> factor


def constant(done: float) -> float:
    """1 all the time."""
    return 1.0


def step(done: float) -> float:
    """1, then 1/10 and 1/100, each for a third of the training. Source: He et al. 2016, 3.4."""
    return 0.1 ** min(int(3 * done), 2)


def cosine(done: float) -> float:
    """From 1 to 0 along half a cosine, (1 + cos π·done) / 2. Source: Loshchilov & Hutter 2017."""
    return (1 + math.cos(math.pi * done)) / 2


def one_cycle(done: float, warm_up: float = 0.3) -> float:
    """From 1/25 up to 1 in the first `warm_up` of the training, then down to 0, both along half a
    cosine: small steps while Adam's means are young. Source: Smith & Topin 2018."""
    if done < warm_up:
        return 1 - 0.96 * cosine(done / warm_up)
    return cosine((done - warm_up) / (1 - warm_up))


SCHEDULES: dict[str, Schedule] = {"constant": constant, "step": step, "cosine": cosine,
                                  "one-cycle": one_cycle}


def grouped(network: Sequential, optimizer: Optimizer | dict[str, Optimizer]
            ) -> list[tuple[Optimizer, Any]]:
    """[(optimizer, what its step takes), …]. Of a dict, each layer goes to the first key that its
    name begins with. Raises ArgumentError for a key without layers, or a trainable layer without
    key."""
    if not isinstance(optimizer, dict):
        return [(optimizer, network)]
    groups: dict[str, list] = {key: [] for key in optimizer}
    for layer in network.layers:
        key = next((key for key in optimizer if layer.name.startswith(key)), None)
        if key is not None:
            groups[key].append(layer)
        elif layer.trainable and layer.params:
            raise ArgumentError(f"fit: expected an optimizer for {layer.name}, received some for "
                                f"{', '.join(map(repr, optimizer))}. Add one under the name \"\".")
    for key, layers in groups.items():
        if not any(layer.trainable and layer.params for layer in layers):
            raise ArgumentError(f"fit: expected a trainable layer whose name begins with {key!r}, "
                                f"found none. Leave that optimizer out, or unfreeze the layer.")
    return [(optimizer[key], SimpleNamespace(layers=groups[key])) for key in optimizer]


@contextmanager
def scaled(groups: Sequence[tuple[Optimizer, Any]], factor: float) -> Iterator[None]:
    """The optimizers' step sizes times `factor`, for this block only."""
    before = [one.lr for one, _ in groups]
    try:
        for one, _ in groups:
            one.lr *= factor
        yield
    finally:
        for (one, _), lr in zip(groups, before, strict=True):
            one.lr = lr
