"""Figures of a run as files: learning curves and the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..plotting.confusion import confusion_figure
from ..plotting.curves import curves_figure
from ..plotting.drawing import save
from ..utils.arrays import IntArray


def curves(history: Mapping[str, Sequence[float]], path: Path, photos_name: str = "", *,
           scratch: Mapping[str, Sequence[float]] | None = None, best: int | None = None) -> None:
    """Loss and accuracy by epoch, as a PNG; arguments as for curves_figure."""
    save(curves_figure(history, photos_name, scratch=scratch, best=best), path)


def confusion(counts: IntArray, classes: Sequence[str], path: Path, title: str) -> None:
    """Counts (K, K), rows true and columns predicted, as a PNG; colour is the share of the row."""
    save(confusion_figure(counts, classes, title), path)
