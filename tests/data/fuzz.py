"""Damaged photos by the thousand: each must be read, in its size, or refused by a FileError.

    python -m tests.data.fuzz --count 5000

makes small photos of every kind, damages each copy in its own way (the same for the same number and
seed), and reads it in a child process. Said of each: no crash, no other error, nothing on stderr,
no warning, at most 5 s and 300 MB more than before. Only libtiff may say on stderr what it finds:
its handler of errors cannot be reached through Pillow. Prints a table; exits with 1 for a failure.
"""

import io
import re
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageCms

from minicnn.data import open_image, read_image
from minicnn.utils.errors import FileError
from tests import fuzzing

KINDS = "photos"
LIBTIFF = re.compile(r"(\w+|tempfile\.tif): .+")


# ---- the photos
def profile(space, pcs, **tags):
    """An ICC profile by hand (ICC.1:2001-04): 128 bytes of header, a table of tags, the tags."""
    body, table, at = b"", struct.pack(">I", len(tags)), 132 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name.encode() + struct.pack(">II", at + len(body), len(content))
        body += content
    header = struct.pack(">I4sI4s4s4s", at + len(body), b"", 0x02400000,
                         b"prtr" if space == b"CMYK" else b"mntr", space, pcs)
    header += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    return header.ljust(68, b"\0")[:68] + fixed(0.9642, 1, 0.8249) + bytes(48) + table + body


def fixed(*numbers):
    return b"".join(struct.pack(">i", round(65536 * number)) for number in numbers)


def curve(gamma):
    return b"curv" + struct.pack(">IIH", 0, 1, round(256 * gamma))


def xyz(*numbers):
    return b"XYZ " + bytes(4) + fixed(*numbers)


def adobe_rgb():
    """A gamut wider than that of sRGB: its green lies far outside."""
    gamma = curve(2.19921875)
    return profile(b"RGB ", b"XYZ ", wtpt=xyz(0.9642, 1, 0.8249), rTRC=gamma, gTRC=gamma,
                   bTRC=gamma, rXYZ=xyz(0.60974, 0.31111, 0.01947),
                   gXYZ=xyz(0.20528, 0.62567, 0.06087), bXYZ=xyz(0.14919, 0.06322, 0.74457))


def linear_grey():
    return profile(b"GRAY", b"XYZ ", wtpt=xyz(0.9642, 1, 0.8249), kTRC=curve(1))


def odd_inks():
    """A CMYK printer whose cyan is a grey of L* = 50, and whose other inks are black."""
    lab = np.full((2, 2, 2, 2, 3), [0, 128, 128], np.uint8)
    lab[0, 0, 0, 0], lab[1, 0, 0, 0] = [255, 128, 128], [128, 128, 128]
    ramp = bytes(range(256))
    lut = (b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + 4 * ramp
           + lab.tobytes() + 3 * ramp)
    return profile(b"CMYK", b"Lab ", wtpt=xyz(0.9642, 1, 0.8249), A2B0=lut)


def saved(photo, kind, **options):
    file = io.BytesIO()
    photo.copy().save(file, kind, **options)  # Pillow leaves a format's settings on a photo
    return file.getvalue()


def seeds():
    """{name: content}: every format that is read, in its modes and ways of saving."""
    rows, columns = np.mgrid[:40, :56]
    pixels = np.stack([rows * 6, columns * 4, (rows * columns) % 256], -1).astype(np.uint8)
    rgb = Image.fromarray(pixels)
    rgba = rgb.copy()
    rgba.putalpha(Image.fromarray(pixels[..., 0]))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"

    def many(kind):
        return saved(rgb, kind, save_all=True, append_images=[rgb.rotate(90), rgb.rotate(180)])
    wide = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = {
        "jpeg": saved(rgb, "jpeg"), "jpeg progressive": saved(rgb, "jpeg", progressive=True),
        "jpeg grey": saved(rgb.convert("L"), "jpeg", icc_profile=linear_grey()),
        "jpeg cmyk": saved(rgb.convert("CMYK"), "jpeg", icc_profile=odd_inks()),
        "jpeg exif": saved(rgb, "jpeg", exif=exif, restart_marker_rows=1),
        "jpeg icc": saved(rgb, "jpeg", icc_profile=adobe_rgb()),
        "mpo": many("mpo"),
        "png adam7": interlaced(pixels), "png exif": saved(rgb, "png", exif=exif),
        "png icc": saved(rgb, "png", icc_profile=adobe_rgb()),
        "png srgb": saved(rgba, "png", icc_profile=srgb),
        "apng": many("png"), "png 16 bit": saved(wide, "png"),
        "png tRNS": saved(rgb.convert("P"), "png", transparency=bytes(range(200))),
        "gif": saved(rgb, "gif"), "gif animated": many("gif"),
        "gif interlaced": saved(rgb.convert("L"), "gif", interlace=1, comment=b"a word"),
        "bmp": saved(rgb, "bmp"), "bmp palette": saved(rgb.convert("P"), "bmp"),
        "tiff pages": many("tiff"), "tiff 16 bit": saved(wide, "tiff"),
        "tiff exif": saved(rgb, "tiff", exif=exif), "tiff cmyk": saved(
            rgb.convert("CMYK"), "tiff", icc_profile=odd_inks()),
        "tiff jpeg": saved(rgb, "tiff", compression="jpeg"),
        "tiff g4": saved(rgb.convert("1"), "tiff", compression="group4"),
        "webp": saved(rgb, "webp"), "webp lossless": saved(rgba, "webp", lossless=True, exif=exif),
        "webp animated": many("webp"),
        "webp icc": saved(rgb, "webp", icc_profile=adobe_rgb()), "ppm": saved(rgb, "ppm")}
    found |= {f"png {mode}": saved(rgba.convert(mode), "png") for mode in ("1", "L", "P", "LA",
                                                                           "RGB", "RGBA")}
    found |= {f"tiff {way}": saved(rgb, "tiff", compression=way)
              for way in ("tiff_lzw", "tiff_adobe_deflate", "packbits")}
    formats = open_image.readable_formats()
    if "AVIF" in formats:
        found |= {"avif": saved(rgb, "avif", speed=10), "avif exif": saved(rgba, "avif", exif=exif),
                  "avif animated": many("avif"), "avif grey": saved(rgb.convert("L"), "avif")}
    if "HEIF" in formats:  # the extra heic
        found |= {"heif": saved(rgb, "heif"), "heif exif": saved(rgba, "heif", exif=exif)}
    return found


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def interlaced(pixels):
    """A PNG in the seven passes of Adam7, which Pillow does not write."""
    passes = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2),
              (1, 2, 0, 1))
    rows = b"".join(b"\0" + row.tobytes() for y, dy, x, dx in passes
                    for row in pixels[y::dy, x::dx])
    H, W, _ = pixels.shape
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, 8, 2, 0, 0, 1))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


# ---- the damage
def resize(x, rng):
    """A number of the header, of 16 or 32 bits, either end first, becomes an awkward one."""
    size, order = int(rng.choice([2, 4])), str(rng.choice(["big", "little"]))
    numbers = [0, 1, 40, 56, 255, 4096, 20000, 32767, 65535, 65536, 2**24, 2**31 - 1, 2**32 - 1]
    value = int(rng.choice(numbers)) % 256**size
    marks = [found for found in (x.find(b"\xff\xc0"), x.find(b"\xff\xc2")) if found > 0]
    at = (marks[0] + int(rng.integers(3, 9)) if marks and rng.random() < 0.7
          else int(rng.integers(0, max(min(len(x), 120) - 4, 1))))
    x[at:at + size] = value.to_bytes(size, order)


def swap_chunks(x, rng):
    """Of a PNG chunks, of another file parts between 0xFF bytes, change places or are doubled."""
    parts, at = [], 8
    if x[:4] == b"\x89PNG":
        while at < len(x):
            end = at + 12 + int.from_bytes(x[at:at + 4], "big")
            parts, at = [*parts, bytes(x[at:end])], end
        head = bytes(x[:8])
    else:
        head, *parts = (b"\xff" * (k > 0) + part for k, part in enumerate(bytes(x).split(b"\xff")))
    if len(parts) > 1:
        i, j = rng.integers(0, len(parts), 2)
        parts[i], parts[j] = parts[j], parts[i] if rng.random() < 0.7 else parts[j]
        x[:] = head + b"".join(parts)


DAMAGE = (*fuzzing.SIMPLE, resize, swap_chunks)


def repaired(x):
    """The checksums of a PNG made right again, so that the damage behind them is looked at."""
    parts, at = [bytes(x[:8])], 8
    while at + 12 <= len(x) and len(parts) < 1000:
        size = int.from_bytes(x[at:at + 4], "big")
        end = at + 12 + size if at + 12 + size <= len(x) else len(x)
        parts.append(chunk(bytes(x[at + 4:at + 8]), bytes(x[at + 8:end - 4])))
        at = end
    return b"".join(parts)


def mutant(number, seed, seeds):
    """(name of the photo, names of the damage, content), the same for the same number and seed."""
    rng = np.random.default_rng([seed, number])
    name = list(seeds)[number % len(seeds)]
    x, done = bytearray(seeds[name]), []
    for k in rng.integers(0, len(DAMAGE), rng.integers(1, 4)):
        if len(x):
            DAMAGE[k](x, rng)
            done.append(DAMAGE[k].__name__)
    return name, done, repaired(x) if x[:4] == b"\x89PNG" and rng.random() < 0.6 else bytes(x)


# ---- the judge
def judge(path):
    """What read_image makes of a file: "read", "refused", or what is wrong."""
    try:
        pixels = read_image(path)
    except FileError as problem:
        return "refused" if len(str(problem).splitlines()) == 1 else "other error"
    except BaseException as problem:  # whatever it is, it must be told
        return f"other error: {type(problem).__name__} {problem}"
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    with Image.open(io.BytesIO(path.read_bytes())) as photo:
        factor = open_image.reduction(photo)
        declared = [-(-side // factor) for side in photo.size]
    Image.MAX_IMAGE_PIXELS = limit
    right = (sorted(pixels.shape[:2]) == sorted(declared) and pixels.shape[2:] == (3,)
             and pixels.dtype == np.uint8)
    return "read" if right else f"wrong size: {pixels.shape} for {declared}"


def allowed(content, said):
    return content[:2] in (b"II", b"MM") and all(map(LIBTIFF.match, said.splitlines()))


if __name__ == "__main__":
    fuzzing.main(sys.modules[__name__], 5000)
