"""What `minicnn train` prints at its end: doubtful labels, notes, and the files to open."""

import numpy as np
import pytest
from makers import run_command

from minicnn.cli.train_text import print_doubtful_labels, print_notes
from minicnn.evaluation import Evaluation
from minicnn.training import Setting, TransferResult


def evaluation(doubtful, sure=4):
    """Of photos of two classes: these many with a label that the network is sure is wrong, and
    `sure` others."""
    p = np.array([[0.95, 0.05]] * (doubtful + sure))
    return Evaluation(p, np.array([1] * doubtful + [0] * sure), ["a", "b"])


@pytest.mark.parametrize("training, held_out, line", [
    (2, 1, "3 photos may have a wrong label (2 of the training, 1 held out): see report.html\n"),
    (1, 0, "1 photo may have a wrong label (1 of the training, 0 held out): see report.html\n"),
    (0, 2, "2 held-out photos may have a wrong label: see report.html\n"),
    (None, 1, "1 held-out photo may have a wrong label: see report.html\n"),
    (0, 0, ""), (None, 0, "")])
def test_doubtful_labels_of_both_parts_are_counted(training, held_out, line, capsys):
    print_doubtful_labels(TransferResult(
        None, {}, evaluation(held_out),
        training=None if training is None else evaluation(training)))
    assert capsys.readouterr().out == line


@pytest.mark.parametrize("verbose, lines", [
    (False, ["It is overfitting."]), (True, ["Learning rate 1", "It is overfitting."])])
def test_warnings_are_printed_and_settings_only_if_asked_for(verbose, lines, capsys):
    print_notes([Setting("learning rate 1"), "it is overfitting."], verbose)
    assert capsys.readouterr().out.splitlines() == lines


def test_the_last_lines_name_the_page_and_count_the_other_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run_command(
        capsys, "train", "--sample", "fashion", "--per-class", 2, "--epochs", 1, "--size", 32,
        "--cut", "block1_pool", "--no-scratch", "--no-label-check", "--output", "a run")
    files = [path for path in (tmp_path / "a run").iterdir() if path.is_file()]
    assert code == 0
    assert f"\nOpen: a run/report.html (and {len(files) - 1} other files)\n" in out
