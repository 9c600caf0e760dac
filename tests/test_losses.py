"""Losses: against loops, PyTorch and finite differences, exact at any logit."""

import numpy as np
import pytest
import reference
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import array, assert_close, assert_refused, assert_same, numeric_gradient, on_device
from torch.nn import functional as F

from minicnn.layers import Conv2D, Dense, Flatten, ReLU, Sigmoid, Softmax
from minicnn.losses import BinaryCrossEntropy, CategoricalCrossEntropy, Loss, MeanSquaredError
from minicnn.ops import device_of, ops_for, to_cpu
from minicnn.training import fuse

BCE, CCE, MSE = BinaryCrossEntropy, CategoricalCrossEntropy, MeanSquaredError


def torch_terms(kind, from_logits, y, t):
    """The terms l of the mean, by PyTorch: (N, K), or (N,) for the categorical loss."""
    if kind is BCE:
        name = "binary_cross_entropy_with_logits" if from_logits else "binary_cross_entropy"
        return getattr(F, name)(y, torch.tensor(t, dtype=y.dtype), reduction="none")
    if kind is CCE:
        log_p = y.log_softmax(1) if from_logits else y.log()
        return F.nll_loss(log_p, torch.tensor(t), reduction="none")
    return F.mse_loss(y, torch.tensor(t, dtype=y.dtype), reduction="none")


def problem(kind, from_logits, N, K, dtype=np.float64):
    """(y on the device, t, the class of each term) for a loss."""
    rng = np.random.default_rng(0)
    y = 2 * array(rng, N, K)
    t = rng.integers(0, K, N) if kind is CCE else rng.integers(0, 2, (N, K))
    if kind is MSE:
        return y.astype(dtype), rng.normal(size=(N, K)).astype(dtype), None
    if not from_logits:
        ops = ops_for(y)
        y = ops.sigmoid(y) if kind is BCE else ops.softmax(y)
    return y.astype(dtype), t, t


every_loss = pytest.mark.parametrize("kind, from_logits", [
    (BCE, False), (BCE, True), (CCE, False), (CCE, True), (MSE, False)])
sizes = given(st.integers(1, 6), st.integers(2, 5), st.booleans(), st.booleans())


def compare_with_torch(kind, from_logits, N, K, weigh_samples, weigh_classes, dtype, rtol):
    """The mean divides by the number of terms; weights multiply the terms, as in Keras."""
    y, t, classes = problem(kind, from_logits, N, K, dtype)
    class_weight = np.linspace(0.5, 3, K if kind is CCE else 2)
    sample_weight = np.linspace(0.1, 2, N) if weigh_samples else None
    weigh_classes = weigh_classes and kind is not MSE
    loss = kind(from_logits, class_weight if weigh_classes else None)
    L = loss.forward(y, t, sample_weight)

    leaf = torch.tensor(to_cpu(y), requires_grad=True)
    terms = torch_terms(kind, from_logits, leaf, t)
    if weigh_classes:
        terms = terms * torch.tensor(class_weight[classes].astype(dtype))
    if weigh_samples:
        rows = torch.tensor(sample_weight.astype(dtype))
        terms = terms * rows.reshape(-1, *[1] * (terms.ndim - 1))
    terms.mean().backward()
    assert isinstance(L, float)
    assert_close(L, terms.mean().item(), rtol)
    assert loss.backward().dtype == dtype and device_of(loss.backward()) == device_of(y)
    assert_close(loss.backward(), leaf.grad.numpy(), rtol)


@every_loss
@sizes
def test_loss_and_gradient_match_pytorch(kind, from_logits, N, K, samples, classes):
    compare_with_torch(kind, from_logits, N, K, samples, classes, np.float64, 1e-10)


@every_loss
@sizes
def test_loss_and_gradient_match_pytorch_in_float32(kind, from_logits, N, K, samples, classes):
    compare_with_torch(kind, from_logits, N, K, samples, classes, np.float32, 1e-5)


@every_loss
def test_loss_matches_naive_loops(kind, from_logits, rng):
    y, t, _ = problem(kind, from_logits, 5, 3)
    weights, class_weight = rng.uniform(0, 2, 5), rng.uniform(0, 2, 3 if kind is CCE else 2)
    if kind is MSE:
        expected = reference.mean_squared_error(y, t, weights)
    elif kind is BCE:
        p = reference.sigmoid(y, y)[0] if from_logits else y
        expected = reference.binary_cross_entropy(p, t, weights, class_weight)
    else:
        p = reference.softmax(y, y)[0] if from_logits else y
        expected = reference.categorical_cross_entropy(p, t, weights, class_weight)
    loss = kind(from_logits, None if kind is MSE else class_weight)
    assert_close(loss.forward(y, t, weights), expected)


@every_loss
def test_loss_gradient_matches_finite_differences(kind, from_logits, rng):
    y, t, _ = problem(kind, from_logits, 4, 3)
    weights = rng.uniform(0.5, 2, 4)
    loss = kind(from_logits)
    loss.forward(y, t, weights)
    numeric = numeric_gradient(lambda: kind(from_logits).forward(y, t, weights), y)
    assert_close(loss.backward(), numeric, rtol=1e-7)


@every_loss
def test_losses_change_no_input(kind, from_logits, rng):
    y, t, _ = problem(kind, from_logits, 4, 3)
    weights = rng.uniform(size=4)
    before = [to_cpu(a).copy() for a in (y, t, weights)]
    for a in (y, t, weights):
        if device_of(a) != "cuda":  # CuPy's arrays cannot be locked
            a.flags.writeable = False  # so that even a change taken back would raise
    loss = kind(from_logits)
    assert loss.forward(y, t, weights) == loss.forward(y, t, weights)
    loss.backward()
    for a, b in zip((y, t, weights), before, strict=True):
        assert_same(a, b)


def test_losses_by_hand():
    assert_close(BCE().forward(on_device([0.25, 0.5]), [1, 0]), (np.log(4) + np.log(2)) / 2)
    assert_close(CCE().forward(on_device([[0.125, 0.875]]), np.array([0])), np.log(8))
    assert_close(CCE(True).forward(on_device(np.zeros((3, 10))), np.array([0, 9, 4])), np.log(10))
    assert_close(MSE().forward(on_device([[1.0, 5]]), np.array([[3.0, 4]])), (4 + 1) / 2)
    # the sum is divided by the number of terms, 2, not by the sum of the weights, 4
    loss = MSE()
    L = loss.forward(on_device([1.0, 2]), np.zeros(2), np.array([1.0, 3]))
    assert_close(L, (1 + 12) / 2)
    assert_close(loss.backward(), [2 * 1 / 2, 2 * 3 * 2 / 2])


@every_loss
def test_targets_and_weights_may_lie_on_the_device_too(kind, from_logits, rng):
    y, t, _ = problem(kind, from_logits, 4, 3)
    weights, there, here = rng.uniform(size=4), kind(from_logits), kind(from_logits)
    L = there.forward(y, on_device(t), on_device(weights))
    assert L == here.forward(y, t, weights)
    assert_same(there.backward(), here.backward())


@pytest.mark.parametrize("from_logits", [False, True])
def test_one_hot_rows_and_class_numbers_are_the_same(from_logits):
    y, t, _ = problem(CCE, from_logits, 5, 4)
    a, b = CCE(from_logits, [1, 2, 3, 4]), CCE(from_logits, [1, 2, 3, 4])
    assert a.forward(y, t) == b.forward(y, np.eye(4, dtype=int)[t])
    assert_same(a.backward(), b.backward())


def test_soft_targets_match_pytorch(rng):
    y, t = array(rng, 5, 4), rng.dirichlet(np.ones(4), 5)
    leaf = torch.tensor(to_cpu(y), requires_grad=True)
    expected = F.cross_entropy(leaf, torch.tensor(t))
    expected.backward()
    loss = CCE(True)
    assert_close(loss.forward(y, t), expected.item())
    assert_close(loss.backward(), leaf.grad.numpy())


def test_labels_of_one_unit_may_be_a_plain_row():
    y, t = on_device([[0.2], [0.7]]), np.array([0, 1])
    flat, column = BCE(class_weight=[1, 5]), BCE(class_weight=[1, 5])
    assert flat.forward(y, t) == column.forward(y, t[:, None])
    assert flat.backward().shape == (2, 1)
    assert_same(flat.backward(), column.backward())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fused_losses_are_exact_at_logits_of_100(dtype):
    tiny, least = np.exp(-100), float(np.finfo(dtype).smallest_subnormal)
    if reference.DEVICE == "cuda":  # CuPy compiles with -ftz=true: subnormals are 0
        least = float(np.finfo(dtype).tiny)
    for z, t, L, dz in [(100, 1, tiny, 0), (100, 0, 100, 1),
                        (-100, 1, 100, -1), (-100, 0, tiny, tiny)]:
        loss, z = BCE(True), on_device(np.array([z], dtype))
        assert loss.forward(z, [t]) == pytest.approx(L, rel=1e-6, abs=least)
        assert loss.backward().item() == pytest.approx(dz, rel=1e-6, abs=1e-43)
    for t, L, dz in [(0, 0, [0, 0, 0]), (1, 200, [1, -1, 0]), (2, 100, [1, 0, -1])]:
        loss = CCE(True)
        got = loss.forward(on_device(np.array([[100, -100, 0]], dtype)), np.array([t]))
        assert got == pytest.approx(L, rel=1e-12, abs=1e-40)
        np.testing.assert_allclose(to_cpu(loss.backward())[0], dz, rtol=1e-12, atol=1e-40)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss, y, t", [(BCE(), [0, 1, 0, 1], [0, 0, 1, 1]),
                                        (CCE(), [[0, 1], [1, 0]], [0, 0])])
def test_probabilities_of_0_and_1_stay_finite(loss, y, t, dtype):
    L = loss.forward(on_device(np.array(y, dtype)), np.array(t))
    assert np.isfinite(L) and L > 1 and np.isfinite(loss.backward()).all()


@pytest.mark.parametrize("activation, kind, K, t", [
    (Sigmoid, BCE, 1, [0, 1, 1]), (Sigmoid, BCE, 4, np.eye(4, dtype=int)[:3]),
    (Softmax, CCE, 4, np.array([3, 0, 1]))])
@pytest.mark.parametrize("inside", [False, True], ids=["own layer", "inside Dense"])
def test_fused_pair_is_the_same_function_as_the_two_apart(activation, kind, K, t, inside, rng):
    name = activation.__name__.lower()
    layers = ([Dense(K, activation=name)] if inside else [Dense(K), activation()])
    layers[0].params = {"W": array(rng, 5, K), "b": array(rng, K)}
    x, loss = array(rng, 3, 5), kind(class_weight=np.linspace(1, 2, 2 if kind is BCE else K))

    def gradients(layers, loss):
        y = x
        for layer in layers:
            y = layer.forward(y, training=True)
        L, dy = loss.forward(y, t), loss.backward()
        for layer in reversed(layers):
            dy = layer.backward(dy)
        return [L, dy, layers[0].grads["W"], layers[0].grads["b"]]

    fused, fused_loss = fuse(layers, loss)
    assert len(fused) == 1 and fused[0].params is layers[0].params
    assert fused_loss.from_logits and not loss.from_logits  # the caller's loss stays
    assert fused_loss.class_weight is loss.class_weight
    assert len(layers) == 2 - inside and (layers[0].activation is not None) == inside
    for a, b in zip(gradients(fused, fused_loss), gradients(layers, loss), strict=True):
        assert_close(a, b, rtol=1e-9)


@pytest.mark.cpu_only
@pytest.mark.parametrize("last, loss", [
    (Dense(1), BCE(True)), (Dense(3), CCE(True)), (Dense(3), MSE()), (Sigmoid(), MSE()),
    (Softmax(), MSE()), (ReLU(), MSE()), (Dense(2, activation="sigmoid"), MSE())])
def test_what_is_no_pair_is_left_alone(last, loss):
    layers = [Flatten(), last]
    assert fuse(layers, loss) == (layers, loss)


@pytest.mark.cpu_only
@pytest.mark.parametrize("last, loss, words", [
    (Sigmoid(), CCE(), ["BinaryCrossEntropy", "learns nothing", "Softmax"]),
    (Dense(1, activation="sigmoid"), CCE(), ["BinaryCrossEntropy", "learns nothing"]),
    (Softmax(), BCE(), ["CategoricalCrossEntropy", "Dense(1)"]),
    (Conv2D(2, 1, activation="softmax"), BCE(), ["CategoricalCrossEntropy"]),
    (Sigmoid(), BCE(True), ["logits", "Sigmoid", "from_logits"]),
    (Dense(3, activation="softmax"), CCE(True), ["logits", "Softmax", "from_logits"])])
def test_impossible_pairs_are_refused_with_the_reason(last, loss, words):
    layers = [Flatten(), last]
    before = loss.from_logits
    with assert_refused(last.name, *words):
        fuse(layers, loss)
    assert layers[1] is last and loss.from_logits is before


@pytest.mark.parametrize("from_logits", [False, True])
def test_one_unit_and_categorical_cross_entropy_are_refused_with_the_reason(from_logits):
    with assert_refused("K ≥ 2", "(3, 1)", "BinaryCrossEntropy"):
        CCE(from_logits).forward(on_device(np.ones((3, 1))), np.zeros(3, int))


THREE = np.full((4, 3), 1 / 3)  # outputs of four samples, three classes


@pytest.mark.parametrize("loss, y, t, words", [
    (CCE(), THREE, [0, 1, 3, 2], ["0…2", "3 at place 2"]),
    (CCE(True), THREE, [0, -1, 1, 2], ["0…2", "-1 at place 1"]),
    (CCE(), THREE, [0.0, 1.0, 2.0, 1.0], ["integer", "float64"]),
    (CCE(), THREE, ["a", "b", "c", "a"], ["integer", "<U1"]),
    (CCE(), THREE, [0, 1, 2], ["(4, 3)", "(3,)"]),
    (CCE(), THREE, np.eye(4), ["(4, 3)", "(4, 4)"]),
    (CCE(), THREE, np.ones((4, 3)), ["sum to 1"]),
    (CCE(), THREE, [[2, -1, 0]] * 4, ["not negative"]),
    (CCE(), np.ones((4, 2, 2, 3)), [0, 1, 2, 0], ["(N, K)"]),
    (BCE(), np.full((3, 1), 0.5), [0, 1, 2], ["0 to 1", "2 at place 2", "Categorical"]),
    (BCE(), np.full(3, 0.5), [0, -1, 1], ["0 to 1", "-1 at place 1"]),
    (BCE(), np.full(3, 0.5), [0, np.nan, 1], ["0 to 1", "nan at place 1"]),
    (BCE(True), np.full((3, 2), 0.5), [0, 1, 1], ["(3, 2)", "(3,)"]),
    (BCE(), np.full(2, 0.5), ["ant", "bee"], ["ant"]),
    (MSE(), np.ones((3, 1)), np.ones(3), ["(3, 1)", "(3,)"]),
    (MSE(), np.ones((0, 2)), np.ones((0, 2)), ["at least one sample", "(0, 2)"]),
    (CCE(), np.ones((0, 3)), np.ones(0, int), ["at least one sample"]),
    (CCE(class_weight=[1, 2]), THREE, [0, 1, 2, 0], ["3 class weights", "(2,)"]),
    (BCE(class_weight=[1, 2, 3]), np.full(2, 0.5), [0, 1], ["2 class weights", "(3,)"]),
    (MSE(class_weight=[1, 2]), np.ones(2), np.ones(2), ["class_weight"])])
def test_targets_that_do_not_fit_are_refused(loss, y, t, words):
    loss.dy = before = array(np.random.default_rng(0), 2)  # what an earlier forward left
    with assert_refused(type(loss).__name__, *words):
        loss.forward(on_device(y), np.asarray(t))
    assert loss.dy is before


@pytest.mark.parametrize("shape", [(3,), (4, 1), ()])
def test_sample_weights_that_do_not_fit_are_refused(shape):
    with assert_refused("sample_weight", "(4,)", str(shape)):
        CCE().forward(on_device(THREE), np.zeros(4, int), np.ones(shape))


@pytest.mark.cpu_only
def test_backward_before_forward_is_refused():
    with assert_refused("MeanSquaredError", "forward"):
        MSE().backward()


@pytest.mark.parametrize("from_logits", [True, False])
def test_a_sample_of_several_yes_or_no_questions_is_right_when_all_are(from_logits):
    p = np.array([[0.9, 0.2], [0.9, 0.8], [0.1, 0.2]])
    y = np.log(p / (1 - p)) if from_logits else p
    right = BCE(from_logits).correct(on_device(y), np.array([[1, 0], [1, 0], [1, 1]]))
    assert right.tolist() == [True, False, False]


def test_probabilities_of_zero_cost_what_the_smallest_one_does():
    """Documented: below 1e-12 a probability counts as 1e-12."""
    assert BCE().forward(on_device([0.0]), np.array([1])) == pytest.approx(12 * np.log(10))
    assert CCE().forward(on_device([[0.0, 1.0]]), np.array([0])) == pytest.approx(12 * np.log(10))


@pytest.mark.cpu_only
def test_a_cross_entropy_behind_relu_or_nothing_is_refused():
    for last in (Dense(3), Dense(3, activation="relu"), ReLU()):
        with assert_refused(last.name, "Softmax()", "from_logits=True"):
            fuse([last], CCE())


def test_a_loss_of_ones_own_is_told_what_is_missing():
    with assert_refused("Loss", "per_sample(y, t)"):
        Loss().forward(on_device(np.ones((2, 3))), np.ones((2, 3)))


# Label smoothing


@pytest.mark.parametrize("class_weight", [None, [0.5, 1.0, 2.0, 3.0]])
def test_smoothed_categories_are_pytorchs(class_weight, rng):
    z, t = array(rng, 5, 4), np.array([0, 3, 1, 1, 2])
    leaf = torch.tensor(to_cpu(z), requires_grad=True)
    if class_weight is None:
        expected = F.cross_entropy(leaf, torch.tensor(t), label_smoothing=0.2)
    else:  # as in Keras, of the smoothed targets, and divided by N
        rows = 0.8 * np.eye(4)[t] + 0.2 / 4
        weights = torch.tensor(rows @ class_weight)
        expected = (weights * -(torch.tensor(rows) * leaf.log_softmax(1)).sum(1)).mean()
    expected.backward()
    for targets in (t, np.eye(4)[t]):
        loss = CCE(True, class_weight, label_smoothing=0.2)
        assert loss.forward(z, targets) == pytest.approx(expected.item(), rel=1e-10)
        assert_close(loss.backward(), leaf.grad.numpy())
    p = CCE(False, class_weight, label_smoothing=0.2)
    assert p.forward(ops_for(z).softmax(z), t) == pytest.approx(expected.item(), rel=1e-10)


def test_smoothed_binary_labels_are_kerass(rng):
    """keras.losses.BinaryCrossentropy: y_true * (1 − ε) + 0.5 ε."""
    z, t = array(rng, 6, 1), np.array([0, 1, 1, 0, 1, 0])
    leaf = torch.tensor(to_cpu(z), requires_grad=True)
    expected = F.binary_cross_entropy_with_logits(
        leaf, torch.tensor([[0.1], [0.9], [0.9], [0.1], [0.9], [0.1]], dtype=torch.float64))
    expected.backward()
    loss = BCE(True, label_smoothing=0.2)
    assert loss.forward(z, t) == pytest.approx(expected.item(), rel=1e-10)
    assert_close(loss.backward(), leaf.grad.numpy())


@pytest.mark.parametrize("kind, t", [(CCE, [0, 1, 1]), (BCE, [[0, 1], [1, 0], [1, 1]])])
def test_smoothing_leaves_what_counts_as_right(kind, t, rng):
    z = array(rng, 3, 2)
    assert_same(kind(True, label_smoothing=0.9).correct(z, np.array(t)),
                kind(True).correct(z, np.array(t)))


@pytest.mark.cpu_only
@pytest.mark.parametrize("epsilon", [-0.1, 1.0, float("nan")])
@pytest.mark.parametrize("kind", [BCE, CCE])
def test_smoothing_outside_0_to_1_is_refused(kind, epsilon):
    with assert_refused(kind.__name__, "label_smoothing from 0"):
        kind(label_smoothing=epsilon)


@pytest.mark.cpu_only
def test_a_loss_without_classes_smoothes_nothing():
    with assert_refused("MeanSquaredError", "no label_smoothing"):
        MSE(label_smoothing=0.1).forward(np.zeros((2, 3)), np.zeros((2, 3)))
