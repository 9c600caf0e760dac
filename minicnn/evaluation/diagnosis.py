"""Diagnosis of a training: what its figures show, and what usually helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .evaluation import Evaluation

RISE, LEAST = 1.25, 0.05  # a loss is far above another: by this factor, and by so much


def diagnose(history: Mapping[str, Sequence[float]], evaluation: Evaluation,
             head_epochs: int | None = None, best_kept: bool = False) -> list[str]:
    """A sentence for each thing that a reader of the run must know; [] if nothing is wrong.

    history:     loss, and accuracy, val_loss if there are any, an entry an epoch.
    evaluation:  of the photos held out.
    head_epochs: how many of the epochs were the head's alone, if a fine-tuning followed.
    best_kept:   the model has the weights of the epoch with the lowest val_loss, so that what
                 became worse later does no harm.

    It reports: a loss that did not decrease; a fine-tuning that made it worse; a validation loss
    far above its lowest while the training loss went on falling (overfitting); an accuracy below
    chance; one class predicted for every photo, and no more correct than that. A perfect accuracy
    is not reported: easy problems have it, and the split keeps copies of photos on one side.
    """
    loss, watched = history["loss"], history.get("val_loss", [])
    head = min(head_epochs or len(loss), len(loss))
    said = []
    if head > 1 and not loss[head - 1] < loss[0]:
        said.append(f"The loss did not decrease: from {loss[0]:.3g} to {loss[head - 1]:.3g}. "
                    f"Try another --lr; without it and --find-lr, a fitting one is chosen.")
    worse = _finetuning(loss, watched, head, best_kept)
    said += worse or ([] if best_kept else _overfitting(loss, watched))
    if "accuracy" in history and history["accuracy"][-1] < 0.5 / len(evaluation.classes):
        said.append(f"The training accuracy, {_percent(history['accuracy'][-1])}, is far below "
                    f"chance, {_percent(1 / len(evaluation.classes))}: the learning rate is "
                    f"too large. Try a smaller --lr.")
    return said + _predictions(evaluation)


def _finetuning(loss: Sequence[float], watched: Sequence[float], head: int, best_kept: bool
                ) -> list[str]:
    """Collapse after unfreezing: the loss jumps, or ends far above where the head alone was."""
    if head == len(loss):
        return []
    advice = "Try a smaller --finetune-lr, or more --epochs for the head before it" + (
        "; the weights of the better epoch are kept." if best_kept else ".")
    for name, values in (("training", loss), ("validation", watched)):
        if len(values) == len(loss) and _far_above(values[-1], values[head - 1]):
            return [f"Fine-tuning has made it worse: the {name} loss went from "
                    f"{values[head - 1]:.3g} with the head alone to {values[-1]:.3g}. {advice}"]
    if _far_above(loss[head], 2 * loss[head - 1]):
        return [f"The loss jumped when fine-tuning began, in its first epoch from "
                f"{loss[head - 1]:.3g} to {loss[head]:.3g}, so that much of what the base knew is "
                f"lost. {advice}"]
    return []


def _overfitting(loss: Sequence[float], watched: Sequence[float]) -> list[str]:
    """The validation loss rises, the training loss does not."""
    if len(watched) < 2 or not np.isfinite(watched).all():
        return []
    best = int(np.argmin(watched))
    if not _far_above(watched[-1], watched[best]) or not loss[-1] < loss[best]:
        return []
    return [f"The model is overfitting: the validation loss was lowest in epoch "
            f"{best + 1}, {watched[best]:.3g}, and ended at {watched[-1]:.3g}, while the training "
            f"loss went on from {loss[best]:.3g} to {loss[-1]:.3g}. --patience 5 keeps the weights "
            f"of the best epoch; --augment flip, --dropout 0.5 or more photos help."]


def _predictions(evaluation: Evaluation) -> list[str]:
    """What is wrong with the predictions themselves: the gravest alone."""
    counts = np.bincount(evaluation.labels, minlength=len(evaluation.classes))
    if (counts > 0).sum() < 2:  # photos of one class cannot tell
        return []
    total, most = counts.sum(), int(counts.argmax())
    kinds = np.unique(evaluation.predicted)
    if len(kinds) == 1:
        name, right = evaluation.classes[kinds[0]], counts[kinds[0]]
        return [f"It says {name} of all {total} photos, of which {right} are: it has learnt to "
                f"prefer one class and nothing else. Try a smaller --lr, with --finetune a smaller "
                f"--finetune-lr, and --class-weights where classes have unequal numbers of photos."]
    if evaluation.interval[1] < 1 / len(evaluation.classes):
        return [f"It is right for {_percent(evaluation.accuracy)} of the photos, which is below "
                f"chance, {_percent(1 / len(evaluation.classes))}, by more than luck explains. "
                f"Look whether folders have each other's names."]
    if evaluation.accuracy <= counts[most] / total:
        return [f"It is right for {_percent(evaluation.accuracy)} of the photos; always saying "
                f"{evaluation.classes[most]} would be right for {_percent(counts[most] / total)}. "
                f"Try more photos, --augment flip or --class-weights."]
    return []


def _far_above(value: float, other: float) -> bool:
    """NaN is far above everything."""
    return not value <= max(RISE * other, other + LEAST)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
