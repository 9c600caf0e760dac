"""Figures of a run as files: learning curves and the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..plotting.confusion import confusion_figure
from ..plotting.curves import curves_figure
from ..plotting.drawing import save
from ..utils.arrays import IntArray


def curves(history: Mapping[str, Sequence[float]], path: Path, held_out: str = "") -> None:
    """Loss and accuracy by epoch, training and held-out photos, as a PNG."""
    save(curves_figure(history, held_out), path)


def confusion(counts: IntArray, classes: Sequence[str], path: Path, title: str) -> None:
    """Counts (K, K), rows true and columns predicted, as a PNG; colour is the share of the row."""
    save(confusion_figure(counts, classes, title), path)
