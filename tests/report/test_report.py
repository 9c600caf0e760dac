"""Figures show the numbers they are given, under the right labels; run folders are claimed."""

import csv
from pathlib import Path

import numpy as np
import pytest

from minicnn.report import confusion, curves, run_folder, write_csv
from minicnn.utils.errors import FileError

HISTORY = {"loss": [1.0, 0.5, 0.2], "accuracy": [0.5, 0.7, 0.9], "val_loss": [1.1, 0.8, 0.7],
           "val_accuracy": [0.4, 0.6, 0.65]}


def test_curves_show_training_and_held_out_figures_under_their_names(drawn, tmp_path):
    curves(HISTORY, tmp_path / "curves.png", "test")
    for ax, kind in zip(drawn[0].axes, ("loss", "accuracy"), strict=True):
        lines = {line.get_label(): line for line in ax.get_lines()}
        assert lines["training"].get_ydata().tolist() == HISTORY[kind]
        assert lines["test"].get_ydata().tolist() == HISTORY[f"val_{kind}"]
        assert list(lines["test"].get_xdata()) == [1, 2, 3]
        assert kind in ax.get_title() and ax.get_xlabel() == "epoch"
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["training", "test"]


def test_curves_of_a_single_epoch_and_without_accuracy_are_drawn(drawn, tmp_path):
    curves({"loss": [0.3]}, tmp_path / "one.png")
    assert [line.get_marker() for line in drawn[0].axes[0].get_lines()] == ["o"]


def test_confusion_has_true_classes_in_rows_and_counts_in_cells(drawn, tmp_path):
    counts = np.array([[8, 2, 0], [1, 4, 0], [0, 0, 3]])
    confusion(counts, ["a", "b", "c"], tmp_path / "confusion.png", "15 of 18")
    ax = drawn[0].axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("predicted", "true", "15 of 18")
    cells = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text()
             for t in ax.texts}
    assert cells == {(i, j): str(counts[i, j]) for i in range(3) for j in range(3)}
    np.testing.assert_allclose(ax.images[0].get_array()[0], [0.8, 0.2, 0])  # share of the row
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]


@pytest.mark.parametrize("names", [
    ["cat", "dog"], ["stratocumulus", "cirrocumulus", "altocumulus", "cumulonimbus"],
    ["a very long name of a class of clouds, seen from below", "b"],
    [f"class number {k}" for k in range(12)], ["$x$", "_y"], ["積雲", "層雲"]])
def test_class_names_neither_touch_nor_leave_the_figure(names, drawn, tmp_path):
    confusion(np.eye(len(names), dtype=int), names, tmp_path / "confusion.png", "title")
    figure = drawn[0]
    ax = figure.axes[0]
    turned = ax.get_xticklabels()[0].get_rotation() > 0
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    if not turned:
        assert all(a.x1 < b.x0 for a, b in zip(boxes, boxes[1:], strict=False))
    for box in boxes + [label.get_window_extent() for label in ax.get_yticklabels()]:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1


def test_csv_is_read_back_as_written(tmp_path):
    write_csv(tmp_path / "t.csv", ["photo", "p"], [["a, \"b\".jpg", 0.5], ["ü\n.jpg", 1]])
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as f:
        assert list(csv.reader(f)) == [["photo", "p"], ["a, \"b\".jpg", "0.5"], ["ü\n.jpg", "1"]]


def test_a_folder_in_use_by_another_run_is_refused_from_its_start(tmp_path):
    with (run_folder(tmp_path / "out"), pytest.raises(FileError, match="in use"),
          run_folder(tmp_path / "out")):
        pass
    assert (tmp_path / "out").exists()


def test_of_two_runs_that_see_an_empty_folder_the_slower_leaves_it_to_the_other(
        tmp_path, monkeypatch):
    def late(claim, **_):
        with monkeypatch.context() as patch:
            patch.undo()
            claim.write_text("the other's")
        raise FileExistsError(17, "File exists", str(claim))

    monkeypatch.setattr(Path, "touch", late)
    with pytest.raises(FileError, match="found one in use"), run_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / "history.csv").read_text() == "the other's"


def test_a_folder_that_cannot_be_written_is_refused_in_a_sentence(tmp_path, monkeypatch):
    def forbidden(claim, **_):
        raise PermissionError(13, "Permission denied", str(claim))

    monkeypatch.setattr(Path, "touch", forbidden)
    with (pytest.raises(FileError, match="can be written, received: Permission denied"),
          run_folder(tmp_path / "out")):
        pass


def test_a_failed_run_removes_what_it_made_and_nothing_else(tmp_path):
    (tmp_path / "mine").mkdir()
    for path in (tmp_path / "mine", tmp_path / "new" / "deep"):
        with pytest.raises(ZeroDivisionError), run_folder(path):
            1 / 0  # noqa: B018
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(ZeroDivisionError), run_folder(tmp_path / "kept") as folder:
        (folder / "model.h5").write_text("work")
        1 / 0  # noqa: B018
    assert (tmp_path / "kept" / "model.h5").read_text() == "work"


def test_runs_without_a_folder_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with run_folder(None, "shoes") as first, run_folder(None, "shoes") as second:
        assert (str(first), str(second)) == ("runs/shoes-1", "runs/shoes-2")
