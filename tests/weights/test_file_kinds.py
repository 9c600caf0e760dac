"""What is no model says what it is, in the same words for a model and for weights."""

import gzip
import io
import json
import os
import pickle

os.environ.setdefault("KERAS_BACKEND", "torch")

import h5py
import keras
import numpy as np
import pytest
import torch
from makers import zipped

import minicnn as mc
from minicnn.utils.errors import FileError
from minicnn.weights.onnx import onnx_model

from .layouts import write_c, write_f

pytestmark = pytest.mark.filterwarnings(  # Keras and PyTorch, about themselves
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
    "ignore:.*torch.jit:DeprecationWarning")
LFS = ("version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 256052008\n")


def one_conv():
    return mc.Sequential([mc.Conv2D(2, 3), mc.Flatten(), mc.Dense(2)], (6, 6, 3))


def torch_file(name, **how):
    content = io.BytesIO()
    value = torch.nn.Linear(2, 3) if name == "module" else torch.nn.Linear(2, 3).state_dict()
    torch.save(value, content, **how)
    return content.getvalue()


def torch_script():
    content = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 3), torch.zeros(1, 2)), content)
    return content.getvalue()


def savez():
    np.savez(content := io.BytesIO(), a=np.zeros(3), b=np.zeros(2))
    return content.getvalue()


def save():
    np.save(content := io.BytesIO(), np.zeros(3))
    return content.getvalue()


def safetensors():
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(8)


def empty_h5():
    h5py.File(content := io.BytesIO(), "w").close()
    return content.getvalue()


KINDS = {  # name of the file, content, words that the error has to hold
    "LFS": ("x.h5", LFS.encode, ["Git LFS pointer", "git lfs pull"]),
    "LFS .keras": ("x.keras", LFS.encode, ["Git LFS pointer", "git lfs pull"]),
    "torch": ("x.pt", lambda: torch_file("dict"), ["PyTorch", "Keras", "ONNX"]),
    "torch, a module": ("x.h5", lambda: torch_file("module"), ["PyTorch"]),
    "torch before 1.6": ("x.bin", lambda: torch_file(
        "dict", _use_new_zipfile_serialization=False), ["PyTorch", "Keras", "ONNX"]),
    "torch script": ("x.pth", torch_script, ["PyTorch"]),
    "torch, cut short": ("x.pt", lambda: torch_file("dict")[:900], ["PyTorch"]),
    "pickle": ("x.pkl", lambda: pickle.dumps([np.zeros(3)]), ["pickle", "never runs", ".keras"]),
    "joblib": ("x.joblib", lambda: b"\x78\x9c" + os.urandom(50), ["pickle"]),
    "empty": ("x.keras", bytes, ["empty", "0 bytes"]),
    "empty HDF5": ("x.h5", empty_h5, ["empty HDF5 file"]),
    "page": ("x.h5", lambda: b"\n<!DOCTYPE html>\n<html><head>", ["a web page", "link"]),
    "page, BOM": ("x.h5", lambda: "\ufeff<HTML lang='en'>".encode(), ["a web page"]),
    "error of a server": ("x.keras", lambda: b"<?xml version='1.0'?><Error>", ["a web page"]),
    "ONNX": ("x.onnx", lambda: onnx_model(one_conv()).SerializeToString(), ["ONNX", "Keras"]),
    "ONNX by another name": ("x.h5", lambda: onnx_model(one_conv()).SerializeToString(), ["ONNX"]),
    "TFLite": ("x.tflite", lambda: b"\x1c\0\0\0TFL3" + bytes(99), ["TensorFlow Lite", ".h5"]),
    "frozen graph": ("x.pb", lambda: b"\n\x10\n\x05input" + bytes(9), ["TensorFlow", "SavedModel"]),
    "safetensors": ("x.safetensors", safetensors, ["safetensors"]),
    "npy": ("x.npy", save, ["NumPy"]), "npz": ("x.npz", savez, ["NumPy"]),
    "Teachable Machine": ("converted_keras.zip", lambda: zipped({
        "keras_model.h5": "x", "labels.txt": "0 a"}), ["holds keras_model.h5", "Unpack"]),
    "gzip": ("x.h5.gz", lambda: gzip.compress(b"x"), ["gzip", "Unpack"]),
    "TensorFlow.js": ("model.json", lambda: b'{"format": "layers-model", "modelTopology": {}, '
                      b'"weightsManifest": []}', ["JSON"]),
    "photo": ("x.h5", lambda: b"\x89PNG\r\n\x1a\n" + bytes(9), ["picture"]),
    "text": ("labels.txt", lambda: b"0 cat\n1 dog\n", ["a text", "0 cat"]),
    "HDF5 sent as text": ("x.h5", lambda: b"\x89HDF\n\x1a\n" + bytes(99), ["HDF5", "as text"])}


@pytest.fixture
def file_of(tmp_path):
    def make(case):
        name, content, words = KINDS[case]
        (tmp_path / name).write_bytes(content())
        return tmp_path / name, words
    return make


def refusal(call):
    with pytest.raises(FileError) as caught:
        call()
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


@pytest.mark.parametrize("case", KINDS)
def test_what_is_no_model_says_what_it_is(file_of, case):
    path, words = file_of(case)
    model = one_conv()
    before = [p.tobytes() for layer in model.layers for p in layer.params.values()]
    as_weights = refusal(lambda: model.load_weights(path))
    as_model = refusal(lambda: mc.load(path))
    for word in (str(path), *words):
        assert word in as_weights, as_weights
    if case != "TensorFlow.js":  # JSON may be a model
        assert as_model == as_weights
    assert [p.tobytes() for layer in model.layers for p in layer.params.values()] == before
    assert refusal(lambda: mc.VGG16(False, path, (32, 32, 3))) == as_weights


def test_a_model_of_tensorflow_js_says_what_it_is(file_of):
    path, _ = file_of("TensorFlow.js")
    assert "TensorFlow.js" in refusal(lambda: mc.load(path, weights=path))
    assert "TensorFlow.js" in refusal(lambda: mc.load(path))


def test_folders_say_what_they_are(tmp_path):
    (tmp_path / "saved" / "variables").mkdir(parents=True)
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"x")
    for call in (mc.load, one_conv().load_weights):
        text = refusal(lambda call=call: call(tmp_path / "saved"))
        assert "SavedModel folder" in text and ".keras" in text
        assert "received a folder. Name the model's file." in refusal(
            lambda call=call: call(tmp_path))
    (tmp_path / "model.h5").write_bytes(b"x")
    assert f"Name the model's file in it: {tmp_path / 'model.h5'}." in refusal(
        lambda: mc.load(tmp_path))


@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
def test_keras_files_cut_anywhere_are_called_cut_short(tmp_path, ending):
    model = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Conv2D(2, 3),
                              keras.layers.Flatten(), keras.layers.Dense(2)])
    whole, path = tmp_path / f"whole{ending}", tmp_path / f"x{ending}"
    model.save_weights(whole) if ending == ".weights.h5" else model.save(whole)
    content = whole.read_bytes()
    for part in (60, 1000, len(content) // 2, len(content) - 1000, len(content) - 30):
        path.write_bytes(content[:part])
        text = refusal(lambda: one_conv().load_weights(path))
        assert "is cut short" in text and f"received {part:,} bytes" in text, text
        assert refusal(lambda: mc.load(path)) == text


@pytest.mark.parametrize("libver", ["earliest", "v108", "latest"])
@pytest.mark.parametrize("write", [write_c, write_f])
def test_an_hdf5_file_of_any_version_that_is_cut_short_names_both_sizes(tmp_path, libver, write):
    pair = [("a", [np.ones((9, 9), np.float32), np.ones(9, np.float32)])]
    with h5py.File(tmp_path / "x.h5", "w", libver=libver) as file:
        write(file, pair)
    content = (tmp_path / "x.h5").read_bytes()
    (tmp_path / "x.h5").write_bytes(content[:-100])
    text = refusal(lambda: one_conv().load_weights(tmp_path / "x.h5"))
    assert f"expected the {len(content):,} bytes" in text
    assert f"received {len(content) - 100:,} bytes" in text


def test_a_file_after_a_user_block_is_still_read(tmp_path):
    """As MATLAB writes HDF5: 512 bytes of its own before it."""
    pair = [("a", [np.ones((9, 9), np.float32), np.ones(9, np.float32)])]
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=512) as file:
        write_c(file, pair)
    model = mc.Sequential([mc.Dense(9, name="a")], (9,))
    assert "set 2 arrays" in model.load_weights(tmp_path / "x.h5")


def test_a_checkpoint_of_a_training_is_named(tmp_path):
    from minicnn.training.state_files import write_state

    write_state(tmp_path / "x.h5", {"epoch": 3, "moments": [np.zeros((2, 2), np.float32)]})
    assert "a checkpoint of a training" in refusal(
        lambda: one_conv().load_weights(tmp_path / "x.h5"))
