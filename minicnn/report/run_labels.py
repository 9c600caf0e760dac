"""Photos whose label may be wrong: held-out ones, and training ones that are predicted by a head
that has not seen them (training/label_check.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..data import Dataset
from ..evaluation import Evaluation
from ..plotting.drawing import percent_text
from ..preprocessing import Preprocessing
from ..utils.language import gettext as _
from ..utils.language import ngettext
from .html import Markup, element, section
from .pages import thumbnail
from .photos import pictures_of
from .run_photos import base_name, image

SHOWN = 8  # photos with pictures, of each kind; the names of the others follow
# Probability of another class from which on the label is doubted: high, as a list of false alarms
# is not read.
SURE = 0.9


def doubtful_labels(result: Evaluation) -> list[int]:
    """The photos for which the network is sure of another class than their label, surest first;
    the most probable class counts, whatever threshold decides."""
    sure, most_probable = result.probabilities.max(axis=1), result.probabilities.argmax(axis=1)
    doubtful = np.flatnonzero((most_probable != result.labels) & (sure >= SURE))
    return doubtful[np.argsort(-sure[doubtful], kind="stable")].tolist()


def labels_section(held_out: tuple[Dataset, Evaluation],
                   training: tuple[Dataset, Evaluation] | None,
                   size: tuple[int, int], recipe: Preprocessing | None) -> Markup | None:
    """The section; None if no label is doubted. size, recipe: the network's input size and its
    preprocessing, for the pictures."""
    parts: list[Markup | None] = []
    count = 0
    for data, result in (held_out, *(() if training is None else (training,))):
        doubtful = doubtful_labels(result)
        if not doubtful:
            continue
        count += len(doubtful)
        pictures = pictures_of(data, sorted(doubtful[:SHOWN]), size, recipe)
        if training is not None:
            parts += _heading(data is training[0])
        parts += _doubtful_photos(doubtful, pictures, data, result)
    if not parts:
        return None
    return section("labels", _("Is the label right?"), element(
        "p", ngettext(
            "For {num} photo the network is at least {sure:.0f} % sure of another class than the "
            "label says. Either the network or the label is wrong: look. To correct a label, move "
            "the photo to the right class folder.",
            "For {num} photos the network is at least {sure:.0f} % sure of another class than the "
            "label says. Either the network or the label is wrong: look. To correct a label, move "
            "the photo to the right class folder.", count, sure=100 * SURE)), *parts)


def _heading(of_training: bool) -> list[Markup | None]:
    """What the next photos are."""
    if not of_training:
        return [element("h3", _("Held-out photos"))]
    return [element("h3", _("Training photos")), element(
        "p", _("A network agrees with the labels that it has learned, wrong ones, too. So each "
               "training photo was predicted by a head that had been trained without it."))]


def _doubtful_photos(doubtful: Sequence[int], pictures: Mapping[int, np.ndarray], data: Dataset,
                     result: Evaluation) -> list[Markup]:
    """The surest ones with pictures; the names of the others in a line."""
    def answer(i: int) -> str:
        p = result.probabilities[i]
        return f"{percent_text(float(p.max()))} {result.classes[p.argmax()]}"

    figures = [element("figure", image(thumbnail(pictures[i]), data.names[i]), element(
        "figcaption", element("strong", _("label: {label}",
                                          label=result.classes[result.labels[i]])),
        element("span", _("says {answer}", answer=answer(i))),
        element("span", base_name(data.names[i]))),
        class_="wrong") for i in doubtful[:SHOWN] if i in pictures]
    parts = [element("div", *figures, class_="row")]
    rest = [data.names[i] for i in doubtful[SHOWN:]]
    if rest:
        parts.append(element("p", _("… and {count} more: {names}", count=len(rest),
                                    names=", ".join(rest))))
    return parts
