"""Rows: whole jobs, each a process of its own (benchmarks/jobs.py), and photos from files."""

from statistics import median

import numpy as np

import minicnn as mc
from benchmarks import engines
from benchmarks.measuring import Comparison, Row, in_turn, process, seconds
from minicnn.training import extract_features


def prepare(folder):
    """Once: 1,600 photos of 128 × 128 in two classes, and the base's weights for Keras."""
    from PIL import Image

    if (folder / "base.weights.h5").exists():
        return
    parts = mc.data.sample("fashion", "train"), mc.data.sample("fashion", "test")  # 1,000 each
    for i in range(1600):
        path = folder / "photos" / ("odd" if i // 2 % 2 else "even") / f"{i:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(parts[i % 2].read(i // 2)).resize((128, 128)).save(path)
    mc.VGG16(include_top=False, input_shape=(96, 96, 3)).save(folder / "base.weights.h5")


def alternating(ours, theirs, pairs):
    """(Comparison of the seconds, of the peaks of memory) of two jobs, process after process."""
    runs = [(process(*ours), process(*theirs)) for _ in range(pairs)]
    return tuple(Comparison(tuple((a[k], b[k]) for a, b in runs)) for k in (0, 1))


def job(case, name, n, peers):
    """A function for the rows of a job of n photos, against each {engine of Keras: title}."""
    def rows(args, folder):
        if engines.KERAS.missing():
            return
        prepare(folder)
        for engine, title in peers.items():
            times, peaks = alternating((name, "minicnn", folder, n), (name, engine, folder, n),
                                       args.pairs)
            yield Row(case, title, times,
                      f"{times.ours:.3g} s and {peaks.ours / 1e6:.0f} MB against "
                      f"{times.theirs:.3g} s and {peaks.theirs / 1e6:.0f} MB")
    return rows


TRANSFER = "whole transfer job: 400 photos, 96 px, frozen base, 20 epochs"
transfer = job(TRANSFER, "transfer", 400, {"keras": "Keras, stock script"})
transfer_features = job(TRANSFER, "transfer", 400, {"keras-features": "Keras, features by hand"})
block5 = job("the same, block 5 is trained, too, 10 epochs", "block5", 400,
             {"keras": "Keras, stock script"})
cold = job("cold start to the first prediction with the base", "cold", 1, {"keras": "Keras"})


def growth(args, folder):
    """From 100 to 1,600 photos."""
    prepare(folder)
    times, peaks = alternating(("growth", "minicnn", folder, 1600),
                               ("growth", "minicnn", folder, 100), args.pairs)
    yield Row("100 → 1,600 photos, whole transfer job at 64 px: time", "itself", times)
    yield Row("the same: peak memory", "itself", peaks)


def decoding(args, folder):
    """Features of large photos from files, which threads decode ahead, and from memory."""
    from PIL import Image

    shots = [mc.data.read_image(path) for path in mc.data.photos().values()]
    for i in range(128):
        path = folder / "large" / ("odd" if i % 2 else "even") / f"{i:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(shots[i // 2 % len(shots)]).resize((1024, 768)).save(path)
    data = mc.data.ImageFolder(folder / "large")
    model, pixels = mc.VGG16(include_top=False, input_shape=(96, 96, 3)), []

    def decode():
        pixels[:] = [p for p, *_ in mc.data.batches(data, range(len(data)), 32, (96, 96))]

    decode()
    arrays = np.concatenate(pixels), data.labels
    extract_features(model, arrays)  # warm
    times = in_turn(lambda: extract_features(model, data),
                    {"memory": lambda: extract_features(model, arrays)}, args.pairs)["memory"]
    alone = median(seconds(decode) for _ in range(args.pairs))
    yield Row("features of 128 photos of 1024 × 768 from JPEG files, 96 px",
              "the same from memory", times, f"{times.ours:.3g} s against {times.theirs:.3g} s, "
              f"where decoding alone takes {alone:.3g} s")
