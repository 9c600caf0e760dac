"""VGG16's weights: the base inside the package, the full network from Keras' server."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.cache import cache_folder
from ..utils.errors import FileError
from ..utils.files import atomic_write

if TYPE_CHECKING:
    import requests

# K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
# ICLR 2015; CC BY 4.0. Made by make_base.py.
BASE = Path(__file__).with_name("vgg16_base.h5")
BASE_SHA256 = "54aca01ae482456a3b292b50881cc68d057a01d0f4c06d21dd162f4eefb07cab"

FULL = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
FULL_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg16/{FULL}"
FULL_MD5 = "64373286793e3c8b2b4e3219cbf3544b"
FULL_BYTES = 553_467_096

MAX_SILENCE, MIN_SPEED = 30, 50_000  # seconds between two bytes; bytes per second on average


def vgg16_base() -> Path:
    """The 13 convolutions of VGG16, float16, inside the package.

    Raises FileError if the file is missing or has been changed.
    """
    import hashlib

    expected, received = BASE_SHA256, "no file"
    if BASE.is_file():
        received = hashlib.sha256(BASE.read_bytes()).hexdigest()
    if received != expected:
        raise FileError(f"{BASE}: expected the SHA-256 {expected}, received {received}; install "
                        f"minicnn again.")
    return BASE


def vgg16_full(progressbar: bool = False) -> Path:
    """Keras' official file of all 16 layers (553 MB), downloaded once and checked every time.

    It is stored in the folder MINICNN_CACHE, else in the user's cache; a file put there by hand is
    used, too. Raises FileError, which says what to download and where to put it.
    """
    return fetch(FULL_URL, f"md5:{FULL_MD5}", FULL, FULL_BYTES, progressbar)


def fetch(url: str, known_hash: str, filename: str, size: int, progressbar: bool = False) -> Path:
    """A file in the cache, downloaded if it is missing or has another hash.

    known_hash: "md5:…" or "sha256:…". size: bytes; a longer download is stopped.
    The download is written to a partial file, which becomes the file only if its hash is right, so
    that the server, its redirections (to http and https only) and its headers need not be trusted.
    It is stopped after 30 s of silence, or if it is slower than 50 kB/s on average.
    Raises FileError.
    """
    import pooch
    import urllib3

    folder = cache_folder()
    path = folder / filename
    algorithm, _, digest = known_hash.partition(":")
    try:
        if path.is_file() and pooch.file_hash(path, algorithm) == digest:
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as partial:
            _download(url, partial, size, progressbar)
            received = pooch.file_hash(partial, algorithm)
            if received != digest:
                raise ValueError(f"its {algorithm.upper()} is {received}")
        return path
    except (FileError, OSError, ValueError, urllib3.exceptions.HTTPError) as error:
        cause = error.__cause__ if isinstance(error, FileError) else error
        reason = (getattr(cause, "strerror", None)
                  or (str(cause) if type(cause) in (ValueError, TimeoutError) else "")
                  or type(cause).__name__)  # requests' own messages are long
        raise FileError(f"{filename}: could not be downloaded ({reason}); it needs {url}, "
                        f"{size:,} bytes, {known_hash}. Without a connection, put that file into "
                        f"{folder} by hand.") from error


def _download(url: str, partial: Path, size: int, progressbar: bool) -> None:
    """Writes the body of a server's response, `size` bytes and no more, in a bounded time."""
    from tqdm import tqdm

    limit = MAX_SILENCE + size / MIN_SPEED
    end = time.monotonic() + limit
    with closing(_get(url, limit)) as response, partial.open("wb") as file, tqdm(
            total=size, unit="B", unit_scale=True, disable=not progressbar) as bar:
        announced = int(response.headers.get("Content-Length", size))
        if response.status_code != 200:
            raise ValueError(f"the server's status is {response.status_code}")
        if announced != size:
            raise ValueError(f"the server has {announced:,} bytes there")
        response.raw.enforce_content_length = False  # the size is known here, announced or not
        while piece := response.raw.read1(1 << 16):  # what has arrived, without waiting for more
            file.write(piece)
            bar.update(len(piece))
            if file.tell() > size:
                raise ValueError("the server sends more bytes than that")
            if time.monotonic() > end:
                raise TimeoutError(f"not complete after {limit:,.0f} s")
        if file.tell() < size:
            raise ValueError(f"the connection ended after {file.tell():,} bytes")


def _get(url: str, limit: float) -> requests.Response:
    """The response to a GET, its body not read yet.

    The request runs in a thread, because a socket's timeout is one between bytes: looking up a
    name, headers and redirections could take longer than `limit` seconds."""
    import requests

    def send() -> None:
        try:
            results.put(requests.get(url, stream=True, timeout=MAX_SILENCE,
                                     hooks={"response": drop_body},
                                     headers={"Accept-Encoding": "identity"}))
        except Exception as error:  # raised again in the thread that waits
            results.put(error)

    def drop_body(response: requests.Response, **_: object) -> None:
        if response.is_redirect:
            response.raw.close()  # requests reads all of a redirection's body, however long

    results: queue.SimpleQueue[requests.Response | Exception] = queue.SimpleQueue()
    threading.Thread(target=send, daemon=True).start()
    try:
        result = results.get(timeout=limit)
    except queue.Empty:
        raise TimeoutError(f"no response within {limit:,.0f} s") from None
    if isinstance(result, Exception):
        raise result
    return result
