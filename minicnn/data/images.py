"""One image: from a file to upright RGB pixels, and from there to a network's input size."""

from __future__ import annotations

import io
from functools import lru_cache
from os import PathLike
from typing import TYPE_CHECKING, cast

import numpy as np

from ..utils.arrays import Pixels
from ..utils.errors import ArgumentError, ShapeError, is_int
from .open_image import check_scans, open_image, reduction

if TYPE_CHECKING:  # functions import Pillow when called: `import minicnn` stays fast
    from PIL.Image import Image as PillowImage
    from PIL.ImageCms import ImageCmsTransform

MAX_EXIF_BYTES = 1 << 16
PIXELS_AT_ONCE = 1 << 22  # of a photo that are converted to RGB

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


def _to_array(photo: PillowImage, k: int = 1) -> Pixels:
    """A loaded image of any mode -> (H, W, 3) uint8, at 1/k of its height and width.

    Some rows at a time, so that only the image and the array are ever held in full.
    """
    from PIL import Image

    W, H = photo.size
    grey = None
    if photo.mode[0] in "IF":  # 16 or 32 bits: Pillow's own conversion would clip at 255
        grey = np.asarray(photo)
        if photo.mode == "F" or grey.min() < 0 or grey.max() > 65535:
            raise ValueError(f"greys of mode {photo.mode} from {grey.min()} to {grey.max()}, "
                             f"whose white is unknown")
    pixels = np.empty((-(-H // k), -(-W // k), 3), np.uint8)
    step = max(PIXELS_AT_ONCE // (k * W), 1)  # rows of the array
    for top in range(0, len(pixels), step):
        rows = slice(k * top, min(k * (top + step), H))
        if grey is None:
            strip = _to_rgb(photo.crop((0, rows.start, W, rows.stop)))
        else:  # 65535 / 257 = 255
            strip = Image.fromarray(((grey[rows].astype(np.uint32) + 128) // 257).astype(np.uint8))
        strip = strip if k == 1 else strip.reduce(k)
        pixels[top:top + step] = np.asarray(strip.convert("RGB"))
    return pixels


def _to_rgb(photo: PillowImage) -> PillowImage:
    """An image of 8 bits a channel or less as RGB in sRGB, transparent parts on white."""
    from PIL import Image, ImageCms

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
    return photo


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


def read_image(path: str | PathLike) -> Pixels:
    """The image in a file, as a person sees it: upright by its EXIF, on white, its colours
    converted from its ICC profile to sRGB.

    Returns a new (H, W, 3) uint8 array. Of an animation or a document: the first frame or page.
    Grey of 16 bits keeps its full range (value / 257). A photo of more than 33 megapixels
    (FULL_SIZE_PIXELS) is reduced to fewer: its height and width to 1/2, 1/3, …; a JPEG is decoded
    at 1/2, 1/4 or 1/8 at once, so that one of 108 or 200 megapixels takes less than 300 MB.
    No photo takes more than 900 MB beside its file (MAX_MEMORY).
    Raises FileError if there is no such file, it cannot be read as a photo or is damaged, has more
    pixels than Pillow's limit against decompression bombs or than its few bytes can hold, takes
    more than MAX_MEMORY, is a JPEG of more than 100 scans, or its greys have no known white (32
    bits, float). It is an OtherKindError, with the kind of the file, if the file is no photo.
    """
    with open_image(path) as image:
        check_scans(image)
        k = reduction(image)
        if image.format == "JPEG" and k > 1:
            image.draft(image.mode, (image.width // k, image.height // k))
            k = 1
        declared = sorted(image.size)
        image.load()  # Pillow rotates TIFF while it loads
        if sorted(image.size) != declared:  # a damaged HEIF
            raise OSError(f"a header of {declared} pixels and an image of {image.size}")
        pixels = _to_array(image, k)
        # read after load, since Pillow drops the tag of a TIFF that it has rotated
        make_upright = TO_UPRIGHT.get(_orientation(image))
    del image  # and its pixels, before there is another array of that size
    return pixels if make_upright is None else np.ascontiguousarray(make_upright(pixels))


def image_size(path: str | PathLike) -> tuple[int, int]:
    """Height and width of the image as a person sees it, upright; before any reduction.

    Reads the header only. Raises FileError as is_rotated does.
    """
    return read_header(path)[0]


def is_rotated(path: str | PathLike) -> bool:
    """True if read_image rotates or mirrors the image because its EXIF says so.

    Reads the header only, so it is also a cheap test of whether a file is an image at all. Raises
    FileError as read_image does, but misses damage further down in the file and the EXIF that a PNG
    may hold after its pixels, which read_image sees.
    """
    return read_header(path)[1]


def read_header(path: str | PathLike) -> tuple[tuple[int, int], bool]:
    """(image_size, is_rotated), of a header that is read once."""
    with open_image(path) as image:
        orientation = _orientation(image)
        lies_down = orientation >= 5  # the values that swap the axes
        size = (image.width, image.height) if lies_down else (image.height, image.width)
        return size, orientation in TO_UPRIGHT


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


def resize_and_crop(image: Pixels, size: tuple[int, int],
                    crop_fraction: float = 1.0) -> Pixels:
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
