"""The thumbnails of docs/look.md: every method of `minicnn look` once, its picture reduced.

    python -m benchmarks.thumbnails                  all of them; some minutes
    python -m benchmarks.thumbnails pca dream        these two

They are written to docs/look/, each of at most 30,000 bytes. Methods run on their defaults, in
small sizes: those that explain a class on a network that learns cirrus against cumulus here, from
the built-in clouds; those of layers on VGG16's base.
"""

import argparse
import tempfile
import time
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

import minicnn as mc
from minicnn.cli import main as minicnn
from minicnn.cli.methods import METHODS
from minicnn.training import TransferConfig, transfer

FOLDER = Path(__file__).parent.parent / "docs" / "look"
LIMIT = 30_000  # bytes
CLOUDS = Path(mc.data.__file__).parent / "clouds" / "test"
PHOTO = CLOUDS / "cumulus" / "Cu-N110.jpg"
OF_CLASSES = ("hirescam", "grad-cam", "guided-grad-cam", "grad-cam-pp", "score-cam", "layer-cam",
              "gradient", "gradient-x-input", "guided-backprop", "smooth-grad",
              "integrated-gradients", "occlusion", "randomisation-check", "faithfulness")
OF_CLOUDS = ("feature-maps", "rank-maps", "deconvnet")  # of VGG16's base, for the same photo
OPTIONS = {"top-patches": ["--layer", "block3_conv3", "--maps", "4"],
           "deconvnet": ["--layer", "block4_conv3"],
           "feature-maps": ["--layer", "block2_conv2"],
           "maximise": ["--layer", "block5_conv3", "--unit", "155"]}


def reduce(source, target):
    """A picture -> a PNG of at most LIMIT bytes: narrower, in fewer colours, until it fits."""
    with Image.open(source) as image:
        picture = image.convert("RGB")
    for width in range(480, 120, -40):
        small = picture.copy()
        small.thumbnail((width, width), Image.Resampling.LANCZOS)
        palettes = [small.quantize(128, method) for method in (
            Image.Quantize.MEDIANCUT, Image.Quantize.MAXCOVERAGE)]  # many colours, or far apart
        min(palettes, key=lambda picture, small=small: error_of(picture, small)).save(
            target, optimize=True)
        if target.stat().st_size <= LIMIT:
            return


def error_of(picture, original):
    """The mean squared difference of two pictures."""
    difference = ImageChops.difference(picture.convert("RGB"), original)
    return sum(square / difference.width / difference.height
               for square in ImageStat.Stat(difference).sum2)


def arguments(name, folder):
    """The arguments of `minicnn look` for this method."""
    words = [name]
    if name in OF_CLASSES:
        model = folder / "m.h5"
        if not model.exists():
            train, test = (mc.data.sample("clouds", part, ["cirrus", "cumulus"])
                           for part in ("train", "test"))
            transfer(train, test, TransferConfig(size=128)).model.save(model)
        words.append(str(model))
    if name == "faithfulness":
        words += [str(photo) for name in ("cirrus", "cumulus")
                  for photo in sorted((CLOUDS / name).iterdir())[:6]]
    elif name in OF_CLASSES or name in OF_CLOUDS:
        words.append(str(PHOTO))
    sized = METHODS[name].model and name not in OF_CLASSES
    return [*words, *OPTIONS.get(name, []),
            *(["--size", str(min(METHODS[name].size, 128))] if sized else [])]


def main():
    """Writes the pictures, and prints the text of each and how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", help="default: all")
    names = parser.parse_args().methods or list(METHODS)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            start, picture = time.perf_counter(), Path(folder) / f"{name}.png"
            if minicnn(["look", *arguments(name, Path(folder)), "-o", str(picture)]) == 0:
                reduce(picture, FOLDER / picture.name)
            print(f"{name}: {time.perf_counter() - start:.0f} s\n", flush=True)


if __name__ == "__main__":
    main()
