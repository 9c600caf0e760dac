"""Losses L(y, t): how wrong the outputs y are for the targets t, and dL/dy.

Each loss is the mean over the batch of w · l, where w = sample_weight · class_weight[class], 1
where neither is given; as in Keras the sum is divided by the number of terms, not by the sum of w.

The last activation and its loss belong together: in dL/dz the two derivatives cancel to p − t,
exact where exp would overflow or log(0) appear. `fuse` makes that pair for the training loop.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from .errors import ArgumentError, ShapeError
from .layers import Conv2D, Dense, Layer, ReLU, Sigmoid, Softmax
from .layers.activations import sigmoid, softmax

SMALLEST = 1e-12  # probabilities below it count as this, so log and 1 / p stay finite


class Loss:
    """forward(y, t, sample_weight) -> float, then backward() -> dL/dy of y's shape and dtype."""

    fused_activation: type[Layer] | None = None  # the activation whose logits this loss also takes

    def __init__(self, from_logits: bool = False,
                 class_weight: Sequence[float] | None = None) -> None:
        self.from_logits = from_logits
        self.class_weight = None if class_weight is None else np.asarray(class_weight, np.float64)
        self.dy: np.ndarray | None = None

    def targets(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        """t checked against y, in y's shape and dtype."""
        t = np.asarray(t)
        if t.dtype.kind not in "biuf":
            raise ArgumentError(f"{type(self).__name__}: expected numbers as targets, received "
                                f"{t.dtype}: {t.ravel()[:3]}. Give each class its number.")
        if t.shape != y.shape:
            raise ShapeError(f"{type(self).__name__}: expected targets of shape {y.shape}, as the "
                             f"outputs, received {t.shape}.")
        return t.astype(y.dtype)

    def class_weights(self, t: np.ndarray) -> np.ndarray:
        """The factor of each term of l from class_weight, in a shape that broadcasts against l."""
        raise ArgumentError(f"{type(self).__name__}: expected no class_weight, received one; "
                            f"this loss has no classes.")

    def terms(self, y: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(l, dl/dy): the terms that the mean is taken over, and the gradient of y's shape."""
        raise ArgumentError(f"{type(self).__name__}: expected terms(y, t); define it.")

    def forward(self, y: np.ndarray, t: np.ndarray,
                sample_weight: np.ndarray | None = None) -> float:
        """y (N, …), t as the loss says, sample_weight (N,) -> L."""
        t = self.targets(y, t)
        terms, dterms = self.terms(y, t)
        w = np.ones((), y.dtype)
        if self.class_weight is not None:
            w = self.class_weights(t).astype(y.dtype)
        if sample_weight is not None:
            if np.shape(sample_weight) != (len(y),):
                raise ShapeError(f"{type(self).__name__}: expected a sample_weight of shape "
                                 f"({len(y)},), one a sample, received {np.shape(sample_weight)}.")
            rows = np.asarray(sample_weight, y.dtype).reshape(-1, *[1] * (terms.ndim - 1))
            w = w * rows
        if terms.size == 0:
            raise ShapeError(f"{type(self).__name__}: expected at least one sample, "
                             f"received outputs of shape {y.shape}.")
        w = np.broadcast_to(w, terms.shape) / terms.size
        self.dy = dterms * w.reshape(*w.shape, *[1] * (dterms.ndim - w.ndim))  # (N, 1) or (N, K)
        return float((w * terms).sum())

    def backward(self) -> np.ndarray:
        """dL/dy of the last forward."""
        if self.dy is None:
            raise ArgumentError(f"{type(self).__name__}: expected a forward before this backward.")
        return self.dy

    def correct(self, y: np.ndarray, t: np.ndarray) -> np.ndarray | None:
        """Which of the N samples are classified right (N,), for losses that have classes."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(from_logits={self.from_logits})"


class BinaryCrossEntropy(Loss):
    """l = −t log p − (1 − t) log(1 − p), for one sigmoid output, or K independent ones.

    y: probabilities p, or logits z with from_logits; (N,), (N, 1) or (N, K).
    t: 0 … 1, of y's shape; (N,) serves (N, 1). class_weight: weights of class 0 and of class 1.

    Derivation, from p: dl/dp = −t/p + (1 − t)/(1 − p) = (p − t) / (p (1 − p)).
    From z, p = σ(z): l = max(z, 0) − z t + log(1 + e^(−|z|)), which never overflows, and
    dl/dz = dl/dp · σ'(z) = (p − t) / (p (1 − p)) · p (1 − p) = p − t.
    """

    fused_activation = Sigmoid

    def targets(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        """t in y's shape, checked to lie in 0 … 1."""
        t = np.asarray(t)
        t = super().targets(y, t.reshape(y.shape) if y.shape == (*t.shape, 1) else t)
        wrong = ~((t >= 0) & (t <= 1))
        if wrong.any():
            place = np.unravel_index(wrong.argmax(), t.shape)
            raise ArgumentError(f"BinaryCrossEntropy: expected labels from 0 to 1, received "
                                f"{t[place]:g} at place {int(place[0])}. For several classes use "
                                f"CategoricalCrossEntropy.")
        return t

    def class_weights(self, t: np.ndarray) -> np.ndarray:
        """Interpolated between the two weights where t is not 0 or 1."""
        if self.class_weight.shape != (2,):
            raise ArgumentError(f"BinaryCrossEntropy: expected 2 class weights, received "
                                f"{self.class_weight.shape}.")
        return self.class_weight[0] * (1 - t) + self.class_weight[1] * t

    def terms(self, y: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """l and dl/dy, both of y's shape."""
        if self.from_logits:
            return np.maximum(y, 0) - y * t + np.log1p(np.exp(-np.abs(y))), sigmoid(y) - t
        log_p, log_q = np.log(np.maximum(y, SMALLEST)), np.log(np.maximum(1 - y, SMALLEST))
        return -t * log_p - (1 - t) * log_q, (y - t) / np.maximum(y * (1 - y), SMALLEST)

    def correct(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        """p and t on the same side of ½, for all of the K outputs."""
        right = (y > (0 if self.from_logits else 0.5)) == (self.targets(y, t) > 0.5)
        return right.reshape(len(y), -1).all(axis=1)


class CategoricalCrossEntropy(Loss):
    """l = −Σ_k t_k log p_k, for K ≥ 2 outputs of which one is right.

    y: probabilities p (N, K), or logits z with from_logits.
    t: class numbers (N,), integers 0 … K − 1, or one-hot rows (N, K). class_weight: K weights.

    Derivation, from p: dl/dp_k = −t_k / p_k.
    From z, p = softmax(z), Σ t = 1: l = log Σ_k e^{z_k} − Σ_k t_k z_k, and dl/dz_k = p_k − t_k.
    """

    fused_activation = Softmax

    def targets(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        """t as rows (N, K)."""
        if y.ndim != 2 or y.shape[1] < 2:
            raise ShapeError(
                f"CategoricalCrossEntropy: expected outputs of shape (N, K) with K ≥ 2, received "
                f"{y.shape}. With a single output there is nothing to choose from and the loss "
                f"is always 0; use Dense(1), Sigmoid and BinaryCrossEntropy.")
        t, K = np.asarray(t), y.shape[1]
        if t.ndim == 1 and len(t) == len(y):
            if t.dtype.kind not in "iu":
                raise ArgumentError(f"CategoricalCrossEntropy: expected integer class numbers or "
                                    f"one-hot rows, received {t.dtype}. Use t.astype(int).")
            wrong = (t < 0) | (t >= K)
            if wrong.any():
                raise ArgumentError(f"CategoricalCrossEntropy: expected labels 0…{K - 1} ({K} "
                                    f"outputs), received {t[wrong.argmax()]} at place "
                                    f"{wrong.argmax()}.")
            return np.eye(K, dtype=y.dtype)[t]  # (N, K)
        t = super().targets(y, t)
        if not np.allclose(t.sum(axis=1), 1, atol=1e-3) or (t < 0).any():
            raise ArgumentError("CategoricalCrossEntropy: expected rows of targets that are not "
                                "negative and sum to 1, received others. Are they one-hot?")
        return t

    def class_weights(self, t: np.ndarray) -> np.ndarray:
        """The weight of each row's class (N,)."""
        if self.class_weight.shape != (t.shape[1],):
            raise ArgumentError(f"CategoricalCrossEntropy: expected {t.shape[1]} class weights, "
                                f"received {self.class_weight.shape}.")
        return t @ self.class_weight

    def terms(self, y: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """l (N,) and dl/dy (N, K)."""
        if self.from_logits:
            z = y - y.max(axis=1, keepdims=True)
            return np.log(np.exp(z).sum(axis=1)) - (t * z).sum(axis=1), softmax(y) - t
        p = np.maximum(y, SMALLEST)
        return -(t * np.log(p)).sum(axis=1), -t / p

    def correct(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        """The largest output is that of the right class."""
        return y.argmax(axis=1) == self.targets(y, t).argmax(axis=1)


class MeanSquaredError(Loss):
    """l = (y − t)², y and t of one shape. Derivation: dl/dy = 2 (y − t)."""

    def terms(self, y: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """l and dl/dy, both of y's shape."""
        return (y - t) ** 2, 2 * (y - t)


def fuse(layers: list[Layer], loss: Loss) -> tuple[list[Layer], Loss]:
    """(layers without the last activation, the loss from logits) where the two are a pair; both
    unchanged where they are not. Parameters and gradients stay shared with the originals.

    Raises ArgumentError for pairs that cannot learn, and says why.
    """
    last = layers[-1]
    inner = getattr(last, "activation", None)  # Dense(1, activation="sigmoid")
    activation = type(inner or last)
    if loss.from_logits and activation in (Sigmoid, Softmax):
        raise ArgumentError(f"{last.name}: expected logits for {loss!r}, received the output of "
                            f"{activation.__name__}. Leave from_logits out; training fuses them.")
    if activation is Sigmoid and isinstance(loss, CategoricalCrossEntropy):
        raise ArgumentError(
            f"{last.name}: expected BinaryCrossEntropy after Sigmoid, received "
            f"CategoricalCrossEntropy, which chooses among outputs that sum to 1: of a single one "
            f"it learns nothing. For several classes end with Softmax.")
    if activation is Softmax and isinstance(loss, BinaryCrossEntropy):
        raise ArgumentError(
            f"{last.name}: expected CategoricalCrossEntropy after Softmax, received "
            f"BinaryCrossEntropy, which takes every output for a question of its own. For two "
            f"classes Dense(1) with Sigmoid will do.")
    if loss.fused_activation and not loss.from_logits and activation in (Conv2D, Dense, ReLU):
        raise ArgumentError(
            f"{last.name}: expected probabilities for {type(loss).__name__}, received the output "
            f"of {activation.__name__}. End with {loss.fused_activation.__name__}(), or say "
            f"{type(loss).__name__}(from_logits=True).")
    if loss.from_logits or activation is not loss.fused_activation:
        return layers, loss
    fused_loss = copy.copy(loss)
    fused_loss.from_logits = True
    if inner is None:
        return layers[:-1], fused_loss
    linear = copy.copy(last)  # shares the dicts of parameters and gradients
    linear.activation = None
    return [*layers[:-1], linear], fused_loss
