"""All or nothing, by name or else by order, and Theano's kernels the right way round."""

import itertools

import h5py
import numpy as np
import pytest

from minicnn.layers import Conv2D, Dense, Dropout, Flatten, GlobalAveragePool2D, MaxPool2D
from minicnn.model import Sequential
from minicnn.utils.errors import FileError
from minicnn.weights import assign, read_weights
from minicnn.weights.assigning import FINGERPRINT
from minicnn.weights.reading import Weights

SHAPES = {"c1": (3, 3, 3, 4), "c2": (3, 3, 4, 4), "c3": (3, 3, 4, 4), "fc": (16, 5), "out": (5, 2)}


def three_convolutions(names=tuple(SHAPES)):
    c1, c2, c3, fc, out = names
    return Sequential([Conv2D(4, 3, padding="same", name=c1), Conv2D(4, 3, padding="same", name=c2),
                       MaxPool2D(), Conv2D(4, 3, padding="same", name=c3), MaxPool2D(), Flatten(),
                       Dropout(0.5), Dense(5, name=fc), Dense(2, name=out)], (8, 8, 3), seed=1)


@pytest.fixture
def entries(rng):
    return [(name, [rng.normal(size=shape).astype(np.float32),
                    rng.normal(size=shape[-1]).astype(np.float32)])
            for name, shape in SHAPES.items()]


def put(model, entries, path="folder/x.h5"):
    return assign(model.layers, model.input_shape, entries, path)


def params(model):
    return {(layer.name, key): value.tobytes() for layer in model.layers
            for key, value in layer.params.items()}


def assert_set(model, entries):
    held = [list(layer.params.values()) for layer in model.layers if layer.params]
    for received, (_, expected) in zip(held, entries, strict=True):
        for a, b in zip(received, expected, strict=True):
            assert a.dtype == np.float32 and a.tobytes() == b.astype(np.float32).tobytes()
            assert a.flags.c_contiguous and a.flags.writeable and not np.shares_memory(a, b)


@pytest.mark.parametrize("order", list(itertools.permutations(range(5)))[::17])
def test_names_decide_whatever_the_order_of_the_file(entries, order):
    model = three_convolutions()
    sentence = put(model, [entries[k] for k in order])
    assert sentence == ("x.h5: set 10 arrays, 505 parameters; skipped: none; layers "
                        "matched by name")
    assert_set(model, entries)


def test_float64_becomes_float32(entries):
    model = three_convolutions()
    put(model, [(name, [a.astype(np.float64) for a in arrays]) for name, arrays in entries])
    assert_set(model, entries)


def test_layers_that_the_model_lacks_are_named_as_skipped(entries):
    base = Sequential([Conv2D(4, 3, name="c1"), Conv2D(4, 3, name="c2"), GlobalAveragePool2D()],
                      (8, 8, 3))
    assert put(base, entries) == ("x.h5: set 4 arrays, 260 parameters; skipped: c3, fc, out; "
                                  "layers matched by name")
    assert_set(base, entries[:2])


def test_without_a_common_name_the_order_decides_and_the_sentence_says_so(entries):
    model = three_convolutions(("a", "b", "c", "d", "e"))
    assert put(model, entries) == ("x.h5: set 10 arrays, 505 parameters; skipped: none; layers "
                                   "matched by order, as their names differ: c1 → a, c2 → b, "
                                   "c3 → c, fc → d, out → e")
    assert_set(model, entries)


def test_without_names_the_order_within_a_class_decides(entries):
    model = three_convolutions()
    unnamed = [(None, arrays) for _, arrays in entries[3:] + entries[:3]]  # dense before conv2d
    put(model, unnamed)
    assert_set(model, entries)


def changed(entries, name, arrays):
    return [(n, arrays if n == name else a) for n, a in entries]


REFUSED = {
    "missing layer": (lambda e: e[:-1],
                      r"folder/x\.h5: expected arrays for out, which the file lacks"),
    "wrong kernel": (lambda e: changed(e, "fc", [np.zeros((17, 5)), np.zeros(5)]),
                     r"layer 'fc': expected W of shape \(16, 5\), received \(17, 5\)"),
    "wrong bias": (lambda e: changed(e, "out", [np.zeros((5, 2)), np.zeros(3)]),
                   r"layer 'out': expected b of shape \(2,\), received \(3,\)"),
    "no bias": (lambda e: changed(e, "out", [np.zeros((5, 2))]),
                r"layer 'out': expected 2 arrays \(W, b\), received 1"),
    "normalisation": (lambda e: changed(e, "c2", [np.zeros(4)] * 4),
                      r"layer 'c2': expected 2 arrays \(W, b\), received 4"),
    "double name": (lambda e: e + e[:1], "several layers are called c1"),
    "nothing": (lambda e: [], "0 of the model's 5 layers"),
    "other names, fewer": (lambda e: [(f"x{n}", a) for n, a in e[:-1]],
                           "0 of the model's 5 layers"),
    "other names, other kinds": (lambda e: [(f"x{n}", a) for n, a in [*e[:-1], e[0]]],
                                 "0 of the model's 5 layers"),
    "other names, other shape": (lambda e: [(None, a) for n, a in changed(
        e, "c3", [np.zeros((3, 3, 4, 5)), np.zeros(5)])], "layer 'c3': expected W of shape"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_file_changes_nothing(entries, case):
    change, sentence = REFUSED[case]
    model = three_convolutions()
    before = params(model)
    with pytest.raises(FileError, match=sentence):
        put(model, change(entries))
    assert params(model) == before


def test_order_is_not_trusted_where_the_file_does_not_tell_it(entries):
    model = three_convolutions(("a", "b", "c", "d", "e"))
    before = params(model)
    unordered = Weights(entries)
    unordered.ordered = False
    with pytest.raises(FileError, match="0 of the model's 5 layers"):
        put(model, unordered)
    assert params(model) == before


def test_a_network_without_parameters_takes_an_empty_file():
    model = Sequential([MaxPool2D(), Flatten()], (4, 4, 3))
    assert put(model, []) == "x.h5: set 0 arrays, 0 parameters; skipped: none"


# Theano

def true_convolution(x, W):
    """x (C, H, Wd), W (F, C, KH, KW): y[f,i,j] = Σ x[c, i+KH−1−p, j+KW−1−q] · W[f,c,p,q]."""
    F, C, KH, KW = W.shape
    OH, OW = x.shape[1] - KH + 1, x.shape[2] - KW + 1
    y = np.zeros((F, OH, OW))
    for f, i, j, c, p, q in itertools.product(*map(range, (F, OH, OW, C, KH, KW))):
        y[f, i, j] += x[c, i + KH - 1 - p, j + KW - 1 - q] * W[f, c, p, q]
    return y


def conv_and_two_dense():
    """Flatten meets 2×3 places of 4 channels."""
    return Sequential([Conv2D(4, 3, name="conv"), Flatten(), Dropout(0.5), Dense(24, name="fc1"),
                       Dense(2, name="fc2")], (4, 5, 3))


@pytest.fixture
def theano(rng):
    """What Theano computes: true convolution, images flattened as (C, H, Wd)."""
    W, b = rng.normal(size=(4, 3, 3, 3)), rng.normal(size=4)
    # 24 rows each: those of the second must stay where they are.
    W1, b1, W2, b2 = (rng.normal(size=s) for s in ((24, 24), (24,), (24, 2), (2,)))
    x = rng.normal(size=(4, 5, 3))
    y = true_convolution(x.transpose(2, 0, 1), W) + b[:, None, None]  # (4, 2, 3)
    return x, W, b, W1, b1, W2, b2, y, (y.reshape(-1) @ W1 + b1) @ W2 + b2


@pytest.mark.parametrize("name, attributes", [
    ("x.h5", {}), ("vgg16_weights_th_dim_ordering_th_kernels.h5", {}),
    ("x.h5", {"backend": "theano"}), ("x.h5", {"backend": b"theano"})])
def test_theano_files_compute_what_theano_computed(theano, write_keras1, name, attributes):
    x, W, b, W1, b1, W2, b2, _, output = theano
    model = conv_and_two_dense()
    path = write_keras1({"conv": [W, b], "fc1": [W1, b1], "fc2": [W2, b2]}, name, **attributes)
    sentence = model.load_weights(path)
    assert "rotated by 180°, from Theano" in sentence and "from (F, C, KH, KW)" in sentence
    np.testing.assert_allclose(model.forward(x[None])[0], output, rtol=1e-4, atol=1e-4)


def test_a_theano_kernel_converted_is_torchs_correlation_kernel(rng):
    import torch
    W, x = rng.normal(size=(4, 3, 2, 3)), rng.normal(size=(3, 6, 7))
    flipped = torch.nn.functional.conv2d(torch.tensor(x)[None], torch.tensor(W).flip(2, 3))[0]
    np.testing.assert_allclose(true_convolution(x, W), flipped.numpy(), atol=1e-12)
    model = Sequential([Conv2D(4, (2, 3), name="c")], (6, 7, 3))
    put(model, [("c", [W, np.zeros(4)])])
    y = model.forward(x.transpose(1, 2, 0)[None])[0]
    np.testing.assert_allclose(y.transpose(2, 0, 1), flipped.numpy(), atol=1e-5)


def test_keras_2_on_theano_turns_kernels_but_keeps_their_axes_and_the_rows(theano, write_keras1):
    x, W, b, W1, b1, W2, b2, y, _ = theano
    model = conv_and_two_dense()
    path = write_keras1({"conv": [W.transpose(2, 3, 1, 0), b], "fc1": [W1, b1], "fc2": [W2, b2]},
                        backend="theano", keras_version="2.1.6")
    sentence = model.load_weights(path)
    assert sentence.endswith("matched by name; kernels rotated by 180°, from Theano")
    features = model.activations(x[None], ["conv"])["conv"][0]
    np.testing.assert_allclose(features, y.transpose(1, 2, 0), atol=1e-5)
    assert model["fc1"].params["W"].tobytes() == W1.astype(np.float32).tobytes()


def test_theano_axes_with_kernels_not_rotated_are_only_transposed(theano, write_keras1):
    _, W, b, W1, b1, W2, b2, _, _ = theano
    model = conv_and_two_dense()
    arrays = {"conv": [W, b], "fc1": [W1, b1], "fc2": [W2, b2]}
    sentence = model.load_weights(write_keras1(arrays, "x_th_dim_ordering_tf_kernels.h5"))
    assert "rotated" not in sentence
    expected = W.transpose(2, 3, 1, 0).astype(np.float32)
    assert (model["conv"].params["W"] == expected).all()


@pytest.mark.parametrize("name, converted", [("x_th_dim_ordering_th_kernels.h5", True),
                                             ("x.h5", False)])
def test_the_name_decides_where_both_orders_of_axes_fit(rng, name, converted):
    W = rng.normal(size=(3, 3, 3, 3)).astype(np.float32)
    model = Sequential([Conv2D(3, 3, name="c")], (5, 5, 3))
    put(model, [("c", [W, np.zeros(3)])], name)
    expected = W.transpose(2, 3, 1, 0)[::-1, ::-1] if converted else W
    assert (model["c"].params["W"] == expected).all()


def test_a_misleading_name_does_not_turn_the_axes(entries):
    model = three_convolutions()
    put(model, entries, "th_dim_ordering_tf_kernels.h5")
    assert_set(model, entries)


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("channels_first", [False, True])
def test_vgg16s_fingerprint_outweighs_everything_else(rng, rotated, channels_first):
    W = rng.normal(size=(3, 3, 3, 64)).astype(np.float32)  # as Keras wants it
    W[0, 0, 0, 0], W[2, 2, 0, 0] = FINGERPRINT, 0.1
    stored = W[::-1, ::-1] if rotated else W
    stored = stored.transpose(3, 2, 0, 1) if channels_first else stored
    entries = Weights([("block1_conv1", [stored, np.zeros(64)])])
    entries.backend = "tensorflow" if rotated else "theano"
    model = Sequential([Conv2D(64, 3, name="block1_conv1")], (5, 5, 3))
    sentence = put(model, entries, "odd_tf_kernels.h5" if rotated else "odd_th_kernels.h5")
    assert model.layers[0].params["W"].tobytes() == W.tobytes()
    assert ("rotated" in sentence) == rotated and ("(F, C, KH, KW)" in sentence) == channels_first


def test_a_theano_file_of_full_network_goes_into_a_base(theano, write_keras1):
    x, W, b, W1, b1, _, _, y, _ = theano
    model = Sequential([Conv2D(4, 3, name="conv")], (4, 5, 3))
    sentence = model.load_weights(write_keras1({"conv": [W, b], "fc1": [W1, b1]}))
    assert "skipped: fc1" in sentence
    np.testing.assert_allclose(model.forward(x[None])[0].transpose(2, 0, 1), y, atol=1e-5)


def test_layout_a_on_theano_is_converted_by_order(theano, tmp_path):
    x, W, b, W1, b1, W2, b2, _, output = theano
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["nb_layers"] = 6
        for k, arrays in enumerate(([], [W, b], [], [W1, b1], [], [W2, b2])):
            group = file.create_group(f"layer_{k}")
            group.attrs["nb_params"] = len(arrays)
            for p, array in enumerate(arrays):
                group[f"param_{p}"] = array
    model = conv_and_two_dense()
    assert len(read_weights(tmp_path / "a.h5")) == 3
    model.load_weights(tmp_path / "a.h5")
    np.testing.assert_allclose(model.forward(x[None])[0], output, rtol=1e-4, atol=1e-4)
