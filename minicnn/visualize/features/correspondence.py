"""Do the same parts of different photos change the features in the same way? (Z10)

Mask one part in each of n photos and take the change of a layer, ε_i = x_i − x̃_i. If the layer
knew the part, hiding it would move the same features the same way in all photos:

    Δ = Σ_{i≠j} Hamming(sign ε_i, sign ε_j) / (n (n − 1) D),    D features

the mean share of signs that disagree; lower means tighter. The sign of 0 is a third one: 0 agrees
with 0 and disagrees with + and −. Masks that change less thereby score lower, and so `active` gives
the same share among those features that the mask has changed in at least one photo of the pair.

Compared with three kinds of random places of the same number and size, each drawn several times:

    on the object     in each photo another place in the box that its parts span (the paper's)
    anywhere          in each photo another place that the network sees, on the object or beside it
    one for all       one place on the object, the same in all photos: where the objects lie alike
                      in all photos, this control tells what mere position explains

Source: Zeiler & Fergus 2014, section 4.3 and table 1 (5 dogs; eyes and nose).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ... import data as builtin
from ...data import Dataset
from ...data.images import crop_region
from ...model import Sequential
from ...ops import to_cpu
from ...plotting import drawing
from ...utils.errors import ArgumentError, FileError, check_int, is_int
from ..photos import Photos, Progress, as_dataset, bounded, photo_batches, silent
from ..result import Result
from ..target import copies, layer_index, run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SNEAKERS = Path(__file__).parent.parent / "data" / "sneaker_parts.json"
RANDOM = ("on the object", "anywhere", "one for all")
Parts = dict[str, dict[str, tuple[int, int]]]  # photo name -> part -> (row, column)


@dataclass
class Correspondence(Result):
    """parts: their names, then the kinds of random places; delta, active (R,): Δ of each row and Δ
    among the changed features; delta_sd, active_sd (R,): over the draws, 0 for the parts.
    photos: the names; places (P, n, 2): row and column of each part in each photo's own pixels;
    example (P, H, Wd, 3): the first photo with each part hidden, as the network sees it."""

    layer: str
    parts: list[str]
    delta: np.ndarray
    delta_sd: np.ndarray
    active: np.ndarray
    active_sd: np.ndarray
    photos: list[str]
    places: np.ndarray
    example: np.ndarray
    draws: int

    def figure(self) -> Figure:
        """The first photo with each part hidden; beside it the two measures, ± over the draws."""
        figure = drawing.new_figure(14, 6)
        left, right = figure.subfigures(1, 2, width_ratios=(1, 3))
        for part, image, ax in zip(self.parts, self.example,
                                   np.atleast_1d(left.subplots(len(self.example), 1)),
                                   strict=False):
            drawing.show_image(ax, image, f"{part} hidden")
        rows, known = np.arange(len(self.parts)), len(self.example)
        colours = [drawing.BLUE] * known + [drawing.ORANGE] * (len(rows) - known)
        names = [drawing.shortened(p) if r < known else f"random, {p}"
                 for r, p in enumerate(self.parts)]
        for ax, values, sd, title in zip(
                right.subplots(1, 2, sharey=True), (self.delta, self.active),
                (self.delta_sd, self.active_sd), ("all features", "changed features"),
                strict=True):
            ax.barh(rows, values, xerr=np.where(sd > 0, sd, np.nan), color=colours, capsize=4)
            ax.set_yticks(rows, names)
            ax.set_title(title)
            ax.set_xlabel("share of signs that disagree")
        ax.invert_yaxis()
        figure.suptitle(f"{drawing.shortened(self.layer)}: correspondence of parts in "
                        f"{len(self.photos)} photos (lower is tighter)")
        return figure

    def __str__(self) -> str:
        known = len(self.example)
        lines = [f"{self.layer}, {len(self.photos)} photos, share of signs that disagree (lower is "
                 f"tighter), ± sd over {self.draws} draws", f"{'':22}all features     changed ones"]
        for r, part in enumerate(self.parts):
            all_, some = (f"{value:.4f}" + (f" ± {sd:.4f}" if r >= known else " " * 9) for value, sd
                          in ((self.delta[r], self.delta_sd[r]), (self.active[r],
                                                                  self.active_sd[r])))
            lines.append(f"{part if r < known else 'random, ' + part:22}{all_}  {some}".rstrip())
        return "\n".join(lines)


def correspondence(model: Sequential, photos: Photos | None = None,
                   parts: Parts | str | os.PathLike | None = None, layer: str | None = None, *,
                   size: int | None = None, fill: int = 128, draws: int = 6, seed: int = 0,
                   batch_size: int | None = None, progress: Progress = silent) -> Correspondence:
    """Hides each part in each photo and compares the signs of the changes.

    photos: a Dataset (its names count), or a list of uint8 photos, called "photo 0", "photo 1", …;
            None: the built-in sneakers. Photos that `parts` leaves out are left out.
    parts:  {"photo name": {"toe": [row, column], …}, …}, in pixels of the photo as it is, in the
            part of it that the network sees (resize_and_crop), or the path of such a JSON file;
            the same parts for all photos. None: the built-in sneakers'.
    layer:  None is the last convolution. size: the side of the square that hides, in pixels of the
            photo; None: a quarter of its shorter side. It is cut at the border.
    fill:   the grey of the square. draws: of each kind of random places, at least 2.
    Raises ArgumentError or FileError for parts that do not fit.
    """
    data = builtin.sample("test", ["sneaker"]) if photos is None else as_dataset(photos)
    data, names, places, seen = located(model, data, SNEAKERS if parts is None else parts)
    stop, draws = layer_index(model, layer) + 1, check_int(draws, "correspondence, draws", 2)
    layers, rng = copies(model.layers[:stop]), np.random.default_rng(seed)
    images = [data.read(i) for i in range(len(data))]
    sizes = [check_int(max(1, min(image.shape[:2]) // 4) if size is None else size,
                   "correspondence, size") for image in images]
    batch_size, total = bounded(model, stop, batch_size), len(places) + 3 * draws
    untouched, first, done = None, [], 0

    def features(images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(n, D), and the first photo as the network sees it."""
        found = [(to_cpu(run(layers, x)).reshape(len(x), -1), pixels)
                 for _, pixels, x in photo_batches(model, images, batch_size)]
        return np.concatenate([y for y, _ in found]), found[0][1][0]

    def measured(where: np.ndarray) -> tuple[float, float]:
        """Δ and Δ among the changed features, for one place (row, column) in each photo."""
        nonlocal done
        y, pixels = features([masked(*args, fill) for args in zip(images, where, sizes,
                                                                  strict=True)])
        first.append(pixels)
        done += 1
        progress(done, total)
        return disagreement(untouched - y)

    untouched, _ = features(images)
    if not np.isfinite(untouched).all():
        raise ArgumentError(f"{model.layers[stop - 1].name}: expected finite features, received "
                            f"others. Are the weights finite?")
    found = [measured(where) for where in places]
    drawn = np.array([[measured(random_places(rng, kind, places, seen)) for _ in range(draws)]
                      for kind in RANDOM])  # (3, draws, 2)
    mean = np.concatenate([np.array(found), drawn.mean(axis=1)])
    sd = np.concatenate([np.zeros((len(places), 2)), drawn.std(axis=1, ddof=1)])
    return Correspondence(model.layers[stop - 1].name, [*names, *RANDOM], mean[:, 0], sd[:, 0],
                          mean[:, 1], sd[:, 1], data.names, places,
                          np.stack(first[:len(places)]), draws)


def disagreement(change: np.ndarray) -> tuple[float, float]:
    """Changes (n, D) -> Δ over all features; Δ over those that changed in a photo of the pair
    (NaN where none has)."""
    signs, pairs = np.sign(change), [(i, j) for i in range(len(change)) for j in range(i)]
    differ = np.array([(signs[i] != signs[j]).sum() for i, j in pairs])
    changed = np.array([((signs[i] != 0) | (signs[j] != 0)).sum() for i, j in pairs])
    both = float(differ.sum() / changed.sum()) if changed.sum() else float("nan")
    return float(differ.mean() / change.shape[1]), both


def masked(image: np.ndarray, place: np.ndarray, size: int, fill: int) -> np.ndarray:
    """A copy of (H, Wd, 3) with a square of `size` about place (row, column) filled with grey."""
    image, (top, left) = image.copy(), np.asarray(place) - size // 2
    image[max(top, 0):max(top + size, 0), max(left, 0):max(left + size, 0)] = fill
    return image


def random_places(rng: np.random.Generator, kind: str, places: np.ndarray, seen: np.ndarray
                  ) -> np.ndarray:
    """One place (row, column) in each photo: (n, 2). The object is the box that the parts (P, n, 2)
    span in a photo; seen (2, n, 2): the first and the last row and column that the network sees."""
    low, high = seen if kind == "anywhere" else (places.min(axis=0), places.max(axis=0))  # (n, 2)
    share = rng.random((1 if kind == "one for all" else len(low), 2))
    return (low + np.floor(share * (high - low + 1))).astype(int)


def located(model: Sequential, data: Dataset, parts: Parts | str | os.PathLike
            ) -> tuple[Dataset, list[str], np.ndarray, np.ndarray]:
    """The photos that have parts, the names of the parts, their places (P, n, 2), and what the
    network sees of each photo (2, n, 2): its first and last row and column."""
    where = "parts"
    if isinstance(parts, (str, os.PathLike)):
        where, parts = os.fspath(parts), _read(parts)
    if not isinstance(parts, dict) or len(parts) < 2 or not all(
            isinstance(marks, dict) and marks for marks in parts.values()):
        raise ArgumentError(f'{where}: expected {{"photo name": {{"part": [row, column], …}}, …}} '
                            f"for two photos or more, received {str(parts)[:60]}.")
    names, rows, seen = list(next(iter(parts.values()))), [], []
    crop = model.preprocessing.crop_fraction if model.preprocessing else 1.0
    for photo, marks in parts.items():
        if photo not in data.names:
            raise ArgumentError(f"{where}: expected names of the photos "
                                f"({', '.join(data.names[:4])}, …), received {photo!r}. Correct "
                                f"the name or add the photo.")
        if set(marks) != set(names):
            raise ArgumentError(f"{where}: expected the parts {', '.join(names)} in every photo, "
                                f"received {', '.join(marks)} in {photo!r}.")
        shape = data.read(data.names.index(photo)).shape[:2]
        top, left, bottom, right = crop_region(shape, model.input_shape[:2], crop)
        low, high = (int(top), int(left)), (ceil(bottom) - 1, ceil(right) - 1)
        for part, place in marks.items():
            if not _inside(place, low, high):
                raise ArgumentError(f"{where}: expected [row, column] from {list(low)} to "
                                    f"{list(high)}, which the network sees of {photo!r} {shape}, "
                                    f"for {part!r}, received {place!r}.")
        rows.append([marks[part] for part in names])
        seen.append((low, high))
    data = data.subset([data.names.index(photo) for photo in parts])
    return (data, names, np.array(rows).transpose(1, 0, 2),  # (n, P, 2) -> (P, n, 2)
            np.array(seen).transpose(1, 0, 2))  # (n, 2, 2) -> (2, n, 2)


def _inside(place: object, low: tuple[int, int], high: tuple[int, int]) -> bool:
    return (isinstance(place, (list, tuple)) and len(place) == 2
            and all(is_int(p, a) and p <= b
                    for p, a, b in zip(place, low, high, strict=True)))


def _read(path: str | os.PathLike) -> object:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as problem:
        raise FileError(f"{path}: expected a JSON file of parts, received {problem.strerror}. "
                        f"Check the path.") from problem
    except ValueError as problem:  # bad JSON, bad UTF-8
        raise FileError(f"{path}: expected JSON, received something else ({problem}). "
                        f"Correct it there.") from problem
