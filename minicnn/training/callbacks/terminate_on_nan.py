"""TerminateOnNaN: a training whose numbers become NaN or infinite ends with the last good weights.
"""

from __future__ import annotations

import numpy as np

from ..locate_nan import all_finite
from ..state import TrainingState, Weights, get_weights, set_weights
from .base import Callback


class TerminateOnNaN(Callback):
    """Checks the loss before the step, and the gradients and the weights after it. If one is NaN or
    infinite, the weights before this step are put back and NotFiniteError is raised, which names
    the first array that went wrong. If the step was made, the optimizer's state is emptied: its
    moments contain the bad gradient, too.

    The gradients could be checked before the step. But each check waits for the GPU, which then
    idles until the processor launches the next kernels; so both are checked at once, after it. fit
    adds this callback itself.
    """

    weights_before_step: Weights = {}

    def on_batch_begin(self, state: TrainingState) -> None:
        """Keeps the weights before this step."""
        self.weights_before_step = get_weights(state.network)

    def on_backward_end(self, state: TrainingState) -> None:
        """The loss."""
        if not np.isfinite(state.batch_loss):
            self.roll_back(state, state.batch + 1)  # this batch is not counted yet

    def on_batch_end(self, state: TrainingState) -> None:
        """The gradients and the weights."""
        if not all_finite(state.network, "grads", "params"):
            self.roll_back(state, state.batch)
        self.weights_before_step = {}

    def on_train_end(self, state: TrainingState) -> None:
        """Ctrl-C in the middle of a step: the weights before it are put back."""
        if isinstance(state.error, KeyboardInterrupt):
            set_weights(state.network, self.weights_before_step)

    def roll_back(self, state: TrainingState, batch: int) -> None:
        """Puts the weights back and raises NotFiniteError; batch: the number of this one, from 1.
        """
        if batch == state.batch:  # it is counted: the step was made
            for optimizer in state.optimizer.param_groups:
                optimizer.state.clear()
            if not all_finite(state.network, "grads"):  # wrong before the step: look there
                set_weights(state.network, self.weights_before_step)
        error = state.not_finite_error(state.x, f"epoch {state.epoch + 1}, batch {batch}", state.t,
                                       state.loss, training=True)
        set_weights(state.network, self.weights_before_step)
        raise error
