"""Batch normalization: every channel at mean 0 and variance 1, then scaled and shifted."""

from __future__ import annotations

import numpy as np

from ..ops import array_module, ops_for
from . import argument_checks, checks
from .base import Layer


class BatchNormalization(Layer):
    """Each channel normalized by its mean and variance, over the batch or over all of training.

    Shapes:  x (N, C) or (N, H, Wd, C) -> y of the same shape; every parameter is (C,)
    Forward: y = γ x̂ + β, x̂ = (x − μ) / σ, σ = √(v + ε)
             μ, v: in a training step, of the M = N or N·H·Wd numbers of a channel in this batch:
                   μ = Σ x / M, v = Σ (x − μ)² / M (the biased variance)
             otherwise, and in a frozen layer: moving_mean, moving_variance
    After a training step: moving ← momentum · moving + (1 − momentum) · that of the batch.

    Trainable are gamma and beta; moving_mean and moving_variance are parameters, too, saved, moved
    and restored as all others, but set by forward(training=True) and by no optimizer.

    axis:    of the channels; minicnn has them last, so -1 or the number of the last axis.
    center:  False leaves beta out; scale: False leaves gamma out. All arguments are Keras'.
    Raises:  ArgumentError for arguments that do not fit, ShapeError for an x that does not.
    Source:  Ioffe & Szegedy 2015; the moving averages as Keras 3 has them.
    """

    arguments = ("axis", "momentum", "epsilon", "center", "scale")
    non_trainable = ("moving_mean", "moving_variance")

    def __init__(self, axis: int = -1, momentum: float = 0.99, epsilon: float = 0.001,
                 center: bool = True, scale: bool = True, name: str | None = None) -> None:
        super().__init__(name)
        self.axis = argument_checks.as_axis(self.name, axis)
        self.momentum = argument_checks.as_number(momentum, f"{self.name}, momentum", 0, 1 + 1e-9)
        self.epsilon = argument_checks.as_number(epsilon, f"{self.name}, epsilon", 0)
        self.center, self.scale = bool(center), bool(scale)

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """As the input."""
        argument_checks.check_channels(self, "moving_mean", input_shape)
        argument_checks.check_last_axis(self.name, self.axis, input_shape)
        return input_shape

    def param_shapes(self, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """gamma, beta, moving_mean, moving_variance, each (C,), in Keras' order."""
        trainable = ["gamma"] * self.scale + ["beta"] * self.center
        return dict.fromkeys([*trainable, *self.non_trainable], input_shape[-1:])

    def initializer(self, key: str, shape: tuple[int, ...]) -> str:
        """gamma and moving_variance begin at 1, beta and moving_mean at 0."""
        return "ones" if key in ("gamma", "moving_variance") else "zeros"

    def gamma_and_beta(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """γ and β in the dtype of x; ones and zeros if they are left out."""
        xp, shape = array_module(x), self.params["moving_mean"].shape
        return (self.param("gamma", x) if self.scale else xp.ones(shape, x.dtype),
                self.param("beta", x) if self.center else xp.zeros(shape, x.dtype))

    def folded(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(scale, shift), each (C,): outside a training step y = scale · x + shift."""
        gamma, beta = self.gamma_and_beta(x)
        scale = gamma / array_module(x).sqrt(self.param("moving_variance", x) + self.epsilon)
        return scale, beta - scale * self.param("moving_mean", x)

    def forward(self, x: np.ndarray, training: bool = False, keep: bool = True) -> np.ndarray:
        """x -> y of the same shape; a training step moves the moving averages."""
        checks.check_input(self, x)
        by_batch = training and self.trainable and len(x) > 0
        if by_batch:
            mean, variance = self.batch_moments(x)
            self.move_averages(mean, variance)
        else:
            mean, variance = self.param("moving_mean", x), self.param("moving_variance", x)
        std = array_module(x).sqrt(variance + self.epsilon)
        self.cache = (x, mean, std, by_batch) if keep else None
        return ops_for(x).batch_norm(x, mean, std, *self.gamma_and_beta(x))

    def batch_moments(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance (C,) of this batch; in minicnn/distributed of all ranks' together."""
        return ops_for(x).batch_moments(x)

    def batch_sums(self, dgamma: np.ndarray, dbeta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """dγ and dβ as dx needs them, summed over all of which μ and σ were computed."""
        return dgamma, dbeta

    def move_averages(self, mean: np.ndarray, variance: np.ndarray) -> None:
        """moving ← momentum · moving + (1 − momentum) · that of the batch, in new arrays."""
        for key, value in (("moving_mean", mean), ("moving_variance", variance)):
            moving = self.params[key]
            moved = self.momentum * moving + (1 - self.momentum) * value.astype(moving.dtype)
            self.params[key] = moved

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dy -> dx of the same shape; dgamma and dbeta unless frozen.

        Derivation: y = γ x̂ + β, hence dβ = Σ dy, dγ = Σ dy·x̂ over the M numbers of a channel.
                    Outside a training step μ and σ are constants: dx = γ/σ · dy.
                    In one they depend on x, too. With x̂_j = (x_j − μ) / σ and σ = √(v + ε),
                      ∂μ/∂x_k = 1/M
                      ∂v/∂x_k = 2/M · Σ_j (x_j − μ) (δ_jk − 1/M) = 2 (x_k − μ) / M,
                                since Σ_j (x_j − μ) = 0
                      ∂σ/∂x_k = 1/(2σ) · ∂v/∂x_k = (x_k − μ) / (M σ) = x̂_k / M
                    By the quotient rule
                      ∂x̂_j/∂x_k = (δ_jk − ∂μ/∂x_k) / σ − (x_j − μ) / σ² · ∂σ/∂x_k
                                = (δ_jk − 1/M − x̂_j x̂_k / M) / σ
                    By the chain rule, with dx̂ = γ dy,
                      dx_k = Σ_j dx̂_j ∂x̂_j/∂x_k
                           = (dx̂_k − 1/M · Σ_j dx̂_j − x̂_k/M · Σ_j dx̂_j x̂_j) / σ
                    and as Σ_j dx̂_j = γ dβ and Σ_j dx̂_j x̂_j = γ dγ,
                      dx_k = γ/σ · (dy_k − dβ/M − x̂_k dγ/M):
                    dx is γ/σ times dy without its mean and without its part along x̂, since y
                    does not change if x is shifted or, but for ε, multiplied by a positive factor.
        """
        x, mean, std, by_batch = self.read_cache()
        ops = ops_for(x, dy)
        if self.trainable or by_batch:
            dgamma, dbeta = ops.batch_norm_param_grads(dy, x, mean, std)
        if self.trainable:
            self.grads.update({"gamma": dgamma} if self.scale else {})
            self.grads.update({"beta": dbeta} if self.center else {})
        if not by_batch:
            return self.input_gradient(dy)
        gamma, _ = self.gamma_and_beta(x)
        return ops.batch_norm_input_grad(dy, x, mean, std, gamma,
                                         *self.batch_sums(dgamma, dbeta))

    def input_gradient(self, dy: np.ndarray) -> np.ndarray:
        """dx = γ/σ · dy, for the σ of the forward that was cached: μ and σ taken as constants."""
        x, _, std, _ = self.read_cache()
        gamma, _ = self.gamma_and_beta(x)
        return array_module(dy, std).multiply(dy, gamma / std)
