"""One photo: every kind of file becomes the pixels a person sees."""

import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile
from reference import assert_refused

from minicnn.data import is_rotated, read_image
from minicnn.utils.errors import FileError

WHITE, BLACK, RED = [255, 255, 255], [0, 0, 0], [255, 0, 0]


def png_by_hand(path, depth, colour, rows):
    """A PNG written from its specification: rows are the bytes of each row of pixels."""
    def chunk(kind, body):
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)
    per_pixel = {0: 1, 2: 3, 4: 2, 6: 4}[colour] * depth // 8
    header = struct.pack(">IIBBBBB", len(rows[0]) // per_pixel, len(rows), depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
                     + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    return path


def save_rotated(path, photo, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo.save(path, exif=exif)
    return path


# ---- EXIF: the pattern 1 2 3 / 4 5 6 as stored, and as the EXIF standard wants it seen: it names
# the sides where row 0 and column 0 of the stored pixels belong.
SEEN = {
    1: [[1, 2, 3], [4, 5, 6]],      # row 0 top,    column 0 left
    2: [[3, 2, 1], [6, 5, 4]],      # row 0 top,    column 0 right
    3: [[6, 5, 4], [3, 2, 1]],      # row 0 bottom, column 0 right
    4: [[4, 5, 6], [1, 2, 3]],      # row 0 bottom, column 0 left
    5: [[1, 4], [2, 5], [3, 6]],    # row 0 left,   column 0 top
    6: [[4, 1], [5, 2], [6, 3]],    # row 0 right,  column 0 top
    7: [[6, 3], [5, 2], [4, 1]],    # row 0 right,  column 0 bottom
    8: [[3, 6], [2, 5], [1, 4]],    # row 0 left,   column 0 bottom
}


@pytest.mark.parametrize("suffix", ["png", "tif"])  # Pillow itself turns TIFF: not twice
@pytest.mark.parametrize("orientation", SEEN)
def test_photo_stands_upright_for_every_exif_orientation(tmp_path, orientation, suffix):
    stored = Image.fromarray(np.array(SEEN[1], np.uint8))
    path = save_rotated(tmp_path / f"photo.{suffix}", stored, orientation)
    pixels = read_image(path)
    assert pixels[..., 0].tolist() == SEEN[orientation]
    assert pixels.flags.c_contiguous
    assert is_rotated(path) == (orientation != 1)


def test_jpeg_of_a_camera_held_upright_is_turned(tmp_path):
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:, :16] = WHITE
    path = save_rotated(tmp_path / "photo.jpg", Image.fromarray(stored), 6)
    pixels = read_image(path)
    assert pixels.shape == (32, 16, 3)
    assert pixels[:16].min() > 250 and pixels[16:].max() < 5  # column 0 of the sensor is the top
    assert is_rotated(path)


def test_photo_without_exif_or_with_an_unknown_orientation_stays_as_it_is(tmp_path):
    stored = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    Image.fromarray(stored).save(tmp_path / "plain.png")
    path = save_rotated(tmp_path / "unknown.png", Image.fromarray(stored), 9)
    for photo in (tmp_path / "plain.png", path):
        assert np.array_equal(read_image(photo), stored)
        assert not is_rotated(photo)


def test_damaged_exif_does_not_cost_the_photo(tmp_path):
    stored = np.full((4, 5, 3), 77, np.uint8)
    Image.fromarray(stored).save(tmp_path / "photo.png", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    assert np.array_equal(read_image(tmp_path / "photo.png"), stored)
    assert not is_rotated(tmp_path / "photo.png")


def test_exif_after_the_pixels_of_a_png_turns_the_photo(tmp_path):
    path = save_rotated(tmp_path / "photo.png", Image.fromarray(np.array(SEEN[1], np.uint8)), 6)
    content = path.read_bytes()
    start = content.index(b"eXIf") - 4  # a chunk: length, name, body, checksum
    exif = content[start:start + 12 + int.from_bytes(content[start:start + 4], "big")]
    end = content.index(b"IEND") - 4
    path.write_bytes(content[:start] + content[start + len(exif):end] + exif + content[end:])
    assert read_image(path)[..., 0].tolist() == SEEN[6]


# ---- modes
def read_saved(tmp_path, photo, suffix="png", **options):
    path = tmp_path / f"photo.{suffix}"
    photo.save(path, **options)
    return read_image(path)


def test_rgb_and_grey_photos_keep_their_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert np.array_equal(read_saved(tmp_path, Image.fromarray(pixels)), pixels)
    grey = read_saved(tmp_path, Image.fromarray(pixels[..., 0]))
    assert grey.dtype == np.uint8
    assert np.array_equal(grey, np.stack([pixels[..., 0]] * 3, axis=-1))


def test_one_bit_photo_becomes_black_and_white(tmp_path):
    photo = Image.fromarray(np.array([[True, False], [False, True]]))
    assert photo.mode == "1"
    assert read_saved(tmp_path, photo).tolist() == [[WHITE, BLACK], [BLACK, WHITE]]


def palette_photo():
    photo = Image.new("P", (2, 1))
    photo.putpalette([10, 20, 30, 200, 100, 50])
    photo.putpixel((1, 0), 1)
    return photo


def test_palette_photo_shows_its_colours(tmp_path):
    pixels = read_saved(tmp_path, palette_photo())
    assert pixels.tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_transparent_palette_entries_lie_on_white(tmp_path):
    pixels = read_saved(tmp_path, palette_photo(), transparency=1)
    assert pixels.tolist() == [[[10, 20, 30], WHITE]]
    pixels = read_saved(tmp_path, palette_photo(), transparency=bytes([0, 255]))
    assert pixels.tolist() == [[WHITE, [200, 100, 50]]]


def test_transparent_colour_of_an_rgb_photo_lies_on_white(tmp_path):
    photo = Image.fromarray(np.array([[RED, BLACK]], np.uint8))
    assert read_saved(tmp_path, photo, transparency=(0, 0, 0)).tolist() == [[RED, WHITE]]


def test_alpha_lies_on_white(tmp_path):
    rgba = np.array([[[*RED, 255], [*RED, 0], [*RED, 51]]], np.uint8)
    # 51 / 255 = 1/5 red and 4/5 white: 0.2 · 0 + 0.8 · 255 = 204
    assert read_saved(tmp_path, Image.fromarray(rgba)).tolist() == [[RED, WHITE, [255, 204, 204]]]


def test_grey_with_alpha_lies_on_white(tmp_path):
    path = png_by_hand(tmp_path / "photo.png", 8, 4, [bytes([0, 255, 0, 0, 0, 51])])
    assert read_image(path).tolist() == [[BLACK, WHITE, [204, 204, 204]]]


def test_palette_with_alpha_lies_on_white(tmp_path):
    photo = Image.new("PA", (2, 1), (0, 255))
    photo.putpalette([10, 20, 30])
    photo.putpixel((1, 0), (0, 0))
    path = tmp_path / "photo.tif"
    photo.save(path)
    with Image.open(path) as saved:
        assert saved.mode == "PA"
    assert read_image(path).tolist() == [[[10, 20, 30], WHITE]]


def test_grey_16_bit_png_keeps_its_full_range(tmp_path):
    path = png_by_hand(tmp_path / "photo.png", 16, 0,
                       [struct.pack(">3H", 0, 257, 1000), struct.pack(">3H", 128, 129, 65535)])
    # value / 257, rounded: 1000 / 257 = 3.89, 128 / 257 = 0.498, 129 / 257 = 0.502
    assert read_image(path).tolist() == [[BLACK, [1] * 3, [4] * 3], [BLACK, [1] * 3, WHITE]]


@pytest.mark.parametrize("order", "<>")
def test_grey_16_bit_tiff_keeps_its_full_range(tmp_path, order):
    # A TIFF by hand: header, 2 pixels, then the directory: tag, type (3 short, 4 long), 1, value
    entries = [(256, 3, 2), (257, 3, 1), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8),
               (277, 3, 1), (278, 3, 1), (279, 4, 4)]
    body = struct.pack(order + "2sHI2HH", b"II" if order == "<" else b"MM", 42, 12,
                       0x8080, 0xFFFF, len(entries))
    for tag, kind, value in entries:
        value = struct.pack(order + ("HH" if kind == 3 else "I"), *([value, 0][:5 - kind]))
        body += struct.pack(order + "HHI", tag, kind, 1) + value
    (tmp_path / "photo.tif").write_bytes(body + bytes(4))
    assert read_image(tmp_path / "photo.tif").tolist() == [[[128] * 3, WHITE]]


def test_grey_16_bit_pgm_keeps_its_full_range(tmp_path):
    (tmp_path / "photo.pgm").write_bytes(b"P5 3 1 65535\n" + struct.pack(">3H", 0, 25700, 65535))
    assert read_image(tmp_path / "photo.pgm").tolist() == [[BLACK, [100] * 3, WHITE]]


def test_rgb_16_bit_png_becomes_8_bit(tmp_path):
    path = png_by_hand(tmp_path / "photo.png", 16, 2, [struct.pack(">3H", 65535, 25700, 0)])
    assert read_image(path).tolist() == [[[255, 100, 0]]]


@pytest.mark.parametrize("grey", [np.float32([[0, 0.5]]), np.int32([[0, 70000]]),
                                  np.int32([[-1, 5]])])
def test_greys_whose_white_is_unknown_are_refused(tmp_path, grey):
    Image.fromarray(grey).save(tmp_path / "photo.tif")
    with pytest.raises(FileError, match=r"photo\.tif: .* whose white is unknown"):
        read_image(tmp_path / "photo.tif")


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_photo_shows_its_colours(tmp_path, suffix):
    cyan = read_saved(tmp_path, Image.new("CMYK", (16, 16), (255, 0, 0, 0)), suffix)
    assert np.abs(cyan.astype(int) - [0, 255, 255]).max() <= 2
    if suffix == "jpg":  # Adobe's marker, which says that the inks are stored inverted
        assert b"Adobe" in (tmp_path / "photo.jpg").read_bytes()


def test_ycbcr_photo_shows_its_colours(tmp_path):
    grey = Image.new("YCbCr", (2, 2), (90, 128, 128))
    assert (read_saved(tmp_path, grey, "tif") == 90).all()


@pytest.mark.parametrize("suffix", ["gif", "tif", "png", "webp"])
def test_first_frame_of_many_is_read(tmp_path, suffix):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if suffix == "webp" else {}
    pixels = read_saved(tmp_path, frames[0], suffix, save_all=True, append_images=frames[1:],
                        **options)
    with Image.open(tmp_path / f"photo.{suffix}") as photo:
        assert photo.n_frames == 2
    assert (pixels == RED).all()


def test_the_content_decides_not_the_suffix(tmp_path):
    Image.new("RGB", (3, 2), "red").save(tmp_path / "photo.png")
    (tmp_path / "photo.png").rename(tmp_path / "photo.txt")
    assert (read_image(tmp_path / "photo.txt") == RED).all()
    assert (read_image(str(tmp_path / "photo.txt")) == RED).all()


# ---- files that are no photos
@pytest.mark.parametrize("content, kind", [
    (b"", "an empty file"), (b"a text", "a text"), (b"\xff\xd8\xff", "a damaged photo"),
    (b"\x89PNG\r\n\x1a\n", "a damaged photo"), (b"GIF89a" + bytes(7), "a damaged photo"),
    (b"P6 0 0 255\n", "a damaged photo")])
def test_file_that_is_no_photo_is_refused_by_name_and_kind(tmp_path, content, kind):
    (tmp_path / "odd.jpg").write_bytes(content)
    for function in (read_image, is_rotated):
        with assert_refused("odd.jpg: expected an image file (JPEG, PNG", f"received {kind}; "):
            function(tmp_path / "odd.jpg")


def test_missing_photo_and_folder_are_refused_by_name(tmp_path):
    with pytest.raises(FileError, match=r"gone\.jpg: expected a photo, found no such file"):
        read_image(tmp_path / "gone.jpg")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="folder: expected a readable photo"):
        read_image(tmp_path / "folder")


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "tif", "webp"])
def test_truncated_photo_is_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    assert read_image(path).shape == (64, 64, 3)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(FileError, match=rf"photo\.{suffix}: expected a readable photo"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_is_rotated_reads_the_header_only(tmp_path, monkeypatch, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = save_rotated(tmp_path / f"photo.{suffix}", Image.fromarray(noise), 3)
    Image.fromarray(noise).save(tmp_path / f"plain.{suffix}")
    loads = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: loads.append(self))
    assert is_rotated(path)
    assert not is_rotated(tmp_path / f"plain.{suffix}")
    assert not loads
    path.write_bytes(path.read_bytes()[:1000])
    assert is_rotated(path)


@pytest.mark.parametrize("limit", [99, 49, 10])  # Pillow warns from 100 pixels, raises from 200
def test_decompression_bomb_is_refused_by_name(tmp_path, monkeypatch, limit):
    Image.new("RGB", (10, 10)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    for action in ("ignore", "error"):
        with warnings.catch_warnings():
            warnings.simplefilter(action)
            with pytest.raises(FileError, match=rf"bomb\.png: expected .* at most {limit} pixels"):
                read_image(tmp_path / "bomb.png")


def test_pillows_limit_is_allowed_and_may_be_lifted(tmp_path, monkeypatch):
    Image.new("RGB", (10, 10)).save(tmp_path / "photo.png")
    for limit in (100, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert read_image(tmp_path / "photo.png").shape == (10, 10, 3)
