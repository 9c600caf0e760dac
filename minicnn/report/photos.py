"""Pictures of a run's photos: the first batch, photos with their predictions, the worst ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..data import Dataset, UnlabelledImages, batches
from ..evaluation import Evaluation
from ..model import Sequential
from ..models import crop_images
from ..ops import to_cpu
from ..plotting import drawing
from ..plotting.drawing import BLUE, ORANGE, percent_text, shortened
from ..preprocessing import Preprocessing, crop_fraction_of, whole_pixels
from ..training import TransferConfig
from ..training.batches import epoch_order
from ..utils.arrays import Pixels
from ..utils.errors import ArgumentError, FileError
from ..visualize.attribution.cam import decision_map, enlarge

MIN_SIDE = 128  # pixels: smaller photos are shown at a multiple of their size
BATCH_SHOWN = 32  # photos of a batch that are shown


class PhotoPanel(NamedTuple):
    """Pictures (h, w, 3) uint8 side by side, the lines of text below them, and whether the
    prediction is correct (None if there is none)."""

    pictures: list[Pixels]
    lines: list[str]
    correct: bool | None = None


def first_batch(model: Sequential, train: Dataset, config: TransferConfig) -> list[PhotoPanel]:
    """The first batch of the first epoch, exactly as the network gets it."""
    augmented = config.augmented(train)
    order = epoch_order(np.random.default_rng(config.seed), augmented)
    panels = []
    for i in order[:min(config.batch_size, BATCH_SHOWN)]:
        with suppress(FileError):  # deleted since the training
            pixels = crop_images(model, augmented, [i])
            panels.append(PhotoPanel([pixels[0]], [augmented.classes[augmented.labels[i]]]))
    return panels


def pictures_of(data: Dataset, indices: Sequence[int], size: tuple[int, int],
                recipe: Preprocessing | None) -> dict[int, np.ndarray]:
    """The photos as a network of input size (H, Wd) sees them, at a multiple of that size:
    {index: (h, w, 3) uint8}. Photos that can no longer be read are left out."""
    factor = max(1, round(MIN_SIDE / min(size)))
    photos = UnlabelledImages(data.items, data.names)
    pictures: dict[int, Pixels] = {}
    for pixels, _, part in batches(photos, indices, 32, (factor * size[0], factor * size[1]),
                                   crop_fraction_of(recipe), recipe=recipe):
        pictures.update(zip(part.tolist(), whole_pixels(pixels), strict=True))
    return {i: picture for i, picture in pictures.items() if i not in photos.errors}


def prediction_panels(pictures: dict[int, Pixels], indices: Sequence[int], result: Evaluation
                      ) -> list[PhotoPanel]:
    """Photos with their label and their prediction."""
    return [prediction_panel([pictures[i]], result, i) for i in indices if i in pictures]


def prediction_panel(pictures: list[Pixels], result: Evaluation, i: int) -> PhotoPanel:
    """Pictures of photo i with its label and its prediction."""
    label = result.classes[result.labels[i]]
    return PhotoPanel(pictures, [label, f"→ {prediction_label(result, i)}"],
                      bool(result.predicted[i] == result.labels[i]))


def prediction_label(result: Evaluation, i: int) -> str:
    """The prediction for photo i, such as "93.1 % sneaker"."""
    k = result.predicted[i]
    return f"{percent_text(float(result.probabilities[i, k]))} {result.classes[k]}"


def explanation(model: Sequential, data: Dataset, i: int, target: int, picture: Pixels
                ) -> tuple[np.ndarray | None, str]:
    """(the decision_map of class `target` over the picture, ""), or (None, why there is none).

    Red speaks for the class, blue against it. With a single sigmoid the score of class 0 is −z, so
    the map of either class has the right sign.
    """
    try:
        pixels = crop_images(model, data, [i])
        cam = decision_map(model, to_cpu(model.to_input(pixels))[0], target)
    except (ArgumentError, FileError) as error:  # no convolution; deleted since the evaluation
        return None, str(error)
    heat = enlarge(cam.values, (picture.shape[0], picture.shape[1]))
    if reason := drawing.why_blank(heat):
        return None, reason
    return drawing.heat_over(heat, picture), ""


def draw(panels: Sequence[PhotoPanel], path: Path, title: str, columns: int) -> None:
    """Draws the panels in rows as a PNG, correct predictions in a blue frame, wrong ones in an
    orange one."""
    side, gap, line_height = 1.5, 0.22, 0.24  # inches
    pictures_each = max((len(panel.pictures) for panel in panels), default=1)
    lines_each = max((len(panel.lines) for panel in panels), default=1)
    width, height = pictures_each * side + gap, side + gap + line_height * lines_each
    columns = max(1, min(columns, len(panels)))
    across, top = max(columns * width + gap, 7.5), 0.3 + 0.27 * (title.count("\n") + 1)
    down = top + max(1, -(-len(panels) // columns)) * height
    figure = drawing.new_figure(across, down)
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.text(gap, 0.2, title, fontsize=15, va="top")
    for k, panel in enumerate(panels):
        left, above = gap + k % columns * width, top + k // columns * height
        for j, picture in enumerate(panel.pictures):
            h, w = side * np.array(picture.shape[:2]) / max(picture.shape[:2])
            x = left + j * side
            ax.imshow(picture, extent=(x, x + w, above + h, above), interpolation="bilinear")
        if panel.correct is not None:
            right, below = left + side * len(panel.pictures), above + side
            ax.plot([left, right, right, left, left], [above, above, below, below, above], lw=4,
                    color=BLUE if panel.correct else ORANGE)
        for j, text in enumerate(panel.lines):
            ax.text(left, above + side + 0.05 + j * line_height, va="top", fontsize=12.5,
                    s=shortened(text, 17 * len(panel.pictures)),
                    color=ORANGE if panel.correct is False and j else "black")
    ax.set(xlim=(0, across), ylim=(down, 0), aspect="auto")
    ax.axis("off")
    drawing.save(figure, path)
