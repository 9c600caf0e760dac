"""The photos that ship with the package."""

import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest

import minicnn.data
from minicnn.data import sample
from minicnn.utils.errors import ArgumentError

FILE = Path(minicnn.data.__file__).with_name("fashion_mini.h5")
TEN = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
       "ankle boot"]  # the order of the official labels 0…9


def test_file_is_the_one_that_was_checked():
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == (
        "927c8e5699cccb585a170541567e5c82779270478ea735904f3d105cc6709add")


@pytest.mark.parametrize("split", ["train", "test"])
def test_sample_holds_100_photos_of_each_of_ten_classes_as_in_the_file(split):
    data = sample("fashion", split)
    assert data.classes == TEN
    assert data.counts == dict.fromkeys(TEN, 100)
    with h5py.File(FILE) as file:
        images, labels = file[split]["images"][:], file[split]["labels"][:]
    assert np.array_equal(data.labels, labels)
    for i in (0, 123, 999):
        assert data.names[i] == f"fashion_mini/{split}/{i}"
        assert data.read(i).shape == (28, 28, 3)
        assert np.array_equal(data.read(i)[..., 2], images[i])


def test_train_is_the_default_and_shares_no_photo_with_test():
    train, test = sample("fashion"), sample("fashion", "test")
    assert train.names[0] == "fashion_mini/train/0"
    assert not {p.tobytes() for p in train.items} & {p.tobytes() for p in test.items}


def test_labels_follow_the_classes_in_the_order_given():
    data = sample("fashion", classes=["bag", "coat"])
    assert data.classes == ["bag", "coat"]
    assert data.counts == {"bag": 100, "coat": 100}
    official = sample("fashion")
    for i in range(len(data)):
        row = int(data.names[i].rsplit("/")[-1])
        assert official.classes[official.labels[row]] == data.classes[data.labels[i]]
        assert np.array_equal(data.read(i), official.read(row))


def test_per_class_draws_so_many_with_the_seed():
    few = sample("fashion", "test", ["sandal", "bag"], per_class=7, seed=1)
    assert few.counts == {"sandal": 7, "bag": 7}
    assert few.names == sample("fashion", "test", ["sandal", "bag"], 7, 1).names
    assert few.names != sample("fashion", "test", ["sandal", "bag"], 7, 2).names


@pytest.mark.parametrize("classes", [["bag", "hat"], "bag", []])
def test_unknown_classes_are_refused_with_the_ten_names(classes):
    with pytest.raises(ArgumentError, match="expected classes among") as refusal:
        sample("fashion", classes=classes)
    assert all(name in str(refusal.value) for name in TEN)


def test_class_given_twice_is_refused():
    with pytest.raises(ArgumentError, match="different class names"):
        sample("fashion", classes=["bag", "bag"])


def test_more_photos_than_there_are_are_refused():
    with pytest.raises(ArgumentError, match="expected 101 photos of each class, received 100"):
        sample("fashion", per_class=101)


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_clouds_are_jpeg_files_in_class_folders(split):
    data = sample("clouds", split)
    assert data.counts == {"altocumulus": 40, "cirrus": 60, "contrail": 40, "cumulonimbus": 40,
                           "cumulus": 60, "stratus": 40}
    for i in range(0, len(data), 50):
        assert data.items[i].suffix == ".jpg"
        assert data.names[i].startswith(f"clouds/{split}/{data.classes[data.labels[i]]}/")
        assert data.read(i).shape == (160, 160, 3)


def test_the_clouds_are_the_default_and_no_photo_is_in_both_splits():
    train, test = sample(), sample("clouds", "test")
    assert train.names[0].startswith("clouds/train/altocumulus/")
    files = [{file.read_bytes() for file in data.items} for data in (train, test)]
    assert len(files[0]) == 280 and len(files[1]) == 280 and not files[0] & files[1]


def test_the_first_argument_is_a_name():
    with pytest.raises(ArgumentError, match='expected "clouds" or "fashion", received \'test\''):
        sample("test")


@pytest.mark.parametrize("split", ["val", "Train", None])
def test_other_splits_are_refused(split):
    with pytest.raises(ArgumentError, match='expected split "train" or "test", received'):
        sample("fashion", split)
