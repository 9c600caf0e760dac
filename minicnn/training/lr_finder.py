"""A step size from a look: the loss while the step grows from far too small to far too large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import drawing
from ..errors import ArgumentError, whole
from ..losses import Loss
from ..model import Sequential
from ..optimizers import Adam, Optimizer
from .best import set_weights, weights_of
from .finite import not_finite
from .fusing import fuse
from .sources import Data, checked, features, outputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class LearningRates(drawing.Drawn):
    """lr, losses (S,): step sizes tried, and the loss of the batch before each; smooth (S,): its
    moving mean; suggestion: where the smooth loss falls fastest."""

    lr: np.ndarray
    losses: np.ndarray
    smooth: np.ndarray
    suggestion: float

    @property
    def top(self) -> float:
        """Where the axis of the losses ends, that their fall is seen."""
        return 1.5 * float(max(self.smooth[:max(2, len(self.smooth) // 2)].max(), self.losses[0]))

    def figure(self) -> Figure:
        """The loss over the step size, and where it falls fastest."""
        figure = drawing.new_figure(9, 5)
        ax = figure.subplots()
        ax.plot(self.lr, self.losses, color="0.7", lw=1, label="a batch")
        ax.plot(self.lr, self.smooth, color=drawing.BLUE, lw=3, label="moving mean")
        ax.axvline(self.suggestion, color=drawing.ORANGE, ls="--", lw=2,
                   label=f"falls fastest: {self.suggestion:.2g}")
        ax.set(xscale="log", xlabel="step size", ylabel="loss")
        ax.set_ylim(0, self.top)
        ax.grid(alpha=0.3)
        ax.legend()
        return figure

    def __str__(self) -> str:
        return (f"step size: {self.suggestion:.2g} (the loss falls fastest there; tried "
                f"{self.lr[0]:.1g} … {self.lr[-1]:.1g})")


def find_lr(model: Sequential, data: Data, loss: Loss,
            optimizer: Callable[[float], Optimizer] = Adam, *, lowest: float = 1e-9,
            highest: float = 1.0, steps: int = 100, batch_size: int = 32,
            seed: int = 0) -> LearningRates:
    """Trains for at most `steps` batches, the step size growing by the same factor each time from
    lowest to highest; ends where the loss is four times its least. The weights are put back.

    Raises ArgumentError for limits that do not fit, NotFiniteError where the first loss is not
    finite, or the second. Source: Smith 2017, section 3.3.
    """
    whole(steps, "find_lr, steps", least=10)
    if not 0 < lowest < highest:
        raise ArgumentError(f"find_lr: expected 0 < lowest < highest, received {lowest!r} and "
                            f"{highest!r}.")
    data, size = checked(model, data, loss)
    frozen, rest = model.split()
    layers, loss = fuse(rest.layers, loss)
    network, before, moving = model.view(layers, rest.input_shape), weights_of(model), optimizer(0)
    if frozen.layers:
        data = features(frozen, data, batch_size=batch_size)
        frozen = model.view([], network.input_shape)
    rng, lr, losses, smooth = np.random.default_rng(seed), [], [], []
    order = np.concatenate([rng.permutation(size) for _ in range(-(-steps * batch_size // size))])
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # it ends where it is not finite
            for x, t in outputs(frozen, data, order[:steps * batch_size], batch_size):
                losses.append(loss.forward(network.forward(x, training=True), t))
                part = np.array(losses) * 0.9 ** np.arange(len(losses))[::-1]
                smooth.append(part.sum() / (0.9 ** np.arange(len(losses))).sum())
                moving.lr = lowest * (highest / lowest) ** (len(lr) / (steps - 1))
                lr.append(moving.lr)
                if not np.isfinite(smooth[-1]) and len(lr) < 3:
                    raise not_finite(network, x, f"find_lr, batch {len(lr)}", t, loss, True)
                if not smooth[-1] <= 4 * min(smooth):
                    break
                network.backward(loss.backward(), input_gradient=False)
                moving.step(network)
    finally:
        set_weights(model, before)
    slope = np.diff(smooth[:max(int(np.nanargmin(smooth)) + 1, 3)])
    return LearningRates(np.array(lr), np.array(losses), np.array(smooth),
                         lr[int(np.nanargmin(slope))])
