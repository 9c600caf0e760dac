"""A training that is interrupted anywhere and goes on is the training that was not."""

import errno
import functools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import standin
from makers import classifier, random_pixels
from reference import assert_refused

import minicnn as mc
from minicnn.data import Augment, Augmented
from minicnn.ops import device_of, to_cpu
from minicnn.training import (
    Checkpoint,
    EarlyStopping,
    LearningRateSchedule,
    TrainingState,
    state_files,
)
from minicnn.training.callbacks import checkpoint

pytestmark = pytest.mark.usefixtures("checkpoint_every_step")
OPTIMIZERS = {
    "adam": lambda: mc.optimizers.Adam(0.01),
    "rmsprop": lambda: mc.optimizers.RMSprop(0.01, momentum=0.5),
    "sgd": lambda: mc.optimizers.SGD(0.05, momentum=0.9, weight_decay=0.01),
    "two": lambda: mc.optimizers.ParamGroups({"conv": mc.optimizers.SGD(0.01, 0.9),
                                              "": mc.optimizers.Adam(0.02)}),
}


network = functools.partial(classifier, filters=3, dropout=0.3)


def photos(count=14):
    labels = np.random.default_rng(3).integers(0, 3, count)
    data = mc.data.Dataset.from_arrays(random_pixels(count, 8, 8, 3), labels, ["a", "b", "c"])
    return Augmented(data, Augment(), views=2)


class Steps(mc.Callback):
    """Asks the training to stop at its n-th step."""

    def __init__(self, kept, n):
        self.kept, self.left = kept, n

    def on_batch_end(self, state):
        self.left -= 1
        if self.left == 0:
            self.kept.stop()


def train(folder=None, optimizer="adam", stop_at=0, epochs=3, known=None, device="cpu",
          **options):
    """-> (weights, history, epoch of the best) of 3 epochs of 4 batches, or KeyboardInterrupt."""
    model, best = network().to(device), EarlyStopping(patience=2)
    callbacks = [best, LearningRateSchedule(lambda done: 1 - done / 2)]
    if folder is not None:
        kept = Checkpoint(folder, known=known)
        callbacks += [kept, Steps(kept, stop_at)]
    history = mc.fit(model, photos(), mc.losses.CategoricalCrossEntropy(label_smoothing=0.1),
                     OPTIMIZERS[optimizer](), epochs=epochs, batch_size=4,
                     validation_data=photos(6), callbacks=callbacks, seed=5, **options)
    assert {device_of(p) for layer in model.layers for p in layer.params.values()} == {device}
    return {f"{layer.name}/{key}": to_cpu(p) for layer in model.layers
            for key, p in layer.params.items()}, history, best.best_epoch


def assert_bitwise(one, two):
    assert one[1:] == two[1:]
    assert one[0].keys() == two[0].keys()
    for key in one[0]:
        np.testing.assert_array_equal(one[0][key], two[0][key])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_stopped_after_any_step_it_comes_to_the_same_bits(optimizer, tmp_path):
    expected, places = train(optimizer=optimizer), set()
    for step in range(1, 13):
        folder = tmp_path / f"{step}"
        with pytest.raises(KeyboardInterrupt):
            train(folder, optimizer, stop_at=step)
        places.add(max(file.name for file in folder.iterdir()))
        assert_bitwise(train(folder, optimizer), expected)
    assert len(places) == 12  # every step has its own place


@pytest.mark.on_devices("cuda-sim", standin.NAME)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_on_a_device_it_goes_on_from_its_file_to_the_same_bits(optimizer, tmp_path, device):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, optimizer, stop_at=6, device=device)
    assert_bitwise(train(tmp_path, optimizer, device=device),
                   train(optimizer=optimizer, device=device))


def test_stopped_at_every_single_step_it_comes_to_the_same_bits(tmp_path):
    lives = 0
    while True:
        try:
            result = train(tmp_path, stop_at=1)
            break
        except KeyboardInterrupt:
            lives += 1
    assert lives == 12
    assert_bitwise(result, train())


def test_what_is_done_is_not_learnt_again(tmp_path):
    first = train(tmp_path)
    again = train(tmp_path, stop_at=1)  # would stop, were there a step
    assert_bitwise(first, again)


def test_the_two_last_are_kept(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_at=6)
    assert [file.name for file in sorted(tmp_path.iterdir())] == [
        "training-00001-000001.h5", "training-00001-000002.h5"]


def test_they_are_written_only_every_so_many_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "MIN_SECONDS", 3600)
    train(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["training-00003-000000.h5"]


@pytest.mark.parametrize("damage", [
    lambda content: b"", lambda content: content[:len(content) // 2],
    lambda content: content.replace(b"conv2d", b"conv2e"), lambda content: b"x" * len(content)])
def test_where_the_last_is_damaged_the_one_before_will_do(damage, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_at=7)
    older, newer = sorted(tmp_path.iterdir())
    newer.write_bytes(damage(newer.read_bytes()))
    assert_bitwise(train(tmp_path), train())


def test_a_changed_bit_in_the_arrays_is_seen(tmp_path):
    path = tmp_path / "x-1.h5"
    state_files.write_state(path, {"weights": {"dense": {"W": np.arange(6, dtype=np.float32)}}})
    content = bytearray(path.read_bytes())
    place = content.index(np.arange(6, dtype=np.float32).tobytes())
    content[place + 9] ^= 1
    path.write_bytes(content)
    with assert_refused("x-1.h5"):
        state_files.read_state(path)


def test_where_all_are_damaged_it_says_so_and_begins_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_at=7)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with assert_refused("training-00001-000003.h5"):
        train(tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_the_state_of_another_training_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_at=3, known={"lr": 0.1})
    with assert_refused("expected the state of this training, epochs 9, received 3"):
        train(tmp_path, epochs=9)
    for known in ({"lr": 0.2}, {"lr": 0.1, "split": "photo,class,part"}):
        with assert_refused("expected the state of this training", [*known][-1]):
            train(tmp_path, known=known)


def test_a_checkpoint_of_the_first_format_is_refused_and_left_as_it_is(tmp_path):
    """Written when fit took checkpoints=…; in it a training of Dense(1) stands after 2 batches."""
    old = Path(__file__).with_name("checkpoint_of_format_1.h5").read_bytes()
    file = tmp_path / "training-00000-000002.h5"
    file.write_bytes(old)
    with assert_refused("training-00000-000002.h5", "another version", "Begin a new run"):
        train(tmp_path)
    assert file.read_bytes() == old


def test_callbacks_that_remember_something_must_be_the_same(tmp_path):
    class Counter(mc.Callback):
        epochs = 0

        def on_epoch_end(self, state):
            self.epochs += 1

        def state_dict(self):
            return {"epochs": self.epochs}

        def load_state_dict(self, state):
            self.epochs = state["epochs"]

    def fit(epochs, *callbacks):
        return mc.fit(network(), photos(), mc.losses.CategoricalCrossEntropy(), mc.optimizers.SGD(),
                      epochs=epochs, batch_size=14, callbacks=[*callbacks, Checkpoint(tmp_path)])

    fit(3, one := Counter())
    fit(3, two := Counter(), mc.Callback())  # that one has nothing to remember
    assert one.epochs == two.epochs == 3
    with assert_refused("callbacks"):
        fit(3)


def test_the_state_of_a_training_knows_where_it_stands():
    seen = []

    class Look(mc.Callback):
        def on_batch_begin(self, state):
            assert isinstance(state, TrainingState)
            seen.append((state.epoch, state.batch, round(state.progress, 6)))

    mc.fit(network(), photos(), mc.losses.CategoricalCrossEntropy(), mc.optimizers.SGD(), epochs=5,
           initial_epoch=3, batch_size=7, callbacks=[Look()])
    assert seen == [(3, 0, 0), (3, 1, 0.25), (4, 0, 0.5), (4, 1, 0.75)]


def test_a_disk_without_room_is_told_before_the_first_step(tmp_path, monkeypatch):
    def full(handle, start, size):
        asked.append(size)
        raise OSError(errno.ENOSPC, "No space left on device")

    asked, learnt = [], sum(p.nbytes for layer in network().layers for p in layer.params.values())
    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with assert_refused("of free disk space", "No space left on device", "Free some space"):
        train(tmp_path / "new")
    assert asked == [4 * learnt] and not any((tmp_path / "new").iterdir())
    monkeypatch.delattr("os.posix_fallocate")  # as on macOS and Windows
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with assert_refused("of free disk space", "No space left on device", "Free some space"):
        train(tmp_path / "new")


def test_a_state_comes_back_as_it_was(tmp_path):
    state = {"whole": 3, "big": 2**127 + 1, "text": "é", "none": None, "list": [1.5, [True]],
             "nan": float("nan"), "array": {"array": 0, "dict": {}},
             "a/b": {"W": np.float32([[1, 2]]), "s": np.float64([0.1]),
                     "v": np.float32([np.inf, np.nan])}}
    state_files.write_state(tmp_path / "s.h5", state)
    back = state_files.read_state(tmp_path / "s.h5")
    assert str({**back, "a/b": 0}) == str({**state, "a/b": 0})
    for key, value in state["a/b"].items():
        np.testing.assert_array_equal(back["a/b"][key], value, strict=True)


def test_a_moment_of_adam_that_has_overflowed_goes_on_where_the_training_did(tmp_path):
    """A gradient of 1e22 is finite, its square is not; its step is 0."""
    def fit(folder, stop_at=0):
        model = mc.Sequential([mc.Dense(1, name="array"), mc.Sigmoid()], (4,), 0)
        kept = Checkpoint(folder)
        x = np.float32(1e22) * np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
        model["array"].params["W"][...] = 0
        with np.errstate(over="ignore"):
            history = mc.fit(model, (x, np.arange(16) % 2), mc.losses.BinaryCrossEntropy(),
                             mc.optimizers.Adam(1e-26), epochs=3, batch_size=4,
                             callbacks=[kept, Steps(kept, stop_at)])
        return model["array"].params, history, 0

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "a", stop_at=2)
    state = state_files.read_state(next((tmp_path / "a").iterdir()))
    assert np.isinf(state["optimizer"]["array/W"]["s"]).any()
    assert_bitwise(fit(tmp_path / "a"), fit(tmp_path / "b"))


@pytest.mark.parametrize("value", [
    np.arange(3), np.array([True, False]), np.int64(3), np.float32(0.5), np.bool_(True),
    [np.arange(4, dtype=np.uint8), {"name": 1.5}]], ids=str)
def test_what_a_callback_remembers_comes_back(value, tmp_path):
    state_files.write_state(tmp_path / "s.h5", {"callback": value})
    again = state_files.read_state(tmp_path / "s.h5")["callback"]
    pairs = zip(value, again, strict=True) if isinstance(value, list) else [(value, again)]
    for before, after in pairs:
        assert np.all(before == after)
        assert getattr(after, "dtype", None) == (before.dtype if np.ndim(before) else None)
