"""What `minicnn gradcheck` checks: all layers and losses of minicnn, or one of the user's."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from .. import layers, losses
from ..ops import array_module, ops_for
from ..utils.errors import ArgumentError
from ..utils.language import gettext as _
from .check import Gradcheck, gradcheck
from .checkable import Checkable
from .explain import hints


class _LossLayer:
    """A loss seen as a layer: x are its outputs, the target is fixed."""

    def __init__(self, loss: losses.Loss, t: np.ndarray) -> None:
        self.loss, self.t = loss, t
        logits = getattr(loss, "from_logits", False)
        self.name = type(loss).__name__ + (" from logits" if logits else "")

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        return array_module(x).array(self.loss.forward(x, self.t[:len(x)]))

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        dx = self.loss.backward()
        return None if dx is None else dx * dy


def check_all(seed: int = 0, device: str = "cpu") -> list[Gradcheck]:
    """Checks every layer and loss of minicnn, on odd sizes, strides and paddings."""
    rng = np.random.default_rng((seed, 1))  # gradcheck draws dy from seed itself: x is never dy
    images, rows = rng.normal(size=(2, 5, 6, 3)), rng.normal(size=(4, 5))
    # Halfway to 1/5 each: near 0 a logarithm bends too much for a step of 1e-6.
    probabilities = (ops_for(rows).softmax(rows) + 0.2) / 2
    cases: list[tuple[Checkable, np.ndarray]] = [
        (layers.Conv2D(4, (3, 2), name="Conv2D valid"), images),
        (layers.Conv2D(4, 3, (2, 1), "same", name="Conv2D same, strides (2, 1)"), images),
        (layers.Conv2D(7, 3, 1, (2, 1), "relu", name="Conv2D padding (2, 1) + ReLU"), images),
        (layers.Conv2D(3, 2, use_bias=False, name="Conv2D without bias"), images),
        (layers.Dense(3, name="Dense"), rows),
        (layers.Dense(3, activation="softmax", name="Dense + softmax"), rows),
        (layers.BatchNormalization(name="BatchNormalization"), images),
        (layers.BatchNormalization(name="BatchNormalization of rows"), rows),
        (layers.MaxPool2D(2, name="MaxPool2D"), images),
        (layers.MaxPool2D(3, 2, "same", name="MaxPool2D same, overlapping"), images),
        (layers.AveragePool2D(3, strides=2, padding="same", name="AveragePool2D same"), images),
        (layers.GlobalAveragePool2D(name="GlobalAveragePool2D"), images),
        (layers.GlobalMaxPool2D(name="GlobalMaxPool2D"), images),
        (layers.Flatten(name="Flatten"), images),
        (layers.Reshape((9, -1), name="Reshape"), images),
        (layers.Permute((3, 1, 2), name="Permute"), images),
        (layers.ZeroPadding2D(((1, 0), (2, 3)), name="ZeroPadding2D"), images),
        (layers.CenterCrop(4, 3, name="CenterCrop"), images),
        (layers.Resizing(5, 6, name="Resizing"), images),
        (layers.Rescaling(0.5, -1, name="Rescaling"), images),
        (layers.Normalization(-1, (1, 2, 3), (4, 5, 6), name="Normalization"), images),
        (layers.ReLU(name="ReLU"), images),
        (layers.Sigmoid(name="Sigmoid"), images),
        (layers.Tanh(name="Tanh"), images),
        (layers.ELU(0.5, name="ELU"), images),
        (layers.LeakyReLU(0.1, name="LeakyReLU"), images),
        (layers.PReLU(name="PReLU"), images),
        (layers.PReLU((1, 2), name="PReLU, shared by pixels"), images),
        (layers.ReLU6(name="ReLU6"), 4 * images),
        (layers.HardSigmoid(name="HardSigmoid"), 2 * images),
        (layers.SELU(name="SELU"), images),
        (layers.SiLU(name="SiLU"), images),
        (layers.Softplus(name="Softplus"), images),
        (layers.Softmax(name="Softmax"), rows),
        (layers.Dropout(0.4, name="Dropout"), images),
        (layers.SpatialDropout2D(0.4, name="SpatialDropout2D"), images),
        (layers.GaussianDropout(0.4, name="GaussianDropout"), images),
        (layers.GaussianNoise(0.4, name="GaussianNoise"), images),
        (_LossLayer(losses.BinaryCrossEntropy(), np.array([0, 1, 1, 0])), probabilities[:, :1]),
        (_LossLayer(losses.BinaryCrossEntropy(True), np.array([0, 1, 1, 0])), rows[:, :1]),
        (_LossLayer(losses.CategoricalCrossEntropy(), np.array([0, 4, 1, 1])), probabilities),
        (_LossLayer(losses.CategoricalCrossEntropy(True), np.array([0, 4, 1, 1])), rows),
        (_LossLayer(losses.MeanSquaredError(), rng.normal(size=(4, 5))), rows),
    ]
    return [gradcheck(layer, x, seed=seed, device=device) for layer, x in cases]


def is_loss(layer: Any) -> bool:
    """Whether it is a loss: its backward takes no argument, that of a layer takes dy."""
    return not inspect.signature(layer.backward).parameters


def check_user_layer(layer: Any, shape: tuple[int, ...] | None = None, seed: int = 0,
                     device: str = "cpu") -> Gradcheck:
    """gradcheck of a student's layer or loss on random numbers of `shape`; without one, on those of
    two shapes."""
    result = gradcheck(*_layer_and_input(layer, shape, seed), seed=seed, device=device)
    if shape is None and result.ok:
        _check_other_shape(result, layer, seed, device)
    return result


def _check_other_shape(result: Gradcheck, layer: Any, seed: int, device: str) -> None:
    """Adds rows for what is wrong on x of another shape, with no size or product in common, so that
    a division by H is not one by W."""
    shape = (7, 6) if is_loss(layer) else (5, 8, 9, 3)
    try:
        other = gradcheck(*_layer_and_input(layer, shape, seed), max_elements=0, seed=seed,
                          device=device)
    except Exception:  # a layer for one shape only, which the user knows
        result.remarks.append(_("Only x of shape {shape} was checked; of shape {other} the layer "
                                "does not take it.", shape=result.points[0].x.shape, other=shape))
        return
    result.rows += [row for row in other.rows if row.note != "ok"]
    result.remarks += [remark for remark in other.remarks if remark not in result.remarks]


def hints_for(layer: Any, shape: tuple[int, ...] | None = None, seed: int = 0) -> list[str]:
    """What is right and wrong with the same gradients, in words: minicnn.gradcheck.explain."""
    return hints(*_layer_and_input(layer, shape, seed), seed)


def _layer_and_input(layer: Any, shape: tuple[int, ...] | None, seed: int
                     ) -> tuple[Checkable, np.ndarray]:
    """(layer, x): a loss becomes a layer, with x as logits (N, K) and random class numbers t."""
    if not all(hasattr(layer, method) for method in ("forward", "backward")):
        raise ArgumentError(f"{type(layer).__name__}: expected forward(x, training, keep) and "
                            f"backward(dy), or for a loss forward(y, t) and backward(), received "
                            f"{[m for m in dir(layer) if m[0] != '_']}.")
    rng = np.random.default_rng((seed, 1))  # as in check_all
    x = rng.normal(size=shape or ((4, 5) if is_loss(layer) else (2, 6, 7, 3)))
    if is_loss(layer):
        return _LossLayer(layer, rng.integers(max(x.shape[-1], 2), size=len(x))), x
    return layer, x
