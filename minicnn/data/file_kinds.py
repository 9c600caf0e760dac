"""Names a file that cannot be read as a photo, by its first bytes: a video, a PDF, HEIC, …

The name of a file promises nothing: phones, messengers and failed downloads call anything .jpg.

Sources: the magic numbers are those of the formats' own specifications; ISO/IEC 14496-12, section
4.3, and ISO/IEC 23008-12, section 10.2, for the brands of `ftyp` (MP4, QuickTime, HEIF, AVIF).
"""

from __future__ import annotations

import codecs
import re
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from ..utils.errors import FileError
from ..utils.language import gettext_noop as N_

HEAD_BYTES = 4096  # of a file, which decide


class FileKind(NamedTuple):
    """A kind of file: its name for one file ("a video") and for several ("videos"), what to do with
    it, and whether it is a photo, only not one that can be read here. The texts are English, as
    errors are; listing.group_by_kind translates them."""

    singular: str
    plural: str
    advice: str
    is_photo: bool = False


class OtherKindError(FileError):
    """The error for a file that is not a readable photo, with what it is instead."""

    def __init__(self, message: str, kind: FileKind) -> None:
        super().__init__(message)
        self.kind = kind


TO_JPEG = N_("export as JPEG or PNG")
AGAIN = N_("make a new copy from the camera or the source")
ONLY_PHOTOS = N_("only photos are read: keep other files elsewhere")
EMPTY = FileKind(N_("an empty file"), N_("empty files"), AGAIN, True)
ZEROS = FileKind(N_("a file of zeros"), N_("files of zeros"),
                 N_("the copy failed: make a new copy from the camera or the source"), True)
LFS_POINTER = FileKind(N_("a Git LFS pointer"), N_("Git LFS pointers"),
                       N_("fetch the photos: git lfs pull"), True)
HEIC = FileKind(N_("a HEIC photo"), N_("HEIC photos"),
                N_("install the extra heic (pip install -e '.[heic]'), or export as "
                   "JPEG; a phone saves JPEG if its camera format is set to Most "
                   "Compatible"), True)
DAMAGED_HEIC = FileKind(N_("a damaged HEIC photo"), N_("damaged HEIC photos"), AGAIN, True)
AVIF = FileKind(N_("an AVIF photo"), N_("AVIF photos"),
                N_("install Pillow 11.3 or newer, or export as JPEG"), True)
DAMAGED_AVIF = FileKind(N_("a damaged AVIF photo"), N_("damaged AVIF photos"), AGAIN, True)
RAW = FileKind(N_("a RAW camera file"), N_("RAW camera files"),
               N_("develop, and save as JPEG"), True)
DAMAGED = FileKind(N_("a damaged photo"), N_("damaged photos"),
                   N_("make a new copy from the camera or the source, or save again as "
                      "JPEG or PNG"), True)
VIDEO = FileKind(N_("a video"), N_("videos"), N_("save single frames as JPEG"))
SOUND = FileKind(N_("a sound recording"), N_("sound recordings"), ONLY_PHOTOS)
PDF = FileKind(N_("a PDF"), N_("PDFs"), N_("export the pages or pictures as JPEG or PNG"))
PSD = FileKind(N_("a Photoshop file"), N_("Photoshop files"), TO_JPEG, True)
SVG = FileKind(N_("a drawing in SVG"), N_("drawings in SVG"), TO_JPEG)
POSTSCRIPT = FileKind(N_("a PostScript file"), N_("PostScript files"), TO_JPEG)
JPEG_XL = FileKind(N_("a JPEG XL photo"), N_("JPEG XL photos"), TO_JPEG, True)
JPEG_2000 = FileKind(N_("a JPEG 2000 photo"), N_("JPEG 2000 photos"), TO_JPEG, True)
DICOM = FileKind(N_("a medical image (DICOM)"), N_("medical images (DICOM)"), TO_JPEG, True)
ICON = FileKind(N_("an icon"), N_("icons"), ONLY_PHOTOS)
WEB_PAGE = FileKind(N_("a web page"), N_("web pages"),
                    N_("save the picture itself, not the page around it"))
ARCHIVE = FileKind(N_("an archive"), N_("archives"), N_("unpack first"))
OFFICE = FileKind(N_("an Office document"), N_("Office documents"),
                  N_("export the pictures as JPEG or PNG"))
HDF5 = FileKind(N_("an HDF5 file"), N_("HDF5 files"),
                N_("a model or data: only photos are read: keep other files elsewhere"))
ARRAY = FileKind(N_("a NumPy array"), N_("NumPy arrays"), ONLY_PHOTOS)
PROGRAM = FileKind(N_("a program"), N_("programs"), ONLY_PHOTOS)
TEXT = FileKind(N_("a text"), N_("texts"), ONLY_PHOTOS)
EXPLANATION = FileKind(N_("a picture of --explain"), N_("pictures of --explain"),
                       N_("drawn by minicnn predict, which leaves them out"))
LINK = FileKind(N_("a link to a folder that is read already"),
                N_("links to folders that are read already"),
                N_("not followed"))
NO_CLASS = FileKind(N_("a photo in no class folder"), N_("photos in no class folder"),
                    N_("no label: put into the folder of a class, or leave out"), True)
NO_PART = FileKind(N_("a photo in no part of the split"), N_("photos in no part of the split"),
                   N_("neither trained on nor tested"), True)
UNKNOWN = FileKind(N_("a file of unknown kind"), N_("files of unknown kind"),
                   N_("if this is a photo, save it as JPEG or PNG"))

TEXT_SIGNATURES = (  # of formats that begin as texts do; (bytes, kind)
    (b"version https://git-lfs.github.com/", LFS_POINTER), (b"%PDF", PDF), (b"%!PS", POSTSCRIPT))
SIGNATURES = (  # (position, bytes, kind) of all others; the first that fits
    (0, b"FUJIFILMCCD-RAW", RAW), (0, b"FOVb", RAW), (0, b"IIRO", RAW), (0, b"IIRS", RAW),
    (0, b"MMOR", RAW), (0, b"IIU\0", RAW), (6, b"HEAPCCDR", RAW), (0, b"\0MRM", RAW),
    (8, b"CR\2", RAW), (0, b"8BPS", PSD), (0, b"\xc5\xd0\xd3\xc6", POSTSCRIPT),
    (0, b"\xff\x0a", JPEG_XL), (0, b"\0\0\0\x0cJXL ", JPEG_XL),
    (0, b"\0\0\0\x0cjP  ", JPEG_2000), (0, b"\xff\x4f\xff\x51", JPEG_2000),
    (128, b"DICM", DICOM), (0, b"\0\0\1\0", ICON),
    (0, b"\x1aE\xdf\xa3", VIDEO), (0, b"FLV\1", VIDEO), (0, b"\0\0\1\xba", VIDEO),
    (0, b"\0\0\1\xb3", VIDEO), (0, b"0&\xb2u\x8ef\xcf\x11", VIDEO), (8, b"AVI ", VIDEO),
    (0, b"OggS", SOUND), (0, b"ID3", SOUND), (0, b"fLaC", SOUND), (8, b"WAVE", SOUND),
    (0, b"Rar!", ARCHIVE), (0, b"7z\xbc\xaf", ARCHIVE), (0, b"\x1f\x8b", ARCHIVE),
    (0, b"BZh", ARCHIVE), (0, b"\xfd7zXZ", ARCHIVE), (257, b"ustar", ARCHIVE),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OFFICE), (0, b"\x89HDF\r\n\x1a\n", HDF5),
    (0, b"\x93NUMPY", ARRAY), (0, b"MZ", PROGRAM), (0, b"\x7fELF", PROGRAM),
    (0, b"\xff\xd8\xff", DAMAGED), (0, b"\x89PNG", DAMAGED), (0, b"GIF8", DAMAGED),
    (0, b"BM", DAMAGED), (8, b"WEBP", DAMAGED), (0, b"II*\0", DAMAGED), (0, b"MM\0*", DAMAGED),
    (0, b"II+\0", DAMAGED), (0, b"MM\0+", DAMAGED))
# A TIFF with a tag of RAW files: SubIFDs (330), where the pixels are, or DNGVersion (50706).
RAW_TAGS = re.compile(rb"II[*]\0.*(\x4a\x01[\x04\x0d]\0|\x12\xc6\x01\0\x04\0\0\0)"
                      rb"|MM\0[*].*(\x01\x4a\0[\x04\x0d]|\xc6\x12\0\x01\0\0\0\x04)", re.S)
NETPBM = re.compile(rb"P[1-6]\s+\d+\s+\d+\s")
# The brands of HEIF whose pictures are coded as HEVC; mif1 and msf1 may also hold others.
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1",
               b"msf1")
AVIF_BRANDS = (b"avif", b"avis")
SOUND_BRANDS = (b"M4A ", b"M4B ")
OFFICE_MEMBERS = (b"[Content_Types].xml", b"mimetypeapplication/vnd.oasis")


def read_head(path: str | PathLike) -> bytes:
    """The first bytes of a file, by which `kind_of` names it. Raises OSError."""
    with Path(path).open("rb") as file:
        return file.read(HEAD_BYTES)


def kind_of(head: bytes, formats: tuple[str, ...] = ()) -> FileKind:
    """The kind of a file that is no photo that can be read, by its first HEAD_BYTES bytes.

    formats: those that can be read. A HEIC or AVIF file is a damaged one if its format is among
    them; otherwise what is missing is the reader.
    """
    if not head:
        return EMPTY
    if not head.strip(b"\0"):
        return ZEROS
    if head[4:8] == b"ftyp":
        return _kind_of_brands(head, formats)
    if head[:2] == b"PK":
        return OFFICE if any(name in head for name in OFFICE_MEMBERS) else ARCHIVE
    if NETPBM.match(head):
        return DAMAGED
    for magic, kind in TEXT_SIGNATURES:
        if head.startswith(magic):
            return kind
    text = _as_text(head)
    if text is not None:
        return _kind_of_text(text)
    if RAW_TAGS.match(head):
        return RAW
    for position, magic, kind in SIGNATURES:
        if head.startswith(magic, position):
            return kind
    # Latin-1 comes last, since almost any bytes could be it; control characters could not.
    return UNKNOWN if re.search(rb"[\x80-\x9f]", head) or _is_binary(head) else TEXT


def _kind_of_text(text: str) -> FileKind:
    """A drawing, a web page, or a text."""
    if re.search(r"<svg[\s>]", text):
        return SVG
    is_page = re.match(r"\s*(<[?]xml[^>]*>\s*)?(<!--.*?-->\s*)?<(!doctype )?html", text,
                       re.IGNORECASE | re.DOTALL)
    return WEB_PAGE if is_page else TEXT


def _kind_of_brands(head: bytes, formats: tuple[str, ...]) -> FileKind:
    """The kind of a file that starts with the box `ftyp`: its size, "ftyp", the major brand, a
    version, compatible brands of 4 bytes each."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[k:k + 4] for k in range(16, end - 3, 4))]
    if brands[0] == b"crx ":  # Canon's CR3
        return RAW
    if any(brand in AVIF_BRANDS for brand in brands):
        return DAMAGED_AVIF if "AVIF" in formats else AVIF
    if any(brand in HEIC_BRANDS for brand in brands):
        return DAMAGED_HEIC if "HEIF" in formats else HEIC
    return SOUND if brands[0] in SOUND_BRANDS else VIDEO


def _as_text(head: bytes) -> str | None:
    """The bytes as text, if they are one: in UTF-8, or UTF-16 with its mark."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head.decode("utf-16", "replace")
    if _is_binary(head):
        return None
    try:  # HEAD_BYTES may have cut a character in two: not final
        return codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return None


def _is_binary(head: bytes) -> bool:
    """True if there are control characters that no text has."""
    return re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]", head) is not None
