"""Ten layers of a reader's own, and mistakes that readers make in them.

readers/ holds the right layers, each a file that `minicnn gradcheck FILE.py:Class` takes. A mistake
is a piece of that file and what stands there instead; mistakes_….py list them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

READERS = Path(__file__).parent / "readers"
SHAPES = {  # of x for each layer, all sizes different, F of attention (7) and max-out (7), too
    "batch_norm": (2, 4, 5, 3), "layer_norm": (2, 4, 5, 3), "prelu": (2, 4, 5, 3),
    "masked_dropout": (2, 4, 5, 3), "depthwise_conv": (2, 4, 5, 3), "upsampling": (2, 4, 5, 3),
    "attention": (3, 2, 4, 6), "log_softmax": (2, 4, 5, 3), "maxout": (2, 4, 5, 3),
    "pyramid_pooling": (2, 4, 5, 3)}


@dataclass
class Mistake:
    """In the file of `layer`: `right` becomes `wrong`, each a dict's item or one pair.

    hint: words of the hint that names it; "" if it need not be named.
    """

    layer: str
    changes: dict
    hint: str

    def __str__(self):
        return f"{self.layer}: " + "; ".join(
            f"{right.strip()} -> {wrong.strip() or 'nothing'}" for right, wrong in
            self.changes.items())

    def text(self):
        """The file with the mistake."""
        text = (READERS / f"{self.layer}.py").read_text("utf-8")
        for right, wrong in self.changes.items():
            assert text.count(right) == 1, f"{self}: {right!r} stands there {text.count(right)} ×"
            text = text.replace(right, wrong)
        return text


def layer_class(text):
    """The layer that a file's text defines."""
    names = {"__name__": "reader"}
    exec(compile(text, "reader.py", "exec"), names)
    return next(value for value in names.values()
                if isinstance(value, type) and value.__module__ == "reader")


def right_class(layer):
    return layer_class((READERS / f"{layer}.py").read_text("utf-8"))


def parameters(layer, x, rng):
    """Gives the layer parameters of random sign, none near 0."""
    shapes = layer.param_shapes(x.shape[1:])
    layer.params = {key: rng.uniform(0.4, 1.6, shape) * rng.choice((-1, 1), shape)
                    for key, shape in shapes.items()}


def computed(layer, shape):
    """What the layer computes in a training step, in one after that, and in inference: a list of
    {"y": …, "dx": …, "dgamma": …}."""
    rng, results = np.random.default_rng(3), []
    for training in (True, True, False):
        x = rng.normal(size=shape)
        parameters(layer, x, rng)
        results.append({"y": np.array(layer.forward(x.copy(), training=training))})
        dx = layer.backward(rng.normal(size=results[-1]["y"].shape))
        results[-1] |= {"dx": dx, **{f"d{key}": layer.grads.get(key) for key in layer.params}}
    return results
