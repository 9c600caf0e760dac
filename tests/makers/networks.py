"""Small networks, and what they are asked for."""

import numpy as np

import minicnn as mc

UNIT_PIXELS = mc.Preprocessing(scale=1 / 255)  # x = pixels / 255
CENTRED_PIXELS = mc.Preprocessing("RGB", (120.0, 110.0, 100.0), 0.02)  # about -2 ... 3


def classifier(classes=3, shape=(8, 8, 3), seed=0, *, filters=4, dropout=0.0, one_sigmoid=False,
               preprocessing=UNIT_PIXELS, names=None):
    """One strided convolution, ReLU, and a head: the smallest network that trains on images.

    dropout: rate of a Dropout before the head; 0: there is none. one_sigmoid: the head of two
    classes is Dense(1) + sigmoid. names: of the classes.
    """
    units, end = (1, mc.Sigmoid()) if one_sigmoid else (classes, mc.Softmax())
    return mc.Sequential(
        [mc.Conv2D(filters, 3, strides=2), mc.ReLU(), *([mc.Dropout(dropout)] if dropout else []),
         mc.Flatten(), mc.Dense(units), end],
        shape, seed, preprocessing=preprocessing, classes=names)


def two_convolutions(*head, units=0, filters=(4, 5), shape=(16, 12, 3), seed=0,
                     names=("conv1", "conv2"), padding="valid", preprocessing=CENTRED_PIXELS,
                     classes=None):
    """Two convolutions of 3 × 3 with ReLU, max pooling between them, then the layers of `head`.

    units: where there is no `head`, that of a classifier: Flatten "flat", Dense(units) "logits" and
    Softmax, for 1 unit Sigmoid; the classes are a, b, c, … padding: of the second convolution.
    """
    if units:
        head = (mc.Flatten(name="flat"), mc.Dense(units, name="logits"),
                mc.Softmax() if units > 1 else mc.Sigmoid())
        classes = list("abcdefghij"[:max(units, 2)])
    first = mc.Conv2D(filters[0], 3, padding="same", activation="relu", name=names[0])
    second = mc.Conv2D(filters[1], 3, padding=padding, activation="relu", name=names[1])
    return mc.Sequential([first, mc.MaxPool2D(2, name="pool1"), second, *head], shape, seed,
                         preprocessing=preprocessing, classes=classes)


def two_blocks(classes=4, shape=(8, 9, 3), seed=0, **options):
    """Two convolutional blocks and a head of two Dense layers: layers of every kind that learns,
    pools or is random. options: Sequential's."""
    return mc.Sequential([
        mc.Conv2D(4, 3, padding="same", activation="relu", name="conv1"),
        mc.MaxPool2D(2, name="pool1"),
        mc.Conv2D(6, (3, 2), name="conv2"), mc.ReLU(name="relu2"), mc.Dropout(0.2, name="drop2"),
        mc.Flatten(name="flatten"), mc.Dense(10, activation="relu", name="fc1"),
        mc.Dropout(0.2, name="drop"), mc.Dense(classes, name="fc2"), mc.Softmax(name="softmax")],
        shape, seed, **options)


def weights(model):
    """{layer/parameter: a copy of it}."""
    return {f"{layer.name}/{key}": np.array(mc.to_cpu(p))
            for layer in model.layers for key, p in layer.params.items()}


def in_float64(model):
    """The model, its parameters in float64."""
    for layer in model.layers:
        layer.params = {key: p.astype(np.float64) for key, p in layer.params.items()}
    return model


class Function(mc.Layer):
    """y = f(x), dx = f′(x)·dy."""

    def __init__(self, f, slope):
        super().__init__()
        self.f, self.slope = f, slope

    def forward(self, x, training=False, keep=True):
        self.x = x
        return self.f(x)

    def backward(self, dy):
        return self.slope(self.x) * dy
