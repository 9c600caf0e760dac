"""Which photos of an evaluation are shown, their pictures, and the figures made of them. They are
chosen and drawn once for a run, though its page is written twice, before and after the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data import Dataset
from ..evaluation import Evaluation
from ..model import Sequential
from ..models import image_size
from ..utils.arrays import FloatArray, Pixels
from ..utils.language import gettext as _
from . import run_photos as photos
from . import run_sections as sections
from .photos import (
    PhotoPanel,
    draw,
    explanation,
    pictures_of,
    prediction_panel,
    prediction_panels,
)

WORST = 8  # photos of worst.png: those with the lowest probability for their own class
HELD_OUT = 24  # photos of predictions.png
MAX_PICTURES, MAX_PER_CELL = 300, 24  # on the page, and for a cell of the confusion matrix


@dataclass(frozen=True)
class RunPictures:
    """Indices of photos, and pictures by index.

    worst:     the lowest probability for their own class, right or wrong: worst.png.
    wrong:     the worst errors.
    unsure:    right, but least sure.
    right:     the surest of each class.
    spread:    spread over all photos: predictions.png.
    on_page:   in the cells of the confusion matrix.
    pictures:  the photos as the network sees them.
    originals: the whole photos.
    heats:     (where the network looks, ""), or (None, why there is no map).
    """

    worst: list[int]
    wrong: list[int]
    unsure: list[int]
    right: list[int]
    spread: list[int]
    on_page: list[int]
    pictures: dict[int, Pixels]
    originals: dict[int, photos.WholePhoto]
    heats: dict[int, tuple[Pixels | None, str]]

    def cell_pictures(self) -> dict[int, Pixels]:
        """The pictures of the confusion matrix."""
        return {i: self.pictures[i] for i in self.on_page if i in self.pictures}


def choose_pictures(result: Evaluation, data: Dataset, model: Sequential, explained: bool = True
                    ) -> RunPictures:
    """Chooses the photos, reads them again, and explains the predictions of the most telling ones.

    explained: whether `model` made the predictions.
    """
    own = result.probabilities[np.arange(len(data)), result.labels]
    worst = np.argsort(own, kind="stable")[:WORST].tolist()
    wrong, unsure = photos.wrong_and_least_sure(result)
    right = photos.surest_of_each_class(result)
    spread = np.unique(np.linspace(0, len(data) - 1, HELD_OUT).round().astype(int)).tolist()
    on_page = photos_of_cells(result, own)
    size, recipe = image_size(model), model.preprocessing
    pictures = pictures_of(data, sorted({*worst, *spread, *on_page}), size, recipe)
    originals = {i: photo for i in dict.fromkeys([*right, *worst, *wrong, *unsure])
                 if (photo := photos.whole_photo(data, i, size, recipe))}
    heats = {i: explanation(model, data, i, int(result.predicted[i]), originals[i].cropped())
             for i in dict.fromkeys([*worst, *wrong, *unsure]) if explained and i in originals}
    return RunPictures(worst, wrong, unsure, right, spread, on_page, pictures, originals,
                       heats)


def photos_of_cells(result: Evaluation, own: FloatArray) -> list[int]:
    """The photos that get a picture on the page: of every cell of the confusion matrix those with
    the lowest probability `own` for their own class, up to MAX_PICTURES, most important first."""
    cell = result.labels * len(result.classes) + result.predicted
    rank = np.empty(len(cell), int)
    for kind in np.unique(cell):
        members = np.flatnonzero(cell == kind)
        rank[members[np.argsort(own[members], kind="stable")]] = np.arange(len(members))
    correct = result.labels == result.predicted
    order = np.lexsort((own, np.where(correct, 4 * rank, rank)))  # wrong ones matter more
    return order[rank[order] < MAX_PER_CELL][:MAX_PICTURES].tolist()


def draw_pictures(folder: Path, shown: RunPictures, result: Evaluation, photos_name: str,
                  first_batch: Sequence[PhotoPanel]) -> None:
    """predictions.png, worst.png and, if there is a first batch, batch.png."""
    title = f"{len(result.labels)} {sections.photos_called(photos_name)}"
    draw(prediction_panels(shown.pictures, shown.spread, result), folder / "predictions.png",
         _("A selection of the {title}: label → prediction", title=title), 8)
    panels = []
    for i in shown.worst:
        if i in shown.pictures:
            heat = shown.heats.get(i, (None, ""))[0]
            pair = [shown.pictures[i]] + ([] if heat is None else [heat])
            panels.append(prediction_panel(pair, result, i))
    draw(panels, folder / "worst.png", _("The worst photos: label → prediction") + (
        "\n" + _("red speaks for the prediction, blue against it (HiResCAM)"))
        * bool(shown.heats), 4)
    if first_batch:
        draw(first_batch, folder / "batch.png", _("The first training batch"), 8)
