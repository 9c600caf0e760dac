"""What every rank does in tests/distributed/test_training.py: trainings, one after the other, and
errors that all of them must get.

    mpiexec -n 3 python tests/distributed/jobs.py FOLDER

writes FOLDER/<size>-<rank>.npz, the weights after each training, and <size>-<rank>.json, what else
was observed. The test calls the same trainings in its own process, without ranks.
"""

import hashlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from makers import in_float64, random_batch, random_pixels, two_blocks, weights

import minicnn as mc
from minicnn.data import perceptual_hashes
from minicnn.experiments.transfer_curve import transfer_curve
from minicnn.training import (
    ArrayDataset,
    Checkpoint,
    EarlyStopping,
    HeldOut,
    evaluate_photos,
    extract_features,
    find_lr,
    initial_learning_rate,
)
from minicnn.training.features import rows_of
from minicnn.utils.errors import MiniCNNError
from minicnn.utils.ranks import current_ranks, working_with

SHAPE = (8, 8, 3)
PRINTS = ("hashes", "same", "thumbnails", "sizes", "even", "digests")
PHOTOS = 37  # in batches of 8: the last one has 5, and no number of ranks divides both


def normalized(seed=0):
    return mc.Sequential([
        mc.Conv2D(4, 3, use_bias=False), mc.BatchNormalization(momentum=0.9), mc.ReLU(),
        mc.MaxPool2D(2), mc.SpatialDropout2D(0.2), mc.Flatten(), mc.GaussianNoise(0.1),
        mc.Dense(5, use_bias=False), mc.BatchNormalization(momentum=0.9), mc.Dropout(0.3),
        mc.Dense(3), mc.Softmax()], SHAPE, seed)


def as_float64(x, t):
    return x.astype(np.float64), t


def every_layer_that_mixes(callbacks, dtype=np.float64, epochs=10):
    """50 steps of a network with batch normalization and every kind of random layer."""
    x, t = random_batch(PHOTOS, SHAPE)
    model = in_float64(normalized()) if dtype == np.float64 else normalized()
    loss = mc.losses.CategoricalCrossEntropy(class_weight=[1, 2, 0.5], label_smoothing=0.1)
    held_out = random_batch(11, SHAPE, seed=2)
    history = mc.fit(
        model, (x.astype(dtype), t), loss, mc.optimizers.Adam(0.003, weight_decay=0.001),
        epochs=epochs, batch_size=8, validation_data=(x[:9].astype(dtype), t[:9]), seed=3,
        callbacks=[*callbacks, EarlyStopping(), HeldOut(as_float64(*held_out))])
    return model, history


def in_float32(callbacks):
    """The same in float32."""
    return every_layer_that_mixes(callbacks, np.float32)


def fewer_samples_than_ranks(callbacks):
    """Batches of two, the last of one, in two views; a frozen first layer computed in each epoch;
    a loss without classes."""
    x, t = random_batch(2 * 5, SHAPE)
    model = in_float64(mc.Sequential([
        mc.Conv2D(3, 3, name="frozen"), mc.Conv2D(4, 3, use_bias=False, name="conv"),
        mc.BatchNormalization(), mc.Flatten(), mc.Dropout(0.5), mc.Dense(2)], SHAPE))
    model.freeze("frozen")
    history = mc.fit(model, ArrayDataset(x.astype(np.float64), x[:, :2, 0, 0], views=2),
                     mc.losses.MeanSquaredError(), mc.optimizers.SGD(0.001, momentum=0.5),
                     epochs=17, batch_size=2, callbacks=callbacks)
    return model, history


def frozen_photos(callbacks):
    """Photos as pixels, whose features are computed once, and two learning rates."""
    model = two_blocks(3, SHAPE, preprocessing=mc.Preprocessing(scale=1 / 255))
    model.freeze("pool1")
    data = mc.data.Dataset.from_arrays(random_pixels(23, *SHAPE), np.arange(23) % 3, list("abc"))
    optimizer = mc.optimizers.ParamGroups({"conv": mc.optimizers.SGD(0.01),
                                           "": mc.optimizers.SGD(0.05, 0.9)})
    history = mc.fit(model, data, mc.losses.CategoricalCrossEntropy(), optimizer, epochs=10,
                     batch_size=5, validation_data=data.subset(range(7)), callbacks=callbacks)
    return model, history


TRAININGS = [every_layer_that_mixes, in_float32, fewer_samples_than_ranks, frozen_photos]


def features():
    """{name: numbers} of what ranks share outside of fit, by the ambient ranks."""
    model = two_blocks(3, SHAPE, preprocessing=mc.Preprocessing(scale=1 / 255))
    base = model.view(model.layers[:4], SHAPE, model.preprocessing)
    data = mc.data.Dataset.from_arrays(random_pixels(11, *SHAPE), np.arange(11) % 3, list("abc"))
    in_memory = extract_features(base, data, batch_size=2)
    in_file = extract_features(base, data, batch_size=2, memory_budget=0)
    single = extract_features(base, data.subset([4]), memory_budget=0)  # fewer photos than ranks
    rows = np.array([7, 3, 3, 0, 10])
    head = mc.Sequential([mc.Flatten(), mc.Dense(3), mc.Softmax()], in_memory.x.shape[1:])
    rates = find_lr(head, in_memory, mc.losses.CategoricalCrossEntropy(), steps=20, batch_size=4)
    two_classes = mc.data.Dataset.from_arrays(random_pixels(12, *SHAPE), np.arange(12) % 2)
    curve = transfer_curve(two_classes, per_class=[1, 2], folds=3, size=32, cut="block1_pool",
                           steps=4)
    copies = mc.data.Dataset([data.read(i) for i in [*range(11), 3, 0]], np.zeros(13, int), ["a"],
                             list("abcdefghijklm"))
    prints = perceptual_hashes(copies)
    return {**{f"prints, {name}": np.array(getattr(prints, name)) for name in PRINTS},
            "curve": np.stack([curve.transfer, curve.scratch]),
            "in memory": in_memory.x, "in a file": np.array(in_file.x), "single": single.x,
            "rows": rows_of(in_memory, rows, 1 << 20).x,
            "rows of a file": np.array(rows_of(in_file, rows, 0).x),
            "learning rate": np.array(initial_learning_rate(in_memory.x)),
            "found": np.array([rates.suggestion, *rates.losses]),
            "probabilities": evaluate_photos(model, data).probabilities}


def message_of(call):
    """The class and message of the error that it raises."""
    try:
        call()
    except (MiniCNNError, KeyboardInterrupt) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def tiny(data, *callbacks, ranks=True, **options):
    """A training of a few steps, with a random layer; -> its model."""
    model = in_float64(mc.Sequential(
        [mc.Flatten(), mc.Dropout(0.4), mc.Dense(3), mc.Softmax()], SHAPE))
    options = {"epochs": 2, "batch_size": 4, **options}
    parallel = [mc.distributed.DataParallel()] if ranks else []
    mc.fit(model, data, mc.losses.CategoricalCrossEntropy(), mc.optimizers.Adam(0.01),
           callbacks=[*parallel, *callbacks], **options)
    return model


def tiny_data():
    """What it is trained on."""
    return as_float64(*random_batch(12, SHAPE))


class Signal(mc.Callback):
    """Sends a signal to itself on the last rank, in the third step."""

    def __init__(self, number, rank):
        self.number, self.rank, self.steps = number, rank, 0

    def on_batch_begin(self, state):
        self.steps += 1
        if self.steps == 3 and mc.distributed.connect().rank == self.rank:
            os.kill(os.getpid(), self.number)


class Stop(mc.Callback):
    """Calls stop() of a checkpoint on one rank, in the second step."""

    def __init__(self, checkpoint, rank):
        self.checkpoint, self.rank = checkpoint, rank

    def on_batch_begin(self, state):
        if state.batch == 1 and mc.distributed.connect().rank == self.rank:
            self.checkpoint.stop()


def observed(ranks, folder):
    """{name: text}, which the test compares among the ranks."""
    x, t = tiny_data()
    spoilt = x.copy()
    spoilt[4] = np.nan  # in the share of one rank only
    other = t if ranks.is_first else t[::-1]
    last = ranks.size - 1
    signals = Signal(signal.SIGTERM, last), Signal(signal.SIGINT, last)
    checkpoint = Checkpoint(folder / f"checkpoints-{ranks.size}")
    facts = {
        "NaN": message_of(lambda: tiny((spoilt, t))),
        "NaN in validation": message_of(lambda: tiny((x, t), validation_data=(spoilt, t))),
        "other labels": message_of(lambda: tiny((x, other))),
        "other settings": message_of(lambda: tiny((x, t), batch_size=4 + ranks.rank // last)),
        "more ranks than photos": message_of(lambda: tiny((x[:1], t[:1]))),
        "SIGTERM": message_of(lambda: tiny((x, t), signals[0])),
        "Ctrl-C": message_of(lambda: tiny((x, t), signals[1])),
        "steps": str([s.steps for s in signals]),
        "stop()": message_of(lambda: tiny((x, t), checkpoint, Stop(checkpoint, last))),
        "from_first": message_of(lambda: ranks.from_first(lambda: tiny(None))),
    }
    again = Checkpoint(folder / f"again-{ranks.size}")
    message_of(lambda: tiny((x, t), again, Stop(again, last)))
    resumed = weights(tiny((x, t), Checkpoint(folder / f"again-{ranks.size}")))
    uninterrupted = weights(tiny((x, t)))
    facts["resumed bits"] = str([np.array_equal(resumed[name], value)
                                 for name, value in uninterrupted.items()])
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    facts["handlers"] = str(handlers == (signal.default_int_handler, signal.SIG_DFL))
    facts["ambient"] = str(current_ranks().size)
    facts["threads"] = str(mc.ops.fast.threads.cores())
    return facts


def main(folder):
    ranks = mc.distributed.connect()
    arrays, facts = {}, {}
    for training in TRAININGS:
        model, history = training([mc.distributed.DataParallel()])
        for name, value in (weights(model) | history).items():
            arrays[f"{training.__name__}:{name}"] = np.asarray(value)
    ranks.callbacks = [mc.distributed.DataParallel]
    with working_with(ranks):
        arrays |= {f"features:{name}": value for name, value in features().items()}
    facts = observed(ranks, folder)
    bits = b"".join(array.tobytes() for array in arrays.values())
    facts["bits"] = hashlib.sha256(bits).hexdigest()
    left = list(Path(tempfile.gettempdir()).glob("minicnn-*"))
    facts["left behind"] = str(left)
    np.savez(folder / f"{ranks.size}-{ranks.rank}.npz", **arrays)
    (folder / f"{ranks.size}-{ranks.rank}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
