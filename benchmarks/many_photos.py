"""What a folder of very many photos costs: time, and memory for each photo.

    python -m benchmarks.many_photos                       a million links to a thousand files
    python -m benchmarks.many_photos --photos 100000 --distinct 100000 --side 16

Makes a temporary folder with `--classes` sub-folders, in which the photos are links to `--distinct`
small JPEGs, lists it (ImageFolder, which reads all headers), reads all photos for their
fingerprints (perceptual_hashes), looks for copies (near_duplicates), deals the photos into train,
validation and test (draw_parts, subsets), writes split.csv and reads it again.

"kept" is the memory of the process when a step is done, "peak" the most that it had during it,
both in bytes for each photo beyond what it had before the first step (VmRSS and VmHWM of
/proc/self/status; the latter is set back before each step). Linux only.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from minicnn.data import (
    ImageFolder,
    draw_parts,
    near_duplicates,
    perceptual_hashes,
    read_image,
    read_split,
    subsets,
    write_split,
)

SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}
MAX_LINKS = 60_000  # to a file; ext4 allows 65,000


def make_folder(folder, photos, distinct, classes, side):
    """`photos` hard links to `distinct` files, in `classes` folders."""
    rng = np.random.default_rng(0)
    (folder / "files").mkdir()
    for k in range(distinct):
        noise = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        noise.resize((side, side)).save(folder / "files" / f"{k}.jpg")
    for k in range(classes):
        (folder / "photos" / f"class{k}").mkdir(parents=True)
    for i in range(photos):
        os.link(folder / "files" / f"{i % distinct}.jpg",
                folder / "photos" / f"class{i % classes}" / f"photo{i}.jpg")
    return folder / "photos"


def steps(photos, split):
    """(name, function of the results so far) of each step."""
    return [
        ("list", lambda r: ImageFolder(photos)),
        ("read", lambda r: perceptual_hashes(r["list"])),
        ("copies", lambda r: near_duplicates(r["list"], r["read"])),
        ("deal", lambda r: draw_parts(r["list"], SHARES, r["read"], r["copies"])),
        ("subsets", lambda r: subsets(r["list"], r["deal"])),
        ("write", lambda r: write_split(split, r["subsets"])),
        ("read back", lambda r: read_split(split, r["list"])),
    ]


def memory():
    """(resident now, the most since it was set back) in bytes."""
    status = Path("/proc/self/status").read_text()
    return [1024 * int(re.search(rf"{field}:\s+(\d+)", status)[1]) for field in ("VmRSS", "VmHWM")]


def measure(photos, count):
    """Prints a line for each step."""
    results, threads = {}, ThreadPoolExecutor(1)
    read_image(next((photos / "class0").iterdir()))  # imports Pillow
    threads.submit(int).result()
    before = memory()[0]
    with tempfile.TemporaryDirectory() as folder:
        for name, function in steps(photos, Path(folder) / "split.csv"):
            Path("/proc/self/clear_refs").write_text("5")
            began = time.perf_counter()
            results[name] = function(results)
            seconds = time.perf_counter() - began
            kept, peak = ((size - before) / count for size in memory())
            print(f"| {name} | {seconds:.1f} | {kept:.0f} | {peak:.0f} |", flush=True)


def main(arguments=None):
    """Prints a table: seconds, and bytes a photo."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_photos",
                                     description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=1_000_000, metavar="N", help="photos")
    parser.add_argument("--distinct", type=int, default=1_000, metavar="N",
                        help="files that they are links to (default: 1000)")
    parser.add_argument("--classes", type=int, default=10, metavar="K", help="classes")
    parser.add_argument("--side", type=int, default=32, metavar="PIXELS", help="of a photo")
    parser.add_argument("--folder", help=argparse.SUPPRESS)  # of a run within the run
    args = parser.parse_args(arguments)
    if args.folder:
        measure(Path(args.folder), args.photos)
        return
    distinct = max(min(args.distinct, args.photos), -(-args.photos // MAX_LINKS))
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        photos = make_folder(Path(folder), args.photos, distinct, args.classes, args.side)
        print(f"{args.photos:,} links to {distinct:,} files of {args.side} × {args.side} pixels, "
              f"{args.classes} classes, made in {time.perf_counter() - began:.0f} s", flush=True)
        print("\n| step | seconds | bytes a photo, kept | peak |\n| --- | --- | --- | --- |",
              flush=True)
        # a process of its own, without the memory of what made the folder
        subprocess.run([sys.executable, "-m", "benchmarks.many_photos", "--folder", str(photos),
                        "--photos", str(args.photos)], check=True)


if __name__ == "__main__":
    main()
