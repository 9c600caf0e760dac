"""TerminateOnNaN: a training whose numbers become NaN or infinite ends with the last good weights.
"""

from __future__ import annotations

import numpy as np

from ..locate_nan import all_finite, not_finite_error
from ..state import TrainingState, Weights, get_weights, set_weights
from .base import Callback


class TerminateOnNaN(Callback):
    """Looks at the loss and the gradients after backward, at the weights after the step. If one is
    NaN or infinite, the weights before this step are put back and NotFiniteError is raised, which
    names the first array that went wrong. (The optimizer's state stays as the bad step left it.)

    fit adds it itself.
    """

    weights_before_step: Weights = {}

    def on_batch_begin(self, state: TrainingState) -> None:
        """Keeps the weights before this step."""
        self.weights_before_step = get_weights(state.network)

    def on_backward_end(self, state: TrainingState) -> None:
        """The loss and the gradients."""
        if not (np.isfinite(state.batch_loss) and all_finite(state.network, "grads")):
            self.roll_back(state, state.batch + 1)  # this batch is not counted yet

    def on_batch_end(self, state: TrainingState) -> None:
        """The weights."""
        if not all_finite(state.network, "params"):
            self.roll_back(state, state.batch)

    def roll_back(self, state: TrainingState, batch: int) -> None:
        """Puts the weights back and raises NotFiniteError; batch: the number of this one, from 1.
        """
        error = not_finite_error(state.network, state.x, f"epoch {state.epoch + 1}, batch {batch}",
                                 state.t, state.loss, training=True)
        set_weights(state.network, self.weights_before_step)
        raise error
