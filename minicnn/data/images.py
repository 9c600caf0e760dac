"""One image: from a file to upright RGB pixels, and from there to a network's input size."""

from __future__ import annotations

import io
import logging
import os
import re
import stat
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from os import PathLike
from typing import TYPE_CHECKING, cast

import numpy as np

from ..utils.errors import ArgumentError, FileError, ShapeError, is_int

if TYPE_CHECKING:  # functions import Pillow when called: `import minicnn` stays fast
    from PIL.Image import Image as PillowImage
    from PIL.ImageCms import ImageCmsTransform
    from PIL.ImageFile import ImageFile

# The only formats that Pillow may try: it would pass an EPS to Ghostscript, which would run it.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
# A file with more than ALWAYS_ALLOWED_PIXELS + PIXELS_PER_BYTE · its bytes, or with more EXIF than
# JPEG allows, was made to exhaust the memory.
ALWAYS_ALLOWED_PIXELS, PIXELS_PER_BYTE = 1 << 24, 256
MAX_EXIF_BYTES = 1 << 16
MAX_SECONDS = 5  # of computing, checked whenever Pillow reads: a large photo needs 2
START_OF_SCAN = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e]")
MAX_SCANS = 100  # of a JPEG: about ten are usual
NO_LOG = logging.NullHandler()  # for what Pillow logs about a damaged image

ORIENTATION = 0x0112  # the EXIF tag for how the camera was held (EXIF 2.32, section 4.6.4)
TO_UPRIGHT = {  # its values, and the function that makes (H, W, 3) upright; 1 is upright already
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def printable(name: str | PathLike) -> str:
    """A name as one printable line: line breaks, control characters and invalid bytes escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(name))


class _BoundedFile(io.BufferedReader):
    """A file that may be hostile. Pillow reads most images once; a TIFF whose 60,000 tags all point
    to the same megabyte would be read without end."""

    def __init__(self, path: str | PathLike, size: int) -> None:
        super().__init__(io.FileIO(path))
        self.bytes_left = 4 * size + (1 << 20)
        self.deadline = time.thread_time() + MAX_SECONDS

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.bytes_left -= len(data)
        if self.bytes_left < 0 or time.thread_time() > self.deadline:
            raise OSError("it takes far more work than a photo of its size")
        return data


def _check_scans(image: ImageFile) -> None:
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
def _open_image(path: str | PathLike) -> Iterator[ImageFile]:
    """The image with its header read; whatever goes wrong with it becomes one FileError."""
    from PIL import Image, UnidentifiedImageError

    # Permanently, since warnings cannot be caught in threads: what Pillow warns about is refused
    # here, or harmless.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").addHandler(NO_LOG)
    name, limit = printable(path), Image.MAX_IMAGE_PIXELS
    max_pixels = limit
    try:
        status = os.stat(path)
        size = status.st_size
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise OSError("a folder, a pipe or a device")
        if limit is not None:
            max_pixels = min(limit, ALWAYS_ALLOWED_PIXELS + PIXELS_PER_BYTE * size)
            if size > 8 * max(limit, ALWAYS_ALLOWED_PIXELS):  # 16 bits of four channels
                raise Image.DecompressionBombError(f"{size} bytes")
        # Opened here, because Pillow maps grey TIFFs into memory if it is given a path, and then
        # gets the rows of rotated ones wrong.
        with _BoundedFile(path, size) as file, Image.open(file, formats=FORMATS) as image:
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise Image.DecompressionBombError(f"{image.width} × {image.height} pixels in "
                                                   f"{size} bytes")
            yield image
    except FileNotFoundError as error:
        raise FileError(f"{name}: expected a photo, found no such file; check "
                        f"the path, or put it back where it was.") from error
    except UnidentifiedImageError as error:
        raise FileError(f"{name}: expected an image file ({', '.join(FORMATS)}), received "
                        f"something else or a damaged one; save the photo as JPEG or PNG."
                        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise FileError(f"{name}: expected a photo of at most {max_pixels} pixels, received a "
                        f"larger one ({error}); scale it down.") from error
    except Exception as error:  # a damaged file raises almost anything inside Pillow's decoders
        reason = printable(str(getattr(error, "strerror", None) or error))
        raise FileError(f"{name}: expected a readable photo, received {type(error).__name__} "
                        f"({reason}); save it again as JPEG or PNG.") from error


def _orientation(image: PillowImage) -> int:
    """The EXIF orientation, 1 to 8; 1 if there is none."""
    from PIL import Image

    for key in ("exif", "Raw profile type exif"):  # a megabyte of tags can expand to gigabytes
        if len(image.info.get(key) or "") > MAX_EXIF_BYTES:
            return 1
    try:
        # The base class's method: PNG's own would decode all pixels to look for EXIF behind them.
        return Image.Image.getexif(image).get(ORIENTATION, 1)
    except Exception:  # damaged EXIF: the pixels are still good
        return 1


def _to_rgb(photo: PillowImage) -> np.ndarray:
    """A loaded image of any mode -> (H, W, 3) uint8, transparent parts on white."""
    from PIL import Image, ImageCms

    if photo.mode[0] in "IF":  # 16 or 32 bits: Pillow's own conversion would clip at 255
        grey = np.asarray(photo)
        if photo.mode == "F" or grey.min() < 0 or grey.max() > 65535:
            raise ValueError(f"greys of mode {photo.mode} from {grey.min()} to {grey.max()}, "
                             f"whose white is unknown")
        grey = ((grey.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 / 257 = 255
        return np.repeat(grey[..., None], 3, axis=-1)  # (H, W) -> (H, W, 3)
    mode = {"L": "L", "LA": "L", "CMYK": "CMYK"}.get(photo.mode, "RGB")
    profile = photo.info.get("icc_profile")
    alpha = None
    if photo.has_transparency_data:
        rgba = photo.convert("RGBA")
        alpha = rgba.getchannel("A")
        if mode == "RGB":
            photo = rgba
    photo = photo.convert(mode)
    if profile and (transform := _to_srgb(profile, mode)):
        photo = cast("PillowImage", ImageCms.applyTransform(photo, transform))
    photo = photo.convert("RGB")
    if alpha:
        white = Image.new("RGB", photo.size, "white")
        white.paste(photo, mask=alpha)
        photo = white
    return np.array(photo)


@lru_cache(maxsize=8)
def _to_srgb(profile: bytes, mode: str) -> ImageCmsTransform | None:
    """From the colours of an ICC profile (ICC.1:2022) to sRGB; None, and so no transform, if they
    are sRGB already, or if the profile is damaged or of another mode."""
    from PIL import Image, ImageCms

    try:
        transform = ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                                            ImageCms.createProfile("sRGB"), mode, "RGB")
    except Exception:  # damaged ones raise more than ImageCms's own error
        return None
    if mode == "RGB":  # most photos are sRGB and say so: they need no transform
        colours = np.moveaxis(np.indices((18, 18, 18), np.uint8) * 15, 0, -1).reshape(-1, 18, 3)
        converted = ImageCms.applyTransform(Image.fromarray(colours), transform)
        if np.abs(np.asarray(converted, int) - colours).max() <= 2:
            return None
    return transform


def read_image(path: str | PathLike) -> np.ndarray:
    """The image in a file, as a person sees it: upright by its EXIF, on white, its colours
    converted from its ICC profile to sRGB.

    Returns a new (H, W, 3) uint8 array. Of an animation or a document: the first frame or page.
    Grey of 16 bits keeps its full range (value / 257).
    Raises FileError if there is no such file, it is none of FORMATS or damaged, has more pixels
    than Pillow's limit against decompression bombs or than its few bytes can hold, is a JPEG of
    more than 100 scans, or its greys have no known white (32 bits, float).
    """
    with _open_image(path) as image:
        _check_scans(image)
        image.load()
        pixels = _to_rgb(image)
        # read after load: Pillow rotates TIFF while loading, and then drops the tag
        make_upright = TO_UPRIGHT.get(_orientation(image))
    return pixels if make_upright is None else np.ascontiguousarray(make_upright(pixels))


def is_rotated(path: str | PathLike) -> bool:
    """True if read_image rotates or mirrors the image because its EXIF says so.

    Reads the header only, so it is also the cheap test whether a file is an image at all.
    Raises FileError as read_image does, but misses damage further down in the file and the EXIF
    that a PNG may hold after its pixels, which read_image sees.
    """
    with _open_image(path) as image:
        return _orientation(image) in TO_UPRIGHT


def check_size(size: tuple[int, int], crop_fraction: float) -> tuple[int, int]:
    """size as two ints (h, w).

    Raises ArgumentError if size or crop_fraction are not what resize_and_crop expects.
    """
    if (not isinstance(size, (tuple, list)) or len(size) != 2
            or not all(is_int(side, 1) for side in size)):
        raise ArgumentError(f"resize_and_crop: expected size=(height, width) of at least one pixel "
                            f"each, received {size!r}; write for example (224, 224).")
    if not 0 < crop_fraction <= 1:
        raise ArgumentError(f"resize_and_crop: expected a crop_fraction above 0 and at most 1, "
                            f"received {crop_fraction}; 1 keeps the whole shortest side.")
    return int(size[0]), int(size[1])


def crop_region(shape: tuple[int, ...], size: tuple[int, int], crop_fraction: float = 1.0
                ) -> tuple[float, float, float, float]:
    """(top, left, bottom, right), in pixels of an image of shape (H, W) or (H, W, 3): the region
    that resize_and_crop brings to size (h, w)."""
    H, W = shape[:2]
    h, w = size
    scale = max(round(h / crop_fraction) / H, round(w / crop_fraction) / W)
    box_h, box_w = min(h / scale, H), min(w / scale, W)  # rounding may put it a hair outside
    return (H - box_h) / 2, (W - box_w) / 2, (H + box_h) / 2, (W + box_w) / 2


def resize_and_crop(image: np.ndarray, size: tuple[int, int],
                    crop_fraction: float = 1.0) -> np.ndarray:
    """Scales an image, keeping its aspect ratio, and crops the centre.

    Shapes: image (H, W) or (H, W, 3) uint8, size = (h, w) -> new (h, w, 3) uint8.
    The image is scaled until it just covers (h, w) / crop_fraction; then the centre (h, w) is cut
    out. With (224, 224) and 224/256: shortest side to 256, centre 224 × 224, as VGG16 was tested
    (Simonyan & Zisserman 2015, section 3.2). Bilinear, with antialiasing when it shrinks.

    Training, evaluation, prediction and explanation all use this function.
    Raises ShapeError or ArgumentError if image, size or crop_fraction do not fit.
    """
    from PIL import Image

    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise ArgumentError(f"resize_and_crop: expected uint8 pixels, received {image.dtype}; "
                            f"give the photo as read, 0…255, before any preprocessing.")
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or 0 in image.shape:
        raise ShapeError(f"resize_and_crop: expected one photo of shape (H, W) or (H, W, 3), "
                         f"received {image.shape}; read files with read_image.")
    h, w = check_size(size, crop_fraction)
    top, left, bottom, right = crop_region(image.shape, (h, w), crop_fraction)
    # Only the region is resampled, so that an image of 1 × 60000 costs no more than others.
    photo = Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR,
                                          box=(left, top, right, bottom))
    return np.array(photo.convert("RGB"))
