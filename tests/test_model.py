"""Sequential: the sanity ladder, freezing, heads, receptive fields, and that nothing breaks it."""

import contextlib

import numpy as np
import pytest
from makers import random_batch, two_blocks
from reference import array, assert_close, assert_refused

from minicnn.inference import groups
from minicnn.layers import (
    AveragePool2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool2D,
    MaxPool2D,
    ReLU,
    Sigmoid,
    Softmax,
)
from minicnn.losses import BinaryCrossEntropy, CategoricalCrossEntropy
from minicnn.model import Sequential
from minicnn.optimizers import SGD, Adam
from minicnn.preprocessing import Preprocessing
from minicnn.training import fuse
from minicnn.utils.errors import MiniCNNError

INPUT = (8, 9, 3)


def history(model, optimizer, steps, x, t, batch=None, seed=0):
    """Losses of a plain training loop, on shuffled batches."""
    layers, loss = fuse(model.layers, CategoricalCrossEntropy())
    trained = Sequential(layers, model.input_shape)
    rng, losses = np.random.default_rng(seed), []
    for _ in range(steps):
        rows = rng.permutation(len(x))[:batch]
        losses.append(loss.forward(trained.forward(x[rows], training=True), t[rows]))
        trained.backward(loss.backward(), input_gradient=False)
        optimizer.step(trained)
    return losses


def state(model):
    """All that a refused call must leave as it was, down to the bits and the objects."""
    return (model.layers, list(model.layers), model.classes, model.input_shape, model.name,
            [(layer.name, layer.trainable, layer.cache, layer.grads,
              [(key, id(p), p.tobytes()) for key, p in layer.params.items()])
             for layer in model.layers])


@pytest.fixture
def unchanged(request):
    """A model; after the test it must be what it was."""
    model = two_blocks(classes=4)
    before = state(model)
    yield model
    after = state(model)
    assert after[0] is before[0] and after == before


# The sanity ladder


@pytest.mark.parametrize("classes", [2, 4, 10])
def test_initial_loss_is_log_of_the_number_of_classes(classes):
    x, t = random_batch(40, INPUT, classes)
    loss = CategoricalCrossEntropy()
    p = two_blocks(classes).predict(x * np.float32(1e-4))  # next to nothing to see
    assert loss.forward(p, t) == pytest.approx(np.log(classes), rel=1e-4)
    p = two_blocks(classes).predict(x)
    assert loss.forward(p, t) == pytest.approx(np.log(classes), rel=0.25)


def test_overfits_20_photos():
    x, t = random_batch(20, INPUT, 4)
    model = two_blocks()
    losses = history(model, Adam(0.01), 150, x, t)
    p = model.predict(x)
    assert (p.argmax(axis=1) == t).all()
    assert CategoricalCrossEntropy().forward(p, t) < 0.05 < 1 < losses[0]


def test_same_seed_same_history_bit_for_bit():
    x, t = random_batch(20, INPUT, 4)
    first, again = two_blocks(), two_blocks()
    assert history(first, Adam(0.01), 12, x, t, 7) == history(again, Adam(0.01), 12, x, t, 7)
    for a, b in zip(first.layers, again.layers, strict=True):
        for key in a.params:
            np.testing.assert_array_equal(a.params[key], b.params[key])
    other = two_blocks(seed=1)
    assert history(two_blocks(), Adam(0.01), 12, x, t, 7) != history(other, Adam(0.01), 12, x, t, 7)


def test_two_dropouts_of_one_network_do_not_drop_the_same_places():
    model = Sequential([Dropout(0.5), Dropout(0.5)], (200,))
    y = model.forward(np.ones((5, 200)), training=True)
    assert (y != 0).mean() == pytest.approx(0.25, abs=0.07)  # 0.5 where both drop the same


# Forward and backward


def test_forward_and_backward_are_the_chain_of_the_layers(rng):
    model, x, dy = two_blocks(), array(rng, 3, *INPUT), array(rng, 3, 4)
    y = x
    for layer in model.layers:
        y = layer.forward(y)
    expected = dy
    for layer in reversed(model.layers):
        expected = layer.backward(expected)
    grads = [layer.grads for layer in model.layers]
    np.testing.assert_array_equal(model.forward(x), y)
    np.testing.assert_array_equal(model.backward(dy), expected)
    for layer, before in zip(model.layers, grads, strict=True):
        for key in before:
            np.testing.assert_array_equal(layer.grads[key], before[key])


def forbid(monkeypatch, layers, *methods):
    """Calling these raises."""
    def called(*args):
        raise AssertionError("called")
    for layer in layers:
        for method in methods:
            if hasattr(layer, method):
                monkeypatch.setattr(layer, method, called)


@pytest.mark.parametrize("until", [None, "conv1", "conv2", "drop2", "fc1"])
def test_a_training_step_stops_below_the_lowest_trainable_layer(until, rng, monkeypatch):
    model, x, dy = two_blocks(), array(rng, 3, *INPUT), array(rng, 3, 4)
    if until:
        model.freeze(until=until)
    model.forward(x)
    assert model.backward(dy).shape == x.shape  # all the way
    expected = [layer.grads for layer in model.layers]
    for layer in model.layers:
        layer.grads = {}
    lowest = min(i for i, layer in enumerate(model.layers) if layer.trainable and layer.params)
    forbid(monkeypatch, model.layers[:lowest], "backward", "input_gradient")
    forbid(monkeypatch, [model.layers[lowest]], "input_gradient")
    assert model.backward(dy, input_gradient=False) is None
    assert model.layers[lowest].needs_dx  # the next backward may want it
    for i, (layer, grads) in enumerate(zip(model.layers, expected, strict=True)):
        assert layer.grads.keys() == grads.keys() == (layer.params.keys() if i >= lowest else set())
        for key in grads:
            np.testing.assert_array_equal(layer.grads[key], grads[key])


def test_a_fully_frozen_network_computes_nothing_in_a_training_step(rng, monkeypatch):
    model = two_blocks()
    model.freeze()
    model.forward(array(rng, 2, *INPUT))
    forbid(monkeypatch, model.layers, "backward")
    assert model.backward(array(rng, 2, 4), input_gradient=False) is None


def test_keep_false_keeps_nothing_anywhere(rng):
    model, x = two_blocks(), array(rng, 2, *INPUT)
    y = model.forward(x)
    np.testing.assert_array_equal(model.forward(x, keep=False), y)
    assert all(layer.cache is None for layer in model.layers)
    assert model["conv1"].activation.cache is None
    with assert_refused("softmax", "keep=True"):
        model.backward(y)


@pytest.mark.parametrize("layer, shape", [
    (Softmax(), (4,)), (Dense(4), (6,)), (GlobalAveragePool2D(), (5, 6, 4)), (Flatten(), (2, 2))],
    ids=lambda v: getattr(v, "name", ""))
@pytest.mark.parametrize("wrong", [(3, 5), (1, 4), (4, 3)], ids=str)
def test_an_upstream_gradient_that_does_not_fit_is_refused(layer, shape, wrong, rng):
    """Broadcasting or reshaping would make a gradient out of it in silence."""
    model = Sequential([layer], shape)
    layer.grads = {}
    model.forward(array(rng, 3, *shape))  # y is (3, 4)
    with assert_refused("(3, 4)", str(wrong)):
        model.backward(array(rng, *wrong))
    assert layer.grads == {}


# Predict and look inside


def test_without_keeping_a_large_batch_goes_through_in_parts(rng, monkeypatch):
    model = Sequential([Conv2D(5, 3, padding="same"), Flatten(), Dense(3)], (8, 6, 3))
    x, seen = array(rng, 7, 8, 6, 3), []
    expected = model.forward(x)
    forward = Conv2D.forward
    monkeypatch.setattr(Conv2D, "forward",
                        lambda self, x, *args, **options: (
                            seen.append(len(x)), forward(self, x, *args, **options))[1])
    monkeypatch.setitem(groups.MAX_ELEMENTS, "cpu", 3 * 8 * 6 * 5 + 1)
    assert_close(model.forward(x, keep=False), expected)
    assert seen == [2, 2, 3]  # 7 are too many, and 4 are
    monkeypatch.setitem(groups.MAX_ELEMENTS, "cpu", 1)
    assert_close(model.forward(x[:2], keep=False), expected[:2])
    assert model.forward(x).shape == (7, 3) and seen[3:] == [1, 1, 7]  # a training step needs all
    assert model.forward(x[:0], keep=False).shape == (0, 3)


@pytest.mark.parametrize("batch_size", [1, 3, 5, 32])
def test_predict_in_batches_is_forward_and_keeps_nothing(batch_size, rng, monkeypatch):
    model, x = two_blocks(), array(rng, 5, *INPUT)
    expected, sizes = model.forward(x, keep=False), []
    forward = model.forward
    monkeypatch.setattr(model, "forward",
                        lambda x, *a, **k: (sizes.append(len(x)), forward(x, *a, **k))[1])
    assert_close(model.predict(x, batch_size), expected, rtol=1e-12)
    assert max(sizes) <= batch_size and sum(sizes) == 5
    assert all(layer.cache is None for layer in model.layers)


def test_predict_of_no_photos_is_an_empty_array():
    assert two_blocks().predict(np.zeros((0, *INPUT), np.float32)).shape == (0, 4)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_a_batch_size_that_is_no_count_is_refused(batch_size, unchanged):
    with assert_refused("batch_size", str(batch_size)):
        unchanged.predict(random_batch(20, INPUT, 4)[0], batch_size)


def test_uint8_pixels_pass_through_the_models_preprocessing(rng):
    pixels = rng.integers(0, 256, (5, *INPUT), np.uint8)
    kept, recipe = pixels.copy(), Preprocessing("BGR", (10, 20, 30), 0.5)
    model = two_blocks(preprocessing=recipe)
    by_hand = (pixels[..., ::-1].astype(np.float32) - np.array([10, 20, 30], np.float32)) * 0.5
    assert_close(model.predict(pixels), model.predict(by_hand), rtol=1e-6)
    np.testing.assert_array_equal(model.activations(pixels, ["conv1"])["conv1"],
                                  model.activations(recipe(pixels), ["conv1"])["conv1"])
    np.testing.assert_array_equal(pixels, kept)


def test_uint8_pixels_without_a_preprocessing_are_refused(unchanged):
    with assert_refused("uint8", "preprocessing"):
        unchanged.predict(np.zeros((2, *INPUT), np.uint8))


def test_activations_are_the_outputs_of_the_named_layers_and_it_stops_there(rng, monkeypatch):
    model, x = two_blocks(), array(rng, 2, *INPUT)
    expected, y = {}, x
    for layer in model.layers[:4]:
        y = expected[layer.name] = layer.forward(y)
    forbid(monkeypatch, model.layers[4:], "forward")
    found = model.activations(x, ["relu2", "conv1"])
    assert found.keys() == {"conv1", "relu2"}
    for name in found:
        np.testing.assert_array_equal(found[name], expected[name])
    assert all(layer.cache is None for layer in model.layers[:4])
    assert model.activations(x, []) == {}


# Freezing


def frozen(model):
    return [layer.name for layer in model.layers if not layer.trainable]


def test_freeze_and_unfreeze_by_name():
    model = two_blocks()
    names = [layer.name for layer in model.layers]
    assert frozen(model) == []
    model.freeze(until="relu2")
    assert frozen(model) == names[:4]
    model.unfreeze(since="conv2")
    assert frozen(model) == names[:2]
    model.freeze()
    assert frozen(model) == names
    model.unfreeze()
    assert frozen(model) == []


def test_frozen_layers_get_no_gradient_and_stay_bit_identical():
    x, t = random_batch(20, INPUT, 4)
    model = two_blocks()
    model.freeze(until="drop2")
    before = state(model)[-1]
    history(model, SGD(0.1, 0.9, weight_decay=0.1), 5, x, t)
    for layer, was, now in zip(model.layers, before, state(model)[-1], strict=True):
        assert (was[-1] == now[-1]) == (not layer.trainable or not layer.params)
        assert layer.trainable or layer.grads == {}


def test_dropout_in_a_frozen_part_is_off_and_above_it_on(rng):
    model, x = two_blocks(), array(rng, 20, *INPUT)
    model.freeze(until="drop2")
    relu2, flatten = (model.activations(x, ["relu2", "flatten"])[k] for k in ("relu2", "flatten"))
    y = model.forward(x, training=True)
    np.testing.assert_array_equal(model["drop2"].forward(relu2, training=True), relu2)
    np.testing.assert_array_equal(model["fc1"].cache, flatten)  # what fc1 saw in training
    assert (model["fc2"].cache == 0).mean() > (model["fc1"].forward(flatten) == 0).mean()
    assert (y != model.forward(x)).any()


def test_split_shares_its_layers_and_is_the_same_function(rng):
    model, x = two_blocks(), array(rng, 2, *INPUT)
    model.freeze(until="conv2")
    base, rest = model.split()
    assert base.layers + rest.layers == model.layers  # the same objects
    assert [layer.name for layer in base.layers] == ["conv1", "pool1", "conv2", "relu2"]
    np.testing.assert_array_equal(rest.forward(base.forward(x)), model.forward(x))


# A new head


def test_replace_head_drops_the_last_dense_with_its_activation_and_keeps_the_rest(rng):
    model, x = two_blocks(classes=4), array(rng, 2, *INPUT)
    body, features = model.layers[:8], model.activations(x, ["drop"])["drop"]
    assert model.replace_head([Dense(1, name="new"), Sigmoid()], classes=["ant", "bee"]) is model
    assert model.layers[:8] == body
    assert [layer.name for layer in model.layers[8:]] == ["new", "sigmoid"]
    assert model.classes == ["ant", "bee"]
    new = model["new"].params["W"].astype(np.float64)
    assert new.shape == (10, 1) and new.any()
    assert_close(model.predict(x), 1 / (1 + np.exp(-features @ new)))


def test_replace_head_after_a_layer_drops_all_that_follows_and_flattens():
    model = two_blocks()
    conv1 = model["conv1"].params["W"]
    model.replace_head([Dense(2, name="a"), Softmax(name="b")], after="pool1")
    assert [layer.name for layer in model.layers] == ["conv1", "pool1", "flatten", "a", "b"]
    assert model["conv1"].params["W"] is conv1
    assert model["a"].params["W"].shape == (4 * 4 * 4, 2)


@pytest.mark.parametrize("last", [ReLU(), MaxPool2D(2), Conv2D(2, 1, activation="relu")])
def test_a_network_without_a_head_gets_one(last):
    model = Sequential([Conv2D(2, 3), last], INPUT)
    model.replace_head([Dense(3)])
    assert model.layers[1] is last
    assert [type(layer) for layer in model.layers[2:]] == [Flatten, Dense]


def test_a_head_that_pools_needs_no_flatten():
    model = Sequential([Conv2D(2, 3)], INPUT)
    model.replace_head([GlobalAveragePool2D(), Dense(3)])
    assert [type(layer) for layer in model.layers[1:]] == [GlobalAveragePool2D, Dense]


def test_replacing_the_head_twice_gives_the_second_head_and_the_same_start():
    once, twice = two_blocks(), two_blocks()
    once.replace_head([Dense(3), Softmax()])
    twice.replace_head([Dense(7), Softmax()]).replace_head([Dense(3), Softmax()])
    assert [layer.name for layer in once.layers] == [layer.name for layer in twice.layers]
    np.testing.assert_array_equal(once.layers[-2].params["W"], twice.layers[-2].params["W"])


@pytest.mark.parametrize("head, options, words", [
    ([Conv2D(2, 3)], {}, ["(N, H, W, C)"]),
    ([Dense(3), Conv2D(2, 3)], dict(after="relu2"), ["(N, H, W, C)"]),
    ([MaxPool2D(9), Dense(2)], dict(after="pool1"), ["(9, 9)"]),
    ([Dense(1), Softmax()], {}, ["always 1"]),
    ([Dense(1, activation="softmax")], {}, ["always 1"]),
    ([Dense(2, name="conv1")], {}, ["'conv1'", "twice"]),
    ([Dense(2), "softmax"], {}, ["layers", "'softmax'"]),
    ([Dense(2)], dict(after="block4_pool"), ["'block4_pool'", "pool1"])])
def test_a_head_that_does_not_fit_is_refused(head, options, words, unchanged):
    with assert_refused(*words):
        unchanged.replace_head(head, **options)


def test_a_layer_built_for_another_size_is_refused_as_head(unchanged):
    other = Dense(3, name="other")
    other.build((77,), np.random.default_rng(0))
    with assert_refused("other", "77"):
        unchanged.replace_head([other])


@pytest.mark.parametrize("last", [Softmax(), Conv2D(2, 3)], ids=["fits", "does not fit"])
def test_a_new_heads_name_never_renames_the_layers_that_stay(last):
    """`dense` was given by the network itself; files and freeze(until=…) know it by that name."""
    model = Sequential([Dense(5), ReLU(), Dense(2), Softmax()], (3,))
    with contextlib.suppress(MiniCNNError):  # to refuse the name would do as well
        model.replace_head([Dense(4, name="dense"), last])
    assert [layer.name for layer in model.layers[:2]] == ["dense", "relu"]


# Receptive fields and the summary

VGG16_FIELDS = [3, 5, 6, 10, 14, 16, 24, 32, 40, 44, 60, 76, 92, 100, 132, 164, 196, 212]


def test_receptive_fields_of_vgg16_are_the_known_ones():
    layers = []
    for convolutions in (2, 2, 3, 3, 3):
        layers += [Conv2D(1, 3, padding="same") for _ in range(convolutions)] + [MaxPool2D(2)]
    model = Sequential([*layers, Flatten(), Dense(2), Softmax()], (224, 224, 3), seed=None)
    assert model.receptive_fields()[:18] == [(r, r) for r in VGG16_FIELDS]
    assert model.receptive_fields()[-2:] == [None, None]  # Dense sees everything


@pytest.mark.parametrize("layers", [
    [Conv2D(1, (3, 2), strides=(2, 1)), AveragePool2D((1, 3), (2, 2)), Conv2D(1, (2, 3))],
    [Conv2D(1, 1, strides=3), Conv2D(1, 2, activation="sigmoid"), AveragePool2D(2, 1)],
    [AveragePool2D(2), Conv2D(1, 3, padding="same", strides=2), Sigmoid(), Conv2D(1, (1, 2))]])
def test_receptive_field_is_where_the_gradient_of_one_output_is_not_zero(layers):
    model = Sequential(layers, (37, 39, 1))
    for layer in model.layers:
        layer.params = {key: np.ones(p.shape) for key, p in layer.params.items()}  # none cancels
    for stop in range(1, len(layers) + 1):
        part = Sequential(layers[:stop], (37, 39, 1))
        dy = np.zeros(part.forward(np.zeros((1, 37, 39, 1))).shape)
        dy[0, dy.shape[1] // 2, dy.shape[2] // 2] = 1
        rows, columns = np.nonzero(part.backward(dy)[0, :, :, 0])
        assert model.receptive_fields()[stop - 1] == (np.ptp(rows) + 1, np.ptp(columns) + 1)


def test_summary_tells_shape_parameters_state_and_receptive_field_of_every_layer():
    model = two_blocks(preprocessing=Preprocessing("BGR"))
    model.classes = ["a", "b", "c", "d"]
    model.freeze(until="pool1")
    lines = {line.split()[0]: line for line in model.summary().splitlines()}
    for name, words in {
            "conv1": ["Conv2D + relu", "(8, 9, 4)", "112", "frozen", "3 × 3"],  # 3·3·3·4 + 4
            "pool1": ["MaxPool2D", "(4, 4, 4)", "4 × 4"],
            "conv2": ["Conv2D", "(2, 3, 6)", "150", "trainable", "8 × 6"],  # 3·2·4·6 + 6
            "flatten": ["Flatten", "(36,)", "8 × 6"],
            "fc1": ["Dense + relu", "(10,)", "370", "trainable", "the whole input"],
            "fc2": ["Dense", "(4,)", "44", "trainable", "the whole input"],
            "676": ["564 trainable", "112 frozen"]}.items():
        for word in words:
            assert word in lines[name], (name, word)
    assert "+" not in lines["conv2"]
    for word in (str(INPUT), "BGR", "a, b, c, d"):
        assert word in model.summary()


# Bad input: one sentence, and nothing changed


@pytest.mark.parametrize("call, words", [
    (lambda m: m.freeze(until="block9"), ["'block9'", "conv1", "fc2"]),
    (lambda m: m.unfreeze(since="block9"), ["'block9'", "conv1"]),
    (lambda m: m["block9"], ["'block9'", "conv1"]),
    (lambda m: m.activations(random_batch(20, INPUT, 4)[0], ["conv1", "block9"]), ["'block9'"]),
    (lambda m: m.forward(np.zeros((2, 8, 9, 1))), ["('N', 8, 9, 3)", "(2, 8, 9, 1)"]),
    (lambda m: m.forward(np.zeros((2, 9, 8, 3))), ["('N', 8, 9, 3)", "(2, 9, 8, 3)"]),
    (lambda m: m.forward(np.zeros(INPUT)), ["('N', 8, 9, 3)", "(8, 9, 3)"]),
    (lambda m: m.forward(np.zeros((2, *INPUT), int)), ["float32", "int64"]),
    (lambda m: m.forward(np.zeros((2, *INPUT)).tolist()), ["float32", "list"]),
    (lambda m: m.predict(np.zeros((2, *INPUT), complex)), ["float32", "complex128"]),
    (lambda m: m.predict(np.zeros(INPUT)), ["('N', 8, 9, 3)", "(8, 9, 3)"]),
    (lambda m: m.activations(np.zeros((2, 4)), ["conv1"]), ["(2, 4)"]),
    (lambda m: m.backward(np.zeros((2, 4))), ["forward"])],
    ids=["freeze", "unfreeze", "getitem", "activations", "channels", "size", "no batch", "int",
         "list", "complex", "predict no batch", "activations shape",
         "backward first"])
def test_bad_input_is_refused_and_changes_nothing(call, words, unchanged):
    with assert_refused(*words):
        call(unchanged)


@pytest.mark.parametrize("layers, shape, words", [
    ([Dense(3)], (8, 8, 3), ["dense", "Flatten"]),
    ([Flatten(), Conv2D(2, 3)], (8, 8, 3), ["conv2d", "(N, H, W, C)"]),
    ([MaxPool2D(2), MaxPool2D(5)], (8, 8, 3), ["maxpool2d_1", "(5, 5)"]),
    ([Dense(3, name="a"), Dense(3, name="a")], (4,), ["'a'", "twice"]),
    ([Dense(1), Softmax()], (4,), ["softmax", "always 1", "Dense(1) with Sigmoid"]),
    ([Dense(1, activation="softmax")], (4,), ["dense", "always 1"]),
    ([Dense(3), Dense], (4,), ["layers", "Dense"]),
    ([Dense(3), 7], (4,), ["layers", "7"]),
    ([Dense(3)], 4, ["input_shape", "4"])])
def test_networks_that_do_not_fit_are_refused_when_made(layers, shape, words):
    with assert_refused(*words):
        Sequential(layers, shape)


def test_one_layer_in_two_places_is_refused():
    """Its second forward would overwrite what the first backward needs, and shapes would agree."""
    relu = ReLU()
    with assert_refused("relu", "twice"):
        Sequential([Dense(3), relu, Dense(3), relu], (4,))


def test_unnamed_layers_are_named_after_their_class_in_order():
    model = Sequential([Conv2D(2, 3), Conv2D(2, 3, name="conv2d_1"), Conv2D(2, 3), Flatten(),
                        Dense(2)], (9, 9, 1))
    assert [layer.name for layer in model.layers] == [
        "conv2d", "conv2d_1", "conv2d_2", "flatten", "dense"]


def test_labels_out_of_range_change_nothing():
    model, loss = two_blocks(classes=4), CategoricalCrossEntropy()
    p = model.forward(random_batch(20, INPUT, 4)[0])
    before = state(model)
    with assert_refused("0…3", "4 at place 2"):
        loss.forward(p, np.r_[0, 1, 4, np.zeros(17, int)])
    assert loss.dy is None and state(model) == before


def test_two_classes_learn_with_one_sigmoid_unit():
    x, t = random_batch(20, INPUT, 2)
    model = two_blocks().replace_head([Dense(1), Sigmoid()])
    layers, loss = fuse(model.layers, BinaryCrossEntropy(class_weight=[1, 2]))
    trained, optimizer = Sequential(layers, INPUT), Adam(0.01)
    for _ in range(100):
        loss.forward(trained.forward(x, training=True), t)
        trained.backward(loss.backward(), input_gradient=False)
        optimizer.step(trained)
    assert ((model.predict(x)[:, 0] > 0.5) == t).all()


def test_views_of_a_network_are_never_built_again():
    class Counting(Dense):
        built = 0

        def build(self, input_shape, rng):
            self.built += 1
            super().build(input_shape, rng)

    layer = Counting(3)
    model = Sequential([Dense(4), layer], (5,))
    model.split()
    model.view(model.layers[1:], (4,))
    assert layer.built == 1


@pytest.mark.parametrize("units, classes", [(3, ["a", "b"]), (1, ["a"]), (1, ["a", "b", "c"]),
                                            (2, ["a"])])
def test_names_for_other_than_the_outputs_are_refused(units, classes, unchanged):
    with assert_refused(str(len(classes)), f"({units},)"):
        Sequential([Dense(units)], (4,), classes=classes)
    with assert_refused(str(len(classes))):
        unchanged.replace_head([Dense(units)], classes=classes)


def test_a_new_head_forgets_the_old_classes_and_is_drawn_by_its_seed():
    a, b, c = (two_blocks() for _ in range(3))
    a.classes = list("abcd")
    for model, seed in ((a, 0), (b, 0), (c, 1)):
        model.replace_head([Dense(4, name="new")], seed=seed)
    assert a.classes is None
    np.testing.assert_array_equal(a["new"].params["W"], b["new"].params["W"])
    assert not np.array_equal(a["new"].params["W"], c["new"].params["W"])


def test_a_dropout_behind_the_old_head_goes_with_it():
    model = Sequential([Dense(5), ReLU(), Dense(3), Softmax(), Dropout(0.1)], (4,))
    model.replace_head([Dense(2)])
    assert [type(layer).__name__ for layer in model.layers] == ["Dense", "ReLU", "Dense"]


def test_summary_says_what_was_loaded():
    model = two_blocks()
    assert "weights:" not in model.summary()
    model.weights_note = "m.h5: set 2 arrays"
    assert "weights: m.h5: set 2 arrays" in model.summary()


def test_a_model_shows_itself_in_a_line():
    model = Sequential([Flatten(), Dense(2)], (3, 4, 1), name="net")
    assert repr(model) == "Sequential('net', 2 layers, input (3, 4, 1))"


@pytest.mark.parametrize("shape", [(4, 5, 3), (2, 4, 5, 1), (2, 4, 5, 4)])
def test_pixels_that_are_not_rgb_are_refused(shape):
    with assert_refused("Preprocessing", "(N, H, W, 3)", str(shape)):
        Preprocessing()(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("input_gradient", [True, False])
def test_backward_reports_each_layer_once_its_gradients_are_there(input_gradient):
    """From the last layer down; a training step ends at the lowest trainable one."""
    model = Sequential([Dense(3, name="a"), Dense(4, name="b"), ReLU(), Dense(2, name="c")], (5,))
    model.freeze("a")
    y = model.forward(random_batch(2, (5,))[0], training=True)
    reported = []
    model.backward(np.ones_like(y), input_gradient,
                   lambda layer: reported.append((layer.name, sorted(layer.grads))))
    assert reported == [("c", ["W", "b"]), ("relu", []), ("b", ["W", "b"]),
                        *[("a", [])] * input_gradient]
