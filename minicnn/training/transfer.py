"""The main job: take VGG16, cut off its top, learn a new one from a few photos.

Source: Yosinski et al. 2014; Zeiler & Fergus 2014, section 5.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Augment, Augmented, Dataset
from ..drawing import Drawn, inline
from ..errors import ArgumentError, NotFiniteError, whole
from ..model import Sequential
from ..models import VGG16, SmallCNN, head, loss_for
from ..optimizers import Adam
from .best import Best, Weights, weights_of
from .callbacks import Callback, teller
from .checkpoints import Checkpoints
from .diagnosis import warnings_of
from .history import History
from .loop import fit
from .lr_finder import LearningRates, find_lr
from .metrics import Evaluation, class_probabilities, evaluate_photos
from .schedules import SCHEDULES
from .sources import bytes_held, checked, features, let_go

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLOCKS = tuple(f"block{k}" for k in range(1, 6))  # of VGG16


@dataclass(frozen=True)
class Recipe:
    """How transfer learns; every field is an option of `minicnn train` and stands in run.json.

    size: side of the square that photos are cut to. cut: the last layer of VGG16 that is kept;
    None: block4_pool, or the pooling after the block that `finetune` names.
    lr: Adam's step size for the head; None lets step_size choose, or with find_lr the course of
    the loss while the step grows.
    augment: as Augment.parse takes it; views: so many random views of each photo.
    schedule: of SCHEDULES. patience: early stopping, needs validation photos.
    dropout: rate before the head. weight_decay: λ of the penalty λ/2 · |W|² on the head.
    class_weights: each class counts as if it had as many photos as the mean class.
    finetune: a block ("block5") that learns, too, after the head, for finetune_epochs with the
    step size finetune_lr, the head with its own.
    memory_budget: megabytes (10⁶) that features may take in memory; what is more lies in a
    temporary file.
    """

    size: int = 64
    cut: str | None = None
    epochs: int = 60
    batch_size: int = 32
    lr: float | None = None
    find_lr: bool = False
    seed: int = 0
    augment: str = ""
    views: int = 8
    schedule: str = "constant"
    patience: int | None = None
    dropout: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    class_weights: bool = False
    finetune: str = ""
    finetune_epochs: int = 10
    finetune_lr: float = 1e-5
    memory_budget: int = 1000

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ArgumentError(f"schedule: expected one of {', '.join(SCHEDULES)}, received "
                                f"{self.schedule!r}.")
        if self.finetune and self.finetune not in BLOCKS:
            raise ArgumentError(f"finetune: expected one of {', '.join(BLOCKS)}, received "
                                f"{self.finetune!r}.")
        if self.find_lr and self.lr is not None:
            raise ArgumentError(f"find_lr: expected no lr beside it, received {self.lr!r}. Leave "
                                f"one out.")
        if self.finetune and self.last_kept[:6] < self.finetune:
            raise ArgumentError(f"finetune: expected a cut behind {self.finetune}, received "
                                f"{self.cut!r}, which cuts it away. Leave the cut out.")
        whole(self.memory_budget, "memory_budget", least=0)
        Augment.parse(self.augment)

    @property
    def last_kept(self) -> str:
        """The layer of the cut."""
        return self.cut or f"{self.finetune or 'block4'}_pool"

    def fed(self, train: Dataset) -> Dataset:
        """What the network is given of these photos: random views of them, or themselves."""
        return Augmented(train, Augment.parse(self.augment), self.views, self.seed
                         ) if self.augment else train


@dataclass
class Trained(Drawn):
    """What a run leaves: the model, its history, and how it does on the test photos. Jupyter shows
    all three.

    notes: what a reader of the run should know. last: the trainable weights after the last epoch,
    where the model has those of a better one; else empty.
    """

    model: Sequential
    history: History
    evaluation: Evaluation
    notes: list[str] = field(default_factory=list)
    last: Weights = field(default_factory=dict)
    rates: LearningRates | None = None  # of find_lr

    def figure(self) -> Figure:
        """The confusion matrix of the test photos."""
        return self.evaluation.figure()

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{escape(note)}" for note in self.notes)
        return (f"<p>{escape(str(self.evaluation))}</p><ul>{notes}</ul>"
                f"{self.history._repr_html_()}{inline(self._repr_png_())}")


def step_size(x: np.ndarray) -> float:
    """An Adam step for a new head on features x (N, …): its first update moves a logit by about 1.

    Adam's first update changes every weight by lr, so a logit z = Σ_d W_d x_d moves by lr · Σ |x_d|
    at most. VGG16's features are in the hundreds and there are thousands of them: a step near 1e-6.
    """
    sums = []
    for row in x:
        sums.append(np.abs(row).sum())
        let_go(x)
    return float(1 / max(np.mean(sums), 1e-6))


def class_weights(data: Dataset) -> np.ndarray:
    """(K,): N / (K · photos of the class), so that every class weighs as much as another."""
    counts = np.maximum(list(data.counts.values()), 1)
    return len(data) / (len(counts) * counts)


def base_with_head(recipe: Recipe, classes: Sequence[str], device: str = "cpu") -> Sequential:
    """VGG16 frozen up to the cut, and on it a head FC_1 + sigmoid (two classes) or FC_n + softmax.

    The head starts at zero: nothing is preferred yet, so the first loss is log(classes) exactly,
    whatever the features' scale.
    """
    model = VGG16(include_top=False, input_shape=(recipe.size, recipe.size, 3)).to(device)
    model.freeze()
    return model.replace_head(head(len(classes), "zeros", recipe.dropout), after=recipe.last_kept,
                              classes=classes)


def transfer(train: Dataset, test: Dataset, recipe: Recipe | None = None, *,
             validation: Dataset | None = None, callbacks: Sequence[Callback] = (),
             checkpoints: Checkpoints | None = None, device: str = "cpu",
             **options: Any) -> Trained:
    """A new head on VGG16's frozen layers; then, with recipe.finetune, one of its blocks, too.

    options: fields of Recipe, changed. validation: photos that the best epoch is chosen by, whose
    weights the model then has; without them it has the last ones. The curves show the validation
    photos, or else the test photos, which decide nothing. checkpoints: where both phases are kept;
    what is there already is not learnt again. Raises NotFiniteError, with the model, as fit does.
    """
    recipe = replace(recipe or Recipe(), **options)
    if recipe.patience is not None and validation is None:
        raise ArgumentError("patience: expected validation photos, by which training stops early, "
                            "received none. Give some as validation=; on the command line, make a "
                            "split with minicnn data FOLDER --validation-fraction 0.2.")
    model = base_with_head(recipe, train.classes, device)
    for data in (test, test if validation is None else validation):
        checked(model, data)
    if checkpoints:
        checkpoints.check_room([layer for layer in model.layers if layer.trainable or (
            recipe.finetune and layer.name >= recipe.finetune)], model.layers)
    with _in_errors(model):
        return _two_phases(model, train, test, recipe, validation, callbacks, checkpoints)


@contextmanager
def _in_errors(model: Sequential) -> Iterator[None]:
    """A NotFiniteError gets the whole model."""
    try:
        yield
    except NotFiniteError as error:
        error.model = model
        raise


def _two_phases(model: Sequential, train: Dataset, test: Dataset, recipe: Recipe,
                validation: Dataset | None, callbacks: Sequence[Callback],
                checkpoints: Checkpoints | None) -> Trained:
    watched = test if validation is None else validation
    seen, loss = recipe.fed(train), loss_for(len(train.classes))
    if recipe.class_weights:
        loss.class_weight = class_weights(train)
    frozen, top = model.split()
    told = callbacks if checkpoints is None else [*callbacks, checkpoints]
    room = recipe.memory_budget * 10**6
    x, t = features(frozen, seen, batch_size=recipe.batch_size, memory_budget=room,
                    progress=teller(told, "features"))
    room -= bytes_held(x)
    x_watched, t_watched = features(
        frozen, watched, batch_size=recipe.batch_size, memory_budget=room,
        progress=teller(told, "test features" if watched is test else "validation features"))
    room -= bytes_held(x_watched)
    rates = find_lr(top, (x, t), loss, batch_size=recipe.batch_size, seed=recipe.seed
                    ) if recipe.find_lr else None
    lr = rates.suggestion if rates else recipe.lr
    lr = step_size(x[:len(train)]) if lr is None else lr
    common = {"batch_size": recipe.batch_size, "schedule": SCHEDULES[recipe.schedule], "loss": loss,
              "label_smoothing": recipe.label_smoothing, "seed": recipe.seed,
              "views": recipe.views if recipe.augment else 1}
    best = None if validation is None else Best(model, recipe.patience)
    history = fit(top, (x, t), optimizer=Adam(lr, weight_decay=recipe.weight_decay),
                  epochs=recipe.epochs, validation_data=(x_watched, t_watched),
                  callbacks=[*callbacks, *filter(None, [best])],
                  checkpoints=checkpoints and checkpoints.of("head"), **common)
    head_epochs = len(history["loss"])
    last, notes = weights_of(model), [f"step size of the head {lr:.2g}"]
    if best:
        best.restore()
    if recipe.finetune:
        model.unfreeze(since=f"{recipe.finetune}_conv1")
        if best:  # what comes is compared with what there is
            best.weights = weights_of(model)
            best.since = len(history["loss"])
        more = fit(model, seen, optimizer={"block": Adam(recipe.finetune_lr),
                                           "": Adam(lr, weight_decay=recipe.weight_decay)},
                   epochs=recipe.finetune_epochs, validation_data=watched,
                   epochs_done=len(history["loss"]), memory_budget=room,
                   callbacks=[*callbacks, *filter(None, [best])],
                   checkpoints=checkpoints and checkpoints.of("finetune"), **common)
        notes.append(f"{recipe.finetune} learnt, too, from epoch {len(history['loss']) + 1} on, "
                     f"step size {recipe.finetune_lr:.2g}")
        history = History({key: history[key] + more[key] for key in history})
        last = weights_of(model)
        if best:
            best.restore()
    if best:
        notes.append(f"weights of epoch {best.epoch}, the best of {len(history['loss'])} by the "
                     f"validation loss ({best.loss:.3g})")
    if recipe.finetune or watched is not test:
        evaluation = evaluate_photos(model, test, recipe.batch_size)
    else:  # top shares its layers with model
        y, _ = features(top, (x_watched, t_watched), batch_size=recipe.batch_size)
        evaluation = Evaluation(class_probabilities(y), t_watched, test.classes)
    notes += warnings_of(history, evaluation, head_epochs, best is not None)
    return Trained(model, history, evaluation, notes, last if best else {}, rates)


def cross_validate(data: Dataset, recipe: Recipe | None = None, folds: int = 5, *,
                   groups: Sequence[int] | None = None, callbacks: Sequence[Callback] = (),
                   checkpoints: Checkpoints | None = None, device: str = "cpu", **options: Any
                   ) -> tuple[Evaluation, np.ndarray]:
    """k-fold: every photo is predicted by a network that has not learnt from its fold.

    Returns (evaluation of all photos in their order, accuracy of each fold (k,)). The folds hold
    the classes evenly, and photos of one group (near_duplicates) together (Dataset.folds).
    Source: Stone 1974; Kohavi 1995.
    """
    recipe = replace(recipe or Recipe(), **options)
    fold, p, found = data.folds(folds, recipe.seed, groups), None, []
    for k in range(folds):
        inside = np.flatnonzero(fold == k)
        result = transfer(data.subset(np.flatnonzero(fold != k)), data.subset(inside), recipe,
                          callbacks=callbacks, device=device,
                          checkpoints=checkpoints and checkpoints.of(f"fold-{k + 1}")).evaluation
        p = np.zeros((len(data), result.probabilities.shape[1])) if p is None else p
        p[inside] = result.probabilities
        found.append(result.accuracy)
    return Evaluation(p, data.labels, data.classes), np.array(found)


def from_scratch(train: Dataset, test: Dataset, *, size: int = 28, lr: float = 0.001,
                 epochs: int = 60, batch_size: int = 32, seed: int = 0,
                 callbacks: Sequence[Callback] = (), checkpoints: Checkpoints | None = None,
                 device: str = "cpu") -> Trained:
    """The same photos given to a small network that knows nothing yet."""
    model = SmallCNN(len(train.classes), (size, size, 3), seed).to(device)
    with _in_errors(model):
        history = fit(model, train, loss_for(len(train.classes)), Adam(lr), epochs=epochs,
                      batch_size=batch_size, validation_data=test, callbacks=callbacks, seed=seed,
                      checkpoints=checkpoints)
    evaluation = evaluate_photos(model, test)
    return Trained(model, history, evaluation, warnings_of(history, evaluation))
