"""The main job: take VGG16, cut off its top, learn a new one from a few photos.

Source: Yosinski et al. 2014; Zeiler & Fergus 2014, section 5.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data import Dataset
from ..model import Sequential
from ..models import VGG16, SmallCNN, head, loss_for
from ..optimizers import Adam
from .loop import Callback, History, fit
from .sources import Source


def step_size(model: Sequential, data: Dataset, batch_size: int = 32) -> float:
    """An Adam step for a new head: the one with which the first update moves a logit by about 1.

    Adam's first update changes every weight by lr, so a logit z = Σ_d W_d x_d moves by lr · Σ |x_d|
    at most; VGG16's features are in the hundreds and thousands of them, hence a step near 1e-6.
    Measured on the first photos, batch_size of them.
    """
    frozen, _ = model.split()
    order = np.linspace(0, len(data) - 1, min(batch_size, len(data))).astype(int)
    x, _ = next(Source(model, frozen, data).batches(order, batch_size))
    return float(1 / max(np.abs(x).reshape(len(x), -1).sum(axis=1).mean(), 1e-6))


def transfer(train: Dataset, *, size: int = 64, cut: str = "block4_pool", lr: float | None = None,
             epochs: int = 60, seed: int = 0, callbacks: Sequence[Callback] = (),
             **options: Any) -> tuple[Sequential, History]:
    """VGG16 frozen up to `cut` and a head FC_1 + sigmoid (two classes) or FC_n + softmax on it.

    The head starts at zero: nothing is preferred yet, so the first loss is log(classes) exactly,
    whatever the features' scale. lr: Adam's; None lets step_size choose.
    options: of fit. Returns (model, history).
    """
    model = VGG16(include_top=False, input_shape=(size, size, 3))
    model.freeze()
    model.replace_head(head(len(train.classes), kernel_initializer="zeros"), after=cut,
                       classes=train.classes)
    optimizer = Adam(step_size(model, train) if lr is None else lr)
    history = fit(model, train, loss_for(len(train.classes)), optimizer, epochs=epochs, seed=seed,
                  callbacks=callbacks, **options)
    return model, history


def from_scratch(train: Dataset, *, size: int = 28, lr: float = 0.001, epochs: int = 60,
                 seed: int = 0, callbacks: Sequence[Callback] = (),
                 **options: Any) -> tuple[Sequential, History]:
    """The same data given to a small network that knows nothing yet. Returns (model, history)."""
    model = SmallCNN(len(train.classes), (size, size, 3), seed)
    model.classes = train.classes
    history = fit(model, train, loss_for(len(train.classes)), Adam(lr), epochs=epochs, seed=seed,
                  callbacks=callbacks, **options)
    return model, history
