"""Learning rate schedules: how the learning rate changes over the training."""

from __future__ import annotations

import math
from collections.abc import Callable

from ...optimizers import Optimizer
from ..state import TrainingState
from .base import Callback

Schedule = Callable[[float], float]  # fraction of the training that is done, 0 … 1 -> factor


def constant(done: float) -> float:
    """Always 1."""
    return 1.0


def step(done: float) -> float:
    """1, then 1/10 and 1/100, each for a third of the training. Source: He et al. 2016, 3.4."""
    return 0.1 ** min(int(3 * done), 2)


def cosine(done: float) -> float:
    """From 1 to 0 along half a cosine, (1 + cos π·done) / 2. Source: Loshchilov & Hutter 2017."""
    return (1 + math.cos(math.pi * done)) / 2


def one_cycle(done: float, warm_up: float = 0.3) -> float:
    """From 1/25 up to 1 in the first `warm_up` of the training, then down to 0, both along half a
    cosine: small steps while Adam's means rest on few gradients. Source: Smith & Topin 2018."""
    if done < warm_up:
        return 1 - 0.96 * cosine(done / warm_up)
    return cosine((done - warm_up) / (1 - warm_up))


SCHEDULES: dict[str, Schedule] = {"constant": constant, "step": step, "cosine": cosine,
                                  "one-cycle": one_cycle}


class LearningRateSchedule(Callback):
    """During each step the learning rate is multiplied by function(done), done being the fraction
    of the training that is finished, 0 … 1; afterwards it is the optimizer's own again. function:
    one of SCHEDULES, or one of yours. With ParamGroups all learning rates are multiplied.
    """

    def __init__(self, function: Schedule) -> None:
        self.function = function
        self.original: list[tuple[Optimizer, float]] = []  # the learning rates during a step

    def on_batch_begin(self, state: TrainingState) -> None:
        """Multiplies the learning rates for this step."""
        factor = self.function(state.progress)
        self.original = [(optimizer, optimizer.lr) for optimizer in state.optimizer.param_groups]
        for optimizer, lr in self.original:
            optimizer.lr = lr * factor

    def on_batch_end(self, state: TrainingState) -> None:
        """Puts them back."""
        for optimizer, lr in self.original:
            optimizer.lr = lr
        self.original = []

    def on_train_end(self, state: TrainingState) -> None:
        """Puts them back, if the training ended within a step."""
        self.on_batch_end(state)
