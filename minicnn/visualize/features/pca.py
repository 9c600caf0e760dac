"""Photos as points of a plane: the two directions in which a layer's features differ most.

A photo's features f ∈ R^C are the means of the layer's maps over the places (of a layer without
maps, its outputs). With the mean photo taken off, the rows of X (N, C) are

    X = U · diag(s) · Vᵀ        (singular value decomposition)

The columns of V are the eigenvectors of the covariance XᵀX / (N − 1), as XᵀX = V diag(s²) Vᵀ; photo
m lies at X_m · (v₁, v₂), and component r explains s_r² / Σ s² of the variance. v and −v are
equally right; here the entry of v that is largest in size is positive: a picture can be repeated.

Source: Pearson 1901; Jolliffe, "Principal Component Analysis", 2nd ed. 2002, section 3.5 (by SVD).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...data import resize_and_crop
from ...model import Sequential
from ...ops import to_cpu
from ...plotting import drawing
from ...utils.errors import ArgumentError
from ..photos import Photos, Progress, as_dataset, bounded, photo_batches, silent
from ..result import Result
from ..target import copies, layer_index, run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000")
MARKERS = "os^Dv*P"  # with more classes than colours, another shape, and a dotted frame
THUMBNAIL = 32  # pixels


@dataclass
class PCA(Result):
    """points (N, 2): the photos in the plane; explained (min(N, C),): shares of the variance, by
    component; components (2, C): v₁ and v₂; mean (C,); features (N, C) before the mean is taken
    off; labels (N,), classes: of the photos; thumbnails (N, t, t, 3) uint8."""

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
        """A mark for each photo in its class's colour, thumbnails where there is room."""
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage

        figure = drawing.new_figure(12, 7.5)
        ax = figure.subplots()
        for label in np.unique(self.labels):
            at = self.points[self.labels == label]
            ax.scatter(*at.T, s=28, color=COLOURS[label % len(COLOURS)],
                       marker=MARKERS[label // len(COLOURS) % len(MARKERS)],
                       label=drawing.shortened(self.classes[label]))
        room = roomy(self.points, 0.065, 0.095)
        for m in room:
            around, colour = divmod(self.labels[m], len(COLOURS))
            ax.add_artist(AnnotationBbox(
                OffsetImage(self.thumbnails[m], zoom=1), self.points[m], pad=0.12,
                bboxprops={"edgecolor": COLOURS[colour], "linewidth": 2.5,
                           "linestyle": ("-", ":")[around % 2]}))
        ax.margins(0.07)
        for name, share, axis in zip(("1st", "2nd"), self.explained, (ax.xaxis, ax.yaxis),
                                     strict=False):
            axis.set_label_text(f"{name} component: {share:.1%} of the variance")
        if len(np.unique(self.labels)) > 1:
            ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=11)
        figure.suptitle(f"{self.layer}: {len(self.points)} photos, {len(room)} drawn where there "
                        f"is room")
        return figure

    def __str__(self) -> str:
        lines = [f"{self.layer}: {len(self.points)} photos, {self.features.shape[1]} features"]
        if not self.explained.any():
            return lines[0] + ": all the same, there is nothing to see"
        lines.append("explained variance: " + ", ".join(f"{share:.1%}"
                                                        for share in self.explained[:5]))
        for label in np.unique(self.labels):
            x, y = self.points[self.labels == label].mean(axis=0)
            lines.append(f"{self.classes[label]}: centre ({x:.4g}, {y:.4g})")
        return "\n".join(lines)


def pca(model: Sequential, photos: Photos, layer: str | None = None, *,
        batch_size: int | None = None, progress: Progress = silent) -> PCA:
    """The photos in the plane of the first two principal components of a layer's features.

    layer: None is the last convolution. Raises ArgumentError for a layer that does not exist, fewer
    than two photos, features that are not finite or fewer than two.
    """
    place, data = layer_index(model, layer), as_dataset(photos)
    name, layers = model.layers[place].name, copies(model.layers[:place + 1])
    if len(data) < 2:
        raise ArgumentError(f"pca: expected at least two photos, received {len(data)}.")
    if model.shapes()[place + 1][-1] < 2:
        raise ArgumentError(f"{name}: expected a layer of at least two units, received one of 1. "
                            f"Name one before it.")
    features, thumbnails = [], []
    step = bounded(model, place + 1, batch_size)
    for _, pixels, x in photo_batches(model, data, step, progress):
        y = to_cpu(run(layers, x))
        features.append(y.reshape(len(y), -1, y.shape[-1]).mean(axis=1, dtype=np.float64))
        thumbnails += [resize_and_crop(one, (THUMBNAIL, THUMBNAIL)) for one in pixels]
    features = np.concatenate(features)
    points, explained, components, mean = principal(features, name)
    return PCA(name, points, explained, components, mean, features, data.labels, data.classes,
               np.stack(thumbnails))


def principal(features: np.ndarray, name: str = "features"
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
    flat = total <= len(X) * (1e-6 * np.abs(features).max()) ** 2  # no more than float32's rounding
    return X @ components.T, variance * 0 if flat else variance / total, components, mean


def roomy(points: np.ndarray, width: float, height: float) -> list[int]:
    """Photos whose thumbnails (width, height: shares of the plane) overlap no earlier one's, in an
    order that favours no class."""
    span = np.maximum(np.ptp(points, axis=0), 1e-12)
    scaled, shown = (points - points.min(axis=0)) / span, []
    for m in np.random.default_rng(0).permutation(len(points)):
        apart = np.abs(scaled[shown] - scaled[m])
        if ((apart[:, 0] > width) | (apart[:, 1] > height)).all():
            shown.append(int(m))
    return shown
