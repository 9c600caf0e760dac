"""The training loop, to be read aloud."""

from __future__ import annotations

from collections.abc import Sequence

from ..losses import Loss
from ..model import Sequential
from ..optimizers import Optimizer, ParamGroups
from .batches import Data
from .callbacks import Callback
from .history import History
from .prepare import prepare


def fit(model: Sequential, train_data: Data, loss: Loss, optimizer: Optimizer | ParamGroups, *,
        epochs: int = 10, batch_size: int = 32, validation_data: Data | None = None,
        callbacks: Sequence[Callback] = (), seed: int = 0, initial_epoch: int = 0) -> History:
    """Trains the trainable layers of `model` in place.

    train_data:      a Dataset, an ArrayDataset, or (images, targets): uint8 pixels or floats
                     (N, *input_shape). If it holds several views of each image (data.Augmented), an
                     epoch takes one of each, at random.
    loss:            its label_smoothing is for training only, not for validation.
    optimizer:       one for all layers, or ParamGroups for learning rates by layer.
    epochs:          number of the last epoch. initial_epoch: epochs that are done already, by an
                     earlier call; the count goes on from there (both as in Keras).
    callbacks:       see training/callbacks. Added unless given: TerminateOnNaN, ProgressBar (its
                     enabled=False silences it), and FeatureCache: frozen layers compute once.
    seed:            of the order of the images; each epoch sees every image once.

    Returns {"loss": […], "accuracy": […], "val_loss": […], "val_accuracy": […]}, one entry per
    epoch; accuracy if the loss has classes, val_… if there is validation_data, held_out_… of the
    photos of the callback HeldOut. A model without classes takes those of a Dataset.

    Raises, before anything is changed, ArgumentError or ShapeError for a frozen model, a loss that
    does not fit the last layer, and images, labels or classes that do not fit the model. Raises
    NotFiniteError if a loss, a gradient or a weight is no longer finite; the weights are then the
    last finite ones, those before that step, and if the step was made, the optimizer's state is
    emptied. Ctrl-C raises KeyboardInterrupt; the weights are those after the last whole step.
    """
    state = prepare(model, train_data, loss, optimizer, epochs=epochs, batch_size=batch_size,
                    validation_data=validation_data, callbacks=callbacks, seed=seed,
                    initial_epoch=initial_epoch)
    # The network is what lies above the frozen layers, shared among the threads. If the loss can
    # take logits, the last activation is part of the loss.
    network, loss = state.network, state.loss
    with state.notifying("train"):                          # FeatureCache, Checkpoint
        while state.epoch < epochs and not state.stop_training:
            state.notify("epoch_begin")
            for x, t in state.remaining_batches():          # every image once, in random order
                state.notify("batch_begin")                 # TerminateOnNaN, LearningRateSchedule
                y = network.forward(x, training=True)
                state.batch_loss = loss.forward(y, t)
                network.backward(loss.backward(), input_gradient=False)
                state.notify("backward_end")                # TerminateOnNaN
                optimizer.step(network)
                state.end_batch(y)
                state.notify("batch_end")                   # the same, Checkpoint, ProgressBar
            state.end_epoch(state.validate())
            state.notify("epoch_end")                       # EarlyStopping, Checkpoint, ProgressBar
    return state.history
