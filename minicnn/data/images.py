"""One photo: from a file to upright RGB pixels, and from there to the size a network wants."""

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
from typing import TYPE_CHECKING

import numpy as np

from ..utils.errors import ArgumentError, FileError, ShapeError

if TYPE_CHECKING:  # Pillow is imported where it is used: `import minicnn` stays fast
    from PIL.Image import Image as Photo
    from PIL.ImageCms import ImageCmsTransform

# All that Pillow may try: it would hand an EPS to Ghostscript, which runs the program in it.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
SMALL, PER_BYTE = 1 << 24, 256  # a file that holds more pixels than SMALL + PER_BYTE · its bytes …
MOST_EXIF = 1 << 16  # … and one with more bytes of EXIF than JPEG allows are made to eat memory
SECONDS = 5  # of computing, looked at whenever Pillow reads: a large photo needs 2
SCAN, SCANS = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e]"), 100  # of a JPEG: some ten are usual
SILENT = logging.NullHandler()  # for what Pillow logs of a damaged photo

ORIENTATION = 0x0112  # the EXIF tag that says how the camera was held (EXIF 2.32, section 4.6.4)
UPRIGHT = {  # its values, and what stands the pixels (H, W, 3) up again; 1 is upright already
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def printable(name: str | PathLike) -> str:
    """A name as one line of plain text: line breaks, control characters and stray bytes escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(name))


class _Bounded(io.BufferedReader):
    """A file from a stranger. Pillow reads most photos once; a TIFF whose 60,000 tags all hold the
    same megabyte would be read without end."""

    def __init__(self, path: str | PathLike, size: int) -> None:
        super().__init__(io.FileIO(path))
        self.left, self.until = 4 * size + (1 << 20), time.thread_time() + SECONDS

    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        self.left -= len(data)
        if self.left < 0 or time.thread_time() > self.until:
            raise OSError("it takes far more work than a photo of its size")
        return data


def _check_scans(photo: Photo) -> None:
    """A JPEG goes over all its pixels with each scan, and 10 bytes make one (ITU-T T.81, B.2.3).

    The marker, then a length for 1 to 4 components: the data of a scan never hold it.
    """
    if photo.format in ("JPEG", "MPO"):
        photo.fp.seek(0)
        if sum(len(SCAN.findall(part)) for part in iter(lambda: photo.fp.read(1 << 20), b"")
               ) > SCANS:
            raise OSError(f"a JPEG of more than {SCANS} scans takes far more work than a photo")


@contextmanager
def _opened(path: str | PathLike) -> Iterator[Photo]:
    """The photo with its header read; whatever goes wrong with it becomes one FileError."""
    from PIL import Image, UnidentifiedImageError

    # For good: they cannot be caught in threads. What they tell of is refused here, or harmless.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").addHandler(SILENT)
    name, limit = printable(path), Image.MAX_IMAGE_PIXELS
    most = limit
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):  # to open a pipe would wait for ever
            raise OSError("a folder, a pipe or a device")
        if limit is not None:
            most = min(limit, SMALL + PER_BYTE * found.st_size)
            if found.st_size > 8 * max(limit, SMALL):  # 16 bits of four channels
                raise Image.DecompressionBombError(f"{found.st_size} bytes")
        # Opened here, not by Pillow: given a path it maps grey TIFFs into memory, and gets the rows
        # of those that lie on their side wrong.
        with (_Bounded(path, found.st_size) as file,
              Image.open(file, formats=FORMATS) as photo):
            if most is not None and photo.width * photo.height > most:
                raise Image.DecompressionBombError(f"{photo.width} × {photo.height} pixels in "
                                                   f"{found.st_size} bytes")
            yield photo
    except FileNotFoundError as problem:
        raise FileError(f"{name}: expected a photo, found no such file; check "
                        f"the path, or put it back where it was.") from problem
    except UnidentifiedImageError as problem:
        raise FileError(f"{name}: expected an image file ({', '.join(FORMATS)}), received "
                        f"something else or a damaged one; save the photo as JPEG or PNG."
                        ) from problem
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        raise FileError(f"{name}: expected a photo of at most {most} pixels, received a larger one "
                        f"({problem}); scale it down.") from problem
    except Exception as problem:  # a damaged file raises almost anything inside Pillow's decoders
        said = printable(getattr(problem, "strerror", None) or problem)
        raise FileError(f"{name}: expected a readable photo, received {type(problem).__name__} "
                        f"({said}); save it again as JPEG or PNG.") from problem


def _orientation(photo: Photo) -> int:
    from PIL import Image

    for key in ("exif", "Raw profile type exif"):  # of a megabyte, tags may make gigabytes
        if len(photo.info.get(key) or "") > MOST_EXIF:
            return 1
    try:
        # The base class's method: the one of PNG would decode all pixels to look for late EXIF.
        return Image.Image.getexif(photo).get(ORIENTATION, 1)
    except Exception:  # damaged EXIF: the pixels are still good
        return 1


def _rgb(photo: Photo) -> np.ndarray:
    """A loaded photo of any mode -> (H, W, 3) uint8, transparent parts on white."""
    from PIL import Image, ImageCms

    if photo.mode[0] in "IF":  # wide greys: Pillow's own conversion clips them at 255
        grey = np.asarray(photo)
        if photo.mode == "F" or grey.min() < 0 or grey.max() > 65535:
            raise ValueError(f"greys of mode {photo.mode} from {grey.min()} to {grey.max()}, "
                             f"whose white is unknown")
        grey = ((grey.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 / 257 = 255
        return np.repeat(grey[..., None], 3, axis=-1)  # (H, W) -> (H, W, 3)
    mode = {"L": "L", "LA": "L", "CMYK": "CMYK"}.get(photo.mode, "RGB")
    profile, alpha = photo.info.get("icc_profile"), None
    if photo.has_transparency_data:
        whole = photo.convert("RGBA")
        alpha, photo = whole.getchannel("A"), whole if mode == "RGB" else photo
    photo = photo.convert(mode)
    if profile and (transform := _to_srgb(profile, mode)):
        photo = ImageCms.applyTransform(photo, transform)
    photo = photo.convert("RGB")
    if alpha:
        white = Image.new("RGB", photo.size, "white")
        white.paste(photo, mask=alpha)
        photo = white
    return np.array(photo)


@lru_cache(maxsize=8)
def _to_srgb(profile: bytes, mode: str) -> ImageCmsTransform | None:
    """From the colours of an ICC profile (ICC.1:2022) to sRGB; None where they are sRGB, or the
    profile is damaged or of another mode: then the numbers are taken as they are."""
    from PIL import Image, ImageCms

    try:
        transform = ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                                            ImageCms.createProfile("sRGB"), mode, "RGB")
    except Exception:  # damaged ones raise more than ImageCms's own error
        return None
    if mode == "RGB":  # most photos are sRGB and say so: the work of a transform is spared
        colours = np.moveaxis(np.indices((18, 18, 18), np.uint8) * 15, 0, -1).reshape(-1, 18, 3)
        seen = ImageCms.applyTransform(Image.fromarray(colours), transform)
        if np.abs(np.asarray(seen, int) - colours).max() <= 2:
            return None
    return transform


def read_image(path: str | PathLike) -> np.ndarray:
    """The photo in a file, as a person sees it: turned upright by its EXIF, on white, its colours
    taken from its ICC profile to sRGB.

    Returns a new (H, W, 3) uint8 array. Of an animation or a document: the first frame or page.
    Grey of 16 bits keeps its full range (value / 257).
    Raises FileError where there is no file, none of FORMATS, a damaged one, one of more pixels than
    Pillow's limit against decompression bombs or than its few bytes can hold, a JPEG of more than
    100 scans, or greys whose white is unknown (32 bits, float).
    """
    with _opened(path) as photo:
        _check_scans(photo)
        photo.load()
        pixels = _rgb(photo)
        # read after load: Pillow turns TIFF while loading, and then drops the tag
        turn = UPRIGHT.get(_orientation(photo))
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def was_turned(path: str | PathLike) -> bool:
    """True where read_image turns or mirrors the photo because its EXIF says so.

    Reads the header only, so it is also the cheap test whether a file is an image at all.
    Raises FileError as read_image does, but sees neither damage further down in the file nor the
    EXIF that a PNG may hold after its pixels (read_image does).
    """
    with _opened(path) as photo:
        return _orientation(photo) in UPRIGHT


def check_size(size: tuple[int, int], crop_fraction: float) -> tuple[int, int]:
    """(h, w) as two ints, where size and crop_fraction are what resize_and_crop expects.

    Raises ArgumentError where they are not.
    """
    if (not isinstance(size, (tuple, list)) or len(size) != 2
            or not all(isinstance(s, (int, np.integer)) and s >= 1 for s in size)):
        raise ArgumentError(f"resize_and_crop: expected size=(height, width) of at least one pixel "
                            f"each, received {size!r}; write for example (224, 224).")
    if not 0 < crop_fraction <= 1:
        raise ArgumentError(f"resize_and_crop: expected a crop_fraction above 0 and at most 1, "
                            f"received {crop_fraction}; 1 keeps the whole shortest side.")
    return int(size[0]), int(size[1])


def kept_region(shape: tuple[int, int], size: tuple[int, int], crop_fraction: float = 1.0
                ) -> tuple[float, float, float, float]:
    """(top, left, bottom, right), in pixels of a photo of shape (H, W): the part of it that
    resize_and_crop brings to size (h, w)."""
    (H, W), (h, w) = shape, size
    scale = max(round(h / crop_fraction) / H, round(w / crop_fraction) / W)
    box_h, box_w = min(h / scale, H), min(w / scale, W)  # rounding may put it a hair outside
    return (H - box_h) / 2, (W - box_w) / 2, (H + box_h) / 2, (W + box_w) / 2


def resize_and_crop(image: np.ndarray, size: tuple[int, int],
                    crop_fraction: float = 1.0) -> np.ndarray:
    """Scale a photo with its proportions kept and cut out the centre; nothing is ever squashed.

    Shapes: image (H, W) or (H, W, 3) uint8, size = (h, w) -> new (h, w, 3) uint8.
    The photo is scaled until it just covers (h, w) / crop_fraction; then the centre (h, w) is cut.
    With (224, 224) and 224/256: shortest side to 256, centre 224 × 224, as VGG16 was tested
    (Simonyan & Zisserman 2015, section 3.2). Bilinear, with antialiasing where it shrinks.

    The one function of training, evaluation, prediction and explanation alike.
    Raises ShapeError or ArgumentError where image, size or crop_fraction do not fit.
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
    top, left, bottom, right = kept_region(image.shape[:2], (h, w), crop_fraction)
    # Only the region is resampled, so that a photo of 1 × 60000 costs no more than another.
    photo = Image.fromarray(image).resize((w, h), Image.Resampling.BILINEAR,
                                          box=(left, top, right, bottom))
    return np.array(photo.convert("RGB"))
