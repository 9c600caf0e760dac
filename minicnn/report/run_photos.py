"""The photos of a run's page: whole, with the crop that the network sees and what it looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from ..data import Dataset
from ..data.visible_region import visible_region
from ..evaluation import Evaluation
from ..plotting.drawing import percent_text
from ..preprocessing import Preprocessing
from ..utils.errors import FileError
from ..utils.language import gettext as _
from ..utils.language import ngettext
from .html import Markup, element, folded, percent, section
from .pages import as_uri, thumbnail
from .photos import prediction_label

SIDE = 400  # pixels of the longer side of a whole photo
WRONG, LEAST_SURE, HERO_RIGHT = 8, 3, 3  # photos
HERO_SUREST = 0.999  # 99.998 % would leave no space for the name of the class


class WholePhoto(NamedTuple):
    """A photo (h, w, 3) uint8 of at most SIDE pixels, and its crop: top, left, bottom, right."""

    pixels: np.ndarray
    crop: tuple[int, int, int, int]

    @property
    def is_cropped(self) -> bool:
        """Whether the network sees less than all of it."""
        return self.crop != (0, 0, *self.pixels.shape[:2])

    def frame(self) -> Markup | None:
        """The crop, drawn over the photo; None if it is all of the photo."""
        if not self.is_cropped:
            return None
        (height, width), (top, left, bottom, right) = self.pixels.shape[:2], self.crop
        return element("span", class_="crop", style=(
            f"top:{100 * top / height:.2f}%;left:{100 * left / width:.2f}%;"
            f"height:{100 * (bottom - top) / height:.2f}%;"
            f"width:{100 * (right - left) / width:.2f}%"))

    def cropped(self) -> np.ndarray:
        """What the network sees of it."""
        top, left, bottom, right = self.crop
        return self.pixels[top:bottom, left:right]

    def around(self, heat: np.ndarray) -> np.ndarray:
        """The photo, faint and grey, with the picture `heat` in place of its crop."""
        grey = self.pixels.mean(axis=-1, keepdims=True)
        picture = np.repeat(190 + 0.2 * grey, 3, axis=-1).astype(np.uint8)
        top, left, bottom, right = self.crop
        picture[top:bottom, left:right] = heat
        return picture


def whole_photo(data: Dataset, i: int, size: tuple[int, int],
                recipe: Preprocessing | None) -> WholePhoto | None:
    """Photo i with the part that a network sees; None if it can no longer be read. Small photos are
    enlarged, so that their map is not a handful of squares.

    size, recipe: the network's input size (H, Wd) and its preprocessing.
    """
    from PIL import Image

    with suppress(FileError):
        photo = Image.fromarray(data.read(i))
        scale = SIDE / max(photo.size)
        resample = Image.Resampling.BILINEAR if scale < 3 else Image.Resampling.NEAREST
        photo = photo.resize((max(1, round(photo.width * scale)),
                              max(1, round(photo.height * scale))), resample)
        pixels = np.asarray(photo)
        crop = visible_region(pixels.shape, size, recipe)
        top, left, bottom, right = map(round, crop)
        return WholePhoto(pixels, (top, left, bottom, right))
    return None


def surest_of_each_class(result: Evaluation, count: int = HERO_RIGHT) -> list[int]:
    """`count` correctly predicted photos, of as many classes as there are, the surest of each."""
    own = result.probabilities[np.arange(len(result.labels)), result.labels]
    rows = []
    for k in range(len(result.classes)):
        members = np.flatnonzero((result.labels == k) & (result.predicted == k))
        rows += [(rank, -own[i], int(i)) for rank, i in enumerate(
            members[np.argsort(-own[members], kind="stable")][:count])]
    return [i for _rank, _sureness, i in sorted(rows)[:count]]


def wrong_and_least_sure(result: Evaluation) -> tuple[list[int], list[int]]:
    """(wrong predictions, the lowest probability of their own class first; the right ones of the
    lowest probability)."""
    own = result.probabilities[np.arange(len(result.labels)), result.labels]
    order = np.argsort(own, kind="stable")
    correct = result.predicted[order] == result.labels[order]
    return order[~correct][:WRONG].tolist(), order[correct][:LEAST_SURE].tolist()


# Their HTML


def image(uri: str, words: str, **attributes: object) -> Markup:
    """An <img>."""
    return element("img", src=uri, alt=words, decoding="async", **attributes)


def base_name(name: str) -> str:
    """The last part of a path: its class is named beside it."""
    return name.rstrip("/").rpartition("/")[2] or name


def hero_photos(photos: Mapping[int, WholePhoto], right: Sequence[int], worst: Sequence[int],
                data: Dataset, result: Evaluation) -> Markup:
    """Photos that it gets right, and its worst error."""
    figures = []
    for i in [*right, *worst]:
        if i not in photos:
            continue
        label = result.classes[result.labels[i]]
        sure = min(float(result.probabilities[i, result.predicted[i]]), HERO_SUREST)
        answer = f"{percent(sure)} {result.classes[result.predicted[i]]}"
        caption = f"✓ {answer}" if i in right else f"✗ {answer}"
        figures.append(element(
            "figure", image(as_uri(photos[i].pixels), f"{data.names[i]}: {caption}"),
            element("figcaption", element("strong", caption), None if i in right else
                    element("span", _("The label is {label}.", label=label))),
            class_="right" if i in right else "wrong", title=data.names[i]))
    return element("div", *figures, class_="examples") if figures else Markup("")


def looking_section(photos: Mapping[int, WholePhoto], heats: Mapping[int, tuple],
                    wrong: Sequence[int], unsure: Sequence[int], data: Dataset,
                    result: Evaluation) -> Markup | None:
    """The wrong ones and the least sure, each beside what its prediction depends on."""
    rows = []
    for title, indices in ((ngettext("The one error", "The worst {num} errors", len(wrong)), wrong),
                           (_("Correct, but least confident"), unsure)):
        figures = [_look(photos[i], heats.get(i, (None, "")), i, data, result)
                   for i in indices if i in photos]
        if figures:
            rows += [element("h3", title), element("div", *figures, class_="row looks")]
    if not rows:
        return None
    any_map = any(heat is not None for heat, _reason in heats.values())
    cropped = any(photo.is_cropped for photo in photos.values())
    words = [
        _("Beside each photo: what the prediction depends on (HiResCAM). Red speaks for it, blue "
          "against it. Colour along the edge of the picture, or spread over an even sky, often "
          "comes from the zeros with which a convolution pads the border, not from what is in the "
          "photo.")] * any_map + [_("The frame is what the network sees.")] * cropped
    return section("worst", _("What it gets wrong, and where it looks"),
                   element("p", " ".join(words)) if words else None, *rows)


def _look(photo: WholePhoto, explanation: tuple[np.ndarray | None, str], i: int, data: Dataset,
          result: Evaluation) -> Markup:
    heat, reason = explanation
    label, predicted = result.classes[result.labels[i]], prediction_label(result, i)
    correct = result.predicted[i] == result.labels[i]
    if len(result.classes) > 2:  # of two classes the prediction says it, too
        label += f" {percent_text(float(result.probabilities[i, result.labels[i]]))}"
    pictures = [element("div", image(as_uri(photo.pixels), data.names[i]), photo.frame(),
                        class_="framed")]
    if heat is not None:
        pictures.append(element("div", image(
            as_uri(photo.around(heat)), _("HiResCAM of {answer}", answer=predicted)), photo.frame(),
            class_="framed"))
    return element("figure", element("div", *pictures, class_="both"), element(
        "figcaption", element("strong", f"{'✓' if correct else '✗'} {predicted}"),
        None if correct else element("span", _("label: {label}", label=label)),
        element("span", base_name(data.names[i])),
        element("span", _("No map: {reason}", reason=reason)) if reason else None),
        class_=("right" if correct else "wrong") + (" double" if heat is not None else ""))


def cell_galleries(result: Evaluation, data: Dataset, pictures: Mapping[int, np.ndarray],
                   cells: Sequence[tuple[int, int]], limit: int) -> Markup:
    """The photos of each cell of the confusion matrix, folded; the page's script shows those of
    the chosen cell instead."""
    own = result.probabilities[np.arange(len(result.labels)), result.labels]
    groups = []
    for k, (i, j) in enumerate(cells):
        members = np.flatnonzero((result.labels == i) & (result.predicted == j))
        members = members[np.argsort(own[members], kind="stable")]
        shown = [int(n) for n in members if int(n) in pictures][:limit]
        rest = [data.names[n] for n in members.tolist() if n not in shown]
        groups.append(folded(
            ngettext("{num} photo: {cell}", "{num} photos: {cell}", len(members),
                     cell=cell_name(result.classes, i, j)),
            element("div", *(_gallery_figure(n, pictures[n], data, result) for n in shown),
                    class_="row"),
            element("p", _("… and {count} more: {names}", count=len(rest),
                           names=", ".join(rest[:200]))) if rest else None,
            id=f"photos-{i}-{j}", open=k == 0))
    return element("div", *groups, id="galleries")


def _gallery_figure(i: int, pixels: np.ndarray, data: Dataset, result: Evaluation) -> Markup:
    correct = result.predicted[i] == result.labels[i]
    sure = percent_text(float(result.probabilities[i, result.predicted[i]]))
    return element("figure", image(thumbnail(pixels), data.names[i]), element(
        "figcaption", element("strong", f"{sure} {result.classes[result.predicted[i]]}"),
        element("span", base_name(data.names[i]))),
        class_="right" if correct else "wrong", data_photo=i)


def cell_name(classes: Sequence[str], i: int, j: int) -> str:
    """What is in a cell of the confusion matrix."""
    return (_("{name}, predicted correctly", name=classes[i]) if i == j else
            _("{name}, predicted as {other}", name=classes[i], other=classes[j]))


def batch_figures(panels: Sequence) -> Markup:
    """The first training batch."""
    return element("div", *(element("figure", image(as_uri(panel.pictures[0]), panel.lines[0]),
                                    element("figcaption", panel.lines[0])) for panel in panels),
                   class_="row", id="first-batch")
