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

SILENCE, SLOWEST = 30, 50_000  # seconds between two bytes, bytes a second on the average


def vgg16_base() -> Path:
    """The 13 convolutions of VGG16, float16, inside the package.

    Raises FileError where the file is missing or not the one that was shipped.
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

    It is kept in the folder MINICNN_CACHE says, else in the user's cache; a file put there by hand
    is taken too. Raises FileError saying what to fetch and where to put it.
    """
    return fetch(FULL_URL, f"md5:{FULL_MD5}", FULL, FULL_BYTES, progressbar)


def fetch(url: str, known_hash: str, filename: str, size: int, progressbar: bool = False) -> Path:
    """A file of the cache, downloaded where it is not there or not the right one.

    known_hash: "md5:…" or "sha256:…". size: bytes; a download ends at the first one too many.
    The download goes to a draft that takes its place only once its hash is right, so that the
    server, its redirections (to http and https only) and its headers need no trust.
    It ends after 30 s of silence, and where it is slower than 50 kB/s over the whole of the file.
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
        with atomic_write(path) as draft:
            _download(url, draft, size, progressbar)
            received = pooch.file_hash(draft, algorithm)
            if received != digest:
                raise ValueError(f"its {algorithm.upper()} is {received}")
        return path
    except (FileError, OSError, ValueError, urllib3.exceptions.HTTPError) as problem:
        cause = problem.__cause__ if isinstance(problem, FileError) else problem
        known = (getattr(cause, "strerror", None)
                 or (str(cause) if type(cause) in (ValueError, TimeoutError) else "")
                 or type(cause).__name__)  # requests' own sentences are long
        raise FileError(f"{filename}: could not be fetched ({known}); it needs {url}, {size:,} "
                        f"bytes, {known_hash}. Without a connection, put that file into {folder} "
                        f"by hand.") from problem


def _download(url: str, draft: Path, size: int, progressbar: bool) -> None:
    """Writes the body of a server's answer, `size` bytes and no more, in a bounded time."""
    from tqdm import tqdm

    limit = SILENCE + size / SLOWEST
    end = time.monotonic() + limit
    with closing(_answer(url, limit)) as answer, open(draft, "wb") as file, tqdm(
            total=size, unit="B", unit_scale=True, disable=not progressbar) as bar:
        announced = int(answer.headers.get("Content-Length", size))
        if answer.status_code != 200:
            raise ValueError(f"the server's answer is {answer.status_code}")
        if announced != size:
            raise ValueError(f"the server has {announced:,} bytes there")
        answer.raw.enforce_content_length = False  # the size is known here, announced or not
        while piece := answer.raw.read1(1 << 16):  # what has come, without waiting for more
            file.write(piece)
            bar.update(len(piece))
            if file.tell() > size:
                raise ValueError("the server sends more bytes than that")
            if time.monotonic() > end:
                raise TimeoutError(f"not whole after {limit:,.0f} s")
        if file.tell() < size:
            raise ValueError(f"the connection ended after {file.tell():,} bytes")


def _answer(url: str, limit: float) -> requests.Response:
    """The answer to a GET, its body not read. It is asked for in a thread, because a timeout of
    sockets is one between bytes: looking up a name, headers and redirections could go on."""
    import requests

    def ask() -> None:
        try:
            answers.put(requests.get(url, stream=True, timeout=SILENCE, hooks={"response": drop},
                                     headers={"Accept-Encoding": "identity"}))
        except Exception as problem:  # whatever it is, it belongs to the thread that waits
            answers.put(problem)

    def drop(answer: requests.Response, **_: object) -> None:
        if answer.is_redirect:
            answer.raw.close()  # requests reads the whole body of a redirection, however long

    answers = queue.SimpleQueue()
    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=limit)
    except queue.Empty:
        raise TimeoutError(f"no answer within {limit:,.0f} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer
