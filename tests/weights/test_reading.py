"""Every layout, written by hand or by Keras itself, comes out bit for bit."""

import zipfile

import h5py
import keras
import numpy as np
import pytest

from minicnn.utils.errors import FileError
from minicnn.weights import read_weights

from .layouts import NAMED, UNNAMED, archive, write_f, write_named

# Keras on PyTorch, about itself.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")


@pytest.fixture
def odd_names(rng):
    """Odd names in an order that is neither alphabetical nor the order of the classes."""
    shapes = [("zebra", (3, 2, 3, 4)), ("aa", (1, 1, 4, 2))]
    shapes += [(f"conv_{k}", (2, 2, 2, 2)) for k in range(11)]
    shapes += [("fc one", (12, 5)), ("10", (5, 3))]
    return [(name, [rng.normal(size=shape).astype(np.float32),
                    rng.normal(size=shape[-1]).astype(np.float32)]) for name, shape in shapes]


def assert_same(entries, expected, with_names=True):
    if with_names:
        assert [name for name, _ in entries] == [name for name, _ in expected]
    else:
        assert [name for name, _ in entries] == [None] * len(expected)
    for (_, received), (_, wanted) in zip(entries, expected, strict=True):
        assert len(received) == len(wanted)
        for a, b in zip(received, wanted, strict=True):
            assert a.dtype == b.dtype and a.dtype.isnative
            assert a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("layout", NAMED)
def test_layouts_with_names_come_out_bit_for_bit_and_in_order(tmp_path, odd_names, layout):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        NAMED[layout](file, odd_names)
    assert_same(read_weights(tmp_path / "x.h5"), odd_names)


@pytest.mark.parametrize("layout", UNNAMED)
def test_layouts_without_names_come_out_bit_for_bit_and_in_order(tmp_path, odd_names, layout):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        UNNAMED[layout](file, odd_names)
    assert_same(read_weights(str(tmp_path / "x.h5")), odd_names, with_names=False)


def test_a_keras_archive_is_read_from_its_member(tmp_path, odd_names):
    (tmp_path / "x.keras").write_bytes(archive(odd_names))
    assert_same(read_weights(tmp_path / "x.keras"), odd_names)


@pytest.mark.parametrize("encode", [lambda s: np.array(s, "S"), list,
                                    lambda s: np.array([n.encode() for n in s], object)])
def test_attributes_of_every_age_and_split_lists_are_decoded(tmp_path, odd_names, encode):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_named(file, odd_names, ("{0}/kernel:0", "{0}/bias:0"), encode)
        names = ["input_1", *(name for name, _ in odd_names), "pool"]
        del file.attrs["layer_names"]
        for k, part in enumerate((names[:4], names[4:5], names[5:])):
            file.attrs[f"layer_names{k}"] = encode(part)
        group = file["zebra"]
        del group.attrs["weight_names"]
        group.attrs["weight_names0"] = encode(["zebra/kernel:0"])
        group.attrs["weight_names1"] = encode(["zebra/bias:0"])
    assert_same(read_weights(tmp_path / "x.h5"), odd_names)


@pytest.mark.parametrize("stored, read", [("<f2", "f4"), (">f2", "f4"), ("<f4", "f4"),
                                          (">f4", "f4"), ("<f8", "f8"), (">f8", "f8")])
def test_floats_of_every_width_and_byte_order_become_native(write_keras1, rng, stored, read):
    arrays = [rng.normal(size=(2, 2, 3, 4)).astype(stored), rng.normal(size=4).astype(stored)]
    entries = read_weights(write_keras1({"c": arrays}))
    assert_same(entries, [("c", [a.astype(read) for a in arrays])])


def test_a_model_inside_a_model_is_flattened_by_its_weights_names(tmp_path, odd_names):
    (c1, a1), (c2, a2), (head, a3) = odd_names[0], odd_names[1], odd_names[-1]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["layer_names"] = ["vgg16", head]
        base, top = file.create_group("vgg16"), file.create_group(head)
        base.attrs["weight_names"] = [f"vgg16/{c}/{key}" for c in (c2, c1)
                                      for key in ("kernel", "bias")]
        top.attrs["weight_names"] = [f"{head}/kernel", f"{head}/bias"]
        for group, prefix, arrays in ((base, f"vgg16/{c2}", a2), (base, f"vgg16/{c1}", a1),
                                      (top, head, a3)):
            group[f"{prefix}/kernel"], group[f"{prefix}/bias"] = arrays
    entries = read_weights(tmp_path / "x.h5")
    assert_same(entries, [(c2, a2), (c1, a1), (head, a3)])
    assert not entries.ordered  # Keras writes what may train first


def test_unnamed_layers_of_two_models_are_refused_unless_their_classes_differ(tmp_path, odd_names):
    convs, dense = odd_names[:3], odd_names[-1:]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write_f(file, dense, names=False)
        write_f(file.create_group("layers/functional"), convs, names=False)
    assert_same(read_weights(tmp_path / "x.h5"), dense + convs, with_names=False)
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["layers/conv2d/vars/0"], file["layers/conv2d/vars/1"] = convs[0][1]
    with pytest.raises(FileError, match="/layers/functional/layers/conv2d has no layer's name"):
        read_weights(tmp_path / "x.h5")


def test_an_unnamed_layer_of_another_class_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["layers/conv2d_transpose/vars/0"] = np.zeros((1, 1, 1, 1), np.float32)
    with pytest.raises(FileError, match="conv2d_transpose has no layer's name"):
        read_weights(tmp_path / "x.h5")


# Files that are refused

def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"none\.h5: expected a file, found none"):
        read_weights(tmp_path / "none.h5")
    with pytest.raises(FileError, match="received a folder"):
        read_weights(tmp_path)


def test_what_is_not_hdf5_is_refused_with_its_size_and_beginning(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"\0\1\2\3not a model\xff\xff")
    with pytest.raises(FileError, match=r"expected a Keras model .* received 17 bytes that begin "
                                        r"with b'\\x00\\x01\\x02\\x03not '; download it again\?"):
        read_weights(tmp_path / "x.h5")


def test_a_file_cut_anywhere_is_refused(tmp_path, odd_names, write_keras1):
    whole = write_keras1(dict(odd_names)).read_bytes()
    for length in range(0, len(whole), len(whole) // 60):
        (tmp_path / "cut.h5").write_bytes(whole[:length])
        with pytest.raises(FileError, match="cut.h5"):
            read_weights(tmp_path / "cut.h5")


def test_an_archive_cut_anywhere_or_lacking_a_member_is_refused(tmp_path):
    path = tmp_path / "x.keras"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("config.json", "{}")
    with pytest.raises(FileError, match=r"model\.weights\.h5"):
        read_weights(path)
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("config.json", "{}")
        out.writestr("model.weights.h5", b"no HDF5")
    whole = path.read_bytes()
    for length in range(4, len(whole) + 1, 11):
        path.write_bytes(whole[:length])
        with pytest.raises(FileError):
            read_weights(path)


def test_an_hdf5_file_that_is_not_keras_is_refused_by_its_groups(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["train"] = np.zeros(3)
    with pytest.raises(FileError, match="received the groups train"):
        read_weights(tmp_path / "x.h5")


def test_a_promised_array_that_is_absent_is_named(tmp_path, odd_names, write_keras1):
    path = write_keras1(dict(odd_names))
    with h5py.File(path, "a") as file:
        del file["aa/aa_b_1:0"]
    with pytest.raises(FileError, match="expected 'aa_b_1:0' in /aa"):
        read_weights(path)


@pytest.mark.parametrize("link", [h5py.SoftLink("/a/a_W_1:0"),
                                  h5py.ExternalLink("b.h5", "/a/a_W_1:0")])
def test_soft_and_external_links_are_refused(write_keras1, link):
    path = write_keras1({"a": [np.zeros((2, 2)), np.zeros(2)]})
    with h5py.File(path, "a") as file:
        del file["a/a_b_1:0"]
        file["a/a_b_1:0"] = link
    with pytest.raises(FileError, match=f"{type(link).__name__}|found nothing there"):
        read_weights(path)


def test_arrays_that_lie_in_another_file_are_refused(tmp_path, write_keras1):
    path = write_keras1({"a": [np.zeros((2, 2)), np.zeros(2)]})
    (tmp_path / "secret").write_bytes(bytes(16))
    with h5py.File(path, "a") as file:
        del file["a/a_b_1:0"]
        file["a"].create_dataset("a_b_1:0", (2,), "f8", external=[(tmp_path / "secret", 0, 16)])
    with pytest.raises(FileError, match="/a/a_b_1:0: its numbers are in another file"):
        read_weights(path)
    with h5py.File(path, "a") as file:
        del file["a/a_b_1:0"]
        layout = h5py.VirtualLayout((2,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (2,))
        file["a"].create_virtual_dataset("a_b_1:0", layout)
    with pytest.raises(FileError, match="/a/a_b_1:0: its numbers are in another file"):
        read_weights(path)


@pytest.mark.parametrize("array", [np.zeros(2, int), np.zeros(2, complex), np.zeros(2, "S3"),
                                   np.zeros(2, np.longdouble)])
def test_what_is_not_a_float_array_is_refused(write_keras1, array):
    with pytest.raises(FileError, match="/a/a_b_1:0: expected floats of 16, 32 or 64 bits"):
        read_weights(write_keras1({"a": [np.zeros((2, 2)), array]}))


def test_a_group_in_an_arrays_place_is_refused(write_keras1):
    path = write_keras1({"a": [np.zeros((2, 2)), np.zeros(2)]})
    with h5py.File(path, "a") as file:
        del file["a/a_b_1:0"]
        file.create_group("a/a_b_1:0")
    with pytest.raises(FileError, match="expected an array, received a group"):
        read_weights(path)


def test_a_group_that_contains_itself_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("layers/functional")
        group["layers"] = file["layers"]  # a hard link upwards
    with pytest.raises(FileError, match="models inside one another"):
        read_weights(tmp_path / "x.h5")


# Files by Keras itself

def keras_models():
    L = keras.layers
    plain = keras.Sequential([keras.Input((6, 7, 3)), *(L.Conv2D(2, 2, padding="same")
                                                         for _ in range(12)),
                              L.Conv2D(3, (2, 3), name="zz"), L.MaxPooling2D(), L.Dropout(0.5),
                              L.Flatten(), L.Dense(4, name="bb"), L.Dense(2, name="aa")])
    x = keras.Input((6, 7, 3))
    base = keras.Model(x, L.Conv2D(5, 3, name="c2")(L.Conv2D(4, 3, name="c1")(x)), name="base")
    base.get_layer("c1").trainable = False
    nested = keras.Sequential([base, L.GlobalAveragePooling2D(), L.Dense(1, name="head")])
    inner = keras.Sequential([keras.Input((6, 7, 3)), L.Conv2D(4, 3, name="s1"),
                              L.Conv2D(5, 3, name="s2")], name="inner")
    return {"plain": plain, "nested": nested,
            "nested Sequential": keras.Sequential([inner, L.Flatten(), L.Dense(2, name="last")])}


def leaves(model):
    """{layer: arrays} of a Keras model, models inside it included."""
    found = {}
    for layer in model.layers:
        found |= leaves(layer) if isinstance(layer, keras.Model) else (
            {layer.name: [np.asarray(w) for w in layer.get_weights()]} if layer.weights else {})
    return found


@pytest.mark.parametrize("which", ["plain", "nested", "nested Sequential"])
@pytest.mark.parametrize("ending", [".h5", ".weights.h5", ".keras"])
def test_files_by_keras_come_out_bit_for_bit(tmp_path, which, ending):
    model = keras_models()[which]
    path = tmp_path / f"x{ending}"
    model.save_weights(path) if ending == ".weights.h5" else model.save(path)
    entries = read_weights(path)
    expected = leaves(model)
    assert_same(sorted(entries, key=lambda e: e[0]), sorted(expected.items()))
    if which == "plain":
        convs = [name for name, arrays in entries if arrays[0].ndim == 4]
        assert convs == [name for name, arrays in expected.items() if arrays[0].ndim == 4]


def test_keras_of_3_5_without_names_is_read_by_count(tmp_path):
    model = keras_models()["plain"]
    path = tmp_path / "x.weights.h5"
    model.save_weights(path)
    with h5py.File(path, "a") as file:
        for group in file["layers"].values():
            group["vars"].attrs.clear()
    expected = list(leaves(model).items())
    by_class = sorted(expected, key=lambda e: -e[1][0].ndim)  # stable: conv2d before dense
    assert_same(read_weights(path), by_class, with_names=False)
