"""The main job: take VGG16, cut off its top, learn a new one from a few photos.

Source: Yosinski et al. 2014; Zeiler & Fergus 2014, section 5.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Dataset
from ..evaluation import Evaluation, class_probabilities
from ..evaluation.diagnosis import diagnose
from ..losses import Loss
from ..model import Sequential
from ..models import VGG16, head, loss_for
from ..optimizers import Adam, ParamGroups
from ..plotting.drawing import HasFigure, inline
from ..utils.arrays import FloatArray
from ..utils.errors import ArgumentError, NotFiniteError
from ..utils.language import gettext as _
from .batches import ArrayDataset, Data, validate_data
from .callbacks import (
    SCHEDULES,
    Callback,
    Checkpoint,
    EarlyStopping,
    FeatureCache,
    HeldOut,
    LearningRateSchedule,
    ProgressBar,
)
from .evaluate import evaluate_photos
from .features import extract_features, resident_bytes
from .history import History
from .label_check import bars_progress, out_of_fold
from .loop import fit
from .lr_finder import LearningRates, find_lr, initial_learning_rate
from .state import Weights
from .transfer_config import Setting, TransferConfig, learning_rate_note

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class TransferResult(HasFigure):
    """What a run leaves: the model, its history, and how it does on the test photos. Jupyter shows
    all three.

    notes: what a reader of the run should know, Settings and warnings. last: the trainable weights
    after the last epoch, if the model has those of a better one; else empty. lr: the learning rate
    of the head. training: of the training photos (label_check.out_of_fold), if asked for.
    """

    model: Sequential
    history: History
    evaluation: Evaluation
    notes: list[str] = field(default_factory=list)
    last: Weights = field(default_factory=dict)
    rates: LearningRates | None = None  # of find_lr
    lr: float | None = None
    training: Evaluation | None = None

    def figure(self) -> Figure:
        """The confusion matrix of the test photos."""
        return self.evaluation.figure()

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{escape(note)}" for note in self.notes)
        return (f"<p>{escape(str(self.evaluation))}</p><ul>{notes}</ul>"
                f"{self.history._repr_html_()}{inline(self._repr_png_())}")


def class_weights(data: Dataset) -> FloatArray:
    """(K,): N / (K · photos of the class), so that all classes weigh the same."""
    counts = np.maximum(list(data.counts.values()), 1)
    return len(data) / (len(counts) * counts)


def base_with_head(config: TransferConfig, classes: Sequence[str], device: str = "cpu",
                   base: Sequential | None = None) -> Sequential:
    """VGG16 frozen up to the cut, and on it head(): Dense(1) + sigmoid, or Dense(n) + softmax.

    The head starts at zero: nothing is preferred yet, so the first loss is log(classes) exactly,
    whatever the features' scale. base: the frozen layers, if they are there already; the model then
    shares them.
    """
    if base is None:
        model = VGG16(include_top=False, input_shape=(config.size, config.size, 3),
                      cut=config.last_kept).to(device)
        model.freeze()
    else:
        model = base.view(list(base.layers), base.input_shape, base.preprocessing)
    return model.replace_head(head(len(classes), "zeros", config.dropout), classes=classes)


@dataclass
class TransferRun:
    """What the two phases of a transfer training have in common.

    monitored: the photos of the curves' second line: those of the validation, by which
    early_stopping chooses the best epoch, or else those of the test, which decide nothing.
    features: of train and of monitored by the frozen layers, if they are known.
    keep_features: whether those of the training photos are needed after train_head.
    """

    model: Sequential
    config: TransferConfig
    train: Dataset
    monitored: Dataset
    loss: Loss
    callbacks: Sequence[Callback]
    checkpoint: Checkpoint | None
    early_stopping: EarlyStopping | None
    features: tuple[ArrayDataset, ArrayDataset] | None
    keep_features: bool

    @property
    def monitored_name(self) -> str:
        """"validation" or "held-out"."""
        return "held-out" if self.early_stopping is None else "validation"

    def data_of(self, monitored: Data) -> tuple[Data | None, list[Callback]]:
        """The monitored photos, or features of them, as fit takes them: (validation_data, more
        callbacks)."""
        if self.early_stopping is None:
            return None, [HeldOut(monitored)]
        return monitored, []

    def callbacks_of(self, phase: str) -> list[Callback]:
        """The callbacks of a phase, "head" or "finetune"."""
        callbacks = [*self.callbacks, LearningRateSchedule(SCHEDULES[self.config.schedule])]
        if self.early_stopping:
            callbacks.append(self.early_stopping)
        if self.checkpoint:
            callbacks.append(self.checkpoint.of(phase))
        return callbacks


@dataclass
class TrainedHead:
    """What train_head gives to the rest: the history, the learning rate and how it was found, the
    features of the monitored photos, and if asked for those of the training photos."""

    history: History
    lr: float
    rates: LearningRates | None
    monitored: ArrayDataset
    features: ArrayDataset | None

    @property
    def bytes_in_memory(self) -> int:
        """What the features take."""
        return sum(resident_bytes(data.x) for data in (self.monitored, self.features) if data)


def train_head(run: TransferRun) -> TrainedHead:
    """The first phase: all of VGG16 stays frozen, its features are computed once for each photo,
    and the new head is trained on them."""
    config, (base, top) = run.config, run.model.split()
    callbacks = run.callbacks_of("head")
    if run.features:
        train, monitored = run.features
    else:
        cache = FeatureCache(config.memory_budget * 10**6)
        train = cache.extract(base, run.train, config.batch_size, callbacks, "features")
        monitored = cache.extract(base, run.monitored, config.batch_size, callbacks,
                                  f"{run.monitored_name} features")
    lr, rates = config.lr, None
    if config.find_lr:
        rates = find_lr(top, train, run.loss, batch_size=config.batch_size, seed=config.seed)
        lr = rates.suggestion
    elif lr is None:
        lr = initial_learning_rate(train.x[:len(train) // train.views])
    validation, more = run.data_of(monitored)
    history = fit(top, train, run.loss, Adam(lr, weight_decay=config.weight_decay),
                  epochs=config.epochs, batch_size=config.batch_size, validation_data=validation,
                  callbacks=[*more, *callbacks], seed=config.seed)
    return TrainedHead(history, lr, rates, monitored, train if run.keep_features else None)


def fine_tune(run: TransferRun, trained: TrainedHead) -> History:
    """The second phase: one block of VGG16 is trained, too, with a small learning rate of its own,
    so that what it knows is not lost. Returns the history of both phases."""
    config, history, epochs = run.config, trained.history, len(trained.history["loss"])
    run.model.unfreeze(since=f"{config.finetune}_conv1")
    optimizer = ParamGroups({"block": Adam(config.finetune_lr),
                             "": Adam(trained.lr, weight_decay=config.weight_decay)})
    cache = FeatureCache(max(config.memory_budget * 10**6 - trained.bytes_in_memory, 0))
    validation, more = run.data_of(run.monitored)
    second = fit(run.model, run.train, run.loss, optimizer, epochs=epochs + config.finetune_epochs,
                 batch_size=config.batch_size, validation_data=validation,
                 callbacks=[*more, cache, *run.callbacks_of("finetune")], seed=config.seed,
                 initial_epoch=epochs)
    return History({key: history[key] + second[key] for key in history})


def transfer(train: Dataset, test: Dataset, config: TransferConfig | None = None, *,
             validation: Dataset | None = None, callbacks: Sequence[Callback] = (),
             checkpoint: Checkpoint | None = None, device: str = "cpu",
             check_labels: bool = False, groups: Sequence[int] | None = None,
             features: tuple[ArrayDataset, ...] | None = None, base: Sequential | None = None,
             on_result: Callable[[TransferResult], None] | None = None,
             **options: Any) -> TransferResult:
    """A new head on VGG16's frozen layers; then, with config.finetune, one of its blocks, too.

    options: fields of TransferConfig, changed. validation: photos that the best epoch is chosen by,
    whose weights the model then has; without them it has the last ones. The history has val_loss
    and val_accuracy of the validation photos, or else held_out_loss and held_out_accuracy of the
    test photos, which decide nothing. checkpoint: where both phases are kept; what is there already
    is not trained again. check_labels: the training photos are predicted, too, as by
    out_of_fold, with its groups; before that takes its time, on_result is called with the result.
    features: what the frozen layers give for config.augmented(train), the monitored and the test
    photos, if it is known already. base: of base_with_head. Raises NotFiniteError, with the model,
    as fit does.
    """
    config = replace(config or TransferConfig(), **options)
    if config.patience is not None and validation is None:
        raise ArgumentError("patience: expected validation photos, by which training stops early, "
                            "received none. Give some as validation=; on the command line, make a "
                            "split with minicnn data FOLDER --validation-fraction 0.2.")
    model = base_with_head(config, train.classes, device, base)
    monitored = test if validation is None else validation
    validate_data(model, test)
    validate_data(model, monitored)
    if checkpoint:
        checkpoint.check_free_space([layer for layer in model.layers if layer.trainable
                                     or config.finetunes(layer.name)], model.layers)
    loss = loss_for(len(train.classes), config.label_smoothing)
    if config.class_weights:
        loss.class_weight = class_weights(train)
    if not any(isinstance(callback, ProgressBar) for callback in callbacks):
        epochs = config.epochs + config.finetune_epochs * bool(config.finetune)
        callbacks = [*callbacks, ProgressBar(epochs=epochs)]
    run = TransferRun(model, config, config.augmented(train), monitored, loss, callbacks,
                      checkpoint, None if validation is None else EarlyStopping(config.patience),
                      (features[0], features[1]) if features else None, check_labels)
    with model_in_errors(model), closing_bars(callbacks):
        trained = train_head(run)
        history, notes = trained.history, list[str]([learning_rate_note(config, trained.lr)])
        if config.finetune:
            notes.append(Setting(_(
                "{block} trained, too, from epoch {epoch} on, learning rate {rate:.3g}",
                block=config.finetune, epoch=len(history["loss"]) + 1, rate=config.finetune_lr)))
            history = fine_tune(run, trained)
    known = [trained.monitored] if validation is None else list((features or ())[2:])
    if config.finetune or not known:
        evaluation = evaluate_photos(model, test, config.batch_size)
    else:
        top = model.split()[1]
        y = extract_features(top, known[0], batch_size=config.batch_size).x
        evaluation = Evaluation(class_probabilities(y), test.labels, test.classes)
    best, last = run.early_stopping, {}
    if best:
        last = best.last_weights
        notes.append(Setting(_(
            "weights of epoch {best}, the best of {epochs} by the validation loss ({loss:.3g})",
            best=best.best_epoch, epochs=len(history["loss"]), loss=best.best)))
    notes += diagnose(history, evaluation, len(trained.history["loss"]), best is not None)
    result = TransferResult(model, history, evaluation, notes, last, trained.rates, trained.lr)
    if on_result:
        on_result(result)
    if trained.features is not None:
        as_trained = replace(config, epochs=len(trained.history["loss"]))  # patience may end it
        with model_in_errors(model), closing_bars(callbacks):
            result.training = out_of_fold(
                trained.features, train, loss, trained.lr, as_trained, groups, device, checkpoint,
                bars_progress(callbacks))
    return result


@contextmanager
def model_in_errors(model: Sequential) -> Iterator[None]:
    """A NotFiniteError gets the whole model. Ctrl-C is raised again, without the frames of the
    threads."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(str(error) or "training stopped") from None
    except NotFiniteError as error:
        error.model = model
        raise


@contextmanager
def closing_bars(callbacks: Sequence[Callback]) -> Iterator[None]:
    """Removes their lines at the end: features are computed before fit, which does the same."""
    try:
        yield
    finally:
        for callback in callbacks:
            if isinstance(callback, ProgressBar):
                callback.close()
