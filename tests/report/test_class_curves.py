"""The curves of an evaluation's classes: which, in which order, and their files."""

import numpy as np
import pytest

from minicnn.evaluation import Evaluation
from minicnn.report.class_curves import precision_recall_curves, roc_curves
from minicnn.report.evaluations import write_evaluation


def evaluation(p, labels):
    p = np.array(p, np.float32)
    return Evaluation(p, np.array(labels), [f"class {k}" for k in range(p.shape[1])])


TWO = evaluation([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], [0, 1, 1, 0])
# Class 1 is separated perfectly, class 0 is not, and class 2 has no photos.
THREE = evaluation([[0.1, 0.9, 0], [0.8, 0.2, 0], [0.7, 0.1, 0.2], [0.75, 0.8, 0.05]],
                   [1, 0, 0, 1])


def test_of_two_classes_the_second_has_a_curve():
    curve, = roc_curves(TWO)
    assert curve.name == "class 1"
    # By falling p: class 1 at 0.8, class 0 at 0.7, class 1 at 0.4, class 0 at 0.1.
    assert curve.area == pytest.approx(0.75)  # 3 of 4 pairs are in the right order
    steps = list(zip(curve.x.tolist(), curve.y.tolist(), strict=True))
    assert steps[0] == (0, 0) and steps[-1] == (1, 1) and (0, 0.5) in steps and (0.5, 0.5) in steps


def test_of_several_classes_the_lowest_area_comes_first_and_undefined_ones_are_left_out():
    assert [curve.name for curve in roc_curves(THREE)] == ["class 0", "class 1"]
    assert [curve.name for curve in precision_recall_curves(THREE)] == ["class 0", "class 1"]
    assert roc_curves(THREE)[1].area == 1


def test_recall_is_the_x_of_precision_and_recall():
    curve, = precision_recall_curves(TWO)
    points = [(x, round(y, 6)) for x, y in zip(curve.x.tolist(), curve.y.tolist(), strict=True)]
    assert points[-4:] == [(0.5, 1), (0.5, 0.5), (1, 0.666667), (1, 0.5)]


@pytest.mark.parametrize("result, titles", [
    (TWO, ["ROC curve", "precision and recall"]),
    (THREE, ["ROC, each class against the rest", "precision and recall, each class"])])
def test_the_figures_of_an_evaluation_say_what_they_show(drawn, tmp_path, result, titles):
    write_evaluation(tmp_path, result, [f"{k}.png" for k in range(4)], threshold=None)
    shown = [figure.axes[0].get_title() for figure in drawn]
    few = "\nonly 4 photos: read the steps, not the shape"
    assert [title for title in shown if title.removesuffix(few) in titles] == [
        title + few for title in titles]
    assert any(title.startswith("Calibration") for title in shown)
    for name in ("roc.png", "precision_recall.png", "calibration.png"):
        assert (tmp_path / name).stat().st_size > 1000
