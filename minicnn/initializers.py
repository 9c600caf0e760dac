"""Starting values: wide enough for signals to pass, narrow enough not to explode.

For y = x·W, Var(y) = fan_in · Var(W) · E[x²]. Signals keep their size with Var(W) = 1 / fan_in,
gradients with 1 / fan_out; Glorot & Bengio 2010 take 2 / (fan_in + fan_out) between the two. After
a ReLU only half is left, E[relu(z)²] = Var(z) / 2, so He et al. 2015 take 2 / fan_in.
"""

from __future__ import annotations

import numpy as np

from .utils.errors import ArgumentError

NAMES = ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "zeros", "ones")


def check_initializer(what: str, name: str) -> None:
    """Raises ArgumentError unless it is the name of one."""
    if name not in NAMES:
        raise ArgumentError(f"{what}: expected an initializer of {NAMES}, received {name!r}.")


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a kernel (KH, KW, C, F) or (D, units): KH·KW·C and KH·KW·F."""
    receptive = int(np.prod(shape[:-2]))
    return receptive * shape[-2], receptive * shape[-1]


def initialize(name: str, shape: tuple[int, ...], rng: np.random.Generator | None) -> np.ndarray:
    """float32 array of `shape`, drawn by rng; zeros if rng is None (weights are loaded next).

    Uniform on ±√(3·Var) or normal with variance Var, as in the module's docstring.
    """
    check_initializer("initialize", name)
    if rng is None or name in ("zeros", "ones"):
        return np.full(shape, 1 if name == "ones" else 0, np.float32)
    fan_in, fan_out = fans(shape)
    family, distribution = name.split("_")
    variance = 2 / (fan_in + fan_out) if family == "glorot" else 2 / fan_in
    if distribution == "uniform":
        limit = np.sqrt(3 * variance)
        return rng.uniform(-limit, limit, shape).astype(np.float32)
    return rng.normal(0, np.sqrt(variance), shape).astype(np.float32)
