"""The exercises: open gaps are said to be open, the solutions pass, wrong answers get a hint."""

import difflib
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference
from reference import assert_close

from minicnn.cli import main

EXAMPLES = Path(__file__).parent.parent / "examples"
CLASSES = {"conv_backward": "Conv", "max_pool_backward": "MaxPool",
           "softmax_cross_entropy": "SoftmaxCrossEntropy", "im2col": "Conv"}
NO_PADS = ((0, 0), (0, 0))


def judged(folder, name):
    return main(["gradcheck", f"{folder / name}.py:{CLASSES[name]}"])


def solved(name):
    """The class of a solution."""
    return runpy.run_path(str(EXAMPLES / "solutions" / f"{name}.py"))[CLASSES[name]]


def test_every_exercise_has_a_solution():
    for folder in ("exercises", "solutions"):
        assert {file.stem for file in (EXAMPLES / folder).glob("*.py")} == set(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_an_open_gap_is_said_to_be_open_with_its_line(name, capsys):
    assert judged(EXAMPLES / "exercises", name) == 2
    said = capsys.readouterr().err
    text = (EXAMPLES / "exercises" / f"{name}.py").read_text("utf-8")
    line = text[:text.index("raise NotImplementedError")].count("\n") + 1
    assert f"{name}.py, line {line}: expected your code, found a gap: " in said
    assert len(said.splitlines()) == 1 and said.endswith("still to be written.\n")


@pytest.mark.parametrize("name", CLASSES)
def test_the_solution_passes(name, capsys):
    assert judged(EXAMPLES / "solutions", name) == 0
    assert "All gradients agree" in capsys.readouterr().out


@pytest.mark.parametrize("name", CLASSES)
def test_a_solution_is_its_exercise_with_the_gap_filled(name):
    exercise, solution = (
        (EXAMPLES / folder / f"{name}.py").read_text("utf-8").replace(
            f"examples/{folder}/", "").replace(", solved.", ".").splitlines()
        for folder in ("exercises", "solutions"))
    changes = [change for change in difflib.SequenceMatcher(None, exercise, solution,
                                                            False).get_opcodes()
               if change[0] != "equal"]
    (kind, i, j, _, _), = changes
    assert kind == "replace" and j == i + 1 and "raise NotImplementedError" in exercise[i]


@pytest.mark.parametrize("name", CLASSES)
def test_it_asks_gives_formula_and_shapes_and_names_its_judge(name):
    text = (EXAMPLES / "exercises" / f"{name}.py").read_text("utf-8")
    parts = [text.index(f"\n{part}") for part in ("Question", "Formula", "Shapes", "Judge:")]
    assert parts == sorted(parts)
    assert f"minicnn gradcheck examples/exercises/{name}.py:{CLASSES[name]}" in text


def test_an_exercise_run_as_a_file_is_its_own_judge():
    done = [subprocess.run([sys.executable, EXAMPLES / folder / "softmax_cross_entropy.py"],
                           capture_output=True, text=True, cwd=EXAMPLES.parent,
                           env={"PYTHONPATH": str(EXAMPLES.parent)})
            for folder in ("exercises", "solutions")]
    assert [one.returncode for one in done] == [2, 0]
    assert "found a gap" in done[0].stderr and "All gradients agree" in done[1].stdout


# The judge compares a backward with its own forward; these compare both with the formulas ---------


@pytest.mark.parametrize("name, pad", [("conv_backward", 1), ("im2col", 0)])
def test_the_convolutions_are_the_reference_s(name, pad, rng):
    layer, x = solved(name)(), rng.normal(size=(2, 5, 6, 3))
    layer.build(x.shape[1:], rng)
    layer.params = {key: rng.normal(size=p.shape) for key, p in layer.params.items()}
    y = layer.forward(x)
    dy = rng.normal(size=y.shape)
    dx = layer.backward(dy)
    expected = reference.conv2d(x, *layer.params.values(), dy, (1, 1), ((pad, pad), (pad, pad)))
    for got, right in zip((y, dx, *layer.grads.values()), expected, strict=True):
        assert_close(got, right)


def test_the_pooling_is_the_reference_s_with_ties_too(rng):
    layer, x = solved("max_pool_backward")(), rng.integers(0, 4, size=(2, 7, 6, 3)).astype(float)
    y = layer.forward(x)
    dy = rng.normal(size=y.shape)
    for got, right in zip((y, layer.backward(dy)),
                          reference.pool2d("max", x, dy, (3, 3), (2, 2), NO_PADS), strict=True):
        assert_close(got, right)


def test_the_loss_is_the_reference_s_and_does_not_overflow(rng):
    loss, z, t = solved("softmax_cross_entropy")(), rng.normal(size=(4, 5)), np.array([0, 4, 1, 1])
    p = reference.softmax(z, z)[0]
    assert loss.forward(z, t) == pytest.approx(reference.categorical_cross_entropy(
        p, t, np.ones(4), np.ones(5)))
    assert_close(loss.backward(), (p - np.eye(5)[t]) / 4)
    assert loss.forward(np.array([[1000.0, 0, 0]]), np.array([0])) == 0


# Answers that students hand in -------------------------------------------------------------------


@pytest.mark.parametrize("name, right, answer, words", [
    ("conv_backward", "dxp[:, i:i + KH, j:j + KW] +=", "dxp[:, i:i + KH, j:j + KW] =",
     ["Your dW and db are right.", "Your dx keeps only the last of the windows"]),
    ("conv_backward", "dW +=", "dW =",
     ["Your dx and db are right.", "Your dW is what dy[:, -1, -1] gives alone"]),
    ("conv_backward", "dxp[:, 1:-1, 1:-1]", "dxp[:, :-2, :-2]",
     ["Your dx is right but shifted by (1, 1) pixels"]),
    ("conv_backward", "dxp[:, 1:-1, 1:-1]", "dxp",
     ["Your dx has shape (2, 8, 9, 3) where (2, 6, 7, 3) is expected: it still has its padding"]),
    ("conv_backward", "d, W, (1, 3)", "d, W[::-1, ::-1], (1, 3)",
     ["Your dx is that of W rotated by 180°"]),
    ("conv_backward", "dy.sum(axis=(0, 1, 2))", "dy.sum(axis=(1, 2))",
     ["Your db has shape (2, 4) where (4,) is expected", ".sum(axis=0) is missing"]),
    ("max_pool_backward", "q, c] += dy", "q, c] = dy", ["keeps only the last of the windows"]),
    ("max_pool_backward", "return dx", "return -dx", ["Your dx is right but for the sign."]),
    ("softmax_cross_entropy", "dz /= len(p)", "",
     ["Your dx is 4 times what is right (N): is a division by N missing?"]),
    ("softmax_cross_entropy", "dz[np.arange(len(p)), t] -= 1", "",
     ["Your dx is right where the class is another than t"]),
    ("im2col", "x[:, i:i + KH, j:j + KW]  ", "x[:, i:i + KH, j:j + KW, ::-1]  ",
     ["Your db is right", "Your dW is right but in reverse order, in C"]),
])
def test_a_wrong_answer_gets_a_hint(name, right, answer, words, tmp_path, capsys):
    text = (EXAMPLES / "solutions" / f"{name}.py").read_text("utf-8")
    assert text.count(right) == 1
    (tmp_path / f"{name}.py").write_text(text.replace(right, answer), "utf-8")
    assert judged(tmp_path, name) == 1
    said = capsys.readouterr().out
    for word in words:
        assert word in said, said
    assert re.search(r"^\d wrong$", said, re.M)


def test_right_answers_get_no_sentences_but_the_verdict(capsys):
    judged(EXAMPLES / "solutions", "conv_backward")
    assert "Your" not in capsys.readouterr().out
