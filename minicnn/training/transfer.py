"""The main job: take VGG16, cut off its top, learn a new one from a few photos.

Source: Yosinski et al. 2014; Zeiler & Fergus 2014, section 5.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data import Dataset
from ..model import Sequential
from ..models import VGG16, SmallCNN, head, loss_for
from ..optimizers import Adam
from .loop import Callback, History, fit, teller
from .metrics import Evaluation, class_probabilities, evaluate_photos
from .sources import checked, features


@dataclass
class Trained:
    """What a run leaves: the model, its history, and how it does on the test photos."""

    model: Sequential
    history: History
    evaluation: Evaluation


def step_size(x: np.ndarray) -> float:
    """An Adam step for a new head on features x (N, …): its first update moves a logit by about 1.

    Adam's first update changes every weight by lr, so a logit z = Σ_d W_d x_d moves by lr · Σ |x_d|
    at most. VGG16's features are in the hundreds and there are thousands of them: a step near 1e-6.
    """
    return float(1 / max(np.abs(x).reshape(len(x), -1).sum(axis=1).mean(), 1e-6))


def transfer(train: Dataset, test: Dataset, *, size: int = 64, cut: str = "block4_pool",
             lr: float | None = None, epochs: int = 60, batch_size: int = 32, seed: int = 0,
             callbacks: Sequence[Callback] = (), device: str = "cpu") -> Trained:
    """VGG16 frozen up to `cut`, and on it a head FC_1 + sigmoid (two classes) or FC_n + softmax.

    The head starts at zero: nothing is preferred yet, so the first loss is log(classes) exactly,
    whatever the features' scale. lr: Adam's; None lets step_size choose. The test photos are looked
    at after every epoch, for the curves, and decide nothing.
    """
    model = VGG16(include_top=False, input_shape=(size, size, 3)).to(device)
    model.freeze()
    model.replace_head(head(len(train.classes), kernel_initializer="zeros"), after=cut,
                       classes=train.classes)
    checked(model, test)
    frozen, top = model.split()

    def seen(data: Dataset, stage: str) -> tuple[np.ndarray, np.ndarray]:
        return features(frozen, data, batch_size=batch_size, progress=teller(callbacks, stage))

    x, t = seen(train, "features")
    x_test, t_test = seen(test, "test features")
    optimizer = Adam(step_size(x) if lr is None else lr)
    history = fit(top, (x, t), loss_for(len(train.classes)), optimizer, epochs=epochs,
                  batch_size=batch_size, validation_data=(x_test, t_test),
                  callbacks=callbacks, seed=seed)
    p = class_probabilities(top.predict(x_test))  # top shares its layers with model
    return Trained(model, history, Evaluation(p, t_test, test.classes))


def from_scratch(train: Dataset, test: Dataset, *, size: int = 28, lr: float = 0.001,
                 epochs: int = 60, batch_size: int = 32, seed: int = 0,
                 callbacks: Sequence[Callback] = (), device: str = "cpu") -> Trained:
    """The same photos given to a small network that knows nothing yet."""
    model = SmallCNN(len(train.classes), (size, size, 3), seed).to(device)
    history = fit(model, train, loss_for(len(train.classes)), Adam(lr), epochs=epochs,
                  batch_size=batch_size, validation_data=test, callbacks=callbacks, seed=seed)
    return Trained(model, history, evaluate_photos(model, test))
