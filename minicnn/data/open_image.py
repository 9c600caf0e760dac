"""An image file, opened: its format, its size, and what it may cost, before a pixel is decoded.

A photo may come from anywhere, so it may be hostile: a few bytes that unpack to gigabytes, a JPEG
of ten thousand scans, a TIFF whose tags all point to the same megabyte. Each is refused with one
FileError. A photo that is only large (a phone's 200 megapixels, a poster scanned) is read at a
reduced size.
"""

from __future__ import annotations

import io
import logging
import re
import stat
import struct
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..utils.errors import FileError
from .file_kinds import RAW, OtherKindError, kind_of, read_head

if TYPE_CHECKING:  # functions import Pillow when called: `import minicnn` stays fast
    from PIL.ImageFile import ImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.TiffImagePlugin import TiffImageFile

# The only formats that Pillow may try: it would pass an EPS to Ghostscript, which would run it.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # and AVIF, HEIF: readable_formats
# A photo of more pixels is read at 1/2, 1/3, … of its width and height; JPEG at 1/2, 1/4, 1/8.
FULL_SIZE_PIXELS = 1 << 25
# Bytes that decoding one photo may take, beside those of its file. The most by far are taken by a
# progressive JPEG of 200 megapixels (700 MB), a WebP of 50 (850 MB), PNG and TIFF of 89 (450 MB);
# other JPEGs take at most 250 MB.
MAX_MEMORY = 900_000_000
# Of the decoded pixels; the decoders of WebP, AVIF and HEIF hold several copies (measured).
BYTES_PER_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 4, "I;16B": 4, "I;16L": 4, "I": 8, "F": 8}
BYTES_PER_PIXEL_OF_FORMAT = {"WEBP": 16, "AVIF": 10, "HEIF": 10}
# A file whose pixels, decoded, take more bytes than ALWAYS_ALLOWED_BYTES and whose file is too
# small to hold them was made to exhaust the memory, and so was one with more EXIF than JPEG allows.
ALWAYS_ALLOWED_BYTES, PIXELS_PER_BYTE = 1 << 26, 256
DEFLATE_RATIO = 1032  # at most, of zlib, and so of PNG (RFC 1951: 258 bytes from 2 bits)
FAX_COMPRESSIONS = ("group3", "group4", "tiff_ccitt")  # of TIFF (ITU-T T.4 and T.6)
MAX_SECONDS = 5  # of computing, checked whenever Pillow reads: a large photo needs 2
START_OF_SCAN = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e]")
MAX_SCANS = 100  # of a JPEG: about ten are usual
NO_LOG = logging.NullHandler()  # for what Pillow logs about a damaged image
SUBFILE_TYPE, SUB_IFDS = 254, 330  # tags of TIFF 6.0 and of its supplement 1


def printable(name: str | PathLike) -> str:
    """A name as one printable line: line breaks, control characters and invalid bytes escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(name))


@lru_cache(maxsize=1)
def readable_formats() -> tuple[str, ...]:
    """FORMATS, and with them AVIF if Pillow reads it (11.3 or newer), and HEIF if pillow-heif, the
    extra `heic`, is installed."""
    from PIL import Image, features

    formats: tuple[str, ...] = FORMATS
    Image.init()
    if "AVIF" in Image.OPEN and features.check("avif"):
        formats += ("AVIF",)
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return formats
    register_heif_opener()
    return (*formats, "HEIF")


class BoundedFile(io.BufferedReader):
    """A file that may be hostile. Pillow reads most images once; a TIFF whose 60,000 tags all point
    to the same megabyte would be read endlessly."""

    def __init__(self, path: str | PathLike, size: int) -> None:
        super().__init__(io.FileIO(path))
        self.bytes_left = 4 * size + (1 << 20)
        self.deadline = time.thread_time() + MAX_SECONDS

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file's; raises OSError beyond the bounds."""
        data = super().read(size)
        self.bytes_left -= len(data)
        if self.bytes_left < 0 or time.thread_time() > self.deadline:
            raise OSError("it takes far more work than a photo of its size")
        return data


def check_scans(image: ImageFile) -> None:
    """Raises OSError for a JPEG of too many scans: each goes over all pixels, and takes as little
    as 10 bytes of the file (ITU-T T.81, B.2.3).

    The marker is followed by a length for 1 to 4 components: the data of a scan never contain it.
    """
    file = image.fp
    if image.format in ("JPEG", "MPO") and file is not None:
        file.seek(0)
        blocks = iter(lambda: file.read(1 << 20), b"")
        if sum(len(START_OF_SCAN.findall(block)) for block in blocks) > MAX_SCANS:
            raise OSError(f"a JPEG of more than {MAX_SCANS} scans takes far more work than a photo")


@contextmanager
def open_image(path: str | PathLike) -> Iterator[ImageFile]:
    """The image with its header read; whatever goes wrong with it becomes one FileError."""
    from PIL import Image, UnidentifiedImageError

    # Permanently, since warnings cannot be caught in threads: what Pillow warns about is refused
    # here, or harmless.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").addHandler(NO_LOG)
    name, formats, head = printable(path), readable_formats(), b""
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise OSError("a folder, a pipe or a device")
        head = read_head(path)
        _check_file_size(name, status.st_size)
        # Opened here, because Pillow maps grey TIFFs into memory if it is given a path, and then
        # gets the rows of rotated ones wrong.
        with (BoundedFile(path, status.st_size) as file,
              _identify(file, head, formats) as image):
            _check_pixels(name, image, head, status.st_size)
            yield image
    except FileNotFoundError as error:
        raise FileError(f"{name}: expected a photo, found no such file; check "
                        f"the path, or put it back where it was.") from error
    except UnidentifiedImageError as error:
        kind = kind_of(head, formats)
        raise OtherKindError(f"{name}: expected an image file ({', '.join(formats)}), received "
                             f"{kind.singular}; {kind.advice}.", kind) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FileError(f"{name}: expected a photo of at most {Image.MAX_IMAGE_PIXELS} pixels, "
                        f"received a larger one ({error}); scale it down.") from error
    except FileError:
        raise
    except Exception as error:  # a damaged file raises almost anything inside Pillow's decoders
        reason = printable(str(getattr(error, "strerror", None) or error))
        raise FileError(f"{name}: expected a readable photo, received {type(error).__name__} "
                        f"({reason}); save it again as JPEG or PNG.") from error


def _identify(file: BoundedFile, head: bytes, formats: tuple[str, ...]) -> ImageFile:
    """The image of a file, by its content. Raises UnidentifiedImageError, and OtherKindError for a
    RAW camera file, whose only plain TIFF is a thumbnail."""
    from PIL import Image, UnidentifiedImageError
    from PIL.JpegImagePlugin import JpegImageFile

    if head[:3] == b"\xff\xd8\xff":  # Image.open refuses 200 megapixels, whatever is decoded
        try:
            return JpegImageFile(file)
        except (SyntaxError, IndexError, TypeError, struct.error) as error:
            raise UnidentifiedImageError from error
    image = Image.open(file, formats=formats)
    if image.format == "TIFF":
        tags = cast("TiffImageFile", image).tag_v2
        is_thumbnail = tags.get(SUBFILE_TYPE) == 1 and SUB_IFDS in tags
        if is_thumbnail or head[8:11] == b"CR\2":  # Canon's mark
            image.close()
            raise OtherKindError(f"{printable(file.name)}: expected an image file "
                                 f"({', '.join(formats)}), received {RAW.singular}; "
                                 f"{RAW.advice}.", RAW)
    return image


def _check_file_size(name: str, size: int) -> None:
    """Raises FileError for a file larger than any photo."""
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and size > 8 * max(limit, 1 << 24):  # 16 bits of four channels
        raise FileError(f"{name}: expected a photo of at most {limit} pixels, received a larger "
                        f"one ({size} bytes); scale it down.")


def _check_pixels(name: str, image: ImageFile, head: bytes, size: int) -> None:
    """Raises FileError for an image of too many pixels, or of more than a file of `size` bytes
    holds, or that needs more than MAX_MEMORY.

    Pillow's MAX_IMAGE_PIXELS means a quarter of a gigabyte in 3 bytes a pixel. Images of one byte a
    pixel may have twice as many, and JPEGs, which are decoded at a reduced size, three times; None
    lifts all bounds but that of the memory.
    """
    from PIL import Image

    pixels, limit = image.width * image.height, Image.MAX_IMAGE_PIXELS
    one_byte = BYTES_PER_PIXEL.get(image.mode) == 1
    if limit is not None:
        allowed = limit * (3 if image.format == "JPEG" else 2 if one_byte else 1)
        in_file = (ALWAYS_ALLOWED_BYTES // (1 if one_byte else 4) + _pixels_per_byte(image, head)
                   * size)
        if pixels > min(allowed, in_file):
            raise FileError(f"{name}: expected a photo of at most {min(allowed, in_file)} pixels, "
                            f"received a larger one ({image.width} × {image.height} pixels in "
                            f"{size} bytes); scale it down.")
    needed = _memory(image)
    if needed > MAX_MEMORY:
        raise FileError(f"{name}: expected a photo that takes at most {MAX_MEMORY // 10**6} MB to "
                        f"decode, received one of {image.width} × {image.height} pixels, which "
                        f"takes {needed // 10**6} MB; scale it down.")


def _pixels_per_byte(image: ImageFile, head: bytes) -> int:
    """How many pixels one byte of the file can hold: of a JPEG 256, one bit each for the two
    numbers of a block of 8 × 8; of a PNG as many as deflate's ratio allows; of a fax, where a white
    row is one bit, a million."""
    if image.info.get("compression") in FAX_COMPRESSIONS:
        return 1 << 20
    if image.format != "PNG":
        return PIXELS_PER_BYTE
    depth, colour_type = head[24], head[25]  # of IHDR, the first chunk (PNG, section 11.2.2)
    channels = {2: 3, 4: 2, 6: 4}.get(colour_type, 1)
    return 8 * DEFLATE_RATIO // max(depth * channels, 1)


def reduction(image: ImageFile) -> int:
    """The factor by which width and height are reduced, so that FULL_SIZE_PIXELS are left; 1, 2, 4
    or 8 for a JPEG, which is decoded at that size."""
    factors = (1, 2, 4, 8) if image.format == "JPEG" else range(1, 1 + max(image.size))
    return next((k for k in factors
                 if -(-image.width // k) * -(-image.height // k) <= FULL_SIZE_PIXELS), factors[-1])


def _memory(image: ImageFile) -> int:
    """About how many bytes it takes to read the image: Pillow's pixels and the array that is
    returned, with all coefficients of a progressive JPEG."""
    pixels, k = image.width * image.height, reduction(image)
    returned = 3 * pixels // k**2
    if image.format != "JPEG":
        each = BYTES_PER_PIXEL.get(image.mode, 4)
        return returned + pixels * BYTES_PER_PIXEL_OF_FORMAT.get(image.format or "", each)
    coefficients = 0
    if image.info.get("progressive"):  # 2 bytes each; a component has h · v of them per block
        factors = [(h, v) for _, h, v, _ in cast("JpegImageFile", image).layer]
        largest = max(h for h, _ in factors) * max(v for _, v in factors)
        coefficients = 2 * pixels * sum(h * v for h, v in factors) // max(largest, 1)
    return returned + coefficients + 4 * pixels // k**2
