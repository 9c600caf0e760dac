"""Photos of 100 megapixels and more: read at a reduced size, within a stated memory."""

import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reference import assert_refused

from minicnn.data import Dataset, is_rotated, open_image, perceptual_hashes, read_image
from minicnn.data.images import image_size

from .fuzz import chunk

LEFT, RIGHT = (200, 60, 40), (20, 90, 180)
# Reads a photo in a process of its own: prints its shape, the means of its four quarters, and the
# megabytes that this took at most.
CHILD = """
import json, sys
from PIL import Image
from minicnn.data import read_image
from tests.fuzzing import peak
small, path = sys.argv[1:]
read_image(small)
base = max(peak(), peak())
x = read_image(path)
most = peak() - base
h, w = x.shape[0] // 2, x.shape[1] // 2
quarters = [x[i:i + h, j:j + w].mean(axis=(0, 1)).tolist() for i in (0, h) for j in (0, w)]
print(json.dumps([x.shape, quarters, most]))
"""


def read_in_a_child(tmp_path, path):
    """(shape, means of the quarters (4, 3), MB that reading took at most)."""
    small = tmp_path / f"small{path.suffix}"
    Image.new("L", (9, 9)).save(small)
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", CHILD, small, path], capture_output=True, text=True,
                         cwd=root, env={"PYTHONPATH": str(root), "PATH": ""})
    assert run.returncode == 0 and run.stderr == "", run.stderr
    shape, quarters, megabytes = json.loads(run.stdout)
    return tuple(shape), np.array(quarters), megabytes


def phone_photo(width, rows, **options):
    """A JPEG of 16 · rows lines, the left half of one colour, the right half of another, with
    noise, as a phone writes it: baseline, colours at half the size.

    One row of blocks is encoded and repeated, with a restart marker in between (ITU-T T.81, E.1.4),
    so that no image of that size is ever held.
    """
    pixels = np.empty((16, width, 3))
    pixels[:, :width // 2], pixels[:, width // 2:] = LEFT, RIGHT
    pixels += np.random.default_rng(0).normal(0, 10, pixels.shape)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
        file, "jpeg", quality=60, restart_marker_rows=1, **options)
    content = bytearray(file.getvalue())
    frame, scan = content.index(b"\xff\xc0"), content.index(b"\xff\xda")
    content[frame + 5:frame + 7] = struct.pack(">H", 16 * rows)
    start = scan + 2 + int.from_bytes(content[scan + 2:scan + 4], "big")
    row = bytes(content[start:-2])
    marked = (b"".join(row + b"\xff" + bytes([0xd0 + k % 8]) for k in range(rows - 1)) + row)
    return bytes(content[:start]) + marked + b"\xff\xd9"


def scan_png(width, height, depth, black_rows=0):
    """A white page in grey of `depth` bits, whose first rows are black."""
    packer = zlib.compressobj(9)
    length = width * depth // 8
    body = b"".join(packer.compress(b"\0" + (b"\0" if i < black_rows else b"\xff") * length)
                    for i in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body)
            + chunk(b"IEND", b""))


@pytest.mark.parametrize("width, rows, shape", [
    (12_000, 563, (4504, 6000, 3)),  # 108 megapixels, decoded at 1/2
    (16_320, 765, (3060, 4080, 3))])  # 200 megapixels, at 1/4
def test_photos_of_phones_are_decoded_at_a_reduced_size_within_300_mb(tmp_path, width, rows, shape):
    path = tmp_path / "phone.jpg"
    path.write_bytes(phone_photo(width, rows))
    got, quarters, megabytes = read_in_a_child(tmp_path, path)
    assert got == shape
    assert np.abs(quarters - [LEFT, RIGHT, LEFT, RIGHT]).max() < 2
    assert 30 < megabytes < 300


def test_a_large_photo_of_a_phone_held_upright_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be rotated by 90° clockwise: the left half becomes the upper one
    path = tmp_path / "phone.jpg"
    path.write_bytes(phone_photo(12_000, 563, exif=exif))
    assert is_rotated(path) and image_size(path) == (12_000, 9_008)
    got, quarters, megabytes = read_in_a_child(tmp_path, path)
    assert got == (6000, 4504, 3) and megabytes < 300
    assert np.abs(quarters - [LEFT, LEFT, RIGHT, RIGHT]).max() < 2


@pytest.mark.parametrize("depth", [1, 8])
def test_blank_scans_of_140_megapixels_are_no_bombs(tmp_path, depth):
    path = tmp_path / "scan.png"
    path.write_bytes(scan_png(10_000, 14_000, depth, black_rows=7_000))
    assert path.stat().st_size < 200_000  # 17.5 or 140 MB of pixels
    got, quarters, megabytes = read_in_a_child(tmp_path, path)
    assert got == (4667, 3334, 3)  # a third, rounded up
    assert np.abs(quarters - np.array([[0], [0], [255], [255]])).max() < 0.2
    assert megabytes < 300


def test_a_blank_fax_of_70_megapixels_is_no_bomb(tmp_path):
    path = tmp_path / "fax.tif"
    Image.new("1", (7_000, 9_900), 1).save(path, compression="group4")
    assert path.stat().st_size < 10_000
    got, quarters, megabytes = read_in_a_child(tmp_path, path)
    assert got == (4950, 3500, 3) and (quarters == 255).all() and megabytes < 300


def test_a_colour_png_at_pillows_limit_stays_within_500_mb(tmp_path):
    path = tmp_path / "poster.png"
    row = b"\0" + bytes(LEFT) * 9_400
    packer = zlib.compressobj(1)
    body = b"".join(packer.compress(row) for _ in range(9_400)) + packer.flush()
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
        ">IIBBBBB", 9_400, 9_400, 8, 2, 0, 0, 0)) + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    got, quarters, megabytes = read_in_a_child(tmp_path, path)
    assert got == (4700, 4700, 3) and (quarters == LEFT).all() and megabytes < 500


@pytest.mark.parametrize("kind, options", [
    ("webp", {}), ("avif", {"quality": 30, "speed": 10}),
    ("jpeg", {"progressive": True, "subsampling": 0})])
def test_other_formats_of_48_megapixels_stay_within_the_stated_memory(tmp_path, full, kind,
                                                                      options):
    if not full or kind == "avif" and "AVIF" not in open_image.readable_formats():
        pytest.skip("it takes half a minute: --full" if not full else "this Pillow has no AVIF")
    path = tmp_path / f"photo.{kind}"
    noise = Image.effect_noise((1_732, 1_732), 60).resize((6_928, 6_928)).convert("RGB")
    noise.save(path, kind, **options)
    got, _, megabytes = read_in_a_child(tmp_path, path)
    assert got == (3_464, 3_464, 3) and megabytes < open_image.MAX_MEMORY / 1e6


def test_reduced_pixels_are_the_means_of_the_blocks(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(open_image, "FULL_SIZE_PIXELS", 7 * 5)
    for mode, channels in (("RGB", 3), ("L", 1)):
        pixels = rng.integers(0, 256, (20, 13, channels), np.uint8)
        Image.fromarray(pixels.squeeze()).convert(mode).save(tmp_path / "photo.png")
        got = read_image(tmp_path / "photo.png").astype(float)
        assert got.shape == (7, 5, 3)  # to 1/3: the last blocks are of what is left
        means = np.array([[pixels[3 * i:3 * i + 3, 3 * j:3 * j + 3].mean(axis=(0, 1))
                           for j in range(5)] for i in range(7)])
        assert np.abs(got - means).max() < 1  # Pillow's rounding


def test_reduced_greys_of_16_bits_and_transparent_photos_are_right(tmp_path, monkeypatch):
    monkeypatch.setattr(open_image, "FULL_SIZE_PIXELS", 4)
    Image.fromarray(np.full((4, 4), 25_700, np.uint16)).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").tolist() == [[[100] * 3] * 2] * 2
    clear = np.zeros((4, 4, 4), np.uint8)
    clear[:, :2, 3] = 255  # black on the left, nothing on the right: white
    Image.fromarray(clear).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png")[..., 0].tolist() == [[0, 255], [0, 255]]


def test_the_size_of_a_reduced_photo_is_that_of_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(open_image, "FULL_SIZE_PIXELS", 60)
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        Image.new("RGB", (16, 10)).save(tmp_path / f"{orientation}.png", exif=exif)
    data = Dataset([tmp_path / f"{k}.png" for k in range(1, 9)], [0] * 8, ["a"], list("12345678"))
    assert perceptual_hashes(data).sizes.tolist() == [[10, 16]] * 4 + [[16, 10]] * 4
    assert data.read(0).shape == (5, 8, 3) and data.read(5).shape == (8, 5, 3)


def test_photos_that_need_more_than_the_stated_memory_are_refused_by_their_header(
        tmp_path, monkeypatch):
    monkeypatch.setattr(open_image, "MAX_MEMORY", 2_000_000)
    photo = Image.new("RGB", (640, 480))  # 307,200 pixels
    for name, megabytes in (("a.webp", 5), ("a.png", 2)):  # 16 + 3 and 4 + 3 bytes a pixel
        photo.save(tmp_path / name)
        for function in (is_rotated, read_image):
            with assert_refused(f"{name}: expected a photo that takes at most 2 MB to decode",
                                f"640 × 480 pixels, which takes {megabytes} MB; scale it down"):
                function(tmp_path / name)
    monkeypatch.setattr(open_image, "MAX_MEMORY", 3_000_000)  # 7 bytes a pixel, and 3 or 6 more
    photo.save(tmp_path / "plain.jpg")
    photo.save(tmp_path / "progressive.jpg", progressive=True)
    assert read_image(tmp_path / "plain.jpg").shape == (480, 640, 3)
    with assert_refused("640 × 480 pixels, which takes 3 MB"):
        read_image(tmp_path / "progressive.jpg")


def test_bombs_of_one_byte_a_pixel_and_jpeg_bombs_are_refused(tmp_path):
    (tmp_path / "bomb.png").write_bytes(scan_png(8, 1, 8).replace(  # 4 rows of 40,000 declared
        struct.pack(">II", 8, 1), struct.pack(">II", 10_000, 14_000)))
    (tmp_path / "bomb.jpg").write_bytes(phone_photo(64, 4).replace(
        struct.pack(">HH", 64, 64), struct.pack(">HH", 60_000, 60_000)))
    for name in ("bomb.png", "bomb.jpg"):
        with assert_refused(f"{name}: expected a", "received"):
            read_image(tmp_path / name)
