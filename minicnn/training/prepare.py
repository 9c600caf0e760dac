"""What comes before the first step: checks, frozen base and trainable head, activation and loss."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from ..layers import (
    ACTIVATION_LAYERS,
    BatchNormalization,
    Conv2D,
    Dense,
    Layer,
    Sigmoid,
    Softmax,
)
from ..layers.sharing import without_last_activation
from ..losses import BinaryCrossEntropy, CategoricalCrossEntropy, Loss
from ..model import Sequential
from ..optimizers import Optimizer, ParamGroups
from ..utils.errors import ArgumentError, check_int
from ..utils.ranks import current_ranks
from .batches import Data, validate_data
from .callbacks import (
    Callback,
    Checkpoint,
    FeatureCache,
    ProgressBar,
    TerminateOnNaN,
)
from .state import TrainingState
from .thread_parallel import ThreadParallel

# Layers whose outputs are no probabilities.
NO_PROBABILITIES = {Conv2D, Dense, BatchNormalization, *ACTIVATION_LAYERS} - {Sigmoid, Softmax}


def prepare(model: Sequential, train_data: Data, loss: Loss, optimizer: Optimizer | ParamGroups, *,
            epochs: int = 1, batch_size: int = 32, validation_data: Data | None = None,
            callbacks: Sequence[Callback] = (), seed: int = 0, initial_epoch: int = 0
            ) -> TrainingState:
    """The state of a training before its first step; the arguments and errors are those of fit.

    Changes nothing but model.classes, if there are none and the data have some.
    """
    check_int(batch_size, "fit, batch_size")
    check_int(initial_epoch, "fit, initial_epoch", least=0)
    if check_int(epochs, "fit, epochs") <= initial_epoch:
        raise ArgumentError(f"fit: expected epochs above initial_epoch, received {epochs} and "
                            f"{initial_epoch}. epochs is the number of the last epoch.")
    base, head = model.split()
    if not any(layer.trainable and layer.params for layer in head.layers):
        raise ArgumentError(f"{model.name}: expected a trainable layer, found all frozen. "
                            f"Use model.unfreeze(since=…) or model.replace_head(…).")
    layers, loss = fuse(head.layers, loss)
    network = ThreadParallel(model.view(layers, head.input_shape))
    if not isinstance(optimizer, (Optimizer, ParamGroups)):
        raise ArgumentError(f"fit: expected an optimizer, received {optimizer!r}. Write "
                            f"optimizers.Adam(1e-3), or for several optimizers.ParamGroups({{…}}).")
    if isinstance(optimizer, ParamGroups):
        optimizer.split(network)  # raises if the groups do not fit the layers
    callbacks = with_defaults(callbacks, base)
    train_data = validate_data(model, train_data, loss)
    classes = model.classes or getattr(train_data, "classes", None)
    if validation_data is not None:
        validation_data = validate_data(model, validation_data, loss, classes)
    model.classes = classes
    validation_loss = copy.copy(loss)
    validation_loss.label_smoothing = 0.0  # validation takes labels as they are
    rng = np.random.default_rng(seed)
    state_class = next((c.state_class for c in callbacks if c.state_class), TrainingState)
    return state_class(
        model=model, base=base, network=network, loss=loss, validation_loss=validation_loss,
        optimizer=optimizer, train_data=train_data, validation_data=validation_data, epochs=epochs,
        batch_size=batch_size, initial_epoch=initial_epoch, callbacks=callbacks, rng=rng,
        epoch=initial_epoch, rng_state=rng.bit_generator.state)


def with_defaults(callbacks: Sequence[Callback], base: Sequential) -> list[Callback]:
    """The callbacks in the order in which they are called: early ones, then unless they are among
    them that of the ranks, TerminateOnNaN, ProgressBar and, if there are frozen layers,
    FeatureCache; Checkpoint last, since it stores what the others remember."""
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise ArgumentError(f"fit: expected callbacks, objects of a subclass of Callback, "
                                f"received {callback!r}.")

    defaults: list[type[Callback]] = [*current_ranks().callbacks, TerminateOnNaN, ProgressBar]
    if base.layers:
        defaults.append(FeatureCache)
    added = [kind() for kind in defaults if not any(isinstance(c, kind) for c in callbacks)]
    first = [c for c in callbacks if c.early]
    last = [c for c in callbacks if isinstance(c, Checkpoint)]
    others = [c for c in callbacks if not (c.early or isinstance(c, Checkpoint))]
    return [*first, *added, *others, *last]


def fuse(layers: list[Layer], loss: Loss) -> tuple[list[Layer], Loss]:
    """(layers without the last activation, the loss from logits) if the two are a pair, else both
    unchanged. Parameters and gradients stay shared with the originals.

    Raises ArgumentError for pairs that cannot be trained, and says why.
    """
    last = layers[-1]
    activation = type(last.activation or last)  # Dense(1, activation="sigmoid")
    if loss.from_logits and activation in (Sigmoid, Softmax):
        raise ArgumentError(f"{last.name}: expected logits for {loss!r}, received the output of "
                            f"{activation.__name__}. Leave from_logits out; training fuses them.")
    if activation is Sigmoid and isinstance(loss, CategoricalCrossEntropy):
        raise ArgumentError(
            f"{last.name}: expected BinaryCrossEntropy after Sigmoid, received "
            f"CategoricalCrossEntropy, which chooses among outputs that sum to 1: of a single one "
            f"it learns nothing. For several classes end with Softmax.")
    if activation is Softmax and isinstance(loss, BinaryCrossEntropy):
        raise ArgumentError(
            f"{last.name}: expected CategoricalCrossEntropy after Softmax, received "
            f"BinaryCrossEntropy, which takes every output for a question of its own. For two "
            f"classes Dense(1) with Sigmoid will do.")
    if loss.fused_activation and not loss.from_logits and activation in NO_PROBABILITIES:
        raise ArgumentError(
            f"{last.name}: expected probabilities for {type(loss).__name__}, received the output "
            f"of {activation.__name__}. End with {loss.fused_activation.__name__}(), or say "
            f"{type(loss).__name__}(from_logits=True).")
    if loss.from_logits or activation is not loss.fused_activation:
        return layers, loss
    fused_loss = copy.copy(loss)
    fused_loss.from_logits = True
    return without_last_activation(layers), fused_loss
