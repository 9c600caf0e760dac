"""What a file is that is no photo, by its first bytes, whatever it is called."""

import codecs
import struct
import sys
import types

import numpy as np
import pytest
from makers import zipped
from PIL import Image, ImageFile
from reference import assert_refused

from minicnn.data import file_kinds, is_rotated, open_image, read_image
from minicnn.data.file_kinds import kind_of


def box(brand, *compatible):
    """The first box of an MP4, a QuickTime film, a HEIF (ISO/IEC 14496-12)."""
    body = b"ftyp" + brand + bytes(4) + b"".join(compatible)
    return struct.pack(">I", 4 + len(body)) + body + bytes(300)


def raw_tiff(order, make=b"NIKON CORPORATION\0"):
    """A RAW as Nikon's or Sony's: a TIFF whose first directory is a thumbnail that could be read,
    and which names another directory (tag 330) for the pixels of the sensor."""
    entries = [(254, 4, 1, 1), (256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1),
               (262, 3, 1, 1), (271, 2, len(make), 200), (273, 4, 1, 190), (277, 3, 1, 1),
               (278, 3, 1, 1), (279, 4, 1, 2), (330, 4, 1, 250)]
    body = struct.pack(order + "2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(entries))
    for tag, kind, count, value in entries:
        size = "HH" if kind == 3 else "I"
        body += struct.pack(order + "HHI" + size, tag, kind, count, *[value, 0][:len(size)])
    return (body + bytes(4)).ljust(200, b"\0") + make.ljust(100, b"\0")


KINDS = {
    "an empty file": [b""],
    "a file of zeros": [bytes(1000)],
    "a Git LFS pointer": [b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n"],
    "a HEIC photo": [box(b"heic", b"mif1", b"heic"), box(b"mif1", b"mif1", b"heix"),
                     box(b"msf1", b"hevc")],
    "a RAW camera file": [
        b"FUJIFILMCCD-RAW 0201FF389501X-T1" + bytes(9), b"FOVb" + bytes(40),
        b"IIRO\x08\0\0\0" + bytes(40),
        b"IIU\0\x18\0\0\0" + bytes(40), b"II*\0\x10\0\0\0CR\2\0" + bytes(40), box(b"crx ", b"isom"),
        b"II\x1a\0\0\0HEAPCCDR" + bytes(9), raw_tiff("<"), raw_tiff(">", b"SONY\0")],
    "a video": [box(b"isom", b"mp41"), box(b"qt  "), box(b"mp42"), b"\x1aE\xdf\xa3" + bytes(40),
                b"RIFF\x24\0\0\0AVI LIST" + bytes(40), b"FLV\1\5" + bytes(40),
                b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\0\xaa\0b\xcel" + bytes(40),
                b"\0\0\1\xba" + bytes(40)],
    "a sound recording": [b"ID3\4" + bytes(40), b"RIFF\x24\0\0\0WAVEfmt " + bytes(40),
                          b"OggS\0" + bytes(9), b"fLaC\0", box(b"M4A ", b"isom")],
    "a PDF": [b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", b"%PDF-1.4\n1 0 obj\n"],
    "a Photoshop file": [b"8BPS\0\1" + bytes(20)],
    "a drawing in SVG": [b"<svg xmlns='http://www.w3.org/2000/svg'/>",
                         b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg width="9">'],
    "a PostScript file": [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xc5\xd0\xd3\xc6" + bytes(24)],
    "a JPEG XL photo": [b"\xff\x0a\xfa\x1f", b"\0\0\0\x0cJXL \r\n\x87\n"],
    "a JPEG 2000 photo": [b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51\0/"],
    "a medical image (DICOM)": [bytes(128) + b"DICM\2\0"],
    "an icon": [b"\0\0\1\0\1\0\x20\x20"],
    "a web page": [b"<!DOCTYPE html>\n<html><body>404", b"\n<html lang='en'>",
                   codecs.BOM_UTF8 + b"<html>"],
    "an archive": [zipped({"cats/1.jpg": b"x"}), b"Rar!\x1a\x07\0", b"7z\xbc\xaf\x27\x1c",
                   b"\x1f\x8b\x08\0", b"cats/".ljust(257, b"\0") + b"ustar\0"],
    "an Office document": [zipped({"[Content_Types].xml": b"x"}),
                           zipped({"mimetype": b"application/vnd.oasis.opendocument.text"}),
                           b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"],
    "an HDF5 file": [b"\x89HDF\r\n\x1a\n\0"],
    "a NumPy array": [b"\x93NUMPY\1\0v\0"],
    "a program": [b"MZ\x90\0\3", b"\x7fELF\2\1\1\0"],
    "a text": [b"cirrus; cumulus\n", "Größe, été".encode(), "Größe, été".encode("latin-1"),
               "notes".encode("utf-16"), b'{"a": 1}', b"MZ is a name", b"BMW, VW\n",
               b"x" * (file_kinds.HEAD_BYTES - 1) + "é".encode()[:1]],  # cut in two
    "a damaged photo": [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(4),
                        b"II*\0\x08\0\0\0\0\0", b"BM\0\0\0\0"],
    "a file of unknown kind": [b"\x01\x02\x03\x04\x80", bytes(range(256))],
}


@pytest.mark.parametrize("name, content", [(name, content) for name, contents in KINDS.items()
                                           for content in contents])
def test_kinds_are_named_by_their_first_bytes_and_refused(tmp_path, monkeypatch, name, content):
    monkeypatch.setattr(open_image, "readable_formats", lambda: open_image.FORMATS)
    assert kind_of(content).singular == name
    (tmp_path / "IMG_0001.JPG").write_bytes(content)
    for function in (read_image, is_rotated):
        with assert_refused("IMG_0001.JPG: expected an image file (JPEG", f"received {name}; "):
            function(tmp_path / "IMG_0001.JPG")


def test_every_kind_has_a_plural_and_an_advice():
    kinds = [kind for kind in vars(file_kinds).values() if isinstance(kind, file_kinds.FileKind)]
    assert len(kinds) > 25 and len({kind.plural for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert kind.advice and kind.advice[0].islower() and kind.advice[-1] != "."
        assert kind.singular.split()[0] in ("a", "an") and kind.plural


def test_a_plain_tiff_with_other_directories_is_no_raw_file(tmp_path):
    photo = Image.new("RGB", (5, 4), "red")
    photo.save(tmp_path / "pages.tif", save_all=True, append_images=[photo])
    assert (read_image(tmp_path / "pages.tif") == [255, 0, 0]).all()


# ---- AVIF and HEIC
def test_avif_is_read(tmp_path):
    if "AVIF" not in open_image.readable_formats():
        pytest.skip("this Pillow has no AVIF")
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:, :24] = (200, 60, 40)
    exif = Image.Exif()
    exif[0x0112] = 3
    path = tmp_path / "photo.jpg"  # whatever it is called
    Image.fromarray(pixels).save(path, "avif", quality=100, subsampling="4:4:4")
    assert np.abs(read_image(path).astype(int) - pixels).max() < 6
    Image.fromarray(pixels).save(path, "avif", quality=100, subsampling="4:4:4", exif=exif)
    assert np.abs(read_image(path).astype(int) - pixels[::-1, ::-1]).max() < 6


def test_without_the_plugins_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(open_image, "readable_formats", lambda: open_image.FORMATS)
    (tmp_path / "e.heic").write_bytes(box(b"heic", b"mif1"))
    (tmp_path / "d.avif").write_bytes(box(b"avif", b"mif1"))
    with assert_refused("e.heic: expected", "received a HEIC photo", "-e '.[heic]'",
                        "Most Compatible"):
        read_image(tmp_path / "e.heic")
    with assert_refused("d.avif: expected", "received an AVIF photo", "Pillow 11.3"):
        read_image(tmp_path / "d.avif")


class FakeHeif(ImageFile.ImageFile):
    """Stands in for pillow-heif: reads 2 × 1 pixels whose values are the last six bytes."""

    format = "HEIF"

    def _open(self):
        self._size, self._mode = (2, 1), "RGB"
        self.fp.seek(0)
        if self.fp.read(20)[16:20] == b"bad!":
            raise SyntaxError("no HEIF")

    def load(self):
        self.fp.seek(-6, 2)
        pixels = self.fp.read()
        self.im = Image.frombytes("RGB", (2, 1), pixels).im
        if pixels == b"larger":  # than its header says
            self._size = (3, 3)
            self.im = Image.new("RGB", (3, 3)).im
        return Image.Image.load(self)


@pytest.fixture
def fake_plugin(monkeypatch):
    """The module pillow_heif, as far as it is used."""
    def register():
        Image.register_open("HEIF", FakeHeif, lambda head: head[4:12] == b"ftypheic")
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    monkeypatch.setitem(sys.modules, "pillow_heif",
                        types.SimpleNamespace(register_heif_opener=register))
    open_image.readable_formats.cache_clear()
    yield
    open_image.readable_formats.cache_clear()


def test_heic_is_read_where_the_extra_is_installed(tmp_path, fake_plugin):
    (tmp_path / "e.jpg").write_bytes(box(b"heic", b"mif1") + bytes(range(1, 7)))
    assert read_image(tmp_path / "e.jpg").tolist() == [[[1, 2, 3], [4, 5, 6]]]
    (tmp_path / "e.jpg").write_bytes(box(b"heic", b"mif1") + b"larger")
    with assert_refused("e.jpg: expected a readable photo", "header of [1, 2] pixels and an image "
                        "of (3, 3)"):
        read_image(tmp_path / "e.jpg")
    (tmp_path / "bad.heic").write_bytes(box(b"heic", b"bad!"))
    with assert_refused("HEIF", "received a damaged HEIC photo; make a new copy"):
        read_image(tmp_path / "bad.heic")


def test_real_heic_is_read_upright(tmp_path):
    plugin = pytest.importorskip("pillow_heif")
    plugin.register_heif_opener()
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:, :48] = (200, 60, 40)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "plain.jpg", "heif", quality=95)
    assert np.abs(read_image(tmp_path / "plain.jpg").astype(int) - pixels).max() < 12
    photo = Image.fromarray(pixels)
    photo.info["exif"] = exif.tobytes()  # it writes the rotation that HEIF itself has, irot
    photo.save(tmp_path / "turned.heic", quality=95)
    turned = read_image(tmp_path / "turned.heic")
    assert turned.shape == (96, 64, 3)
    assert np.abs(turned.astype(int) - np.rot90(pixels, -1)).max() < 12
    content = (tmp_path / "plain.jpg").read_bytes()
    (tmp_path / "cut.heic").write_bytes(content[:len(content) // 2])
    with assert_refused("cut.heic: expected"):
        read_image(tmp_path / "cut.heic")
