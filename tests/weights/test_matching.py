"""Weights alone: by name where the names agree, else by order; and a file onto a new head."""

import io
import os
import zipfile

os.environ.setdefault("KERAS_BACKEND", "torch")

import h5py
import keras
import numpy as np
import pytest

import minicnn as mc
from minicnn.utils.errors import FileError
from minicnn.weights import assign, read_weights
from minicnn.weights.reading import Weights

from .layouts import write_a, write_b, write_c, write_f, write_windows

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
L = keras.layers


def keras_model(units=2):
    """Of Keras' own names: whatever its counters have come to in this session."""
    return keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(4, 3, activation="relu"),
                             L.Conv2D(4, 3, activation="relu"), L.Flatten(),
                             L.Dense(5, activation="relu"), L.Dense(units)])


def ours(units=2, names=(None, None, None, None), seed=5):
    """The same network of ours."""
    first, second, third, last = names
    return mc.Sequential(
        [mc.Conv2D(4, 3, activation="relu", name=first),
         mc.Conv2D(4, 3, activation="relu", name=second), mc.Flatten(),
         mc.Dense(5, activation="relu", name=third), mc.Dense(units, name=last)],
        (8, 8, 3), seed)


def numbers(model):
    return [p.tobytes() for layer in model.layers for p in layer.params.values()]


@pytest.fixture
def x(rng):
    return rng.normal(size=(3, 8, 8, 3)).astype(np.float32)


def assert_computes(model, theirs, x):
    np.testing.assert_allclose(model.predict(x), np.asarray(theirs.predict(x, verbose=0)),
                               rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ending", [".weights.h5", ".h5", ".keras"])
@pytest.mark.parametrize("models_before", [0, 1, 3])
def test_the_second_model_of_a_session_is_read_by_order(tmp_path, x, models_before, ending):
    """Its names overlap with ours by chance, or not at all."""
    keras.backend.clear_session()
    for _ in range(models_before):
        keras_model()
    theirs, path = keras_model(), tmp_path / f"x{ending}"
    theirs.save_weights(path) if ending == ".weights.h5" else theirs.save(path)
    model = ours()
    note = model.load_weights(path)
    assert_computes(model, theirs, x)
    if models_before == 0:
        assert note.endswith("skipped: none; layers matched by name")
    else:
        first = 2 * models_before
        assert note.endswith(
            f"layers matched by order, as their names differ: conv2d_{first} → conv2d, "
            f"conv2d_{first + 1} → conv2d_1, dense_{first} → dense, dense_{first + 1} → dense_1")
    assert model.weights_note == note


def test_a_first_model_of_keras_and_ours_have_the_same_names():
    keras.backend.clear_session()
    theirs = [layer.name for layer in keras_model().layers if layer.weights]
    assert theirs == [layer.name for layer in ours().layers if layer.params]
    own = ours(names=("mine", None, "conv2d", None))
    assert [layer.name for layer in own.layers if layer.params] == [
        "mine", "conv2d_1", "conv2d", "dense"]


def by_hand(rng, names, shapes=((3, 3, 3, 4), (3, 3, 4, 4), (64, 5), (5, 2))):
    return [(name, [rng.normal(size=shape).astype(np.float32),
                    rng.normal(size=shape[-1]).astype(np.float32)])
            for name, shape in zip(names, shapes, strict=True)]


@pytest.mark.parametrize("write", [write_a, write_b, write_c, write_f, write_windows])
@pytest.mark.parametrize("names", [
    ("conv2d_1", "conv2d_2", "dense_1", "dense_2"),  # a first model of Keras 2.0 … 2.2
    ("convolution2d_1", "convolution2d_2", "dense_1", "dense_2"),  # Keras 1
    ("conv2d_9", "conv2d_10", "dense_99", "dense_100")])
def test_names_of_older_keras_are_read_by_order(tmp_path, rng, names, write):
    network = by_hand(rng, names)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write(file, network)
    model = ours()
    assert "layers matched by order" in model.load_weights(tmp_path / "x.h5")
    assert numbers(model) == [array.tobytes() for _, arrays in network for array in arrays]


@pytest.mark.parametrize("theirs, own", [
    (("a", "b", "c", "d"), ("b", "a", None, None)),  # the same layers in another order
    (("a", "b", "fc1", "fc2"), ("a", "b", "fc2", "fc3"))])
def test_order_does_not_outweigh_a_name_that_a_person_chose(rng, theirs, own):
    model = ours(names=own)
    before = numbers(model)
    entries = by_hand(rng, theirs, ((3, 3, 3, 4), (3, 3, 4, 4), (64, 5), (5, 2)))
    with pytest.raises(FileError, match="expected arrays for .*, which the file lacks"):
        assign(model.layers, model.input_shape, entries, "x.h5")
    assert numbers(model) == before


def test_an_order_of_kinds_that_the_file_contradicts_is_refused(rng):
    entries = by_hand(rng, ("p", "q", "r", "s"), ((3, 3, 3, 4), (64, 5), (5, 2), (3, 3, 4, 4)))
    model = ours()
    with pytest.raises(FileError, match="0 of the model's 4 layers"):
        assign(model.layers, model.input_shape, Weights(entries), "x.h5")
    sorted_by_class = Weights(entries)
    sorted_by_class.in_order = False  # as in layout F, which sorts by class
    assign(model.layers, model.input_shape, sorted_by_class, "x.h5")
    assert numbers(model) == [array.tobytes() for k in (0, 3, 1, 2) for array in entries[k][1]]


# ---- a new head
def test_a_file_onto_a_new_head_is_refused_and_the_way_out_is_named(tmp_path):
    keras.backend.clear_session()
    keras_model(units=3).save_weights(tmp_path / "x.weights.h5")
    model = ours()
    before = numbers(model)
    with pytest.raises(FileError, match=r"'dense_1': expected W of shape \(5, 2\), received "
                                        r"\(5, 3\).*skip_mismatch=True"):
        model.load_weights(tmp_path / "x.weights.h5")
    assert numbers(model) == before


@pytest.mark.parametrize("models_before", [0, 1])
def test_skip_mismatch_loads_what_fits_and_leaves_the_head(tmp_path, models_before):
    """By name in the first session, by order in the second."""
    keras.backend.clear_session()
    for _ in range(models_before):
        keras_model()
    theirs = keras_model(units=3)
    theirs.save_weights(tmp_path / "x.weights.h5")
    model = ours()
    head = numbers(model)[-2:]
    note = model.load_weights(tmp_path / "x.weights.h5", skip_mismatch=True)
    expected = [np.asarray(w).tobytes() for w in theirs.get_weights()]
    assert numbers(model) == expected[:-2] + head
    assert "set 6 arrays, 585 parameters" in note and "left as they were: dense_1" in note
    assert ("by order" if models_before else "by name") in note
    last = theirs.layers[-1].name
    assert f"skipped: {last};" in note


def test_keras_skip_mismatch_leaves_the_same_layer(tmp_path):
    keras.backend.clear_session()
    keras_model(units=3).save_weights(tmp_path / "x.weights.h5")
    theirs, model = keras_model(units=2), ours(seed=0)
    for layer, other in zip([p for p in model.layers if p.params],
                            [p for p in theirs.layers if p.weights], strict=True):
        other.set_weights(list(layer.params.values()))
    with pytest.warns(UserWarning, match="could not be loaded"):
        theirs.load_weights(tmp_path / "x.weights.h5", skip_mismatch=True)
    model.load_weights(tmp_path / "x.weights.h5", skip_mismatch=True)
    assert numbers(model) == [np.asarray(w).tobytes() for w in theirs.get_weights()]


def test_a_new_head_of_more_layers_keeps_its_numbers(rng):
    """A head with a name of its own and one more layer, on a base whose names agree."""
    base = by_hand(rng, ("c1", "c2", "fc", "predictions"))
    model = mc.Sequential([mc.Conv2D(4, 3, name="c1"), mc.Conv2D(4, 3, name="c2"), mc.Flatten(),
                           mc.Dense(6, name="new"), mc.Dense(2, name="predictions")],
                          (8, 8, 3), 1)
    head = numbers(model)[4:]
    note = assign(model.layers, model.input_shape, base, "x.h5", skip_mismatch=True)
    assert numbers(model) == [a.tobytes() for _, arrays in base[:2] for a in arrays] + head
    assert "skipped: fc, predictions; layers matched by name; left as they were: new, " in note


def test_by_order_nothing_behind_the_first_difference_is_set(rng):
    """The second convolution differs; a dense layer that would fit belongs to something else."""
    entries = by_hand(rng, ("p", "q", "r", "s"), ((3, 3, 3, 4), (3, 3, 4, 7), (64, 5), (5, 2)))
    model = ours()
    rest = numbers(model)[2:]
    note = assign(model.layers, model.input_shape, entries, "x.h5", skip_mismatch=True)
    assert numbers(model) == [a.tobytes() for a in entries[0][1]] + rest
    assert "left as they were: conv2d_1, dense, dense_1" in note


def test_skip_mismatch_still_refuses_a_file_of_which_nothing_fits(rng):
    model = ours()
    before = numbers(model)
    with pytest.raises(FileError, match="0 of the model's 4 layers"):
        assign(model.layers, model.input_shape, by_hand(
            rng, "wxyz", ((5, 5, 3, 4), (3, 3, 4, 4), (64, 5), (5, 2))), "x.h5", True)
    assert numbers(model) == before


def test_a_keras_file_from_windows_equals_the_posix_one(tmp_path, x):
    """Keras 2.13 … 2.15 on Windows: the groups of a .keras have backslashes in their names."""
    theirs = keras_model()
    theirs.save(tmp_path / "posix.keras")
    with (zipfile.ZipFile(tmp_path / "posix.keras") as old,
          zipfile.ZipFile(tmp_path / "windows.keras", "w") as new):
        for name in old.namelist():
            content = old.read(name)
            if name.endswith(".h5"):
                buffer = io.BytesIO()
                with h5py.File(io.BytesIO(content)) as posix, h5py.File(buffer, "w") as windows:
                    for key, layer in posix["layers"].items():
                        group = windows.create_group(f"layers\\{key}").create_group("vars")
                        for number, array in layer.get("vars", {}).items():
                            group[number] = array[()]
                    windows.create_group("optimizer\\vars")
                content = buffer.getvalue()
            new.writestr(name, content)
    posix, windows = mc.load(tmp_path / "posix.keras"), mc.load(tmp_path / "windows.keras")
    assert numbers(posix) == numbers(windows) and repr(posix.layers) == repr(windows.layers)
    assert_computes(windows, theirs, x)
    assert "matched by order, as the file has no names" in windows.weights_note


def test_unnamed_layers_get_the_names_that_keras_gives():
    """Also those of two words, which the class's name alone does not tell."""
    class BatchNormalization(mc.Layer):
        pass

    class MyNorm(mc.Layer):
        pass

    norms = [BatchNormalization(), BatchNormalization(), MyNorm(), BatchNormalization("bn")]
    model = mc.Sequential(norms, (4,))
    assert [layer.name for layer in model.layers] == [
        "batch_normalization", "batch_normalization_1", "mynorm", "bn"]


def test_a_model_inside_the_model_of_windows_is_read(tmp_path, rng):
    """As tf.keras 2.13 … 2.15 on Windows: layers\\functional\\layers\\conv2d."""
    (_, first), (_, second), (_, dense), _ = by_hand(rng, "abcd")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, arrays in (("functional", []), ("functional\\layers\\conv2d", first),
                             ("functional\\layers\\conv2d_1", second), ("dense", dense)):
            group = file.create_group(f"layers\\{name}").create_group("vars")
            for k, array in enumerate(arrays):
                group[str(k)] = array
    entries = read_weights(tmp_path / "x.h5")
    assert [name for name, _ in entries] == [None] * 3
    for (_, received), expected in zip(entries, (dense, first, second), strict=True):
        assert [a.tobytes() for a in received] == [a.tobytes() for a in expected]
