"""The shipped base is VGG16."""

import hashlib
import subprocess
import sys

import h5py
import numpy as np
import pooch
import pytest

from minicnn.layers import Conv2D
from minicnn.utils.cache import cache_folder
from minicnn.utils.errors import FileError
from minicnn.weights import assign, make_base, pretrained, read_weights, vgg16_base, vgg16_full

# The base

def test_the_base_is_vgg16_without_top():
    entries = read_weights(vgg16_base())
    sizes = {1: [3, 64, 64], 2: [64, 128, 128], 3: [128] + [256] * 3, 4: [256] + [512] * 3,
             5: [512] * 4}
    expected = [(f"block{b}_conv{k}", [(3, 3, C, F), (F,)]) for b, n in sizes.items()
                for k, (C, F) in enumerate(zip(n[:-1], n[1:], strict=True), 1)]
    assert [(name, [a.shape for a in arrays]) for name, arrays in entries] == expected
    assert sum(a.size for _, arrays in entries for a in arrays) == 14_714_688
    assert all(a.dtype == np.float32 and np.isfinite(a).all() for _, p in entries for a in p)


def test_the_base_has_vgg16s_fingerprint_within_float16():
    W = read_weights(vgg16_base())[0][1][0]
    published = [[0.42947057, 0.11727387, 0.03401296], [0.55037946, 0.02087744, 0.09883115],
                 [0.4800154, -0.17269668, 0.03755771]]
    np.testing.assert_allclose(W[0, 0, :, :3], published, rtol=2**-11)


def test_the_base_goes_into_layers_by_name():
    layers = [Conv2D(64, 3, padding="same", name="block1_conv1"),
              Conv2D(64, 3, padding="same", name="block1_conv2")]
    sentence = assign(layers, (8, 8, 3), read_weights(vgg16_base()), vgg16_base())
    assert sentence.startswith("vgg16_base.h5: set 4 arrays, 38,720 parameters; skipped: block2_")


def test_the_base_tells_its_source_and_licence():
    with h5py.File(vgg16_base()) as file:
        assert b"6cab8b1d95d0" in file.attrs["source"]
        assert b"Simonyan" in file.attrs["licence"] and b"CC BY 4.0" in file.attrs["licence"]
        assert len(file.attrs["layer_names"]) == 19


def test_a_changed_or_missing_base_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "BASE", tmp_path / "vgg16_base.h5")
    with pytest.raises(FileError, match="received no file; install minicnn again"):
        vgg16_base()
    (tmp_path / "vgg16_base.h5").write_bytes(b"something else")
    with pytest.raises(FileError, match="expected the SHA-256 .* received"):
        vgg16_base()


def test_making_the_base_twice_gives_the_same_bytes(write_keras1, rng, tmp_path, monkeypatch):
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 3, 3, 8), (8,))]
    source = write_keras1({"input_1": [], "c": arrays})
    with pytest.raises(FileError, match="expected VGG16's weights without top, SHA-256 6cab8b1d"):
        make_base.make_base(source, tmp_path / "one.h5")
    with pytest.raises(FileError, match="found no file"):
        make_base.make_base(tmp_path / "none.h5")
    assert not (tmp_path / "one.h5").exists()
    monkeypatch.setattr(make_base, "SOURCE_SHA256", hashlib.sha256(source.read_bytes()).hexdigest())
    digests = {make_base.make_base(source, tmp_path / name) for name in ("one.h5", "two.h5")}
    assert digests == {hashlib.sha256((tmp_path / "one.h5").read_bytes()).hexdigest()}
    [(name, received)] = read_weights(tmp_path / "one.h5")
    assert name == "c"
    for a, b in zip(received, arrays, strict=True):
        np.testing.assert_allclose(a, b, rtol=2**-11, atol=2**-25)


# Where downloads go: test_download.py has the rest

def test_the_cache_is_the_systems_unless_moved(tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("MINICNN_CACHE")
    assert cache_folder() == pooch.os_cache("minicnn")


def test_a_cache_folder_that_is_named_needs_no_search_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "platformdirs", None)  # as if it were not installed
    assert cache_folder() == tmp_path


def test_the_import_waits_for_neither_h5py_nor_pooch():
    code = "import sys, minicnn.weights; sys.exit(bool({'h5py', 'pooch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_full_network_asks_for_keras_official_file(monkeypatch):
    asked = []
    monkeypatch.setattr(pretrained, "fetch", lambda *args: asked.append(args))
    vgg16_full(progressbar=True)
    name = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
    assert asked == [(f"https://storage.googleapis.com/tensorflow/keras-applications/vgg16/{name}",
                      "md5:64373286793e3c8b2b4e3219cbf3544b", name, 553_467_096, True)]
