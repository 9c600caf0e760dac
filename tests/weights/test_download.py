"""A download is whole and right, or absent: whatever the server, the disk and the others do."""

import gc
import hashlib
import http.server
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from makers import contents

from minicnn.utils.errors import FileError
from minicnn.weights import pretrained
from minicnn.weights.pretrained import fetch

# A failed download leaves its socket to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

CONTENT = np.random.default_rng(0).bytes(300_000)
SIZE = len(CONTENT)
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
PAGE = b"<!doctype html><title>Please log in</title>"


class Handler(http.server.BaseHTTPRequestHandler):
    """Each path is one way to answer."""

    def do_GET(self):
        self.server.requests.append(self.path)
        try:
            getattr(self, self.path[1:])()
        except (BrokenPipeError, ConnectionResetError):
            self.server.hung_up.set()  # the client has had enough

    def head(self, status=200, length=SIZE, **headers):
        self.send_response(status)
        if length is not None:
            headers["Content-Length"] = length
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def good(self, content=CONTENT, **answer):
        self.head(**answer)
        self.wfile.write(content)

    def unannounced(self):
        self.good(length=None)

    def cut(self):
        self.good(CONTENT[:SIZE // 2])

    def cut_unannounced(self):
        self.good(CONTENT[:SIZE // 2], length=None)

    def changed(self):
        self.good(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))

    def page(self):
        self.good(PAGE, length=len(PAGE), Content_Type="text/html")

    def page_unannounced(self):
        self.good(PAGE, length=None, Content_Type="text/html")

    def page_as_long_as_the_file(self):
        self.good(PAGE.ljust(SIZE), Content_Type="text/html")

    def absent(self):
        self.good(PAGE, status=404, length=len(PAGE))

    def broken(self):
        self.good(PAGE, status=500, length=len(PAGE))

    def proxy(self):
        self.good(PAGE, status=502, length=len(PAGE), Content_Type="text/html")

    def right_body_of_an_error(self):
        self.good(status=503)

    def announces_more(self):
        self.good(length=SIZE + 1)

    def announces_less(self):
        self.good(length=SIZE - 1)

    def announces_nonsense(self):
        self.good(length="many")

    def hides_a_byte_more(self):
        self.good(CONTENT + b"x", length=None)

    def endless(self, **answer):
        self.head(length=None, **answer)
        while not self.server.over.is_set():
            self.wfile.write(bytes(1 << 16))
            self.server.sent += 1 << 16

    def redirect(self):  # 127.0.0.1 and localhost are two hosts
        self.head(302, 0, Location=f"http://localhost:{self.server.server_port}/good")

    def redirect_to_a_page(self):
        self.head(302, 0, Location=f"http://localhost:{self.server.server_port}/page")

    def redirect_to_a_file(self):
        self.head(302, 0, Location=f"file://{self.server.secret}")

    def redirect_for_ever(self):
        self.head(302, 0, Location="/redirect_for_ever")

    def redirect_with_an_endless_body(self):
        self.endless(status=302, Location="/good")

    def silent(self):
        self.server.over.wait(60)

    def silent_in_the_middle(self):
        self.good(CONTENT[:1000])
        self.server.over.wait(60)

    def trickle(self, begin="HTTP/1.0 200 OK\r\n\r\n"):
        self.wfile.write(begin.encode())
        while not self.server.over.wait(0.05):
            self.wfile.write(b"x")

    def trickle_of_headers(self):
        self.trickle("HTTP/1.0 200 OK\r\nX-Name: ")

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests, server.sent, server.secret = [], 0, tmp_path / "secret"
        server.over, server.hung_up = threading.Event(), threading.Event()
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()
    gc.collect()  # here, and not in somebody else's test


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("MINICNN_CACHE", str(folder))
    return folder


def assert_refused(url, cache, *words, known_hash=MD5):
    with pytest.raises(FileError) as caught:
        fetch(url, known_hash, "x.h5", SIZE)
    sentence = str(caught.value)
    for part in ("x.h5: could not be downloaded (", url, "300,000 bytes", known_hash, str(cache),
                 "by hand.", *words):
        assert part in sentence, sentence
    assert sentence.isprintable()


# What is right


@pytest.mark.parametrize("path", ["good", "unannounced", "redirect"])
@pytest.mark.parametrize("known_hash", [MD5, SHA256])
def test_a_download_happens_once_and_silently(server, cache, capfd, path, known_hash):
    for _ in range(3):
        received = fetch(f"{server.url}/{path}", known_hash, "x.h5", SIZE)
        assert received == cache / "x.h5"
    assert server.requests == ["/" + path] + ["/good"] * (path == "redirect")
    assert contents(cache) == {"x.h5": CONTENT}
    assert capfd.readouterr() == ("", "")


def test_a_progress_bar_is_shown_only_when_asked_for(server, cache, capfd):
    fetch(f"{server.url}/good", MD5, "x.h5", SIZE, progressbar=True)
    assert "300k" in capfd.readouterr().err


def test_a_file_put_there_by_hand_is_checked_and_used(server, cache):
    cache.mkdir()
    (cache / "x.h5").write_bytes(CONTENT)
    assert fetch(f"{server.url}/good", MD5, "x.h5", SIZE).read_bytes() == CONTENT
    assert server.requests == []


@pytest.mark.parametrize("bad", [b"", CONTENT[:1000], CONTENT[::-1], CONTENT + b"x", PAGE])
def test_a_bad_file_in_the_cache_is_not_used_and_a_good_one_takes_its_place(server, cache, bad):
    cache.mkdir()
    (cache / "x.h5").write_bytes(bad)
    assert_refused(f"{server.url}/cut", cache)
    assert contents(cache) == {"x.h5": bad}  # nobody's file is deleted
    assert fetch(f"{server.url}/good", MD5, "x.h5", SIZE).read_bytes() == CONTENT
    assert contents(cache) == {"x.h5": CONTENT}


# What a server, or one that answers in its place, can do


REFUSED = {
    "changed": "its MD5 is ",
    "page_as_long_as_the_file": "its MD5 is ",
    "cut": "the connection ended after 150,000 bytes",
    "cut_unannounced": "the connection ended after 150,000 bytes",
    "page": "the server has 43 bytes there",
    "page_unannounced": "the connection ended after 43 bytes",
    "absent": "the server's status is 404",
    "broken": "the server's status is 500",
    "proxy": "the server's status is 502",
    "right_body_of_an_error": "the server's status is 503",
    "announces_more": "the server has 300,001 bytes there",
    "announces_less": "the server has 299,999 bytes there",
    "announces_nonsense": "'many'",
    "hides_a_byte_more": "the server sends more bytes than that",
    "redirect_to_a_page": "the server has 43 bytes there",
    "redirect_to_a_file": "InvalidSchema",
    "redirect_for_ever": "TooManyRedirects",
}


@pytest.mark.parametrize("path", REFUSED)
def test_a_wrong_answer_is_refused_and_leaves_nothing(server, cache, path):
    server.secret.write_bytes(CONTENT)
    assert_refused(f"{server.url}/{path}", cache, REFUSED[path])
    assert contents(cache) == {}


def test_a_wrong_hash_is_refused_and_leaves_nothing(server, cache):
    assert_refused(f"{server.url}/good", cache, f"its MD5 is {MD5[4:]}",
                   known_hash="md5:" + "0" * 32)
    assert contents(cache) == {}


def test_an_endless_body_is_cut_where_the_file_should_end(server, cache, monkeypatch):
    written = []
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda draft, **options: (
        written.append(draft.stat().st_size), unlink(draft, **options)))
    assert_refused(f"{server.url}/endless", cache, "the server sends more bytes than that")
    assert SIZE < written[0] <= SIZE + (1 << 16) and contents(cache) == {}
    assert server.hung_up.wait(30)  # the connection is closed, too


def test_an_endless_body_of_a_redirection_is_not_read(server, cache):
    url = f"{server.url}/redirect_with_an_endless_body"
    assert fetch(url, MD5, "x.h5", SIZE).read_bytes() == CONTENT
    assert server.hung_up.wait(30) and server.sent < 1 << 25  # what the system's buffers hold


@pytest.mark.parametrize(("path", "reason"), [
    ("silent", "Timeout"), ("silent_in_the_middle", "Timeout"),
    ("trickle", "not complete after 1 s"), ("trickle_of_headers", "no response within 1 s")])
def test_a_slow_server_is_given_up_within_the_stated_time(server, cache, monkeypatch, path, reason):
    monkeypatch.setattr(pretrained, "MAX_SILENCE", 0.5)
    monkeypatch.setattr(pretrained, "MIN_SPEED", SIZE / 0.5)  # 0.5 s for the file
    begin = time.monotonic()
    assert_refused(f"{server.url}/{path}", cache, reason)
    assert time.monotonic() - begin < 30  # and not never
    assert contents(cache) == {}


def test_the_stated_time_is_30_seconds_of_silence_and_50_kilobytes_a_second():
    assert (pretrained.MAX_SILENCE, pretrained.MIN_SPEED) == (30, 50_000)
    assert "30 s of silence" in fetch.__doc__ and "50 kB/s" in fetch.__doc__


def test_offline_says_what_to_fetch_and_where_to_put_it(server, cache):
    server.server_close()  # nobody listens there any more
    assert_refused(f"{server.url}/good", cache, "ConnectionError")
    assert contents(cache) == {}


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x.h5", "x.h5", "http://"])
def test_only_http_and_https_are_asked(cache, url):
    assert_refused(url, cache)
    assert contents(cache) == {}


# What the disk can do


def test_a_cache_that_is_no_folder_is_refused(server, cache):
    cache.write_bytes(b"mine")
    assert_refused(f"{server.url}/good", cache, "File exists")
    assert cache.read_bytes() == b"mine"


def test_a_folder_with_the_files_name_is_refused_and_kept(server, cache):
    (cache / "x.h5").mkdir(parents=True)
    assert_refused(f"{server.url}/good", cache, "Is a directory")
    assert [path.name for path in cache.iterdir()] == ["x.h5"]


@pytest.fixture
def as_nobody():
    """Not root, whom no rights stop; with a folder that is there for all."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        if root:
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)


def test_a_read_only_cache_is_refused_but_what_it_holds_is_used(server, as_nobody, monkeypatch):
    cache = as_nobody / "cache"
    monkeypatch.setenv("MINICNN_CACHE", str(cache))
    cache.mkdir()
    (cache / "y.h5").write_bytes(CONTENT)
    cache.chmod(0o555)
    assert_refused(f"{server.url}/good", cache, "Permission denied")
    assert contents(cache) == {"y.h5": CONTENT}
    assert fetch(f"{server.url}/good", MD5, "y.h5", SIZE) == cache / "y.h5"
    cache.chmod(0o000)  # not even a look
    assert_refused(f"{server.url}/good", cache, "Permission denied")
    cache.chmod(0o755)


FETCH = """
import sys
from minicnn.weights.pretrained import fetch
url, known_hash, size, rounds = sys.argv[1:]
for _ in range(int(rounds)):
    assert len(fetch(url, known_hash, "x.h5", int(size)).read_bytes()) == int(size)
"""


def child(server, before="", path="good", rounds=1):
    return subprocess.Popen([sys.executable, "-c", before + FETCH, f"{server.url}/{path}", MD5,
                             str(SIZE), str(rounds)], stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("room", [0, 1, 65_536, SIZE - 1])
def test_a_disk_that_fills_up_leaves_nothing_and_is_named(server, cache, room):
    full = (f"import resource, minicnn, pooch, requests\n"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, resource.RLIM_INFINITY))")
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    process = child(server, full)
    error = process.communicate()[1]
    assert process.returncode == 1 and "x.h5: could not be downloaded (File too large)" in error
    assert contents(cache) == {}


# What others do at the same time


def test_downloads_at_once_end_with_the_right_file_and_none_sees_half_of_one(server, cache):
    children = [child(server, rounds=20) for _ in range(3)]
    while any(process.poll() is None for process in children):
        path = cache / "x.h5"
        assert not path.exists() or path.read_bytes() == CONTENT
        time.sleep(0.001)
    assert [process.communicate()[1] for process in children] == [""] * 3
    assert contents(cache) == {"x.h5": CONTENT}


def test_a_download_that_is_killed_leaves_no_file_of_that_name(server, cache):
    process = child(server, path="silent_in_the_middle")
    while not cache.exists() or not list(cache.iterdir()):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (cache / "x.h5").exists()
    assert fetch(f"{server.url}/good", MD5, "x.h5", SIZE).read_bytes() == CONTENT
