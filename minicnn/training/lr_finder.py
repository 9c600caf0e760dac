"""Learning rates that are measured: by the size of the features; and by a range test, the loss
while it grows from far too small to far too large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..losses import Loss
from ..model import Sequential
from ..optimizers import Adam, Optimizer
from ..plotting import drawing
from ..utils.arrays import FloatArray, IntArray
from ..utils.errors import ArgumentError, check_int
from ..utils.language import gettext as _
from ..utils.mapped_arrays import mapped_file, release_pages
from ..utils.ranks import current_ranks
from .batches import Data
from .callbacks import FeatureCache, ProgressBar
from .prepare import prepare
from .state import get_weights, set_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def initial_learning_rate(x: np.ndarray) -> float:
    """Adam's learning rate for a new head on features x (N, …): its first update moves a logit by
    about 1.

    Adam's first update changes every weight by lr, so a logit z = Σ_d W_d x_d moves by lr · Σ |x_d|
    at most. VGG16's features are in the hundreds and there are thousands of them: lr is near 1e-6.
    """
    sums = []
    start, stop = current_ranks().part_of(len(x))  # all of them, unless several ranks share them
    for row in x[start:stop]:
        sums.append(np.abs(row).sum())
        if file := mapped_file(x):
            release_pages(file)
    return float(1 / max(np.mean(sum(current_ranks().gather(sums), [])), 1e-6))


@dataclass
class LearningRates(drawing.HasFigure):
    """lr, losses (S,): the learning rates that were tried, and the loss of the batch before each
    step; smooth (S,): its moving mean; suggestion: where the smooth loss falls fastest."""

    lr: FloatArray
    losses: FloatArray
    smooth: FloatArray
    suggestion: float

    @property
    def top(self) -> float:
        """Where the axis of the losses ends, so that their fall can be seen."""
        return 1.5 * float(max(self.smooth[:max(2, len(self.smooth) // 2)].max(), self.losses[0]))

    def figure(self) -> Figure:
        """The loss over the learning rate, and where it falls fastest."""
        figure = drawing.new_figure(9, 5)
        ax = figure.subplots()
        ax.plot(self.lr, self.losses, color="0.7", lw=1, label=_("a batch"))
        ax.plot(self.lr, self.smooth, color=drawing.BLUE, lw=3, label=_("moving mean"))
        ax.axvline(self.suggestion, color=drawing.ORANGE, ls="--", lw=2,
                   label=_("falls fastest: {rate:.2g}", rate=self.suggestion))
        ax.set(xscale="log", xlabel=_("learning rate"), ylabel=_("loss"))
        ax.set_ylim(0, self.top)
        ax.grid(alpha=0.3)
        ax.legend()
        return figure

    def __str__(self) -> str:
        return _("learning rate: {rate:.2g} (the loss falls fastest there; tried {lowest:.1g} … "
                 "{highest:.1g})", rate=self.suggestion, lowest=self.lr[0], highest=self.lr[-1])


def find_lr(model: Sequential, data: Data, loss: Loss,
            optimizer: Callable[[float], Optimizer] = Adam, *, lowest: float = 1e-9,
            highest: float = 1.0, steps: int = 100, batch_size: int = 32,
            seed: int = 0) -> LearningRates:
    """Trains for at most `steps` batches while the learning rate grows by the same factor each time
    from lowest to highest; ends when the loss is four times its lowest. The weights are put back.

    Raises ArgumentError for limits that do not fit, NotFiniteError if the first loss or the second
    is not finite, and what fit raises before its first step. Source: Smith 2017, section 3.3.
    """
    check_int(steps, "find_lr, steps", least=10)
    if not 0 < lowest < highest:
        raise ArgumentError(f"find_lr: expected 0 < lowest < highest, received {lowest!r} and "
                            f"{highest!r}.")
    growing = optimizer(lowest)
    state = prepare(model, data, loss, growing, batch_size=batch_size, seed=seed,
                    callbacks=[ProgressBar(enabled=False)])
    FeatureCache().on_train_begin(state)
    weights = get_weights(model)
    rates: list[float] = []
    losses: list[float] = []
    smooth: list[float] = []
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # it ends when they are not finite
            order = shuffled_often(state.rng, len(state.train_data), steps * batch_size)
            for x, t in state.batches_of(state.train_data, order):
                rates.append(lowest * (highest / lowest) ** (len(rates) / (steps - 1)))
                losses.append(state.loss.forward(state.network.forward(x, training=True), t))
                smooth.append(moving_mean(losses))
                if not np.isfinite(smooth[-1]) and len(rates) < 3:
                    raise state.not_finite_error(x, f"find_lr, batch {len(rates)}", t, state.loss,
                                                 training=True)
                if not smooth[-1] <= 4 * min(smooth):
                    break
                state.network.backward(state.loss.backward(), input_gradient=False)
                growing.lr = rates[-1]
                growing.step(state.network)
    finally:
        set_weights(model, weights)
    lowest_at = int(np.nanargmin(smooth))
    slope = np.diff(smooth[:max(lowest_at + 1, 3)])
    return LearningRates(np.array(rates), np.array(losses), np.array(smooth),
                         suggestion=rates[int(np.nanargmin(slope))])


def shuffled_often(rng: np.random.Generator, N: int, count: int) -> IntArray:
    """`count` indices: all N in random order, again and again."""
    repeats = -(-count // N)
    return np.concatenate([rng.permutation(N) for _ in range(repeats)])[:count]


def moving_mean(losses: list[float], decay: float = 0.9) -> float:
    """The mean in which each loss weighs `decay` times the one after it."""
    weights = decay ** np.arange(len(losses))[::-1]
    return float((np.array(losses) * weights).sum() / weights.sum())
