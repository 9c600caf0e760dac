"""A training that is interrupted anywhere and goes on is the training that was not."""

import os
import random
import signal
import subprocess
import sys
from types import SimpleNamespace

import interruptions
import numpy as np
import pytest
from reference import assert_refused

import minicnn as mc
from minicnn import cli
from minicnn.data import Augment, Augmented
from minicnn.errors import FileError, NotFiniteError
from minicnn.training import Best, Checkpoints, checkpoints

OPTIMIZERS = {
    "adam": lambda: mc.optimizers.Adam(0.01),
    "rmsprop": lambda: mc.optimizers.RMSprop(0.01, momentum=0.5),
    "sgd": lambda: mc.optimizers.SGD(0.05, momentum=0.9, weight_decay=0.01),
    "two": lambda: {"conv": mc.optimizers.SGD(0.01, 0.9), "": mc.optimizers.Adam(0.02)},
}


@pytest.fixture(autouse=True)
def _after_every_step(monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0)
    monkeypatch.setattr(checkpoints, "TIMES", 0)


def network():
    return mc.Sequential([mc.Conv2D(3, 3, strides=2), mc.ReLU(), mc.Dropout(0.3), mc.Flatten(),
                          mc.Dense(3), mc.Softmax()], (8, 8, 3),
                         preprocessing=mc.Preprocessing(scale=1 / 255))


def photos(count=14):
    rng = np.random.default_rng(3)
    data = mc.data.Dataset.from_arrays(rng.integers(0, 256, (count, 8, 8, 3), np.uint8),
                                       rng.integers(0, 3, count), ["a", "b", "c"])
    return Augmented(data, Augment(), views=2)


class Steps(mc.Callback):
    """Asks the training to stop at its n-th step."""

    def __init__(self, kept, n):
        self.kept, self.left = kept, n

    def on_batch_end(self, stage, done, total):
        self.left -= stage.startswith("epoch")
        if self.left == 0:
            self.kept.stop()


def train(folder=None, optimizer="adam", stop_at=0, epochs=3, **options):
    """-> (weights, history, epoch of the best) of 3 epochs of 4 batches, or KeyboardInterrupt."""
    model = network()
    kept = None if folder is None else Checkpoints(folder)
    best = Best(model, patience=2)
    history = mc.fit(model, photos(), mc.losses.CategoricalCrossEntropy(), OPTIMIZERS[optimizer](),
                     epochs=epochs, batch_size=4, validation_data=photos(6),
                     schedule=lambda done: 1 - done / 2, label_smoothing=0.1, checkpoints=kept,
                     callbacks=[best, Steps(kept, stop_at)], seed=5, **options)
    best.restore()
    return {f"{layer.name}/{key}": p for layer in model.layers for key, p in layer.params.items()
            }, history, best.epoch


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
    monkeypatch.setattr(checkpoints, "EVERY", 3600)
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
    checkpoints.write_state(path, {"weights": {"dense": {"W": np.arange(6, dtype=np.float32)}}})
    content = bytearray(path.read_bytes())
    place = content.index(np.arange(6, dtype=np.float32).tobytes())
    content[place + 9] ^= 1
    path.write_bytes(content)
    assert_refused(FileError, lambda: checkpoints.read_state(path), "x-1.h5")


def test_where_all_are_damaged_it_says_so_and_begins_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_at=7)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    assert_refused(FileError, lambda: train(tmp_path), "training-00001-000003.h5", "expected")
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_the_state_of_another_training_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_at=3)
    assert_refused(FileError, lambda: train(tmp_path, epochs=9), "expected the state of this",
                   "'epochs': 9", "'epochs': 3")


def test_a_disk_without_room_is_told_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    assert_refused(FileError, lambda: train(tmp_path / "new"), "free space", "Make room")
    assert not (tmp_path / "new").exists()


def test_a_state_comes_back_as_it_was(tmp_path):
    state = {"whole": 3, "big": 2**127 + 1, "text": "é", "none": None, "list": [1.5, [True]],
             "nan": float("nan"), "a/b": {"W": np.float32([[1, 2]]), "s": np.float64([0.1])}}
    checkpoints.write_state(tmp_path / "s.h5", state)
    back = checkpoints.read_state(tmp_path / "s.h5")
    assert str({**back, "a/b": 0}) == str({**state, "a/b": 0})
    for key, value in state["a/b"].items():
        np.testing.assert_array_equal(back["a/b"][key], value, strict=True)


# The command


def minicnn(*words):
    return cli.main(["train", *map(str, words)])


QUICK = ("--size", 32, "--epochs", 3, "--per-class", 4, "--batch-size", 4)


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_step_and_the_run_goes_on_to_the_same_files(name, tmp_path, monkeypatch,
                                                                      capsys):
    monkeypatch.chdir(tmp_path)
    assert minicnn("--output", "whole", *QUICK) == 0
    ours = checkpoints.Checkpoints.after_step

    def after_step(self, network, groups, callbacks, place, last=False):
        if place.epoch == 1 and place.batch == 1 and not resumed:
            os.kill(os.getpid(), name)
        ours(self, network, groups, callbacks, place, last)

    resumed = False
    handler = signal.getsignal(name)
    monkeypatch.setattr(checkpoints.Checkpoints, "after_step", after_step)
    assert minicnn("--output", "stopped", *QUICK) == 130
    assert capsys.readouterr().err.endswith(
        "minicnn: stopped. Go on with: minicnn train --resume stopped\n")
    assert signal.getsignal(name) == handler
    resumed = True
    assert minicnn("--resume", "stopped") == 0
    assert interruptions.content(tmp_path / "stopped") == interruptions.content(tmp_path / "whole")
    assert minicnn("--resume", "stopped") == 2
    assert "found one that is done" in capsys.readouterr().err


def test_a_folder_s_run_goes_on_with_its_split(photo_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = (photo_folder, *QUICK[:4], "--no-scratch")
    assert minicnn(*words, "--output", "whole") == 0
    steps = iter(range(2))

    def after_step(self, *args, **kwargs):
        if next(steps, None) == 1:
            self.stop()
        return ours(self, *args, **kwargs)

    ours = checkpoints.Checkpoints.after_step
    monkeypatch.setattr(checkpoints.Checkpoints, "after_step", after_step)
    assert minicnn(*words, "--output", "stopped") == 130
    assert minicnn("--resume", "stopped") == 0
    assert interruptions.content(tmp_path / "stopped") == interruptions.content(tmp_path / "whole")


@pytest.fixture
def photo_folder(tmp_path):
    from PIL import Image

    data = mc.data.sample("train", ["bag", "dress"], 6)
    for k, label in enumerate(data.labels):
        home = tmp_path / "photos" / data.classes[label]
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.read(k)).save(home / f"{k}.png")
    return tmp_path / "photos"


def test_killed_at_random_instants_it_ends_with_the_same_files(tmp_path):
    options = interruptions.RUNS["head"].split()
    expected, seconds = interruptions.undisturbed(tmp_path, options)
    kills = interruptions.kill_until_done(tmp_path / "killed", options, seconds,
                                          random.Random(os.getpid()), least=3)
    assert kills >= 3
    assert interruptions.content(tmp_path / "killed") == interruptions.content(expected)
    assert set(interruptions.content(expected)) >= {"model.h5", "last.h5", "history.csv"}


@pytest.mark.parametrize("limit", [300, 20_000, 1_000_000])
def test_a_full_disk_loses_nothing(limit, tmp_path):
    options = interruptions.RUNS["fine-tuned"].split()
    expected, _ = interruptions.undisturbed(tmp_path, options)
    assert "can be written" in interruptions.full_disk(tmp_path / "full", options, limit)
    assert interruptions.content(tmp_path / "full") == interruptions.content(expected)


def test_resume_takes_no_other_options(tmp_path, capsys):
    assert minicnn("--resume", tmp_path, "--epochs", 9) == 2
    assert "--resume: expected no other options" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["nothing", "an empty folder", "a folder of something else"])
def test_what_is_no_run_is_not_resumed(what, tmp_path, capsys):
    folder = tmp_path / "x"
    if what != "nothing":
        folder.mkdir()
    if what == "a folder of something else":
        (folder / "run.json").write_text("{}")
    assert minicnn("--resume", folder) == 2
    said = capsys.readouterr().err
    assert "expected" in said and str(folder) in said and "Traceback" not in said


def test_an_error_before_the_first_checkpoint_leaves_no_folder(tmp_path, capsys):
    assert minicnn("--output", tmp_path / "x", "--size", 7) == 2
    assert not (tmp_path / "x").exists()


# Numbers that are none


@pytest.mark.parametrize("spoil, words", [
    (lambda m, x: m["dense"].params["W"].fill(np.nan), ["epoch 1, batch 1", "W of dense"]),
    (lambda m, x: m["conv2d"].params["b"].fill(3e38), ["the output of dense"]),
    (lambda m, x: x.__setitem__((5, 0), np.inf), ["its input"])])
def test_the_first_layer_that_went_wrong_is_named(spoil, words):
    model = network()
    x = np.random.default_rng(0).normal(size=(12, 8, 8, 3)).astype(np.float32)
    spoil(model, x)
    assert_refused(NotFiniteError, lambda: mc.fit(
        model, (x, np.arange(12) % 3), mc.losses.CategoricalCrossEntropy(),
        mc.optimizers.SGD(0.1), batch_size=12), *words, "step size")


def test_a_gradient_that_goes_wrong_is_named():
    class Bad(mc.ReLU):
        def backward(self, dy):
            return super().backward(dy) * np.float32(np.inf)

    model = mc.Sequential([mc.Dense(4), Bad(name="bad"), mc.Dense(3), mc.Softmax()], (5,))
    x = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    assert_refused(NotFiniteError, lambda: mc.fit(
        model, (x, np.arange(6) % 3), mc.losses.CategoricalCrossEntropy(), mc.optimizers.SGD(0.1)),
        "dx of bad")


def test_a_step_far_too_large_ends_with_the_weights_of_the_epoch_s_beginning():
    model = network()
    x = np.random.default_rng(0).normal(size=(12, 8, 8, 3)).astype(np.float32)
    before = {layer.name: {k: p.copy() for k, p in layer.params.items()} for layer in model.layers}
    assert_refused(NotFiniteError, lambda: mc.fit(
        model, (x, np.arange(12) % 3), mc.losses.CategoricalCrossEntropy(),
        mc.optimizers.SGD(1e38), batch_size=4, epochs=5), "epoch 1, batch", "too large")
    for layer in model.layers:
        for key, p in layer.params.items():
            np.testing.assert_array_equal(p, before[layer.name][key])


def test_the_run_keeps_the_last_finite_weights(tmp_path, capsys):
    assert minicnn("--output", tmp_path / "x", *QUICK, "--lr", 1e38, "--no-scratch") == 2
    said = capsys.readouterr().err
    assert "NaN or infinity in" in said and "last_finite.h5" in said and "Go on" not in said
    model = mc.load(tmp_path / "x" / "last_finite.h5")
    assert model.classes == ["sandal", "sneaker"]
    assert all(np.isfinite(p).all() for layer in model.layers for p in layer.params.values())


# Memory


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_features_beyond_the_budget_lie_in_a_file_and_give_the_same(tmp_path):
    script = """if True:
        import re, sys, numpy as np, minicnn as mc
        from minicnn.training import transfer
        data = mc.data.sample("train", None, int(sys.argv[1]))
        test = mc.data.sample("test").take(10)
        run = transfer(data, test, size=64, cut="block1_pool", epochs=2, batch_size=8,
                       memory_budget=int(sys.argv[2]))
        peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
        print(int(peak) / 1000, *run.history["loss"])
    """
    def run(photos, budget):
        said = subprocess.run([sys.executable, "-c", script, str(photos), str(budget)], check=True,
                              text=True, capture_output=True).stdout
        return np.array(said.split(), float)

    of_each = 10 * 32 * 32 * 64 * 4 / 1e6  # ten photos' features in megabytes: 2.6
    (much, *losses), (little, *others), (less, *_) = run(90, 1000), run(90, 0), run(30, 0)
    assert losses == others
    assert much - little > 0.6 * 90 * of_each
    assert abs(little - less) < 0.2 * 60 * of_each  # it does not grow with the photos
