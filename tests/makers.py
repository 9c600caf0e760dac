"""What the tests build again and again: small networks, images, photos in folders; and how they
call a command and read what it has written."""

import base64
import csv
import html
import io
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

import minicnn as mc
from minicnn import cli

UNIT_PIXELS = mc.Preprocessing(scale=1 / 255)  # x = pixels / 255
CENTRED_PIXELS = mc.Preprocessing("RGB", (120.0, 110.0, 100.0), 0.02)  # about -2 ... 3

# Networks


def classifier(classes=3, shape=(8, 8, 3), seed=0, *, filters=4, dropout=0.0, one_sigmoid=False,
               preprocessing=UNIT_PIXELS, names=None):
    """One strided convolution, ReLU, and a head: the smallest network that trains on images.

    dropout: rate of a Dropout before the head; 0: there is none. one_sigmoid: the head of two
    classes is FC_1 + sigmoid. names: of the classes.
    """
    units, end = (1, mc.Sigmoid()) if one_sigmoid else (classes, mc.Softmax())
    return mc.Sequential(
        [mc.Conv2D(filters, 3, strides=2), mc.ReLU(), *([mc.Dropout(dropout)] if dropout else []),
         mc.Flatten(), mc.Dense(units), end],
        shape, seed, preprocessing=preprocessing, classes=names)


def two_convolutions(*head, filters=(4, 5), shape=(16, 12, 3), seed=0, names=("conv1", "conv2"),
                     padding="valid", preprocessing=CENTRED_PIXELS, classes=None):
    """Two convolutions of 3 × 3 with ReLU, max pooling between them, then the layers of `head`.
    padding: of the second one."""
    first = mc.Conv2D(filters[0], 3, padding="same", activation="relu", name=names[0])
    second = mc.Conv2D(filters[1], 3, padding=padding, activation="relu", name=names[1])
    return mc.Sequential([first, mc.MaxPool2D(2, name="pool1"), second, *head], shape, seed,
                         preprocessing=preprocessing, classes=classes)


def weights(model):
    """{layer/parameter: a copy of it}."""
    return {f"{layer.name}/{key}": np.array(mc.to_cpu(p))
            for layer in model.layers for key, p in layer.params.items()}


def in_float64(model):
    """The model, its parameters in float64."""
    for layer in model.layers:
        layer.params = {key: p.astype(np.float64) for key, p in layer.params.items()}
    return model


# Images


def random_pixels(*shape, seed=0):
    """Noise: uint8 numbers of that shape."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def grey_images(*counts, size=(2, 2)):
    """A dataset of classes a, b, c, … with so many images; image i is even grey i."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None] * np.ones(size, np.uint8)
    return mc.data.Dataset.from_arrays(images, labels, list("abcdefghij"[:len(counts)]))


def clothes(split="train", per_class=6, classes=("sandal", "sneaker")):
    """Some of the built-in photos of each of these classes, always the same."""
    return mc.data.sample("fashion", split, list(classes), per_class, seed=1)


# Photos in files


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


def write_dataset(root, data):
    """The photos of a dataset as files: <root>/<class>/0.png, …"""
    for label, name in enumerate(data.classes):
        (root / name).mkdir(parents=True)
        for number, k in enumerate(np.flatnonzero(data.labels == label)):
            Image.fromarray(data.read(k)).save(root / name / f"{number}.png")
    return root


# Commands, and what they write


def run_command(capsys, *words):
    """(exit status, standard output, standard error) of `minicnn WORDS…`."""
    code = cli.main([str(word) for word in words])
    return code, *capsys.readouterr()


def read_csv(path):
    """A dict for each row."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def page_of(path):
    """The JSON inside a page."""
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>',
                       path.read_text("utf-8"), re.S)
    return json.loads(found[0])


def images_of(path):
    """[(alternative text, data URI)] of the pictures of a page, in their order."""
    found = re.findall(r'<img src="([^"]*)" alt="([^"]*)"', path.read_text("utf-8"))
    return [(html.unescape(alt), uri) for uri, alt in found]


def picture_of(uri):
    """The pixels of a data URI."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def contents(folder):
    """{path below the folder: bytes} of all files."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*")
            if path.is_file()}
