"""What transfer learning is compared with: a small network from scratch, and how long it may train.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..data import Dataset
from ..evaluation.diagnosis import diagnose
from ..model import Sequential
from ..models import SmallCNN, loss_for
from ..optimizers import Adam
from .callbacks import Callback, Checkpoint, HeldOut
from .evaluate import evaluate_photos
from .loop import fit
from .transfer import TransferResult, model_in_errors
from .transfer_config import TransferConfig

SIZES = (64, 48, 32)  # pixels; the largest is taken that can be trained for
ENOUGH_EPOCHS = 30
MIN_EPOCHS = 10
# An estimate: one multiplication in the small network takes about 12 times as long as one in VGG16
# (7 to 15 times, on two cores that were more or less busy). Its layers have few channels, so that
# memory and Python take a larger share.
RELATIVE_COST = 12


def multiplications(model: Sequential) -> list[int]:
    """For each layer, of one image and forward: (values of an output map) · (values of W)."""
    return [math.prod(shape[:-1]) * layer.params["W"].size if "W" in layer.params else 0
            for layer, shape in zip(model.layers, model.shapes()[1:], strict=True)]


def transfer_work(config: TransferConfig, model: Sequential, num_train: int,
                  num_measured: int) -> float:
    """The multiplications of a transfer training on num_train photos, measured on num_measured
    others.

    model: what was trained, of base_with_head. Each view of a photo passes the frozen layers once.
    In an epoch of fine-tuning the photos pass the layers of the block forward, and backward at
    twice the cost. The epochs of the head are not counted: they cost next to nothing.
    """
    work = multiplications(model)
    views = config.views if config.augment else 1
    total = (num_train * views + num_measured) * sum(work)
    if config.finetune:
        block = sum(cost for layer, cost in zip(model.layers, work, strict=True)
                    if config.finetunes(layer.name))
        total += config.finetune_epochs * (3 * num_train + num_measured) * block
    return total


def comparable_training(config: TransferConfig, model: Sequential, num_train: int,
                        num_measured: int, max_size: int = SIZES[0]) -> tuple[int, int]:
    """(size in pixels, epochs) of a training from scratch that takes about as long as the transfer
    training of `model` did. Counted in multiplications, not in seconds: it is the same on every
    machine.

    An epoch is 3 · num_train + num_measured photos forward: training costs three times as much. The
    size is the largest of SIZES at which there is time for ENOUGH_EPOCHS, and no larger than
    config.size and max_size; the epochs are at least MIN_EPOCHS and at most config.epochs.
    """
    allowed = transfer_work(config, model, num_train, num_measured)
    classes = len(model.classes or ())
    largest = min(config.size, max_size)
    sizes = [size for size in SIZES if size <= largest] or [largest]
    for size in sizes:
        work = sum(multiplications(SmallCNN(classes, (size, size, 3))))
        epochs = int(allowed / (RELATIVE_COST * work * (3 * num_train + num_measured)))
        if epochs >= min(ENOUGH_EPOCHS, config.epochs):
            break
    return size, min(max(epochs, MIN_EPOCHS), config.epochs)


def from_scratch(train: Dataset, test: Dataset, *, size: int = 28, lr: float = 0.001,
                 epochs: int = 60, batch_size: int = 32, seed: int = 0,
                 callbacks: Sequence[Callback] = (), checkpoint: Checkpoint | None = None,
                 device: str = "cpu") -> TransferResult:
    """The same photos given to a small, untrained network. The history has the losses and
    accuracies of the test photos as held_out_loss and held_out_accuracy."""
    model = SmallCNN(len(train.classes), (size, size, 3), seed).to(device)
    callbacks = [*callbacks, HeldOut(test)]
    if checkpoint:
        callbacks.append(checkpoint)
    with model_in_errors(model):
        history = fit(model, train, loss_for(len(train.classes)), Adam(lr), epochs=epochs,
                      batch_size=batch_size, callbacks=callbacks, seed=seed)
    evaluation = evaluate_photos(model, test)
    return TransferResult(model, history, evaluation, diagnose(history, evaluation), lr=lr)
