"""Figures of an evaluation show the measures they are given, and of runs theirs."""

import numpy as np
import pytest

from minicnn.evaluation import (
    Evaluation,
    calibration_curve,
    expected_calibration_error,
    pr_curve,
    roc_auc,
    roc_curve,
    wilson_interval,
)
from minicnn.plotting.comparison import comparison_figure
from minicnn.plotting.drawing import percent, png
from minicnn.plotting.metric_figures import calibration_figure, precision_recall_figure, roc_figure
from minicnn.report.class_curves import precision_recall_curves, roc_curves


def evaluation(K, N=60, names=None, seed=0):
    """Of random probabilities that know something."""
    rng = np.random.default_rng(seed)
    labels = np.arange(N) % K
    p = rng.random((N, K)) + np.eye(K)[labels] * rng.random((N, 1))
    return Evaluation(p / p.sum(axis=1, keepdims=True), labels,
                      names or [f"class {k}" for k in range(K)])


def roc(result, threshold=None):
    return roc_figure(roc_curves(result), len(result.classes) == 2, len(result.labels), threshold)


def precision_recall(result, threshold=None):
    share = (result.labels == 1).mean() if len(result.classes) == 2 else None
    return precision_recall_figure(precision_recall_curves(result), len(result.labels), share,
                                   threshold)


def calibration(result, bins=10):
    p, labels = result.probabilities, result.labels
    curve = calibration_curve(p, labels, bins)
    intervals = np.array([wilson_interval(round(a * n), n) if n else (0, 1)
                          for a, n in zip(curve.accuracy, curve.count.tolist(), strict=True)])
    return calibration_figure(curve.confidence, curve.accuracy, curve.count, intervals,
                              expected_calibration_error(p, labels, bins))


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def assert_inside(figure):
    """No text leaves the figure, none is smaller than 12 pt."""
    png(figure)  # as a file is written; after it, every text has its position
    figure.canvas.draw()
    for ax in figure.axes:
        ticks = [label for k, labels, limits in (
                     (0, ax.get_xticklabels(), ax.get_xlim()),
                     (1, ax.get_yticklabels(), sorted(ax.get_ylim())))
                 for label in labels if limits[0] <= label.get_position()[k] <= limits[1]]
        texts = [*ticks, ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts,
                 *(ax.get_legend().get_texts() if ax.get_legend() else [])]
        for text in texts:
            box = text.get_window_extent()
            if text.get_text() and text.get_visible():
                assert text.get_fontsize() >= 12, text
                assert box.x0 >= -1 and box.y0 >= -1, text
                assert box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1, text


def test_roc_of_two_classes_is_one_line_with_its_area_and_its_threshold():
    result = evaluation(2)
    p, positive = result.probabilities[:, 1], result.labels == 1
    fpr, tpr, thresholds = roc_curve(p, positive)
    figure = roc(result, float(thresholds[20]))
    found = lines(figure.axes[0])
    line = found[f"{roc_auc(p, positive):.3f}  class 1"]
    np.testing.assert_array_equal(line.get_xdata(), fpr)
    np.testing.assert_array_equal(line.get_ydata(), tpr)
    mark = found[f"at threshold {thresholds[20]:.3g}"]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (fpr[20], tpr[20])
    assert len(found) == 3 and "0.500  chance" in found
    assert_inside(figure)


@pytest.mark.parametrize("threshold", [0.0, 0.4321, 1.0])
def test_the_mark_stands_where_photos_from_the_threshold_on_are_taken(threshold):
    result = evaluation(2)
    p, positive = result.probabilities[:, 1], result.labels == 1
    figures = roc(result, threshold), precision_recall(result, threshold)
    mark, found = (lines(figure.axes[0]).get(f"at threshold {threshold:.3g}") for figure in figures)
    taken = p >= threshold
    assert mark.get_xdata()[0] == taken[~positive].mean()
    assert mark.get_ydata()[0] == taken[positive].mean()
    if taken.any():
        assert found.get_xdata()[0] == pytest.approx(taken[positive].mean())
        assert found.get_ydata()[0] == pytest.approx(positive[taken].mean())
    else:
        assert found is None  # of nothing there is no precision


def test_precision_recall_is_drawn_in_steps_over_the_share_of_the_class():
    result = evaluation(2, 61)
    figure = precision_recall(result)
    precision, recall, _ = pr_curve(result.probabilities[:, 1], result.labels == 1)
    chance, line = figure.axes[0].get_lines()
    np.testing.assert_array_equal(line.get_xdata(), recall)
    np.testing.assert_array_equal(line.get_ydata(), precision)
    assert line.get_drawstyle() == "steps-pre"
    assert chance.get_ydata()[0] == pytest.approx(30 / 61)
    assert_inside(figure)


@pytest.mark.parametrize("draw", [roc, precision_recall])
def test_of_many_classes_the_hardest_are_named_and_the_others_counted(draw):
    result = evaluation(9, 180)
    result.probabilities[result.labels == 4, 4] = 0  # the hardest of all
    figure = draw(result)
    names = [name for name in legend(figure.axes[0]) if "chance" not in name]
    assert len(names) == 7 and names[-1] == "3 others" and names[0].endswith("  class 4")
    areas = [float(name.split()[0]) for name in names[:-1]]
    assert areas == sorted(areas)
    assert_inside(figure)


def test_three_classes_are_all_named_and_told_apart():
    figure = roc(evaluation(3, names=["_cirrus", "a" * 40, "$x$"]))
    shown = [line for label, line in lines(figure.axes[0]).items() if "chance" not in label]
    assert len(legend(figure.axes[0])) == 4
    assert len({line.get_color() for line in shown}) == len(
        {line.get_linestyle() for line in shown}) == 3
    assert_inside(figure)


@pytest.mark.parametrize("draw", [roc, precision_recall])
def test_where_there_is_no_curve_the_figure_says_why(draw):
    result = evaluation(2)
    result.labels = np.zeros(60, int)
    figure = draw(result, 0.5)
    assert "it needs photos" in figure.axes[0].texts[0].get_text()
    assert all("class" not in label for label in legend(figure.axes[0]))


def test_a_class_without_photos_has_no_curve_beside_others():
    result = evaluation(3)
    result.labels[result.labels == 2] = 1
    figure = roc(result)
    assert [name.split("  ")[1] for name in legend(figure.axes[0])[1:]] in (
        ["class 0", "class 1"], ["class 1", "class 0"])


def test_calibration_shows_bins_with_photos_their_accuracy_and_counts():
    result = evaluation(3)
    curve = calibration_curve(result.probabilities, result.labels, 5)
    figure = calibration(result, 5)
    ax, below = figure.axes
    measured, used = lines(ax)["measured, with 95 % interval"], curve.count > 0
    assert 1 < used.sum() < 5
    np.testing.assert_array_equal(measured.get_xdata(), curve.confidence[used])
    np.testing.assert_array_equal(measured.get_ydata(), curve.accuracy[used])
    assert [bar.get_height() for bar in below.patches] == curve.count.tolist()
    assert "expected calibration error" in ax.get_title() and "60 photos" in ax.get_title()
    assert [text.get_text() for text in below.texts] == [str(n) for n in curve.count[used]]
    assert_inside(figure)


def test_calibration_shows_how_uncertain_each_bin_is_and_joins_few_photos_by_no_line():
    p = np.tile([0.3, 0.7], (8, 1))
    few = Evaluation(p, np.array([1] * 6 + [0] * 2), ["a", "b"])  # 6 of 8 correct at 0.7
    ax = calibration(few).axes[0]
    (interval,) = [line for line in ax.get_lines() if np.allclose(line.get_xdata(), 0.7)
                   and len(line.get_xdata()) == 2]
    # (p + z²/2n ± z √(p (1 − p)/n + z²/4n²)) / (1 + z²/n), p = 6/8, n = 8, z = 1.96, by hand
    np.testing.assert_allclose(interval.get_ydata(), [0.4093, 0.9285], atol=1e-3)
    assert lines(ax)["measured, with 95 % interval"].get_linestyle() == "None"
    ax = calibration(evaluation(2)).axes[0]
    assert lines(ax)["measured, with 95 % interval"].get_linestyle() == "-"


@pytest.mark.parametrize("figure", [roc, precision_recall])
def test_curves_of_few_photos_say_so(figure):
    few, many = figure(evaluation(2, 34)), figure(evaluation(2, 60))
    assert "only 34 photos" in few.axes[0].get_title()
    assert "only" not in many.axes[0].get_title()
    assert_inside(few)


def test_comparison_shows_each_runs_curve_and_its_interval():
    names = ["runs/one", "runs/a-name-much-too-long-to-be-shown-1", "kfold"]
    histories = [[0.5, 0.75, 0.7], [0.6], []]
    results = [(0.7, 0.6, 0.8), (0.6, 0.5, 0.75), (1.0, 0.9, 1.0)]
    figure = comparison_figure(names, histories, results, [True, False, False],
                               ["size 64", "size 96", ""])
    left, right = figure.axes
    assert left.get_legend() is None  # each line is named at its end; the third has no epochs
    assert {text.get_text(): text.get_color() for text in left.texts} == {
        "1  validation": left.get_lines()[0].get_color(),
        "2  held-out": left.get_lines()[1].get_color()}
    assert left.get_ylim() == right.get_xlim() == (0.5, 1)
    assert [list(line.get_ydata()) for line in left.get_lines()] == histories[:2]
    assert list(left.get_lines()[0].get_xdata()) == [1, 2, 3]
    assert left.get_lines()[1].get_marker() == "o"
    words = [text.get_text() for text in right.texts if "%" not in text.get_text()]
    assert words[:2] == ["1  runs/one", "size 64"] and words[4:] == ["3  kfold"]
    assert words[2].endswith("long-to-be-shown-1") and words[3] == "size 96"
    heights = [text.get_position()[1] for text in right.texts if "%" not in text.get_text()]
    assert heights == sorted(heights)
    bars = [container.lines[2][0].get_segments()[0] for container in right.containers]
    np.testing.assert_allclose([bar[:, 0] for bar in bars], [[0.6, 0.8], [0.5, 0.75], [0.9, 1]])
    assert [text.get_text() for text in right.texts if "%" in text.get_text()] == [
        "70.0 %", "60.0 %", "100.0 %"]
    assert_inside(figure)


def test_a_comparison_shows_the_ends_of_names_and_options_in_two_lines_beside_the_curves():
    options = 3 * "size 160, augment flip,zoom=0.2, views 8, finetune block5, dropout 0.25, "
    names = [f"runs/of-a-folder-with-a-very-long-name-indeed/photos-{k}" for k in (1, 2)]
    figure = comparison_figure(names, [[0.6, 0.8]] * 2, [(0.8, 0.7, 0.9), (0.98, 0.93, 0.99)],
                               [False] * 2, [options] * 2)
    left, right = figure.axes
    words = [text.get_text() for text in right.texts]
    assert [word[-8:] for word in words if word[:1] in "12"] == ["photos-1", "photos-2"]
    assert sum(word.endswith("…") for word in words) == 2  # of each run's options, the second line
    assert any("zoom=0.2" in word for word in words)
    assert_inside(figure)
    boxes = [text.get_window_extent() for text in right.texts]
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[k + 1:]), words[k]
    gap = right.get_window_extent().x0 - left.get_window_extent().x1
    labels = max(text.get_window_extent().width for text in left.texts)
    assert gap < labels + 80  # pixels: no more white than the words beside the curves need


def test_the_axes_of_a_comparison_begin_at_0_if_an_interval_reaches_below_one_half():
    figure = comparison_figure(["a", "b"], [[0.9, 0.95], [0.9, 0.94]],
                               [(0.95, 0.9, 0.98), (0.6, 0.45, 0.7)], [False] * 2)
    left, right = figure.axes
    assert left.get_ylim() == right.get_xlim() == (0, 1)
    heights = sorted(text.get_position()[1] for text in left.texts)
    assert heights[1] - heights[0] >= 0.05  # of 0.01: the names of the lines do not touch
    assert_inside(figure)


def test_ticks_between_whole_percents_are_not_rounded():
    assert [percent(value) for value in (0, 0.3, 0.925, 0.975, 1)] == [
        "0 %", "30 %", "92.5 %", "97.5 %", "100 %"]


def test_comparison_of_runs_without_epochs_says_so():
    figure = comparison_figure(["a", "b"], [[], []], [(0.5, 0.4, 0.6)] * 2, [True] * 2)
    assert "no epochs" in figure.axes[0].texts[0].get_text()
