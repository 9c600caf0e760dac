"""Arrays: noise, even grey, the built-in photos, and numbers on the simulated GPU."""

import numpy as np

import minicnn as mc


def random_pixels(*shape, seed=0):
    """Noise: uint8 numbers of that shape."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def labelled_noise(count, shape, classes=3, seed=0):
    """(noise (count, *shape) uint8, labels in turn: 0, 1, …)."""
    return random_pixels(count, *shape, seed=seed), np.arange(count) % classes


def random_batch(count, shape, classes=3, seed=0):
    """(normal numbers (count, *shape) float32, labels in turn: 0, 1, …)."""
    x = np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)
    return x, np.arange(count) % classes


def grey_images(*counts, size=(2, 2)):
    """A dataset of classes a, b, c, … with so many images; image i is even grey i."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None] * np.ones(size, np.uint8)
    return mc.data.Dataset.from_arrays(images, labels, list("abcdefghij"[:len(counts)]))


def grey_values(data):
    """Of a dataset of even grey images: the grey of each."""
    return [int(data.read(i)[0, 0, 0]) for i in range(len(data))]


def clothes(split="train", per_class=6, classes=("sandal", "sneaker")):
    """Some of the built-in photos of each of these classes, always the same."""
    return mc.data.sample("fashion", split, list(classes), per_class, seed=1)


def simulated(x, dtype=np.float64):
    """x on "cuda-sim", of that dtype."""
    return mc.to_device(np.asarray(x, dtype), "cuda-sim")
