"""The shipped base is VGG16, and a download is whole or absent."""

import gc
import hashlib
import http.server
import logging
import subprocess
import sys
import threading

import h5py
import numpy as np
import pooch
import pytest

from minicnn.cache import cache_folder
from minicnn.errors import FileError
from minicnn.layers import Conv2D
from minicnn.weights import assign, make_base, pretrained, read_weights, vgg16_base, vgg16_full
from minicnn.weights.pretrained import fetch

# pooch leaves the socket of a failed download to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

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


# Downloads, from a server of our own

CONTENT = np.random.default_rng(0).bytes(300_000)
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        if self.path == "/absent":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:len(CONTENT) // 2 if self.path == "/cut" else None])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = 0
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    gc.collect()  # here, and not in somebody else's test


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("MINICNN_CACHE", str(folder))
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*")}


def test_a_download_happens_once_and_silently(server, cache, capfd):
    records, handler = [], logging.Handler()
    handler.emit = records.append
    pooch.get_logger().addHandler(handler)
    for _ in range(3):
        path = fetch(f"{server.url}/good", MD5, "x.h5", len(CONTENT))
        assert path == cache / "x.h5" and path.read_bytes() == CONTENT
    assert server.requests == 1 and contents(cache) == {"x.h5": CONTENT}
    pooch.get_logger().removeHandler(handler)
    assert capfd.readouterr() == ("", "") and records == []


def test_a_progress_bar_is_shown_only_when_asked_for(server, cache, capfd):
    fetch(f"{server.url}/good", MD5, "x.h5", len(CONTENT), progressbar=True)
    assert "300k" in capfd.readouterr().err


def assert_refused(url, cache, known_hash=MD5):
    with pytest.raises(FileError) as caught:
        fetch(url, known_hash, "x.h5", 300_000)
    sentence = str(caught.value)
    for part in ("x.h5", url, "300,000 bytes", known_hash, str(cache), "by hand"):
        assert part in sentence
    assert "\n" not in sentence


def test_a_file_with_a_wrong_hash_is_refused_and_not_kept(server, cache):
    assert_refused(f"{server.url}/good", cache, "md5:" + "0" * 32)
    assert contents(cache) == {}


@pytest.mark.parametrize("path", ["cut", "absent"])
def test_a_cut_connection_or_an_error_leaves_nothing(server, cache, path):
    assert_refused(f"{server.url}/{path}", cache)
    assert contents(cache) == {}


def test_offline_says_what_to_fetch_and_where_to_put_it(server, cache):
    server.server_close()  # nobody listens there any more
    assert_refused(f"{server.url}/good", cache)
    assert contents(cache) == {}


def test_a_file_put_there_by_hand_is_checked_and_used(server, cache):
    cache.mkdir()
    (cache / "x.h5").write_bytes(CONTENT)
    assert fetch(f"{server.url}/good", MD5, "x.h5", 300_000).read_bytes() == CONTENT
    assert server.requests == 0
    (cache / "x.h5").write_bytes(CONTENT[:1000])  # half a file: fetched again
    assert_refused(f"{server.url}/cut", cache)
    assert fetch(f"{server.url}/good", MD5, "x.h5", 300_000).read_bytes() == CONTENT
    assert server.requests == 2 and contents(cache) == {"x.h5": CONTENT}


def test_a_cache_that_is_no_folder_is_refused(server, cache):
    cache.write_bytes(b"")
    assert_refused(f"{server.url}/good", cache)


def test_the_cache_is_the_systems_unless_moved(cache, monkeypatch):
    assert cache_folder() == cache
    monkeypatch.delenv("MINICNN_CACHE")
    assert cache_folder() == pooch.os_cache("minicnn")


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
