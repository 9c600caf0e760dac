"""Correspondence: does hiding the same part of different photos change the features alike? (Z10)

Hide one part in each of n photos and take the change of a layer's features, ε_i = x_i − x̃_i. If
the layer represented the part, hiding it would change the same features in the same direction in
all photos:

    Δ = Σ_{i≠j} Hamming(sign ε_i, sign ε_j) / (n (n − 1) D),    D features

the mean share of signs that disagree; lower means tighter correspondence. The sign of 0 is a third
one: 0 agrees with 0 and disagrees with + and −. Squares that change fewer features therefore score
lower, and so `active` is the same share among the features that changed in at least one photo of
the pair.

Compared with three kinds of random positions of the same number and size, each drawn several times:

    on the object     in each photo another position in the box that its parts span (the paper's)
    anywhere          in each photo another position that the network sees, on the object or not
    one for all       one position on the object, the same in all photos: if the objects lie alike
                      in all photos, this control shows what the position alone explains

Source: Zeiler & Fergus 2014, section 4.3 and table 1 (5 dogs; eyes and nose).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import data as builtin
from ...data import Dataset
from ...data.visible_region import visible_region
from ...layers.sharing import copy_layers
from ...model import Sequential
from ...ops import to_cpu
from ...plotting import drawing
from ...utils.errors import ArgumentError, FileError, check_int, is_int
from ...utils.language import gettext as _
from ...utils.language import gettext_noop as N_
from ...utils.language import local_number
from ..photos import (
    ImageInput,
    Progress,
    as_dataset,
    batch_size_for,
    crop_photo,
    image_size,
    photo_batches,
    silent,
)
from ..result import Result
from ..target import forward, layer_index

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SNEAKERS = Path(builtin.__file__).parent / "sneaker_parts.json"
RANDOM = (N_("on the object"), N_("anywhere"), N_("one for all"))
Parts = dict[str, dict[str, tuple[int, int]]]  # photo name -> part -> (row, column)


@dataclass
class Correspondence(Result):
    """parts: their names, then the kinds of random positions; delta, active (R,): Δ of each, and Δ
    among the changed features; delta_sd, active_sd (R,): standard deviations over the draws, 0 for
    the parts. photos: their names; places (P, n, 2): row and column of each part in each photo's
    own pixels; example (P, H, Wd, 3): the first photo with each part hidden, as the network sees
    it."""

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
        """The first photo with each part hidden; beside it the two measures, ± sd over the draws.
        """
        figure = drawing.new_figure(14, 6)
        left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 3))[0]
        axes = left.subplots(len(self.example), 1, squeeze=False)[:, 0]
        for part, image, ax in zip(self.parts, self.example, axes, strict=False):
            drawing.show_image(ax, image, _("{part} hidden", part=part))
        rows, num_parts = np.arange(len(self.parts)), len(self.example)
        colours = [drawing.BLUE] * num_parts + [drawing.ORANGE] * (len(rows) - num_parts)
        names = [drawing.shortened(part) if r < num_parts else _("random, {kind}", kind=_(part))
                 for r, part in enumerate(self.parts)]
        for ax, values, sd, title in zip(
                right.subplots(1, 2, sharey=True), (self.delta, self.active),
                (self.delta_sd, self.active_sd), (_("all features"), _("changed features")),
                strict=True):
            ax.barh(rows, values, xerr=np.where(sd > 0, sd, np.nan), color=colours, capsize=4)
            ax.set_yticks(rows, names)
            ax.set_title(title)
            ax.set_xlabel(_("share of signs that disagree"))
        ax.invert_yaxis()
        figure.suptitle(_("{layer}: correspondence of parts in {count} photos (lower is tighter)",
                          layer=drawing.shortened(self.layer), count=len(self.photos)))
        return figure

    def __str__(self) -> str:
        names = [_("random, {kind}", kind=_(part)) if r >= len(self.example) else part
                 for r, part in enumerate(self.parts)]
        width = max(21, *map(len, names)) + 1
        lines = [_("{layer}, {count} photos, share of signs that disagree (lower is tighter), ± sd "
                   "over {draws} draws", layer=self.layer, count=len(self.photos),
                   draws=self.draws), f"{'':{width}}{_('all features'):16} {_('changed ones')}"]
        for r, name in enumerate(names):
            is_random = r >= len(self.example)
            columns = [local_number(f"{value:.4f}" + (f" ± {sd:.4f}" if is_random else " " * 9))
                       for value, sd in ((self.delta[r], self.delta_sd[r]),
                                         (self.active[r], self.active_sd[r]))]
            lines.append(f"{name:{width}}{'  '.join(columns)}".rstrip())
        return "\n".join(lines)


def correspondence(model: Sequential, photos: ImageInput | None = None,
                   parts: Parts | str | os.PathLike | None = None, layer: str | None = None, *,
                   size: int | None = None, fill: int = 128, draws: int = 6, seed: int = 0,
                   batch_size: int | None = None, progress: Progress = silent) -> Correspondence:
    """Hides each part in each photo and compares the signs of the changes.

    photos: a Dataset (with its names), or a list of uint8 photos, called "photo 0", "photo 1", …;
            None: the built-in sneakers. Photos without an entry in `parts` are not used.
    parts:  {"photo name": {"toe": [row, column], …}, …}, in pixels of the original photo, within
            the region that the network sees (resize_and_crop), or the path of such a JSON file;
            the same parts for all photos. None: those of the built-in sneakers.
    layer:  None is the last convolution. size: the side of the square that hides, in pixels of the
            photo; None: a quarter of its shorter side. The square is clipped at the border.
    fill:   the grey of the square. draws: of each kind of random positions, at least 2.
    Raises ArgumentError or FileError for parts that do not fit.
    """
    data = builtin.sample("fashion", "test", ["sneaker"]) if photos is None else as_dataset(photos)
    data, names, places, visible = locate_parts(model, data, SNEAKERS if parts is None else parts)
    stop, draws = layer_index(model, layer) + 1, check_int(draws, "correspondence, draws", 2)
    layers, rng = copy_layers(model.layers[:stop]), np.random.default_rng(seed)
    images = [data.read(i) for i in range(len(data))]
    sizes = [check_int(max(1, min(image.shape[:2]) // 4) if size is None else size,
                       "correspondence, size") for image in images]
    batch_size, total = batch_size_for(model, stop, batch_size), len(places) + 3 * draws
    done = 0

    def compute_features(images: list[np.ndarray]) -> np.ndarray:
        """(n, D)."""
        return np.concatenate([to_cpu(forward(layers, x)).reshape(len(x), -1)
                               for _, _, x in photo_batches(model, images, batch_size)])

    def measure(positions: np.ndarray) -> tuple[float, float]:
        """Δ and Δ among the changed features, for a square at (row, column) in each photo."""
        nonlocal done
        hidden = [hide_square(image, position, side, fill)
                  for image, position, side in zip(images, positions, sizes, strict=True)]
        change = unchanged - compute_features(hidden)
        done += 1
        progress(done, total)
        return disagreement(change)

    unchanged = compute_features(images)
    if not np.isfinite(unchanged).all():
        raise ArgumentError(f"{model.layers[stop - 1].name}: expected finite features, received "
                            f"others. Are the weights finite?")
    of_parts = np.array([measure(positions) for positions in places])  # (P, 2)
    of_random = np.array([[measure(random_places(rng, kind, places, visible))
                           for _ in range(draws)] for kind in RANDOM])  # (3, draws, 2)
    mean = np.concatenate([of_parts, of_random.mean(axis=1)])
    sd = np.concatenate([np.zeros((len(places), 2)), of_random.std(axis=1, ddof=1)])
    example = np.stack([crop_photo(model, hide_square(images[0], positions[0], sizes[0], fill))
                        for positions in places])
    return Correspondence(model.layers[stop - 1].name, [*names, *RANDOM], mean[:, 0], sd[:, 0],
                          mean[:, 1], sd[:, 1], list(data.names), places, example, draws)


def disagreement(change: np.ndarray) -> tuple[float, float]:
    """Changes (n, D) -> Δ over all features; Δ over those that changed in a photo of the pair
    (NaN if none has)."""
    signs, pairs = np.sign(change), [(i, j) for i in range(len(change)) for j in range(i)]
    differ = np.array([(signs[i] != signs[j]).sum() for i, j in pairs])
    changed = np.array([((signs[i] != 0) | (signs[j] != 0)).sum() for i, j in pairs])
    active = float(differ.sum() / changed.sum()) if changed.sum() else float("nan")
    return float(differ.mean() / change.shape[1]), active


def hide_square(image: np.ndarray, centre: np.ndarray, size: int, fill: int) -> np.ndarray:
    """A copy of (H, Wd, 3) with a grey square of `size` pixels around centre (row, column)."""
    image, (top, left) = image.copy(), np.asarray(centre) - size // 2
    image[max(top, 0):max(top + size, 0), max(left, 0):max(left + size, 0)] = fill
    return image


def random_places(rng: np.random.Generator, kind: str, places: np.ndarray, visible: np.ndarray
                  ) -> np.ndarray:
    """A random (row, column) in each photo: (n, 2). The object is the box that the parts (P, n, 2)
    span in a photo; visible (2, n, 2): the first and the last row and column that the network sees.
    """
    low, high = visible if kind == "anywhere" else (places.min(axis=0), places.max(axis=0))
    fraction = rng.random((1 if kind == "one for all" else len(low), 2))
    return (low + np.floor(fraction * (high - low + 1))).astype(int)  # (n, 2)


def locate_parts(model: Sequential, data: Dataset, parts: Parts | str | os.PathLike
                 ) -> tuple[Dataset, list[str], np.ndarray, np.ndarray]:
    """The photos that have parts, the names of the parts, their positions (P, n, 2), and the region
    of each photo that the network sees (2, n, 2): its first and last row and column."""
    source, marked = "parts", parts
    if isinstance(parts, (str, os.PathLike)):
        source, marked = os.fspath(parts), _read_json(parts)
    if not isinstance(marked, dict) or len(marked) < 2 or not all(
            isinstance(marks, dict) and marks for marks in marked.values()):
        raise ArgumentError(f'{source}: expected {{"photo name": {{"part": [row, column], …}}, …}} '
                            f"for two photos or more, received {str(marked)[:60]}.")
    names, rows, visible = list(next(iter(marked.values()))), [], []
    size, recipe = image_size(model), model.preprocessing
    for photo, marks in marked.items():
        if photo not in data.names:
            raise ArgumentError(f"{source}: expected names of the photos "
                                f"({', '.join(data.names[:4])}, …), received {photo!r}. Correct "
                                f"the name or add the photo.")
        if set(marks) != set(names):
            raise ArgumentError(f"{source}: expected the parts {', '.join(names)} in every photo, "
                                f"received {', '.join(marks)} in {photo!r}.")
        shape = data.read(data.names.index(photo)).shape[:2]
        top, left, bottom, right = visible_region(shape, size, recipe)
        low, high = (int(top), int(left)), (ceil(bottom) - 1, ceil(right) - 1)
        for part, position in marks.items():
            if not _is_inside(position, low, high):
                raise ArgumentError(f"{source}: expected [row, column] from {list(low)} to "
                                    f"{list(high)}, which the network sees of {photo!r} {shape}, "
                                    f"for {part!r}, received {position!r}.")
        rows.append([marks[part] for part in names])
        visible.append((low, high))
    data = data.subset([data.names.index(photo) for photo in marked])
    return (data, names, np.array(rows).transpose(1, 0, 2),  # (n, P, 2) -> (P, n, 2)
            np.array(visible).transpose(1, 0, 2))  # (n, 2, 2) -> (2, n, 2)


def _is_inside(position: object, low: tuple[int, int], high: tuple[int, int]) -> bool:
    return (isinstance(position, (list, tuple)) and len(position) == 2
            and all(is_int(p, first) and p <= last
                    for p, first, last in zip(position, low, high, strict=True)))


def _read_json(path: str | os.PathLike) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{path}: expected a JSON file of parts, received {error.strerror}. "
                        f"Check the path.") from error
    except ValueError as error:  # bad JSON, bad UTF-8
        raise FileError(f"{path}: expected JSON, received something else ({error}). "
                        f"Fix the file.") from error
