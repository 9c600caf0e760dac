"""From a score down to the pixels, by three rules that differ at the ReLUs only.

Forward, a ReLU is y = max(x, 0). On the way down a signal dy arrives:

    rule         dx                        the signal passes where …
    gradient     dy · [y > 0]              the unit was active (the chain rule)
    deconvnet    max(dy, 0)                the signal is positive (Zeiler & Fergus 2014, 2.1)
    guided       max(dy, 0) · [y > 0]      both (Springenberg et al. 2015, 3.4)

Convolutions send it through their transposed kernels, pooling layers to their switches: both are
the gradient already, so one loop serves all three rules. Biases have no part in it, nor has the
shift of a batch normalization, whose factors γ/σ belong to the convolution before it. Activations
other than ReLU have the gradient in all three rules.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..layers import BatchNormalization, Conv2D, Dense, Layer, PReLU, ReLU
from ..layers.checks import required_dx
from ..utils.errors import ArgumentError
from .target import Score, forward

RULES = ("gradient", "deconvnet", "guided")


def through_relu(dy: np.ndarray, relu: ReLU, rule: str) -> np.ndarray:
    """dy -> dx by the rule; `relu` has its y in the cache."""
    if rule != "gradient":
        dy = dy * (dy > 0)
    return dy if rule == "deconvnet" else relu.backward(dy)


def backward(layers: Sequence[Layer], dy: np.ndarray, rule: str = "gradient") -> np.ndarray:
    """dy at the output -> dx at the input of these layers, after a forward pass with keep=True; no
    gradient of a parameter is computed."""
    if rule not in RULES:
        raise ArgumentError(f"backward: expected a rule of {', '.join(RULES)}, received {rule!r}.")
    for layer in reversed(layers):
        if isinstance(layer, ReLU):
            dy = through_relu(dy, layer, rule)
        elif isinstance(layer, (Conv2D, Dense)):
            activation = layer.activation
            if isinstance(activation, ReLU):
                dy = through_relu(dy, activation, rule)
            elif activation is not None:
                dy = required_dx(activation, activation.backward(dy))
            dy = layer.input_gradient(dy)
        elif isinstance(layer, (BatchNormalization, PReLU)):
            dy = layer.input_gradient(dy)
        else:
            dy = required_dx(layer, layer.backward(dy))
    return dy


def score_gradient(score: Score, x: np.ndarray, rule: str = "gradient"
                   ) -> tuple[np.ndarray, np.ndarray]:
    """x (N, …) -> S (N,), dS/dx of x's shape, by the rule."""
    y = forward(score.layers, x, keep=True)
    return score.values(y), backward(score.layers, score.dy(y), rule)
