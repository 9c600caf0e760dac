"""PCA: photos as points in the plane of the two directions in which their features differ most.

A photo's features f ∈ R^C are the means of the layer's maps over all positions (of a layer without
maps, its outputs). Minus their mean over the photos, they are the rows of X (N, C):

    X = U · diag(s) · Vᵀ        (singular value decomposition)

The columns of V are the eigenvectors of the covariance XᵀX / (N − 1), as XᵀX = V diag(s²) Vᵀ; photo
m lies at X_m · (v₁, v₂), and component r explains s_r² / Σ s² of the variance. v and −v are
equally right; here the entry of v with the largest magnitude is positive, so that figures repeat.

Source: Pearson 1901; Jolliffe, "Principal Component Analysis", 2nd ed. 2002, section 3.5 (by SVD).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...data import resize_and_crop
from ...layers.sharing import copy_layers
from ...model import Sequential
from ...ops import to_cpu
from ...plotting import drawing
from ...utils.errors import ArgumentError
from ...utils.language import fill_in
from ...utils.language import gettext as _
from ..photos import ImageInput, Progress, as_dataset, batch_size_for, photo_batches, silent
from ..result import Result
from ..target import forward, layer_index

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000")
MARKERS = "os^Dv*P"  # if there are more classes than colours; then frames are dotted, too
THUMBNAIL = 32  # pixels


@dataclass
class PCA(Result):
    """points (N, 2): the photos in the plane; explained (min(N, C),): shares of the variance, by
    component; components (2, C): v₁ and v₂; mean (C,); features (N, C), the mean not subtracted;
    labels (N,), classes: of the photos; thumbnails (N, t, t, 3) uint8."""

    layer: str
    points: np.ndarray
    explained: np.ndarray
    components: np.ndarray
    mean: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    classes: list[str]
    thumbnails: np.ndarray

    def figure(self) -> Figure:
        """A marker for each photo in its class's colour; thumbnails that do not overlap."""
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage

        figure = drawing.new_figure(12, 7.5)
        ax = figure.subplots()
        for label in np.unique(self.labels):
            x, y = self.points[self.labels == label].T
            ax.scatter(x, y, s=28, color=COLOURS[label % len(COLOURS)],
                       marker=MARKERS[label // len(COLOURS) % len(MARKERS)],
                       label=drawing.shortened(self.classes[label]))
        shown = not_overlapping(self.points, 0.065, 0.095)
        for m in shown:
            repeat, colour = divmod(self.labels[m], len(COLOURS))
            ax.add_artist(AnnotationBbox(
                OffsetImage(self.thumbnails[m], zoom=1), self.points[m], pad=0.12,
                bboxprops={"edgecolor": COLOURS[colour], "linewidth": 2.5,
                           "linestyle": ("-", ":")[repeat % 2]}))
        ax.margins(0.07)
        for name, share, axis in zip((_("1st"), _("2nd")), self.explained, (ax.xaxis, ax.yaxis),
                                     strict=False):
            axis.set_label_text(_("{name} component: {share:.1%} of the variance", name=name,
                                  share=share))
        if len(np.unique(self.labels)) > 1:
            ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=drawing.MIN_TYPE)
        figure.suptitle(_("{layer}: {count} photos, {shown} of them shown", layer=self.layer,
                          count=len(self.points), shown=len(shown)))
        return figure

    def __str__(self) -> str:
        lines = [_("{layer}: {count} photos, {features} features", layer=self.layer,
                   count=len(self.points), features=self.features.shape[1])]
        if not self.explained.any():
            return lines[0] + _(": they are all the same, there is nothing to see")
        lines.append(_("explained variance: {shares}", shares=", ".join(
            fill_in("{share:.1%}", {"share": share}) for share in self.explained[:5])))
        for label in np.unique(self.labels):
            x, y = self.points[self.labels == label].mean(axis=0)
            lines.append(_("{name}: centre ({x:.4g}, {y:.4g})", name=self.classes[label], x=x,
                           y=y))
        return "\n".join(lines)


def pca(model: Sequential, photos: ImageInput, layer: str | None = None, *,
        batch_size: int | None = None, progress: Progress = silent) -> PCA:
    """The photos in the plane of the first two principal components of a layer's features.

    layer: None is the last convolution. Raises ArgumentError for a layer that does not exist, fewer
    than two photos, features that are not finite or fewer than two.
    """
    index, data = layer_index(model, layer), as_dataset(photos)
    name, layers = model.layers[index].name, copy_layers(model.layers[:index + 1])
    if len(data) < 2:
        raise ArgumentError(f"pca: expected at least two photos, received {len(data)}.")
    if model.shapes()[index + 1][-1] < 2:
        raise ArgumentError(f"{name}: expected a layer of at least two units, received one of 1. "
                            f"Name a layer before it.")
    batches, thumbnails = [], []
    batch_size = batch_size_for(model, index + 1, batch_size)
    for _indices, pixels, x in photo_batches(model, data, batch_size, progress):
        y = to_cpu(forward(layers, x))
        batches.append(y.reshape(len(y), -1, y.shape[-1]).mean(axis=1, dtype=np.float64))
        thumbnails += [resize_and_crop(photo, (THUMBNAIL, THUMBNAIL)) for photo in pixels]
    features = np.concatenate(batches)
    points, explained, components, mean = principal_components(features, name)
    return PCA(name, points, explained, components, mean, features, np.asarray(data.labels),
               data.classes, np.stack(thumbnails))


def principal_components(features: np.ndarray, name: str = "features"
                         ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """features (N, C) -> points (N, 2), explained (min(N, C),), components (2, C), mean (C,).
    Raises ArgumentError for features that are not finite."""
    if not np.isfinite(features).all():
        raise ArgumentError(f"{name}: expected finite features, received "
                            f"{(~np.isfinite(features)).sum()} that are NaN or infinite. Are the "
                            f"weights finite?")
    mean = features.mean(axis=0)
    X = features - mean
    _, s, Vt = np.linalg.svd(X, full_matrices=False)  # (N, R), (R,), (R, C)
    components = Vt[:2]
    largest = np.abs(components).argmax(axis=1)
    components = components * np.where(components[[0, 1], largest] < 0, -1, 1)[:, None]
    variance = s ** 2
    total = variance.sum()
    flat = total <= len(X) * (1e-6 * np.abs(features).max()) ** 2  # at most float32's rounding
    return X @ components.T, variance * 0 if flat else variance / total, components, mean


def not_overlapping(points: np.ndarray, width: float, height: float) -> list[int]:
    """Photos whose thumbnails (width, height: shares of the plane) do not overlap those of earlier
    ones, in a random order, so that no class is preferred."""
    span = np.maximum(np.ptp(points, axis=0), 1e-12)
    scaled = (points - points.min(axis=0)) / span
    shown: list[int] = []
    for m in np.random.default_rng(0).permutation(len(points)):
        distance = np.abs(scaled[shown] - scaled[m])
        if ((distance[:, 0] > width) | (distance[:, 1] > height)).all():
            shown.append(int(m))
    return shown
