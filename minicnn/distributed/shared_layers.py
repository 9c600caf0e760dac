"""Layers that need to know of the whole global batch, of which this rank has a share only."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ..layers import BatchNormalization, Layer
from ..layers.dropout import seeded_generator
from ..ops import device_of, to_cpu, to_device
from .batch_share import BatchShare, WholeBatchGenerator
from .mpi_ranks import MPIRanks


def shared_layer(layer: Layer, ranks: MPIRanks, share: BatchShare) -> Layer:
    """The layer as it computes in a step that the ranks share: itself, unless it mixes the samples
    of a batch or draws random numbers; else a copy, with the same parameters and gradients.

    A layer of your own that draws random numbers draws those of a single process if it has a seed
    and takes them from layers.dropout.seeded_generator, by random(shape) or standard_normal(shape)
    with the samples first. One that mixes the samples of a batch in another way mixes those of its
    rank only."""
    if type(layer) is BatchNormalization and layer.trainable:
        return SharedBatchNormalization(layer, ranks, share)
    if layer.random and layer.trainable and hasattr(layer, "seed"):
        copied: Any = copy.copy(layer)
        copied.generator = WholeBatchGenerator(seeded_generator(layer), share)
        return copied
    return layer


class SharedBatchNormalization(BatchNormalization):
    """Batch normalization by mean and variance of the global batch, as a single process has them.

    M_r: numbers per channel on rank r, n_r · H · Wd; μ_r, v_r: their mean and variance.
    M = Σ M_r, μ = Σ M_r μ_r / M, v = Σ M_r (v_r + (μ_r − μ)²) / M
    In backward dβ/M and dγ/M are those of all ranks, too. Source: Chan, Golub & LeVeque 1983 (the
    variance of parts); Zhang et al. 2018 (synchronized batch normalization).
    """

    def __init__(self, layer: BatchNormalization, ranks: MPIRanks, share: BatchShare) -> None:
        vars(self).update(vars(layer))
        self.ranks, self.share, self.M, self.own_M = ranks, share, 1.0, 1.0

    def batch_moments(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x (n, …, C) -> mean and variance (C,) of the global batch."""
        mean, variance = super().batch_moments(x)
        if not self.share.active:
            return mean, variance
        C = x.shape[-1]
        self.own_M = x.size // C * (self.share.count / len(x))  # 0 if its samples do not count
        numbers = np.concatenate([[self.own_M], to_cpu(mean), to_cpu(variance)])
        everybody = self.ranks.gather_numbers(numbers)  # (ranks, 1 + 2·C)
        weights, means, variances = np.split(everybody, [1, 1 + C], axis=1)
        self.M = float(weights.sum())
        mean_of_all = (weights * means).sum(axis=0) / self.M  # (C,)
        variance_of_all = (weights * (variances + (means - mean_of_all) ** 2)).sum(axis=0) / self.M
        device = device_of(x)
        return (to_device(mean_of_all.astype(x.dtype), device),
                to_device(variance_of_all.astype(x.dtype), device))

    def batch_sums(self, dgamma: np.ndarray, dbeta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sums over all ranks, times M_r / M, since dx will divide them by M_r; 0 on a rank
        without samples, so that its dx is 0."""
        if not self.share.active:
            return dgamma, dbeta
        x = self.read_cache()[0]
        numbers = np.concatenate([to_cpu(dgamma), to_cpu(dbeta)])
        sums = self.ranks.gather_numbers(numbers).sum(axis=0) * (self.own_M / self.M)
        device = device_of(x)
        return (to_device(sums[:len(dgamma)].astype(x.dtype), device),
                to_device(sums[len(dgamma):].astype(x.dtype), device))
