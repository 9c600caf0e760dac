"""VGG16's weights: the base inside the package, the full network from Keras' server."""

from __future__ import annotations

from pathlib import Path

from ..cache import cache_folder
from ..errors import FileError

# K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
# ICLR 2015; CC BY 4.0. Made by make_base.py.
BASE = Path(__file__).with_name("vgg16_base.h5")
BASE_SHA256 = "54aca01ae482456a3b292b50881cc68d057a01d0f4c06d21dd162f4eefb07cab"

FULL = "vgg16_weights_tf_dim_ordering_tf_kernels.h5"
FULL_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg16/{FULL}"
FULL_MD5 = "64373286793e3c8b2b4e3219cbf3544b"
FULL_BYTES = 553_467_096


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

    known_hash: "md5:…" or "sha256:…". size: bytes, for the sentence.
    The download goes to a temporary file that takes its place only once its hash is right.
    Raises FileError.
    """
    import logging

    import pooch

    folder = cache_folder()
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # a library does not print; the error below says it all
    try:
        return Path(pooch.retrieve(url, known_hash, fname=filename, path=folder,
                                   progressbar=progressbar))
    except (OSError, ValueError) as error:  # requests' are OSErrors, a wrong hash is a ValueError
        reason = getattr(error, "strerror", None) or (
            error if isinstance(error, ValueError) else type(error).__name__)
        raise FileError(f"{filename}: could not be fetched ({reason}); it needs {url}, {size:,} "
                        f"bytes, {known_hash}. Without a connection, put that file into {folder} "
                        f"by hand.") from error
    finally:
        logger.setLevel(level)
