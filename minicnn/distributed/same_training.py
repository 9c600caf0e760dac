"""What must be the same on all ranks for a training that they share: it is compared before the
first step. Ranks that differ would drift apart, or wait for a message that nobody sends."""

from __future__ import annotations

import hashlib
import inspect
from typing import Any

import numpy as np

from ..data import Dataset
from ..layers import Layer
from ..ops import to_cpu
from ..optimizers import Optimizer, ParamGroups
from ..training import (
    ArrayDataset,
    Checkpoint,
    EarlyStopping,
    FeatureCache,
    HeldOut,
    LearningRateSchedule,
    TerminateOnNaN,
    TrainingState,
)
from .shared_loss import SharedLoss

# Callbacks that end a training, change its steps or let the ranks exchange something. Others, such
# as one that draws a curve, may be those of a single rank.
COMPARED = Checkpoint, EarlyStopping, FeatureCache, HeldOut, LearningRateSchedule, TerminateOnNaN
SAMPLED_ROWS = 16  # of an array, whose contents stand for all


def facts(state: TrainingState) -> dict[str, object]:
    """{what: its description}, for Ranks.check_same: the data, the network, the loss, the optimizer
    and the settings of a training."""
    loss = state.loss.loss if isinstance(state.loss, SharedLoss) else state.loss
    layers = state.model.layers
    return {
        "training photos": digest(state.train_data),
        "validation photos": digest(state.validation_data),
        "classes": state.model.classes,
        "number of layers": len(layers),
        **{f"layer {k}": layer_text(layer) for k, layer in enumerate(layers)},
        "loss": settings(loss),
        "optimizer": optimizer_text(state.optimizer),
        "callbacks": [settings(c) for c in state.callbacks if isinstance(c, COMPARED)],
        "batch_size": state.batch_size,
        "epochs": (state.initial_epoch, state.epochs),
        "seed (by its hash)": short_hash(str(state.rng_state).encode()),
    }


def digest(data: Dataset | ArrayDataset | None) -> str:
    """Number of images and a hash of the labels and of what the images are: their names; of arrays
    shape, dtype, views and some rows."""
    if data is None:
        return "none"
    if isinstance(data, Dataset):
        content = "\0".join(data.names).encode("utf-8", "surrogateescape")
    else:
        content = f"{array_text(data.x)}, {data.views} views".encode()
    labels = np.ascontiguousarray(data.labels).tobytes()
    return f"{len(data)} ({short_hash(content + labels)})"


def layer_text(layer: Layer) -> str:
    """"conv2d: Conv2D(filters=4, …), trainable, W (3, 3, 3, 4) float32, …". Not the weights, which
    are those of rank 0 from then on."""
    options = ", ".join(f"{key}={described(getattr(layer, key, None))}" for key in layer.arguments)
    parts = [f"{layer.name}: {type(layer).__name__}({options})",
             "trainable" if layer.trainable else "frozen",
             *(f"{key} {p.shape} {p.dtype}" for key, p in layer.params.items())]
    if layer.generator is not None:  # the masks that it will draw
        parts.append(f"generator {short_hash(str(layer.generator.bit_generator.state).encode())}")
    return ", ".join(parts)


def optimizer_text(optimizer: Optimizer | ParamGroups) -> str:
    """Its settings and a hash of its state; of ParamGroups those of each group."""
    if isinstance(optimizer, ParamGroups):
        groups = [f"{key!r}: {optimizer_text(group)}" for key, group in optimizer.groups.items()]
        return f"ParamGroups({', '.join(groups)})"
    state = {name: {key: described(value) for key, value in part.items()}
             for name, part in optimizer.state.items()}
    return settings(optimizer) + (f" with state {short_hash(str(state).encode())}" if state else "")


def settings(thing: object) -> str:
    """"SGD(lr=0.01, momentum=0.0, …)": the arguments of its constructors that it keeps as
    attributes under the same names."""
    names = [name for kind in type(thing).__mro__ if "__init__" in vars(kind)
             for name in inspect.signature(vars(kind)["__init__"]).parameters]
    own = vars(thing)
    options = [f"{name}={described(own[name])}" for name in dict.fromkeys(names)
               if name in own and not isinstance(thing, Checkpoint)]  # its folder is rank 0's
    return f"{type(thing).__name__}({', '.join(options)})"


def described(value: Any) -> str:
    """A text that is the same on all ranks if the value is."""
    if value is None or isinstance(value, (bool, int, float, str, np.generic)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(described, value))})"
    if isinstance(value, (Dataset, ArrayDataset)):
        return digest(value)
    if hasattr(value, "dtype"):
        return array_text(to_cpu(value))
    return getattr(value, "__qualname__", type(value).__name__)  # a function, a class; else any


def array_text(x: np.ndarray) -> str:
    """Shape, dtype, and a hash of SAMPLED_ROWS rows from the first to the last; the numbers of a
    short vector as they are."""
    if x.ndim == 1 and x.size <= SAMPLED_ROWS:
        return str(x.tolist())
    if x.ndim and x.size:
        sampled = x[np.linspace(0, len(x) - 1, SAMPLED_ROWS).astype(int)]
    else:
        sampled = x
    return f"{x.shape} {x.dtype} ({short_hash(np.ascontiguousarray(sampled).tobytes())})"


def short_hash(content: bytes) -> str:
    """Eight hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()[:8]
