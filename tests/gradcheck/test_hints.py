"""Hints: each mistake that people make gets its sentence, and nothing else gets one."""

import inspect
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from minicnn import losses
from minicnn.gradcheck.explain import accumulated, hints
from minicnn.gradcheck.suite import check_user_layer, hints_for
from minicnn.layers import (
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    ReLU,
    Sigmoid,
    Softmax,
)
from minicnn.model import Sequential

SOLVED = Path(__file__).parents[2] / "examples" / "solutions"
Conv = runpy.run_path(str(SOLVED / "conv_backward.py"))["Conv"]
MaxPool = runpy.run_path(str(SOLVED / "max_pool_backward.py"))["MaxPool"]
Loss = runpy.run_path(str(SOLVED / "softmax_cross_entropy.py"))["SoftmaxCrossEntropy"]
IMAGES, SQUARE, ROWS = (2, 6, 7, 3), (3, 5, 5, 2), (4, 5)
RIGHT = {"dx": "Your dW and db are right.", "dW": "Your dx and db are right.",
         "db": "Your dx and dW are right."}


def wrong(kind, name, change):
    """A layer of that kind whose gradient `name` becomes change(gradient), or
    change(gradient, dy)."""
    takes_dy = len(inspect.signature(change).parameters) == 2

    class Wrong(kind):
        def backward(self, dy):
            dx = super().backward(dy)
            more = (dy,) if takes_dy else ()
            if name == "dx":
                return change(dx, *more)
            self.grads[name[1:]] = change(self.grads[name[1:]], *more)
            return dx
    return Wrong


def said(layer, shape=IMAGES, seed=0):
    return hints_for(layer, shape, seed)


# A convolution, one gradient wrong: the sentence about it, and that the others are right ---------


@pytest.mark.parametrize("name, shape, change, sentence", [
    ("dW", IMAGES, lambda g: -g, "is right but for the sign."),
    ("dx", IMAGES, lambda g: -g, "is right but for the sign."),
    ("dW", (8, 4, 4, 3), lambda g, dy: g / len(dy),
     "is 0.125 times what is right (1/N): a mean over the batch, not its sum?"),
    ("dW", (8, 4, 4, 3), lambda g, dy: len(dy) * g,
     "is 8 times what is right (N): is a division by N missing?"),
    ("dx", (5, 4, 4, 3), lambda g: 2 * g, "is 2 times what is right (KW)."),
    ("db", (5, 4, 4, 3), lambda g: -g / 2, "is -0.5 times what is right (1/KW)."),
    ("db", (5, 4, 5, 3), lambda g, dy: g / dy[..., 0].size, "(1/N·OH·OW)"),
    ("dW", IMAGES, lambda g: 0.37 * g, "is 0.37 times what is right."),
    ("dx", IMAGES, lambda g: g.swapaxes(1, 2),
     "has shape (2, 7, 6, 3) where (2, 6, 7, 3) is expected, and has H and W exchanged: "
     ".transpose(0, 2, 1, 3) makes it right."),
    ("dx", SQUARE, lambda g: g.swapaxes(1, 2),
     "has H and W exchanged: .transpose(0, 2, 1, 3) makes it right."),
    ("dW", IMAGES, lambda g: g.transpose(3, 2, 0, 1),
     "has shape (4, 3, 3, 2) where (3, 2, 3, 4) is expected, and has its axes in the order "
     "F, C, KH, KW: .transpose(2, 3, 1, 0) makes it right."),
    ("dW", IMAGES, lambda g: g[::-1, ::-1], "is right but rotated by 180°, in KH and KW."),
    ("dW", IMAGES, lambda g: g[:, :, ::-1], "is right but in reverse order, in C."),
    ("dx", IMAGES, lambda g: np.pad(g, ((0, 0), (1, 0), (1, 0), (0, 0)))[:, :-1, :-1],
     "is right but shifted by (1, 1) pixels (down, right): where does the padding begin?"),
    ("dx", IMAGES, lambda g: np.pad(g, ((0, 0), (1, 1), (1, 1), (0, 0))),
     "has shape (2, 8, 9, 3) where (2, 6, 7, 3) is expected: it still has its padding, "
     "[:, 1:7, 1:8] of it is right."),
    ("db", IMAGES, lambda g: np.tile(g / 6, (6, 1)),
     "has shape (6, 4) where (4,) is expected: it is right once summed, .sum(axis=0) is missing."),
    ("dx", IMAGES, lambda g: g.sum(axis=0),
     "has shape (6, 7, 3) where (2, 6, 7, 3) is expected: it is summed over N; do not sum."),
    ("db", IMAGES, lambda g: g[None],
     "has shape (1, 4) where (4,) is expected: its numbers are right, .reshape((4,)) is missing."),
    ("dW", IMAGES, lambda g: g[1:], "has shape (2, 2, 3, 4) where (3, 2, 3, 4) is expected."),
    ("dx", IMAGES, lambda g: np.broadcast_to(g.mean(axis=0), g.shape),
     "holds the mean over N of what is right, in every element: do not reduce over N."),
    ("dW", IMAGES, lambda g: np.broadcast_to(g.sum((0, 1), keepdims=True), g.shape),
     "holds the sum over KH and KW of what is right, in every element: do not reduce over KH and "
     "KW."),
    ("dW", IMAGES, np.zeros_like, "is zero everywhere."),
    ("dx", IMAGES, lambda g: g * [np.nan, 1, 1], "is not finite in 84 of 252 elements."),
    ("db", IMAGES, lambda g: None, 'is missing: assign self.grads["b"] in backward.'),
    ("dx", IMAGES, lambda g: None, "is missing: return it from backward."),
    ("dx", IMAGES, lambda g: g * np.array([0, 1])[:, None, None, None],
     "is right at N = 1 and wrong at N = 0."),
    ("dW", IMAGES, lambda g: g * [1, 2, 1, 3], "is right at F = 0 and 2 and wrong at F = 1 and 3."),
    ("dx", IMAGES, lambda g: np.pad(g[:, 1:-1, 1:-1], ((0, 0), (1, 1), (1, 1), (0, 0))),
     "is right where a pixel is not at the border of x and wrong elsewhere."),
    ("dW", IMAGES, lambda g: g + g.mean(axis=3, keepdims=True),
     "is off by a number that is the same along F: is a sum over F missing?"),
])
def test_a_wrong_gradient_of_a_convolution_is_named(name, shape, change, sentence):
    rights, hint = said(wrong(Conv, name, change)(), shape)
    assert rights == RIGHT[name]
    assert hint.startswith(f"Your {name} ") and sentence in hint, hint


class WNotTurned(Conv):
    """Correlates dy with W, where the way back needs W turned."""

    def backward(self, dy):
        right = super().backward(dy)
        W, grads = self.params["W"], self.grads
        self.params = {**self.params, "W": W[::-1, ::-1]}
        turned = super().backward(dy)
        self.params, self.grads = {**self.params, "W": W}, grads
        assert turned.shape == right.shape
        return turned


def test_a_kernel_turned_by_180_degrees_is_named():
    assert said(WNotTurned()) == [
        RIGHT["dx"], "Your dx is that of W rotated by 180° (W[::-1, ::-1]): use W as forward does."]


def test_a_weight_not_transposed_is_named():
    class NotTransposed(Dense):
        def input_gradient(self, dz):
            return dz @ self.params["W"]

    assert said(NotTransposed(5), ROWS) == [
        RIGHT["dx"], "Your dx is that of W with D and F exchanged: use W as forward does."]


def windows(dy):
    """The (i, j) of dy's windows."""
    return list(np.ndindex(dy.shape[1:3]))


@pytest.mark.parametrize("index, sentence", [
    (-1, "is what dy[-1, :, :] gives alone, the last sample: add up over all of dy"),
    (0, "is what dy[0, :, :] gives alone, the first sample: add up over all of dy")])
def test_one_sample_of_the_batch_alone_is_named(index, sentence):
    class OneSample(Conv):
        def backward(self, dy):
            dx = super().backward(dy)
            one = np.zeros_like(dy)
            one[index] = dy[index]
            super().backward(one)  # leaves that sample's dW and db in grads
            return dx

    first, *others = said(OneSample())
    assert first == "Your dx is right." and len(others) == 2
    assert all(sentence in other for other in others)


def test_a_sum_that_is_assigned_in_a_loop_over_pixels_is_named():
    class Assigned(Conv):
        def backward(self, dy):
            dx = super().backward(dy)
            KH, KW = self.params["W"].shape[:2]
            for i, j in windows(dy):
                seen = self.cache[:, i:i + KH, j:j + KW]
                self.grads["W"] = np.tensordot(seen, dy[:, i, j], (0, 0))
            return dx

    assert said(Assigned()) == [
        RIGHT["dW"], "Your dW is what dy[:, -1, -1] gives alone: add up over all of dy (+=, or a "
                     "sum), do not assign."]


def max_pool_that_assigns(where, backwards=False):
    """Pooling over 3 × 3 with a step of 2; where="window" overwrites zeros, too."""
    class Assigns(MaxPool):
        def backward(self, dy):
            x, dx = self.cache, np.zeros_like(self.cache)
            for n, i, j, c in list(np.ndindex(dy.shape))[::-1 if backwards else 1]:
                seen = x[n, 2 * i:2 * i + 3, 2 * j:2 * j + 3, c]
                here = dx[n, 2 * i:2 * i + 3, 2 * j:2 * j + 3, c]
                places = seen == seen.max() if where == "maximum" else np.ones_like(seen, bool)
                here[places] = ((seen == seen.max()) * dy[n, i, j, c])[places]
            return dx
    return Assigns()


def conv_that_assigns():
    class Assigns(Conv):
        def backward(self, dy):
            super().backward(dy)
            dxp, W = np.zeros_like(self.cache), self.params["W"]
            for i, j in windows(dy):
                dxp[:, i:i + 3, j:j + 2] = np.tensordot(dy[:, i, j], W, (1, 3))
            return dxp[:, 1:-1, 1:-1]
    return Assigns()


@pytest.mark.parametrize("layer, which", [
    (max_pool_that_assigns("maximum"), "last"), (max_pool_that_assigns("window"), "last"),
    (max_pool_that_assigns("maximum", backwards=True), "first"),
    (max_pool_that_assigns("window", backwards=True), "first"), (conv_that_assigns(), "last")])
def test_windows_that_assign_where_they_overlap_are_named(layer, which):
    assert said(layer, (2, 7, 9, 2))[-1] == (
        f"Your dx keeps only the {which} of the windows that hold a pixel: windows overlap, so add "
        f"(+=), do not assign.")


# Layers without parameters -----------------------------------------------------------------------


class Square:
    def forward(self, x, training=False):
        self.x = x
        return x**2

    def backward(self, dy):
        return 2 * self.x * dy


class SquareOfMirrored(Square):
    """The square, whose backward looks at the mirror image: no window is in it."""

    def backward(self, dy):
        return 2 * self.x[:, :, ::-1] * dy


class MinusMean(ReLU):
    def forward(self, x, training=False, keep=True):
        return x - x.mean(axis=0)

    def backward(self, dy):
        return dy - dy.mean(axis=0)


def instead(kind, backward):
    """A layer of that kind with another backward."""
    return type("Instead", (kind,), {"backward": backward})()


@pytest.mark.parametrize("layer, shape, sentence", [
    (instead(ReLU, lambda self, dy: dy), ROWS, "is right where x > 0 and wrong elsewhere."),
    (instead(ReLU, lambda self, dy: dy * (self.read_cache() <= 0)), ROWS,
     "is 0 exactly where it must not be, and not 0 where it has to be: a mask inverted?"),
    (instead(Sigmoid, lambda self, dy: dy), ROWS,
     "is dy itself: the slope of the layer is missing."),
    (instead(Sigmoid, lambda self, dy: dy * self.read_cache()), ROWS, "lacks the factor (1 − y)."),
    (instead(Sigmoid, lambda self, dy: self.read_cache() * (1 - self.read_cache())), ROWS,
     "lacks the factor dy."),
    (instead(Square, lambda self, dy: 2 * dy), ROWS, "lacks the factor x."),
    (instead(Square, lambda self, dy: 2 * self.x**2 * dy), ROWS,
     "has the factor x once too often."),
    (instead(Square, lambda self, dy: self.x * dy), ROWS, "is 0.5 times what is right."),
    (instead(Softmax, lambda self, dy: self.read_cache() * dy), ROWS,
     "is off by y times a number that is the same along D: is a term like y·Σ y·dy missing?"),
    (instead(MinusMean, lambda self, dy: dy), ROWS,
     "is off by a number that is the same along N: is a sum over N missing?"),
    (instead(Flatten, lambda self, dy: dy), IMAGES,
     "has shape (2, 126) where (2, 6, 7, 3) is expected: its numbers are right, "
     ".reshape((2, 6, 7, 3)) is missing."),
    (wrong(GlobalAveragePool2D, "dx", lambda dx: dx[0, ..., 0].size * dx)(), IMAGES,
     "is 42 times what is right (H·W)."),
])
def test_a_wrong_dx_is_named(layer, shape, sentence):
    assert said(layer, shape) == ([f"Your dx {sentence}"] if sentence else [])


def test_few_wrong_places_are_counted_and_the_first_one_shown():
    def one_off(dx):
        dx[1, 2] += 1
        return dx

    hint, = said(wrong(Sigmoid, "dx", one_off)(), ROWS)
    assert "is right in 19 of 20 elements; the first wrong one is dx[1, 2]: expected " in hint
    expected, received = map(float, re.findall(r"(?:expected|received) (-?[\d.]+\d)", hint))
    assert received == pytest.approx(expected + 1, abs=1e-5)


# Losses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change, sentence", [
    (lambda dz, p, t: -dz, "is right but for the sign."),
    (lambda dz, p, t: dz * 4, "is 4 times what is right (N): is a division by N missing?"),
    (lambda dz, p, t: p / 4, "is right where the class is another than t and wrong elsewhere."),
    (lambda dz, p, t: dz * np.eye(5)[t],
     "is right where the class is t, the right one, and wrong elsewhere."),
    (lambda dz, p, t: dz.sum(axis=0), None),
    (lambda dz, p, t: None, "is missing: return it from backward."),
])
def test_a_loss_is_judged_at_random_logits_and_classes(change, sentence):
    class Wrong(Loss):
        def backward(self):
            return change(super().backward(), *self.cache)

    assert not check_user_layer(Wrong()).ok
    found = said(Wrong(), None)
    assert found == [f"Your dx {sentence}"] if sentence else "summed over N" in found[0]


@pytest.mark.parametrize("loss, shape", [
    (Loss(), None), (Loss(), (3, 7)), (losses.CategoricalCrossEntropy(True), None),
    (losses.BinaryCrossEntropy(True), (6, 1))])
def test_right_losses_pass(loss, shape):
    assert check_user_layer(loss, shape).ok
    assert said(loss, shape) == ["Your dx is right."]


# Gradients that add up over calls ----------------------------------------------------------------


class AddsUp(Dense):
    def backward(self, dy):
        before = dict(self.grads)
        dx = super().backward(dy)
        if before:
            self.grads["W"] = self.grads["W"] + before["W"]
        return dx


def test_a_gradient_that_adds_up_over_calls_is_found_though_one_call_is_right():
    report = check_user_layer(AddsUp(3), ROWS)
    assert not report.ok
    assert [(row.name, row.method) for row in report.rows if row.note != "ok"] == [
        ("dW", "called twice")]
    assert "assign it" in str(report)


@pytest.mark.parametrize("layer, shape", [
    (Dense(3), ROWS), (Dropout(0.5), ROWS), (Conv(), IMAGES), (ReLU(), ROWS),
    (instead(ReLU, lambda self, dy: np.zeros_like(dy)), ROWS)])
def test_gradients_that_are_assigned_raise_no_alarm(layer, shape, rng):
    assert accumulated(layer, rng.normal(size=shape)) == []


# Only what is verified ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind, name, shape", [
    (Conv, "dx", (2, 4, 5, 3)), (Conv, "dW", SQUARE), (Conv, "db", (2, 4, 5, 3)),
    (MaxPool, "dx", SQUARE),
    (Sigmoid, "dx", ROWS), (Softmax, "dx", (2, 2)), (Sigmoid, "dx", (1, 1)), (ReLU, "dx", ROWS)])
def test_random_numbers_get_no_hint(kind, name, shape, seed):
    def random(g):
        return np.random.default_rng(100 + seed).normal(size=g.shape)

    found = said(wrong(kind, name, random)(), shape, seed)
    assert found == ([RIGHT[name]] if kind is Conv else [])


def test_without_a_window_nothing_is_called_a_mirrored_window():
    assert not any("window" in sentence for sentence in said(SquareOfMirrored(), (2, 4, 5, 3)))


@pytest.mark.parametrize("layer", [
    instead(Sigmoid, lambda self, dy: (
        dy * self.read_cache() * (1 - self.read_cache()) * (1 + 1e-4 * dy))),
    instead(Square, lambda self, dy: 2 * self.x * dy * (1 + 1e-5 * self.x))])
def test_nearly_right_gets_no_hint_that_is_only_nearly_right(layer):
    assert said(layer, ROWS) == []


@pytest.mark.parametrize("layer, shape, sentence", [
    (Conv(), IMAGES, "Your dx, dW and db are right."), (MaxPool(), IMAGES, "Your dx is right."),
    (Conv2D(2, 3, padding="same"), IMAGES, "Your dx, dW and db are right."),
    (Dropout(0.5), ROWS, "Your dx is right.")])
def test_what_is_right_is_said_to_be_right(layer, shape, sentence):
    assert said(layer, shape) == [sentence]


def test_of_a_network_dx_is_hinted_at(rng):
    model = Sequential([Dense(4), wrong(Sigmoid, "dx", lambda dx: -dx)()], (5,))
    assert hints(model, rng.normal(size=ROWS)) == ["Your dx is right but for the sign."]


def test_layer_and_x_stay_as_they_are(rng):
    layer, x = Conv(), rng.normal(size=IMAGES)
    before = x.copy()
    hints(layer, x)
    np.testing.assert_array_equal(x, before)
    assert layer.params == {} and layer.grads == {}


def test_a_large_x_is_not_compared_but_a_smaller_one_is_asked_for(rng):
    assert hints(Sigmoid(), rng.normal(size=(64, 64))) == [
        "For hints x (64, 64) is too large; take a smaller one."]
