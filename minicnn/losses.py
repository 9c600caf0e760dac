"""Losses L(y, t): how wrong the outputs y are for the targets t, and dL/dy.

Each loss is the mean over the batch of w · l, where w = sample_weight · class_weight[class], 1
if neither is given; as in Keras the sum is divided by the number of terms, not by the sum of w.

The last activation and its loss belong together: in dL/dz the two derivatives cancel to p − t,
exact where exp would overflow or log(0) appear. training.fuse makes that pair for the loop.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .layers import Layer, Sigmoid, Softmax
from .ops import array_module, device_of, ops_for, to_cpu, to_device
from .utils.arrays import BoolArray, FloatArray
from .utils.errors import ArgumentError, ShapeError

EPSILON = 1e-12  # probabilities below it count as this, so log and 1 / p stay finite


class Loss:
    """forward(y, t, sample_weight) -> float, then backward() -> dL/dy of y's shape and dtype.

    label_smoothing: ε, 0 ≤ ε < 1; forward moves the targets by this share towards all classes
    alike (smooth_labels). fit applies it in training and leaves it out in validation.
    """

    fused_activation: type[Layer] | None = None  # the activation whose logits this loss also takes

    def __init__(self, from_logits: bool = False, class_weight: Sequence[float] | None = None,
                 label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing < 1:
            raise ArgumentError(f"{type(self).__name__}: expected a label_smoothing from 0 to "
                                f"below 1, received {label_smoothing!r}.")
        self.from_logits, self.label_smoothing = from_logits, float(label_smoothing)
        self.class_weight: FloatArray | None = (
            None if class_weight is None else np.asarray(class_weight, np.float64))
        self.dy: np.ndarray | None = None

    def targets(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        """t checked against y (on the processor), in y's shape and dtype and on its device."""
        t = to_cpu(t)
        if t.dtype.kind not in "biuf":
            raise ArgumentError(f"{type(self).__name__}: expected numbers as targets, received "
                                f"{t.dtype}: {t.ravel()[:3]}. Give each class its number.")
        if t.shape != y.shape:
            raise ShapeError(f"{type(self).__name__}: expected targets of shape {y.shape}, as the "
                             f"outputs, received {t.shape}.")
        return to_device(t.astype(y.dtype), device_of(y))

    def class_weights(self, t: np.ndarray, class_weight: FloatArray) -> np.ndarray:
        """The factor of each term of l from class_weight, in a shape that broadcasts against l."""
        raise ArgumentError(f"{type(self).__name__}: expected no class_weight, received one; "
                            f"this loss has no classes.")

    def smooth_labels(self, t: np.ndarray) -> np.ndarray:
        """The targets t, moved by the share label_smoothing towards all classes alike."""
        raise ArgumentError(f"{type(self).__name__}: expected no label_smoothing, received "
                            f"{self.label_smoothing}; this loss has no classes.")

    def per_sample(self, y: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(l, dl/dy): the terms that the mean is taken over, and the gradient of y's shape."""
        raise ArgumentError(f"{type(self).__name__}: expected per_sample(y, t); define it.")

    def forward(self, y: np.ndarray, t: np.ndarray,
                sample_weight: FloatArray | None = None) -> float:
        """y (N, …), t as the loss says, sample_weight (N,) -> L."""
        t = self.targets(y, t)
        if self.label_smoothing:
            t = self.smooth_labels(t)
        per_sample, d_per_sample = self.per_sample(y, t)
        xp, w = array_module(y), array_module(y).ones((), y.dtype)
        if self.class_weight is not None:
            w = self.class_weights(t, self.class_weight).astype(y.dtype)
        if sample_weight is not None:
            if np.shape(sample_weight) != (len(y),):
                raise ShapeError(f"{type(self).__name__}: expected a sample_weight of shape "
                                 f"({len(y)},), one a sample, received {np.shape(sample_weight)}.")
            rows = to_cpu(sample_weight).astype(y.dtype).reshape(-1, *[1] * (per_sample.ndim - 1))
            w = w * to_device(rows, device_of(y))
        if per_sample.size == 0:
            raise ShapeError(f"{type(self).__name__}: expected at least one sample, "
                             f"received outputs of shape {y.shape}.")
        w = xp.broadcast_to(w, per_sample.shape) / per_sample.size  # the mean's 1 / N
        if d_per_sample.ndim > w.ndim:
            self.dy = d_per_sample * w[:, None]  # one l, and one weight, per row: (N, K)·(N, 1)
        else:
            self.dy = d_per_sample * w
        return float((w * per_sample).sum())

    def backward(self) -> np.ndarray:
        """dL/dy of the last forward, which has computed it."""
        if self.dy is None:
            raise ArgumentError(f"{type(self).__name__}: expected a forward before this backward.")
        return self.dy

    def correct(self, y: np.ndarray, t: np.ndarray) -> BoolArray | None:
        """Which of the N samples are classified correctly (N,), for losses that have classes."""
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
        t = to_cpu(t)
        on_y = super().targets(y, t.reshape(y.shape) if y.shape == (*t.shape, 1) else t)
        wrong = ~((t >= 0) & (t <= 1))
        if wrong.any():
            index = np.unravel_index(wrong.argmax(), t.shape)
            raise ArgumentError(f"BinaryCrossEntropy: expected labels from 0 to 1, received "
                                f"{t[index]:g} at place {int(index[0])}. For several classes use "
                                f"CategoricalCrossEntropy.")
        return on_y

    def class_weights(self, t: np.ndarray, class_weight: FloatArray) -> np.ndarray:
        """Interpolated between the two weights if t is not 0 or 1."""
        if class_weight.shape != (2,):
            raise ArgumentError(f"BinaryCrossEntropy: expected 2 class weights, received "
                                f"{class_weight.shape}.")
        return class_weight[0] * (1 - t) + class_weight[1] * t

    def smooth_labels(self, t: np.ndarray) -> np.ndarray:
        """(1 − ε) t + ε / 2: each output is a choice between two classes, 0 and 1."""
        return (1 - self.label_smoothing) * t + self.label_smoothing / 2

    def per_sample(self, y: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """l and dl/dy, both of y's shape."""
        if self.from_logits:
            return ops_for(y, t).sigmoid_cross_entropy(y, t)
        xp = array_module(y)
        log_p, log_q = xp.log(xp.maximum(y, EPSILON)), xp.log(xp.maximum(1 - y, EPSILON))
        return -t * log_p - (1 - t) * log_q, (y - t) / xp.maximum(y * (1 - y), EPSILON)

    def correct(self, y: np.ndarray, t: np.ndarray) -> BoolArray:
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
        t, K = to_cpu(t), y.shape[1]
        if t.ndim == 1 and len(t) == len(y):
            if t.dtype.kind not in "iu":
                raise ArgumentError(f"CategoricalCrossEntropy: expected integer class numbers or "
                                    f"one-hot rows, received {t.dtype}. Use t.astype(int).")
            wrong = (t < 0) | (t >= K)
            if wrong.any():
                raise ArgumentError(f"CategoricalCrossEntropy: expected labels 0…{K - 1} ({K} "
                                    f"outputs), received {t[wrong.argmax()]} at place "
                                    f"{wrong.argmax()}.")
            return to_device(np.eye(K, dtype=y.dtype)[t], device_of(y))  # (N, K)
        on_y = super().targets(y, t)
        if not np.allclose(t.sum(axis=1), 1, atol=1e-3) or (t < 0).any():
            raise ArgumentError("CategoricalCrossEntropy: expected rows of targets that are not "
                                "negative and sum to 1, received others. Are they one-hot?")
        return on_y

    def class_weights(self, t: np.ndarray, class_weight: FloatArray) -> np.ndarray:
        """The weight of each row's class (N,)."""
        if class_weight.shape != (t.shape[1],):
            raise ArgumentError(f"CategoricalCrossEntropy: expected {t.shape[1]} class weights, "
                                f"received {class_weight.shape}.")
        return t @ to_device(class_weight, device_of(t))

    def smooth_labels(self, t: np.ndarray) -> np.ndarray:
        """Rows (1 − ε) t + ε / K. Source: Szegedy et al. 2016, section 7."""
        return (1 - self.label_smoothing) * t + self.label_smoothing / t.shape[1]  # (N, K)

    def per_sample(self, y: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """l (N,) and dl/dy (N, K)."""
        if self.from_logits:
            return ops_for(y, t).softmax_cross_entropy(y, t)
        p = array_module(y).maximum(y, EPSILON)
        return -(t * array_module(y).log(p)).sum(axis=1), -t / p

    def correct(self, y: np.ndarray, t: np.ndarray) -> BoolArray:
        """The largest output is that of the right class."""
        return y.argmax(axis=1) == self.targets(y, t).argmax(axis=1)


class MeanSquaredError(Loss):
    """l = (y − t)², y and t of one shape. Derivation: dl/dy = 2 (y − t)."""

    def per_sample(self, y: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """l and dl/dy, both of y's shape."""
        return (y - t) ** 2, 2 * (y - t)
