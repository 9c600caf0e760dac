"""Photos in folders, archives, and what a folder holds."""

import contextlib
import io
import sys
import zipfile

import numpy as np
from PIL import Image


def write_photos(root, names, size=(40, 40), seed=0):
    """Noise at these paths below root, all different: {name: pixels}."""
    rng, written = np.random.default_rng(seed), {}
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        written[name] = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(written[name]).save(path)
    return written


def photo_folder(root, counts, size=(40, 40), seed=0):
    """So many photos of noise in each of these folders below root: <root>/<class>/0.png, …"""
    for name in counts:
        (root / name).mkdir(parents=True, exist_ok=True)  # with count 0, too
    write_photos(root, [f"{name}/{k}.png" for name, count in counts.items()
                        for k in range(count)], size, seed)
    return root


def striped_folder(root, counts, size=(40, 40)):
    """The same, but with something to learn: noise from 0 to 119, and in the k-th of as many
    upright strips as there are classes 120 more for class k."""
    photo_folder(root, counts, size)
    strip = size[1] // len(counts)
    for k, name in enumerate(counts):
        for path in (root / name).iterdir():
            pixels = np.asarray(Image.open(path)) * np.uint16(120) // 256
            pixels[:, k * strip:(k + 1) * strip] += 120
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return root


def write_dataset(root, data):
    """The photos of a dataset as files: <root>/<class>/0.png, …"""
    for label, name in enumerate(data.classes):
        (root / name).mkdir(parents=True)
        for number, k in enumerate(np.flatnonzero(data.labels == label)):
            Image.fromarray(data.read(k)).save(root / name / f"{number}.png")
    return root


@contextlib.contextmanager
def files_of_at_most(size):
    """In the body of the with, files end after so many bytes, as on a full disk.

    Meanwhile Python keeps nothing that it compiles: it would keep the first bytes of it, and every
    later process would fail to import that.
    """
    import resource  # Windows has none

    limits, before = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        sys.dont_write_bytecode = before


def zipped(members, how=zipfile.ZIP_STORED):
    """The bytes of a zip file. members: {name: text or bytes}."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", how) as out:
        for name, part in members.items():
            out.writestr(name, part)
    return content.getvalue()


def contents(folder):
    """{path below the folder, with /: bytes} of all files."""
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}
