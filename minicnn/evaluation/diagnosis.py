"""Diagnosis of a training: problems that its figures show, and what usually helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..utils.language import gettext as _
from ..utils.language import local_number
from .evaluation import Evaluation

MIN_FACTOR, MIN_DIFFERENCE = 1.25, 0.05  # a loss far above another exceeds it by both


def diagnose(history: Mapping[str, Sequence[float]], evaluation: Evaluation,
             head_epochs: int | None = None, best_restored: bool = False) -> list[str]:
    """A warning for each problem that the reader of a run should know about; [] if there is none.

    history:       loss, and accuracy, val_loss and held_out_loss if there are any, an entry per
                   epoch.
    evaluation:    of the held-out photos.
    head_epochs:   how many epochs trained the head alone, if fine-tuning followed.
    best_restored: the model has the weights of the epoch with the lowest val_loss, so that later
                   epochs do no harm.

    It reports: a loss that did not decrease; fine-tuning that increased it; a validation or
    held-out loss far above its minimum while the training loss decreased further (overfitting); an
    accuracy below chance; one class predicted for every photo; an accuracy no better than that. A
    perfect accuracy is not reported: easy problems reach it, and the split keeps copies of a photo
    on one side.
    """
    loss, name = history["loss"], "validation" if "val_loss" in history else "held-out"
    other_loss = history.get("val_loss", history.get("held_out_loss", []))
    head = min(head_epochs or len(loss), len(loss))
    warnings = []
    if head > 1 and not loss[head - 1] < loss[0]:
        warnings.append(_("The loss did not decrease: from {first:.3g} to {last:.3g}. Try another "
                          "--lr; without it and --find-lr, a suitable one is chosen.",
                          first=float(loss[0]), last=float(loss[head - 1])))
    warnings += _finetuning(loss, other_loss, name, head, best_restored) or (
        [] if best_restored else _overfitting(loss, other_loss, name))
    if "accuracy" in history and history["accuracy"][-1] < 0.5 / len(evaluation.classes):
        warnings.append(_("The training accuracy, {accuracy}, is far below chance, {chance}: the "
                          "learning rate is too large. Try a smaller --lr.",
                          accuracy=_percent(history["accuracy"][-1]),
                          chance=_percent(1 / len(evaluation.classes))))
    return warnings + _predictions(evaluation)


def _finetuning(loss: Sequence[float], other_loss: Sequence[float], other: str, head: int,
                best_restored: bool) -> list[str]:
    """Collapse after unfreezing: the loss jumps, or ends far above its value before."""
    if head == len(loss):
        return []
    advice = (_("Try a smaller --finetune-lr, or more --epochs for the head before it; the weights "
                "of the better epoch are kept.") if best_restored else
              _("Try a smaller --finetune-lr, or more --epochs for the head before it."))
    for name, values in (("training", loss), (other, other_loss)):
        if len(values) == len(loss) and _far_above(values[-1], values[head - 1]):
            return [_("Fine-tuning made the model worse: the {loss} went from {before:.3g} with "
                      "the head alone to {after:.3g}. {advice}", loss=_loss_name(name),
                      before=float(values[head - 1]), after=float(values[-1]), advice=advice)]
    if _far_above(loss[head], 2 * loss[head - 1]):
        return [_("The loss jumped when fine-tuning began, in its first epoch from {before:.3g} to "
                  "{after:.3g}: much of what the base had learned is lost. {advice}",
                  before=float(loss[head - 1]), after=float(loss[head]), advice=advice)]
    return []


def _loss_name(photos: str) -> str:
    """The loss of "training", "validation" or "held-out" photos, as a sentence calls it."""
    return {"training": _("training loss"), "validation": _("validation loss"),
            "held-out": _("held-out loss")}[photos]


def _overfitting(loss: Sequence[float], other_loss: Sequence[float], other: str) -> list[str]:
    """The validation loss, or that of held-out photos, increases, the training loss does not."""
    if len(other_loss) < 2 or not np.isfinite(other_loss).all():
        return []
    best = int(np.argmin(other_loss))
    if not _far_above(other_loss[-1], other_loss[best]) or not loss[-1] < loss[best]:
        return []
    return [_("The model is overfitting: the {loss} was lowest in epoch {epoch}, {lowest:.3g}, and "
              "ended at {end:.3g}, while the training loss decreased from {before:.3g} to "
              "{after:.3g}. --patience 5 keeps the weights of the best epoch; --augment flip, "
              "--dropout 0.5 or more photos help.", loss=_loss_name(other), epoch=best + 1,
              lowest=float(other_loss[best]), end=float(other_loss[-1]), before=float(loss[best]),
              after=float(loss[-1]))]


def _predictions(evaluation: Evaluation) -> list[str]:
    """What is wrong with the predictions themselves: the most serious problem only."""
    counts = np.bincount(evaluation.labels, minlength=len(evaluation.classes))
    if (counts > 0).sum() < 2:  # photos of a single class show nothing
        return []
    total, most_frequent = counts.sum(), int(counts.argmax())
    predicted = np.unique(evaluation.predicted)
    if len(predicted) == 1:
        name, correct = evaluation.classes[predicted[0]], counts[predicted[0]]
        return [_("The model predicts {name} for all {total} photos, of which {correct} are: it "
                  "has only learned to prefer one class. Try a smaller --lr, with --finetune a "
                  "smaller --finetune-lr, and --class-weights if the classes have different "
                  "numbers of photos.", name=name, total=total, correct=correct)]
    if evaluation.interval[1] < 1 / len(evaluation.classes):
        return [_("The accuracy, {accuracy}, is below chance, {chance}, by more than luck "
                  "explains. Check whether folders have each other's names.",
                  accuracy=_percent(evaluation.accuracy),
                  chance=_percent(1 / len(evaluation.classes)))]
    if evaluation.accuracy <= counts[most_frequent] / total:
        return [_("The accuracy is {accuracy}; always predicting {name} would reach {share}. Try "
                  "more photos, --augment flip or --class-weights.",
                  accuracy=_percent(evaluation.accuracy), name=evaluation.classes[most_frequent],
                  share=_percent(counts[most_frequent] / total))]
    return []


def _far_above(value: float, other: float) -> bool:
    """Whether value is far above the other; NaN is far above everything."""
    return not value <= max(MIN_FACTOR * other, other + MIN_DIFFERENCE)


def _percent(share: float) -> str:
    return _("{number} %", number=local_number(f"{100 * share:.1f}"))
