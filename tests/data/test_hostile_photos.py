"""Photos from strangers: each is read as a person sees it, or skipped, counted and named."""

import logging
import os
import socket
import struct
import subprocess
import time
import tracemalloc
import warnings
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from reference import assert_refused

from minicnn.cli import main
from minicnn.data import (
    ImageFolder,
    draw_parts,
    drop_unreadable,
    is_rotated,
    near_duplicates,
    perceptual_hashes,
    read_image,
    read_split,
    resize_and_crop,
    subsets,
    write_split,
)
from minicnn.data import open_image as opening
from minicnn.utils.errors import FileError

from .fuzz import adobe_rgb, chunk, linear_grey, odd_inks, seeds

PATTERN = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)


def save(path, photo=None, kind="png", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (Image.fromarray(PATTERN) if photo is None else photo).save(path, kind, **options)
    return path


# ---- read right: shapes and orientations
@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp", "tiff", "webp", "ppm"])
@pytest.mark.parametrize("size", [(1, 1), (1, 16000), (16000, 1)])
def test_photos_of_one_pixel_and_of_one_line_are_read_and_cut(tmp_path, kind, size):
    path = save(tmp_path / "photo", Image.new("RGB", size, (255, 255, 255)), kind)
    pixels = read_image(path)
    assert pixels.shape == (*size[::-1], 3) and (pixels >= 254).all()
    assert resize_and_crop(pixels, (24, 24)).min() >= 254


def test_a_line_of_60000_pixels_costs_no_more_than_a_photo(tmp_path):
    path = save(tmp_path / "photo.png", Image.new("L", (60_000, 1), 9))
    tracemalloc.start()
    cut = resize_and_crop(read_image(path), (224, 224))
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()
    assert (cut == 9).all()


TURNED = {1: lambda a: a, 2: np.fliplr, 3: lambda a: a[::-1, ::-1], 4: np.flipud,
          5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, 3),
          7: lambda a: a[::-1, ::-1].transpose(1, 0, 2), 8: lambda a: np.rot90(a, 1)}


@pytest.mark.parametrize("orientation", TURNED)
def test_webp_and_jpeg_stand_upright_for_every_exif_orientation(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "photo", kind="webp", lossless=True, exif=exif)
    assert np.array_equal(read_image(path), TURNED[orientation](PATTERN))
    halves = np.zeros((16, 32, 3), np.uint8)
    halves[:8, :16] = 255
    path = save(tmp_path / "photo", Image.fromarray(halves), "jpeg", quality=100, exif=exif)
    assert np.abs(read_image(path).astype(int) - TURNED[orientation](halves)).max() < 3
    assert is_rotated(path) == (orientation != 1)


# ---- read right: colours
def srgb(linear):
    """IEC 61966-2-1: linear light 0 … 1 -> 0 … 255."""
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear**(1 / 2.4) - 0.055)


def from_adobe(rgb):
    """By the two matrices to XYZ under D50 (B. Lindbloom) and the two curves."""
    adobe = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322],
                      [0.01947, 0.06087, 0.74457]])
    ours = np.array([[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169],
                     [0.0139322, 0.0971045, 0.7141733]])
    return srgb(np.linalg.solve(ours, adobe @ (np.array(rgb) / 255)**2.19921875))


COLOURS = [(255, 255, 255), (0, 0, 0), (128, 128, 128), (200, 100, 50), (40, 200, 60), (0, 255, 0),
           (90, 40, 200)]


@pytest.mark.parametrize("kind, options", [
    ("png", {}), ("tiff", {}), ("webp", {"lossless": True}), ("jpeg", {"quality": 100})])
@pytest.mark.parametrize("colour", COLOURS)
def test_colours_of_a_wide_gamut_are_brought_to_srgb(tmp_path, kind, options, colour):
    path = save(tmp_path / "photo", Image.new("RGB", (16, 16), colour), kind,
                icc_profile=adobe_rgb(), **options)
    expected = from_adobe(colour)
    assert np.abs(read_image(path) - expected).max() < 5  # 8 bits in, 8 bits out, and JPEG
    if colour == (200, 100, 50):
        assert np.abs(expected - colour).max() > 15  # without the profile it would be wrong


def test_palettes_and_transparent_photos_follow_their_profile(tmp_path):
    colour, seen = (200, 100, 50), from_adobe((200, 100, 50))
    palette = save(tmp_path / "p", Image.new("RGB", (4, 4), colour).quantize(2),
                   icc_profile=adobe_rgb())
    assert np.abs(read_image(palette) - seen).max() < 3
    clear = save(tmp_path / "a", Image.new("RGBA", (4, 4), (*colour, 51)), icc_profile=adobe_rgb())
    assert np.abs(read_image(clear) - (0.2 * seen + 0.8 * 255)).max() < 3


@pytest.mark.parametrize("mode, value, alpha", [("L", 128, 1), ("LA", (128, 255), 1),
                                                ("LA", (128, 51), 0.2)])
def test_greys_follow_their_profile(tmp_path, mode, value, alpha):
    path = save(tmp_path / "photo", Image.new(mode, (4, 4), value), icc_profile=linear_grey())
    grey = srgb(128 / 255)  # the profile's values are light itself
    assert np.abs(read_image(path) - (alpha * grey + (1 - alpha) * 255)).max() < 3
    assert grey > 185


@pytest.mark.parametrize("kind", ["jpeg", "tiff"])
def test_inks_follow_their_profile(tmp_path, kind):
    for inks, lightness in (((0, 0, 0, 0), 100), ((255, 0, 0, 0), 50.2), ((0, 255, 0, 0), 0)):
        path = save(tmp_path / "photo", Image.new("CMYK", (16, 16), inks), kind,
                    icc_profile=odd_inks())
        light = ((lightness + 16) / 116)**3 if lightness > 8 else lightness / 903.3  # CIE 1976
        assert np.abs(read_image(path) - srgb(light)).max() < 6, inks


@pytest.mark.parametrize("icc", [
    b"", b"no profile", adobe_rgb()[:200], adobe_rgb()[:131], odd_inks(), linear_grey(),
    adobe_rgb().replace(b"acsp", b"abcd"), bytes(1000)])
def test_damaged_and_strange_profiles_leave_the_pixels_as_they_are(tmp_path, icc):
    assert np.array_equal(read_image(save(tmp_path / "photo", icc_profile=icc)), PATTERN)


def test_srgb_profiles_leave_the_pixels_as_they_are(tmp_path, monkeypatch):
    from PIL import ImageCms
    icc, apply, computed = (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
                            ImageCms.applyTransform, [])
    monkeypatch.setattr(ImageCms, "applyTransform", lambda photo, transform: (
        computed.append(photo.size), apply(photo, transform))[1])
    assert np.array_equal(read_image(save(tmp_path / "photo", icc_profile=icc)), PATTERN)
    assert PATTERN.shape[1::-1] not in computed  # the photo itself is left alone
    read_image(save(tmp_path / "other", icc_profile=adobe_rgb()))
    assert PATTERN.shape[1::-1] in computed


# ---- read right: frames, chunks, metadata
def test_the_first_of_very_many_frames_is_read_and_the_others_are_not(tmp_path, monkeypatch):
    frames = [Image.new("L", (8, 8), k % 251) for k in range(1, 2000)]
    path = save(tmp_path / "many.gif", Image.new("L", (8, 8), 7), "gif", save_all=True,
                append_images=frames)
    monkeypatch.setattr("PIL.GifImagePlugin.GifImageFile.seek", None)
    assert (read_image(path) == 7).all()


def test_what_pillow_only_warns_of_and_logs_is_silent_in_threads_too(tmp_path, capfd):
    path, hollow = tmp_path / "photo.tif", tmp_path / "hollow.tif"
    tags = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
            (273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 4), (279, 4, 1, 16),
            (700, 1, 10**6, 8)]
    path.write_bytes(tiff(tags).ljust(300, b"\0"))
    hollow.write_bytes(tiff([*tags[:6], (277, 3, 1, 300), *tags[7:]]).ljust(300, b"\0"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert read_image(path).shape == (4, 4, 3)
        with assert_refused("hollow.tif"):
            read_image(hollow)
    assert caught == [] and capfd.readouterr() == ("", "")
    logging.getLogger("PIL").removeHandler(opening.NO_LOG)


def tiff(tags):
    """A TIFF by hand: header, directory of (tag, type, count, value), no more directory."""
    return (struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + b"".join(
        struct.pack("<HHII", *tag) for tag in tags) + bytes(4))


# ---- refused: formats that are no photos
@pytest.mark.parametrize("content", [
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(ls) system\n%%EOF\n",
    b"\xc5\xd0\xd3\xc6" + struct.pack("<6I", 32, 60, 0, 0, 0, 0) + b"%!PS-Adobe-3.0",
    b"%PDF-1.7\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89HDF\r\n\x1a\n",
    b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(300),
    b"\0\0\1\0\1\0\x09\x09\0\0\1\0\x20\0" + struct.pack("<II", 40, 22) + bytes(40),
    b"\xd7\xcd\xc6\x9a" + bytes(60), b"PK\x03\x04", b"#!/bin/sh\n", b"GIF8", bytes(1000)])
def test_formats_that_are_no_photos_are_refused_and_no_program_runs(tmp_path, monkeypatch, content):
    def forbidden(*arguments, **options):
        pytest.fail(f"runs {arguments}")
    for name in ("Popen", "run", "call", "check_call", "check_output"):
        monkeypatch.setattr(subprocess, name, forbidden)
    monkeypatch.setattr(os, "system", forbidden)
    (tmp_path / "photo.jpg").write_bytes(content)
    for function in (read_image, is_rotated):
        with assert_refused("photo.jpg: expected an image file (JPEG, PNG, WEBP, GIF, BMP, TIFF"):
            function(tmp_path / "photo.jpg")


# ---- refused: bombs
def blank_png(width, height):
    """Black, one bit a pixel, the rows left out."""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0,
                                                              0))
            + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))


SMALL_GIF = seeds()["gif"]
BOMBS = {
    "png": blank_png(2**31 - 1, 2**31 - 1), "png below the limit": blank_png(9000, 9000),
    "gif": SMALL_GIF[:6] + b"\xff\xff\xff\xff" + SMALL_GIF[10:],
    "bmp": b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, 30000, 30000, 1, 24, 0, 0, 0, 0, 0,
                               0),
    "tiff": tiff([(256, 4, 1, 50000), (257, 4, 1, 50000), (258, 3, 1, 8), (259, 3, 1, 1),
                  (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (279, 4, 1, 16)]),
    "ppm": b"P6 60000 60000 255\n", "webp": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8L"
    + struct.pack("<I", 9) + b"\x2f" + struct.pack("<I", 16383 | 16383 << 14) + bytes(5)}


@pytest.mark.parametrize("name", BOMBS)
def test_small_files_of_huge_photos_are_refused_before_they_are_unpacked(tmp_path, name):
    (tmp_path / "bomb").write_bytes(BOMBS[name])
    for function in (is_rotated, read_image):
        with assert_refused("bomb: expected"):
            function(tmp_path / "bomb")
    if name != "webp":  # libwebp itself refuses it
        with assert_refused("of at most", "received a larger one", "scale it down"):
            is_rotated(tmp_path / "bomb")


def test_plain_photos_of_16_megapixels_are_no_bombs(tmp_path):
    path = save(tmp_path / "plain.png", Image.new("1", (4096, 4096)))
    assert path.stat().st_size < 10_000
    assert not is_rotated(path)
    assert not is_rotated(save(tmp_path / "larger.jpg", Image.new("L", (6000, 6000)), "jpeg"))
    with assert_refused("larger.webp: expected a photo of at most", "received a larger one"):
        is_rotated(save(tmp_path / "larger.webp", Image.new("L", (6000, 6000)), "webp"))


def test_files_larger_than_any_photo_are_not_read(tmp_path):
    path = tmp_path / "huge.webp"
    path.write_bytes(seeds()["webp"])
    os.truncate(path, 1 << 40)  # sparse: no byte on the disk
    tracemalloc.start()
    with assert_refused("huge.webp: expected a photo of at most", "1099511627776 bytes"):
        read_image(path)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def overlapping(size, tags):
    """A TIFF directory whose tags all hold the same bytes, half of the file."""
    first = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
             (273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 4), (279, 4, 1, 16)]
    return tiff(first + [(1000 + k, 1, size // 2, size // 4) for k in range(tags)]
                ).ljust(size, b"\0")


def test_tags_that_all_hold_the_same_bytes_do_not_eat_the_memory(tmp_path):
    (tmp_path / "photo.tif").write_bytes(overlapping(1 << 19, 8_000))  # 2 GB
    tracemalloc.start()
    with suppress(FileError):  # Pillow 13 leaves such tags out, older ones read them all
        assert read_image(tmp_path / "photo.tif").shape == (4, 4, 3)
    exif = overlapping(1 << 17, 4_000)  # 260 MB, in a PNG
    content = save(tmp_path / "photo.png").read_bytes()
    (tmp_path / "photo.png").write_bytes(content[:33] + chunk(b"eXIf", exif) + content[33:])
    assert np.array_equal(read_image(tmp_path / "photo.png"), PATTERN)
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()


def test_a_file_is_read_about_once(tmp_path):
    (tmp_path / "photo").write_bytes(bytes(1000))
    with opening.BoundedFile(tmp_path / "photo", 1000) as file:
        for _ in range(4 + (1 << 20) // 1000):
            file.seek(0)
            assert len(file.read()) == 1000
        with pytest.raises(OSError, match="far more work"):
            file.seek(0)
            file.read()


def test_a_photo_that_takes_too_long_is_given_up(tmp_path, monkeypatch):
    path = save(tmp_path / "photo.jpg", kind="jpeg")
    clock = iter(range(1000))  # ten seconds each time it is looked at
    monkeypatch.setattr(time, "thread_time", lambda: 10 * next(clock))
    with assert_refused("photo.jpg: expected a readable photo", "far more work"):
        read_image(path)
    assert opening.MAX_SECONDS <= 5


@pytest.mark.parametrize("kind", ["jpeg", "mpo"])
def test_a_photo_of_scans_without_end_is_refused_before_it_is_decoded(tmp_path, monkeypatch, kind):
    black = Image.new("L", (64, 64))
    path = save(tmp_path / "photo.jpg", black, kind, progressive=True,
                **{"save_all": True, "append_images": [black]} if kind == "mpo" else {})
    scan = b"\xff\xda\0\x08\x01\x01\0\x01\x3f\0"  # all coefficients once more, of no data
    content, end = path.read_bytes(), path.read_bytes().index(b"\xff\xd9")
    path.write_bytes(content[:end] + 60 * scan + content[end:] + 999 * b"\xff\xda")
    assert (read_image(path) == 0).all()  # what follows may be a film: no scans
    monkeypatch.setattr(JpegImageFile, "load", None)
    path.write_bytes(content[:end] + 101 * scan + content[end:])
    with assert_refused("photo.jpg: expected a readable photo", "more than 100 scans"):
        read_image(path)


# ---- what is no file
@pytest.fixture
def folder(tmp_path):
    """Classes a and b of three photos each."""
    for k in range(6):
        save(tmp_path / "photos" / "ab"[k // 3] / f"{k}.png",
             Image.fromarray(np.roll(PATTERN, 7 * k, axis=0)))
    return tmp_path / "photos"


def test_pipes_sockets_devices_and_links_in_circles_are_skipped_and_named(folder):
    inside = folder / "a"
    os.mkfifo(inside / "pipe.jpg")
    (inside / "device.jpg").symlink_to("/dev/zero")
    (inside / "one.jpg").symlink_to("two.jpg")
    (inside / "two.jpg").symlink_to("one.jpg")
    (inside / "up").symlink_to("..")
    (inside / "long.jpg").symlink_to("x" * 255 + "/" + "y" * 300)
    (folder / "round").symlink_to(".")
    (folder / "above").symlink_to("..")
    bound = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    try:
        os.chdir(inside)  # the path of a socket is short
        bound.bind("socket.jpg")
    finally:
        os.chdir(here)
        bound.close()
    data = ImageFolder(folder)
    assert data.counts == {"a": 3, "b": 3}
    assert [Path(line.split(": ")[0]).name for line in data.skipped] == [
        "above", "round", "device.jpg", "long.jpg", "one.jpg", "pipe.jpg", "socket.jpg", "two.jpg",
        "up"]
    assert "8 skipped" not in repr(data) and repr(data).endswith("9 skipped")
    for name in ("pipe.jpg", "device.jpg", "socket.jpg"):
        with assert_refused(f"{name}: expected", "a folder, a pipe or a device"):
            read_image(inside / name)


def test_photos_without_permission_are_skipped_and_named(folder):
    (folder / "a" / "0.png").chmod(0)
    found, user = [], os.geteuid()
    for path in [*folder.parents[:4], folder, folder / "a"]:
        found.append((path, path.stat().st_mode))
        path.chmod(0o755)
    try:
        if user == 0:  # root may read everything
            os.seteuid(65534)
        data = ImageFolder(folder)
    finally:
        os.seteuid(user)
        for path, mode in found:
            path.chmod(mode)
    assert data.counts == {"a": 2, "b": 3} and len(data.skipped) == 1
    assert "0.png: expected a readable photo, received PermissionError (Permission denied)" in (
        data.skipped[0])


def test_paths_too_long_for_the_system_are_refused_in_a_sentence(tmp_path, capsys):
    for name in ("x" * 300, "x/" * 3000):
        with assert_refused("expected"):
            read_image(tmp_path / name)
        with assert_refused("expected a folder"):
            ImageFolder(tmp_path / name)
        for command in (["data", name], ["train", name]):
            assert main(command) == 2
            assert "expected" in capsys.readouterr().err


# ---- names
NAMES = ["two\nlines.png", "tab\tand\rreturn.png", "\x1b[31mred.png", "caf\udce9.png", "é.png",
         "e\u0301.png", "猫.png", "<script>.png", 'a "quoted", name;.png', "=1+1.png", "n" * 251
         + ".png", " .png", "~.png", "%s%n.png", "$x^$.png", "\u202egnp.png", "a'b.png", "-rf.png"]


def test_names_of_every_kind_go_through_a_split_and_back(folder):
    for k, name in enumerate(NAMES):
        save(folder / "ab"[k % 2] / name)
    data = ImageFolder(folder)
    assert len(data) == 6 + len(NAMES) and data.skipped == []
    parts = subsets(data, [("train", "test")[k % 3 == 0] for k in range(len(data))])
    write_split(folder.parent / "split.csv", parts)
    again = read_split(folder.parent / "split.csv", data)
    assert {name: part.names for name, part in again.items()} == {
        name: part.names for name, part in parts.items()}


def test_names_of_every_kind_stay_on_one_line_of_a_sentence(folder):
    for name in NAMES:
        (folder / "a" / name).write_text("no photo")
    data = ImageFolder(folder)
    assert len(data.skipped) == len(NAMES)
    for line in data.skipped:
        assert line.isprintable() and ": expected an image file" in line
    text = "\n".join(data.skipped)
    assert r"two\nlines.png" in text and r"\x1b[31mred.png" in text and r"caf\udce9.png" in text
    assert "é.png" in text and "猫.png" in text


def test_data_command_prints_and_writes_names_of_every_kind(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for k, name in enumerate(NAMES):
        save(folder / "ab"[k % 2] / name)
        (folder / "ab"[k % 2] / f"no{name[-240:]}").write_text("no photo")
    assert main(["data", "photos"]) in (0, 2)
    out = capsys.readouterr().out
    assert f"{len(NAMES)} other files skipped" in out
    page = (folder.parent / "photos-report" / "report.html").read_text("utf-8")
    assert page.count("<script") == 2  # its numbers, and the button for light and dark
    assert "<script>" not in page.split('id="data">')[1].split("</script>")[0]


def test_classes_have_names_that_can_be_printed_and_written(tmp_path):
    for name in ("a\nb", "caf\udce9", "猫"):
        save(tmp_path / name / "1.png")
    data = ImageFolder(tmp_path)
    assert data.classes == [r"a\nb", r"caf\udce9", "猫"]
    assert data.names[1] == "caf\udce9/1.png" and read_image(data.items[1]).shape == (40, 30, 3)
    (tmp_path / r"a\nb").mkdir()
    save(tmp_path / r"a\nb" / "1.png")
    with assert_refused("different class names"):  # one would count for the other
        ImageFolder(tmp_path)


def test_classes_whose_names_differ_only_in_case_are_two(tmp_path):
    for name in ("Cat", "cat"):
        save(tmp_path / name / "1.png", Image.new("L", (9, 9), len(name) if name == "cat" else 200))
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system takes them for one")
    data = ImageFolder(tmp_path)
    assert data.classes == ["Cat", "cat"] and data.labels.tolist() == [0, 1]
    assert [int(data.read(i)[0, 0, 0]) for i in range(2)] == [200, 3]


# ---- damage that shows only when a photo is decoded, photos that vanish
def damage(path):
    path.write_bytes(path.read_bytes()[:-100])


def test_unread_photos_are_set_aside_and_the_others_drawn(folder):
    damage(folder / "a" / "1.png")
    data = ImageFolder(folder)
    (folder / "b" / "4.png").unlink()
    found = perceptual_hashes(data)
    assert len(data) == 6 and sorted(found.unread) == [1, 4]
    assert "a/1.png: expected a readable photo" in found.unread[1]
    assert "b/4.png: expected a photo, found no such file" in found.unread[4]
    parts = draw_parts(data, {"train": 0.5, "test": 0.5}, found, near_duplicates(data, found))
    named = subsets(data, parts)
    assert named["unreadable"].names == ["a/1.png", "b/4.png"]
    assert named["train"].counts == named["test"].counts == {"a": 1, "b": 1}
    assert list(named) == ["train", "test", "unreadable"]


def test_unread_photos_of_parts_are_set_aside(folder):
    data = ImageFolder(folder)
    parts = subsets(data, ["train", "train", "test"] * 2)
    damage(folder / "a" / "1.png")
    (folder / "b" / "3.png").unlink()
    calls = []
    left, why, _ = drop_unreadable(parts, lambda done, total: calls.append((done, total)))
    assert {name: part.names for name, part in left.items()} == {
        "train": ["a/0.png", "b/4.png"], "test": ["a/2.png", "b/5.png"],
        "unreadable": ["a/1.png", "b/3.png"]}
    assert left["unreadable"].labels.tolist() == [0, 1] and calls[-1] == (6, 6)
    assert [line.split(": ")[0][-7:] for line in why] == ["a/1.png", "b/3.png"]
    write_split(folder.parent / "split.csv", left)
    again = read_split(folder.parent / "split.csv", data)  # as a run that goes on does
    assert {name: part.names for name, part in again.items()} == {
        name: part.names for name, part in left.items()}
    assert drop_unreadable(again)[0].keys() == left.keys()
    whole = {"train": left["train"], "test": left["test"]}
    assert drop_unreadable(whole)[0].keys() == whole.keys() and drop_unreadable(whole)[1] == []


def test_a_class_that_runs_empty_is_refused_by_name(folder):
    data = ImageFolder(folder)
    parts = subsets(data, ["train", "train", "test"] * 2)
    (folder / "a" / "0.png").write_text("no photo")
    assert drop_unreadable(parts)[0]["train"].names == ["a/1.png", "b/3.png", "b/4.png"]
    damage(folder / "a" / "1.png")
    with assert_refused("train: expected photos of 'a', found none of its 2 that can be read",
                        "0.png: expected an image file"):
        drop_unreadable(parts)
    (folder / "b" / "5.png").unlink()
    damage(folder / "a" / "2.png")
    with assert_refused("expected photos of 'a', found none"):
        drop_unreadable({"test": parts["test"]})  # a part without any photo left
    found = perceptual_hashes(data)
    with assert_refused("photos of 'a'", "received 0"):
        draw_parts(data, {"train": 0.5, "test": 0.5}, found, near_duplicates(data, found))
    (folder / "b" / "3.png").write_text("no photo")
    (folder / "b" / "4.png").write_bytes(b"")
    (folder / "a" / "1.png").write_bytes(b"")
    (folder / "a" / "2.png").write_bytes(b"")
    with assert_refused("a: expected photos of the class 'a', found none that can be read"):
        ImageFolder(folder)


def test_a_class_folder_that_vanishes_while_it_is_listed_is_named(folder, monkeypatch):
    (folder / "c").mkdir()
    isdir = os.path.isdir

    def vanishing(path):
        was = isdir(path)
        if Path(path).name == "c":
            Path(path).rmdir()
        return was
    monkeypatch.setattr(os.path, "isdir", vanishing)
    with assert_refused("c: expected a folder that can be read"):
        ImageFolder(folder)
