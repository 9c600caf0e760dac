"""The loss of a global batch of which each rank has a share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..losses import Loss
from ..ops import to_cpu
from ..utils.arrays import BoolArray, FloatArray
from .batch_share import BatchShare
from .mpi_ranks import MPIRanks


class SharedLoss(Loss):
    """L = Σ_r n_r/N · L_r, the mean over the N samples of all ranks: L_r is that over the n_r of
    rank r. backward gives n_r/N · dL_r/dy for this rank's samples; the dW computed from it, summed
    over the ranks, are those of L.

    Everything that decides on a number decides on L, so all ranks decide alike. The request of a
    rank to stop travels with the loss, and all know of it in the same step.

    request: what this rank asks for, 0: to go on; requested: the largest of all ranks.
    mean, correct_count, count: L, how many samples are classified correctly (NaN if the loss has no
    classes) and N, of the last forward.
    """

    def __init__(self, loss: Loss, ranks: MPIRanks, share: BatchShare,
                 request: Callable[[], int] = lambda: 0) -> None:
        vars(self).update(vars(loss))  # from_logits, label_smoothing, class_weight
        self.loss, self.ranks, self.share, self.request = loss, ranks, share, request
        self.fused_activation = loss.fused_activation
        self.mean, self.correct_count, self.count, self.requested = np.nan, np.nan, 0, 0

    def forward(self, y: np.ndarray, t: np.ndarray,
                sample_weight: FloatArray | None = None) -> float:
        """y (n, …), t: of this rank's samples -> L."""
        value, n = self.loss.forward(y, t, sample_weight), self.share.count
        if not self.share.active:
            return value
        correct = self.loss.correct(y, t)
        right = np.nan if correct is None else float(correct.sum())
        # A rank without samples contributes zeros, written out, since 0 · NaN is NaN.
        own = np.array([n, n * value, right, self.request()]) if n else np.array(
            [0, 0, 0 if correct is not None else np.nan, self.request()])
        everybody = self.ranks.gather_numbers(own)  # (ranks, 4)
        count, total, right, _ = everybody.sum(axis=0)
        self.count, self.mean = int(count), float(total / count)
        self.correct_count, self.requested = float(right), int(everybody[:, 3].max())
        return self.mean

    def backward(self) -> np.ndarray:
        """n_r/N · dL_r/dy."""
        dy = self.loss.backward()
        return dy * (self.share.count / self.count) if self.share.active else dy

    # The rest is that of the loss

    def targets(self, y: np.ndarray, t: np.ndarray) -> np.ndarray:
        """As the loss has it."""
        return self.loss.targets(y, t)

    def class_weights(self, t: np.ndarray, class_weight: FloatArray) -> np.ndarray:
        """As the loss has it."""
        return self.loss.class_weights(t, class_weight)

    def smooth_labels(self, t: np.ndarray) -> np.ndarray:
        """As the loss has it."""
        return self.loss.smooth_labels(t)

    def per_sample(self, y: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As the loss has it."""
        return self.loss.per_sample(y, t)

    def correct(self, y: np.ndarray, t: np.ndarray) -> BoolArray | None:
        """Of this rank's samples."""
        correct = self.loss.correct(y, t)
        return None if correct is None else to_cpu(correct)
