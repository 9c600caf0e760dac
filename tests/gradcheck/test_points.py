"""Where gradcheck looks: parameters of every rank, several points, both modes, kinks, float32."""

import itertools

import numpy as np
import pytest
from makers import Function

import minicnn as mc
from minicnn.cli import main
from minicnn.gradcheck.check import gradcheck
from minicnn.gradcheck.explain import explain
from minicnn.gradcheck.point import FIRST, INFERENCE, draw, make_points
from minicnn.gradcheck.suite import check_user_layer

KINK = ("lay on a kink of forward (ReLU at 0, equal maxima), which has no derivative: they were "
        "shifted.")

WRONG_NORM = '''
import numpy as np
import minicnn as mc


class WrongNorm(mc.Layer):
    """dx forgets that mean and variance depend on x, and has the wrong sign and a factor."""

    def param_shapes(self, input_shape):
        return {"gamma": (input_shape[-1],), "beta": (input_shape[-1],)}

    def forward(self, x, training=False, keep=True):
        axes = tuple(range(x.ndim - 1))
        self.scale = np.sqrt(x.var(axes) + 1e-3)
        self.xhat = (x - x.mean(axes)) / self.scale
        return self.xhat * self.params["gamma"] + self.params["beta"]

    def backward(self, dy):
        axes = tuple(range(dy.ndim - 1))
        self.grads = {"gamma": (dy * self.xhat).sum(axes), "beta": dy.sum(axes)}
        return -7.0 * dy * self.params["gamma"] / self.scale
'''


def test_the_command_line_refuses_a_normalisation_whose_gamma_begins_with_zero(tmp_path, capsys):
    file = tmp_path / "wrong_norm.py"
    file.write_text(WRONG_NORM)
    assert main(["gradcheck", f"{file}:WrongNorm"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert "Your dgamma and dbeta are right." in out
    hint, = (line for line in out if line.startswith("Your dx"))
    assert "lacks the mean's and the variance's part" in hint and "-7 times" in hint
    assert len(out) <= 24 and out[-1] == "1 wrong"


@pytest.mark.parametrize("shape", [(), (3,), (40,), (1, 1, 1, 4), (5, 7), (3, 3, 3, 4), (4, 5, 6)])
@pytest.mark.parametrize("signs", [(-1, 1), (1,)])
def test_drawn_parameters_are_neither_near_0_nor_1_nor_alike(shape, signs, rng):
    p = draw(shape, signs, rng)
    assert p.shape == shape and p.dtype == np.float64
    typical = np.abs(p).mean()
    assert np.abs(p).min() > 0.2 * typical and np.abs(p - 1).min(initial=9) > 1e-3
    assert len(np.unique(np.abs(p))) == p.size
    if p.size > 30:
        assert {*np.sign(p.reshape(-1))} == {*signs}


class Vector(mc.Layer):
    """y = p·x; p of x's shape, to see what is drawn."""

    def param_shapes(self, input_shape):
        return {"p": input_shape}

    def forward(self, x, training=False, keep=True):
        self.x = x
        return self.params["p"] * x

    def backward(self, dy):
        self.grads = {"p": (dy * self.x).sum(axis=0)}
        return dy * self.params["p"]


def test_every_point_has_numbers_of_its_own():
    points = make_points(Vector(), np.random.default_rng(1).normal(size=(2, 5)))
    assert [point.label for point in points] == ["first", "second", "called twice", "inference",
                                                 "forward twice"]
    for u, v in itertools.combinations([points[0], points[1]], 2):
        for a, b in ((u.x, v.x), (u.values["dp"], v.values["dp"]), (u.dy, v.dy)):
            assert (a != b).all()
    assert all(len(np.unique(np.abs(point.dy))) == 10 for point in points)
    assert [point.training for point in points] == [True, True, True, False, True]


@pytest.mark.parametrize("wrong, point, name", [
    ("first", None, "dx"), ("second", "second", "dx"), ("training", "inference", "dx")])
def test_a_layer_that_is_wrong_at_one_point_only_is_refused_there(wrong, point, name, rng):
    class Sometimes(Vector):
        def forward(self, x, training=False, keep=True):
            self.training = training
            return super().forward(x, training, keep)

        def backward(self, dy):
            dx = super().backward(dy)
            is_wrong = {"first": np.abs(self.x).max() > 1, "second": np.abs(self.x).max() < 1,
                        "training": not self.training}[wrong]
            return -dx if is_wrong else dx

    x = rng.uniform(-0.9, 0.9, size=(3, 4))
    x.flat[5] = 1.01  # 70 to 95 % of it are below 1
    result = gradcheck(Sometimes(), x)
    assert not result.ok
    row, = (row for row in result.rows if row.note != "ok")
    assert row.name == name and row.point.label == (point or FIRST)
    if point == INFERENCE:
        assert explain(result)[-1] == (
            "In inference your dx is right but for the sign.")


# Kinks -------------------------------------------------------------------------------------------


class WrongReLU(mc.ReLU):
    def backward(self, dy):
        return 2 * super().backward(dy)


@pytest.mark.parametrize("layer, x", [
    (mc.ReLU(), np.zeros((3, 4))), (mc.ReLU(), np.array([[0.0, 1, -1, 2]])),
    (mc.MaxPool2D(2), np.zeros((2, 4, 6, 3))),
    (mc.MaxPool2D(3, 2), np.random.default_rng(0).integers(0, 3, (2, 7, 6, 3)).astype(float))])
def test_a_point_on_kinks_is_shifted_which_is_remarked(layer, x):
    before = x.copy()
    result = gradcheck(layer, x)
    assert result.ok and result.remarks == [f"Numbers of x {KINK}"], str(result)
    assert KINK in str(result)
    np.testing.assert_array_equal(x, before)


def test_a_wrong_layer_on_kinks_is_refused_all_the_same():
    result = gradcheck(WrongReLU(), np.zeros((3, 4)))
    assert not result.ok and result.remarks == [f"Numbers of x {KINK}"]
    assert explain(result) == ["Your dx is 2 times what is right."]


@pytest.mark.parametrize("seed", range(4))
def test_what_bends_without_a_kink_is_not_shifted(seed):
    class Steep(mc.Layer):
        def forward(self, x, training=False, keep=True):
            self.x = x
            return np.exp(5 * x)

        def backward(self, dy):
            return 5 * np.exp(5 * self.x) * dy

    result = gradcheck(Steep(), np.random.default_rng(seed).normal(size=(3, 4)), seed=seed)
    assert result.ok and result.remarks == []


@pytest.mark.parametrize("scale", [10.0, 1e4])
def test_a_layer_that_jumps_everywhere_is_refused(scale, rng):
    class Steps(mc.Layer):
        def forward(self, x, training=False, keep=True):
            return np.floor(scale * x)

        def backward(self, dy):
            return scale * dy

    assert not gradcheck(Steps(), rng.normal(size=(3, 4))).ok


# float32 -----------------------------------------------------------------------------------------


class InFloat32(mc.Layer):
    """Computes what `layer` does in float32, whatever it is given; dx times `factor`."""

    def __init__(self, layer, factor=1.0, returned=np.float32):
        super().__init__()
        self.layer, self.factor, self.returned = layer, factor, returned

    def build(self, input_shape, rng):
        self.layer.build(input_shape, rng)
        self.params = self.layer.params

    def forward(self, x, training=False, keep=True):
        self.layer.params = {key: p.astype(np.float32) for key, p in self.params.items()}
        y = self.layer.forward(x.astype(np.float32), training)
        return y.astype(self.returned) * (1 if self.returned == np.float32 else 1.23456789012)

    def backward(self, dy):
        if self.returned != np.float32:
            dy = 1.23456789012 * dy
        dx = self.layer.backward(dy.astype(np.float32))
        self.grads = self.layer.grads
        return self.factor * dx


LAYERS = [(lambda: mc.Conv2D(4, 3, activation="relu"), (2, 5, 6, 3)), (lambda: mc.Dense(7), (4, 5)),
          (lambda: mc.MaxPool2D(2), (2, 6, 7, 3)), (mc.ReLU, (2, 6, 7, 3)),
          (mc.ReLU, (8, 10, 11, 3)), (mc.Softmax, (4, 5)), (mc.Sigmoid, (2, 5, 6, 3)),
          (lambda: mc.Conv2D(16, 3, activation="relu"), (4, 8, 9, 3))]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("returned", [np.float32, np.float64])
@pytest.mark.parametrize("make, shape", LAYERS)
def test_a_right_layer_in_float32_passes_and_is_recognised(make, shape, returned, seed):
    x = np.random.default_rng(seed).normal(size=shape)
    result = gradcheck(InFloat32(make(), returned=returned), x, seed=seed)
    assert result.ok, str(result)
    assert result.remarks[0] == ("forward computes in float32: checked with a step of 8e-03 and a "
                                 "bound of 1e-03 (float64: 1e-06 and 1e-06).")


@pytest.mark.parametrize("factor, hint", [(-1, "right but for the sign"), (1.03, "1.03"),
                                          (7, "7 times what is right")])
@pytest.mark.parametrize("make, shape", LAYERS[:7])
def test_a_wrong_layer_in_float32_is_refused(make, shape, factor, hint, rng):
    result = gradcheck(InFloat32(make(), factor), rng.normal(size=shape))
    assert not result.ok
    if np.prod(shape) < 300:
        assert any(hint in sentence or "times what is right" in sentence
                   for sentence in explain(result) if "dx " in sentence), str(result)


def test_a_backward_in_float32_alone_has_a_bound_of_its_own(rng):
    class Backward(mc.Sigmoid):
        factor = 1.0

        def backward(self, dy):
            return (self.factor * super().backward(dy)).astype(np.float32)

    x = rng.normal(size=(3, 4))
    result = gradcheck(Backward(), x)
    assert result.ok and result.remarks[0].startswith("backward computes in float32: checked with "
                                                      "a step of 1e-06 and a bound of 1e-04")
    Backward.factor = 1.001
    assert not gradcheck(Backward(), x).ok


@pytest.mark.parametrize("make, shape", LAYERS)
def test_a_layer_in_float64_is_not_taken_for_one_in_float32(make, shape, rng):
    assert gradcheck(make(), rng.normal(size=shape)).remarks == []


# What a layer keeps ------------------------------------------------------------------------------


class NormWithStatistics(mc.Layer):
    """Keeps its running mean and variance among the parameters, as Keras counts them."""

    def param_shapes(self, input_shape):
        return dict.fromkeys(("gamma", "mean", "variance"), input_shape[-1:])

    def forward(self, x, training=False, keep=True):
        mean, variance = self.params["mean"], self.params["variance"]
        if training:
            mean, variance = x.mean(axis=0), x.var(axis=0)
            self.params["mean"] = 0.9 * self.params["mean"] + 0.1 * mean
            self.params["variance"] = 0.9 * self.params["variance"] + 0.1 * variance
        self.training, self.sigma = training, np.sqrt(variance + 1e-3)
        self.xhat = (x - mean) / self.sigma
        return self.params["gamma"] * self.xhat

    def backward(self, dy):
        self.grads = {"gamma": (dy * self.xhat).sum(axis=0)}
        dxhat = dy * self.params["gamma"]
        if self.training:
            dxhat = dxhat - dxhat.mean(axis=0) - self.xhat * (dxhat * self.xhat).mean(axis=0)
        return dxhat / self.sigma


def test_statistics_among_the_parameters_need_no_gradient(rng):
    result = gradcheck(NormWithStatistics(), rng.normal(size=(6, 4)))
    assert result.ok and [row.name for row in result.rows] == ["dx", "dgamma"]
    assert "Not checked: dmean, dvariance" in str(result)


def test_a_gradient_that_is_missing_is_no_statistic(rng):
    class Forgotten(NormWithStatistics):
        def backward(self, dy):
            dx = super().backward(dy)
            self.grads = {}
            return dx

    result = gradcheck(Forgotten(), rng.normal(size=(6, 4)))
    assert [row.name for row in result.rows if row.note != "ok"] == ["dgamma"]


@pytest.mark.parametrize("in_place", [True, False])
def test_a_backward_that_changes_a_parameter_is_refused(in_place, rng):
    class Updates(Vector):
        def backward(self, dy):
            dx = super().backward(dy)  # and then an optimizer's work
            if in_place:
                self.params["p"] -= 0.1 * self.grads["p"]
            else:
                self.params["p"] = self.params["p"] - 0.1 * self.grads["p"]
            return dx

    result = gradcheck(Updates(), rng.normal(size=(3, 4)))
    assert [(row.name, row.note) for row in result.rows if row.note != "ok"] == [
        ("p", "changed in place: work on a copy")]


def test_a_forward_that_keeps_nothing_in_inference_is_refused_with_the_reason(rng):
    class TrainingOnly(mc.Layer):
        def forward(self, x, training=False, keep=True):
            self.x = x if training else None
            return x**2

        def backward(self, dy):
            return 2 * self.x * dy

    result = gradcheck(TrainingOnly(), rng.normal(size=(3, 4)))
    assert not result.ok and "TypeError" in str(result)
    assert explain(result)[-1].endswith("does forward keep what it needs only if training?")


def dropout(generator):
    class Drops(mc.Layer):
        def forward(self, x, training=False, keep=True):
            self.mask = generator().random(x.shape) > 0.4 if training else np.ones(x.shape)
            return x * self.mask

        def backward(self, dy):
            return dy * self.mask

    return Drops()


def test_random_numbers_of_numpy_s_own_generator_are_the_same_in_each_call(rng):
    state = np.random.get_state()[1].copy()
    assert gradcheck(dropout(lambda: np.random), rng.normal(size=(3, 4))).ok
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_a_layer_that_cannot_be_repeated_is_refused_with_the_reason(rng):
    result = gradcheck(dropout(np.random.default_rng), rng.normal(size=(3, 4)))
    assert [row.name for row in result.rows] == ["forward"] and not result.ok
    assert "draw from a generator that the layer keeps" in str(result)
    assert explain(result) == []


# Shapes ------------------------------------------------------------------------------------------


def test_a_size_taken_for_another_is_found_on_a_second_shape():
    class Sixth(mc.Layer):
        def forward(self, x, training=False, keep=True):
            self.shape = x.shape
            return x / 6

        def backward(self, dy):
            return dy / self.shape[1]  # H = 6 of the first shape

    result = check_user_layer(Sixth())
    assert [(row.shape, row.note == "ok") for row in result.rows] == [
        ((2, 6, 7, 3), True), ((5, 8, 9, 3), False)]
    assert explain(result)[-1] == (
        "On x of shape (5, 8, 9, 3), your dx is 0.75 times what is right.")
    assert check_user_layer(Sixth(), (2, 6, 4, 3)).ok  # the user's own shape is the only one


def test_a_layer_for_one_shape_passes_with_a_remark():
    class Masked(mc.Layer):
        mask = np.arange(126).reshape(6, 7, 3) % 2

        def forward(self, x, training=False, keep=True):
            return x * self.mask

        def backward(self, dy):
            return dy * self.mask

    result = check_user_layer(Masked())
    assert result.ok and result.remarks == [
        "Only x of shape (2, 6, 7, 3) was checked; of shape (5, 8, 9, 3) the layer does not take "
        "it."]


# Where forward is not smooth, or not defined -----------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("f, slope", [
    (lambda x: 1 / x, lambda x: -1 / x**2),
    (lambda x: np.sqrt(abs(x)), lambda x: np.sign(x) / (2 * np.sqrt(abs(x))))])
def test_a_right_layer_passes_beside_a_pole(f, slope, seed):
    x = np.random.default_rng(seed).normal(size=(5, 40))
    x.flat[7] = 1e-3
    assert gradcheck(Function(f, slope), x, seed=seed).ok
    assert not gradcheck(Function(f, lambda x: (1 + 1e-5) * slope(x)), x, seed=seed).ok


def test_a_layer_for_a_narrow_range_of_x_is_checked_there(rng):
    layer = Function(np.arccosh, lambda x: 1 / np.sqrt(x**2 - 1))
    with np.errstate(invalid="ignore"):  # below 1, where the second point would lie
        result = gradcheck(layer, rng.uniform(1.01, 1.02, size=(3, 4)))
        assert result.ok and result.rows[0].error < 1e-6
        result = gradcheck(layer, rng.uniform(-1, 1, size=(3, 4)))
    assert [row.name for row in result.rows] == ["forward"]
    assert "y is not finite in 12 elements" in result.rows[0].note


@pytest.mark.parametrize("stops", [
    lambda layer, dy: layer.calls > 1,  # at the second backward after one forward each
    lambda layer, dy: np.abs(dy).max() > 3])  # at larger numbers
def test_a_backward_that_stops_later_is_refused_with_its_error(stops, rng):
    class Stops(mc.Layer):
        calls = 0

        def forward(self, x, training=False, keep=True):
            return 2 * x

        def backward(self, dy):
            self.calls += 1
            if stops(self, dy):
                raise RuntimeError("no more")
            return 2 * dy

    result = mc.gradcheck(Stops(), rng.normal(size=(3, 4)))
    assert not result.ok
    assert "RuntimeError: no more" in str(result)
