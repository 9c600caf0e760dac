"""Photos of a run: as they were fed, with their labels beside the predictions, and the worst."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..data import Dataset, UnlabelledImages, batches
from ..evaluation import Evaluation
from ..model import Sequential
from ..ops import to_cpu
from ..plotting import drawing
from ..plotting.drawing import BLUE, ORANGE, shortened
from ..training import TransferConfig
from ..training.batches import epoch_order
from ..utils.errors import ArgumentError, FileError
from ..visualize.attribution.cam import enlarge, hires_cam
from .pages import heat_picture

SHARP = 128  # pixels: a side at which photos are shown at least
FED = 32  # photos of a batch that are shown


class Shown(NamedTuple):
    """Pictures (h, w, 3) uint8 side by side, the lines under them, and whether the prediction is
    right; None where there is none."""

    pictures: list[np.ndarray]
    lines: list[str]
    right: bool | None = None


def fed_batch(model: Sequential, train: Dataset, config: TransferConfig) -> list[Shown]:
    """The first batch of the first epoch, pixel by pixel as the network was given it."""
    fed = config.augmented(train)
    order = epoch_order(np.random.default_rng(config.seed), fed)
    found = []
    for i in order[:min(config.batch_size, FED)]:
        with suppress(FileError):  # it was there when it was learnt
            pixels = fed.images([i], model.input_shape[:2], model.preprocessing.crop_fraction)
            found.append(Shown([pixels[0]], [fed.classes[fed.labels[i]]]))
    return found


def pictures_of(data: Dataset, indices: Sequence[int], size: tuple[int, int],
                crop_fraction: float) -> dict[int, np.ndarray]:
    """What a network of input size (H, Wd) sees of these photos, sharper: {index: (h, w, 3)
    uint8}. One that can no longer be read is left out."""
    times = max(1, round(SHARP / min(size)))
    photos, found = UnlabelledImages(data.items, data.names), {}
    for pixels, _, picked in batches(photos, indices, 32, (times * size[0], times * size[1]),
                                     crop_fraction):
        found.update(zip(picked.tolist(), pixels, strict=True))
    return {i: one for i, one in found.items() if i not in photos.errors}


def labelled(pictures: dict[int, np.ndarray], indices: Sequence[int], result: Evaluation
             ) -> list[Shown]:
    """Photos with their label, and beside it the prediction."""
    return [Shown([pictures[i]], [result.classes[result.labels[i]], f"→ {said(result, i)}"],
                  bool(result.predicted[i] == result.labels[i]))
            for i in indices if i in pictures]


def said(result: Evaluation, i: int) -> str:
    """93 % sneaker."""
    k = result.predicted[i]
    return f"{100 * result.probabilities[i, k]:.0f} % {result.classes[k]}"


def why(model: Sequential, data: Dataset, i: int, target: int, sharp: np.ndarray
        ) -> tuple[np.ndarray | None, str]:
    """(HiResCAM of class `target` over the picture: red speaks for the class, blue against; what
    there is to say instead). Of one sigmoid the score of class 0 is −z, so a map of either class
    has the right sign."""
    try:
        pixels = data.images([i], model.input_shape[:2], model.preprocessing.crop_fraction)
        found = hires_cam(model, to_cpu(model.to_input(pixels))[0], target)
    except (ArgumentError, FileError) as problem:  # no convolution; gone from the disk
        return None, str(problem)
    heat = enlarge(found.values, sharp.shape[:2])
    if flaw := drawing.why_blank(heat):
        return None, flaw
    return heat_picture(heat, sharp), ""


def draw(shown: Sequence[Shown], path: Path, title: str, columns: int) -> None:
    """All of them in rows, as a PNG: right ones in a blue frame, wrong ones in an orange one."""
    side, gap, line = 1.5, 0.22, 0.24  # inches
    most = max((len(one.pictures) for one in shown), default=1)
    width, height = most * side + gap, side + gap + line * max(
        (len(one.lines) for one in shown), default=1)
    columns = max(1, min(columns, len(shown)))
    across, top = max(columns * width + gap, 7.5), 0.3 + 0.27 * (title.count("\n") + 1)
    down = top + max(1, -(-len(shown) // columns)) * height
    figure = drawing.new_figure(across, down)
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.text(gap, 0.2, title, fontsize=15, va="top")
    for k, one in enumerate(shown):
        left, above = gap + k % columns * width, top + k // columns * height
        for j, picture in enumerate(one.pictures):
            h, w = side * np.array(picture.shape[:2]) / max(picture.shape[:2])
            x = left + j * side
            ax.imshow(picture, extent=(x, x + w, above + h, above), interpolation="bilinear")
        if one.right is not None:
            right, below = left + side * len(one.pictures), above + side
            ax.plot([left, right, right, left, left], [above, above, below, below, above], lw=4,
                    color=BLUE if one.right else ORANGE)
        for j, words in enumerate(one.lines):
            ax.text(left, above + side + 0.05 + j * line, va="top", fontsize=12.5,
                    s=shortened(words, 17 * len(one.pictures)),
                    color=ORANGE if one.right is False and j else "black")
    ax.set(xlim=(0, across), ylim=(down, 0), aspect="auto")
    ax.axis("off")
    drawing.save(figure, path)
