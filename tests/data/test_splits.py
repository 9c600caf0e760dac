"""The parts of a folder: stratified, copies together, in a file that is read back or refused."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import grey_images as dataset
from makers import photo_folder
from reference import assert_refused

from minicnn.data import read_split, split_folders, split_parts, write_split
from minicnn.utils.errors import FileError

THREE = {"train": 0.6, "validation": 0.2, "test": 0.2}


def counted(data, parts):
    """{(class, part): photos}."""
    return Counter((data.classes[k], part) for k, part in zip(data.labels, parts, strict=True))


# ---- split_parts
@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 40), min_size=1, max_size=5), st.floats(0.01, 0.99),
       st.integers(0, 2**40))
def test_without_groups_two_parts_are_those_of_dataset_split(counts, fraction, seed):
    data = dataset(*counts)
    parts = split_parts(data, {"train": fraction, "test": 1 - fraction}, seed=seed)
    train = [name for name, part in zip(data.names, parts, strict=True) if part == "train"]
    assert train == data.split(fraction, seed)[0].names


def test_three_parts_are_stratified_and_the_same_on_every_machine():
    data = dataset(10, 25)
    parts = split_parts(data, THREE)
    assert counted(data, parts) == {("a", "train"): 6, ("a", "validation"): 2, ("a", "test"): 2,
                                    ("b", "train"): 15, ("b", "validation"): 5, ("b", "test"): 5}
    # From PCG64([0, 0]).random_raw(10): the six photos with the smallest keys learn.
    keys = np.random.PCG64([0, 0]).random_raw(10)
    assert {i for i in range(10) if parts[i] == "train"} == set(np.argsort(keys)[:6].tolist())
    assert parts != split_parts(data, THREE, seed=1)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(12, 40), min_size=1, max_size=4), st.integers(0, 2**30), st.data())
def test_groups_stay_whole_and_every_part_has_every_class(counts, seed, draw):
    data = dataset(*counts)
    groups = np.arange(len(data))
    for k in range(len(counts)):  # at least six groups a class, some of several photos
        members = np.flatnonzero(data.labels == k)
        for i in members[6:]:
            groups[i] = groups[draw.draw(st.sampled_from(members.tolist()))]
    parts = np.array(split_parts(data, THREE, groups, seed))
    assert all(len(set(parts[groups == g])) == 1 for g in groups)
    found = counted(data, parts)
    assert all(found[name, part] for name in data.classes for part in THREE)
    for k, name in enumerate(data.classes):
        largest = max(Counter(groups[data.labels == k].tolist()).values())
        for part, share in THREE.items():  # no further from its share than by a group or two
            assert abs(found[name, part] - share * counts[k]) <= 2 * largest


def test_groups_that_leave_room_cost_no_balance():
    data = dataset(100)
    groups = np.arange(100)
    groups[:40], groups[40:60] = 0, 40
    for seed in range(5):
        parts = np.array(split_parts(data, {"train": 0.75, "test": 0.25}, groups, seed))
        assert (parts == "train").sum() == 75
        assert len(set(parts[:40])) == len(set(parts[40:60])) == 1


def test_a_group_of_two_classes_stays_whole():
    data = dataset(6, 6)
    groups = np.arange(12)
    groups[6] = 0
    groups[7] = groups[1]
    for seed in range(20):
        parts = split_parts(data, {"train": 0.5, "test": 0.5}, groups, seed)
        assert parts[0] == parts[6] and parts[1] == parts[7]
        assert counted(data, parts) == Counter({(c, p): 3 for c in "ab" for p in ("train", "test")})


def test_the_last_groups_of_a_class_go_where_it_is_missing():
    data = dataset(10, 4)
    groups = [0] * 8 + [8, 9, 10, 11, 12, 13]  # 8 of 10 photos of a are copies
    for seed in range(10):
        found = counted(data, split_parts(data, THREE, groups, seed))
        assert [found["a", part] for part in THREE] == [8, 1, 1]


def test_a_part_of_share_0_is_empty():
    parts = split_parts(dataset(8, 8), {"train": 0.75, "validation": 0, "test": 0.25})
    assert Counter(parts) == {"train": 12, "test": 4}
    assert set(split_parts(dataset(1), {"train": 1.0, "test": 0})) == {"train"}


@pytest.mark.parametrize("shares", [{}, {"train": 0.5}, {"train": 1.2, "test": -0.2},
                                    {"train": 0.9, "test": 0.2}, {"train": float("nan")}])
def test_shares_that_do_not_sum_to_1_are_refused(shares):
    with assert_refused("split_parts", "shares", "sum to 1"):
        split_parts(dataset(8, 8), shares)


def test_a_class_that_cannot_be_in_every_part_is_refused_by_name():
    with assert_refused("at least 2 photos of 'b'", "train, test", "received 1"):
        split_parts(dataset(500, 1), {"train": 0.75, "test": 0.25})
    with assert_refused("at least 3 photos of 'a'", "received 2"):
        split_parts(dataset(6), THREE, [0, 0, 0, 1, 1, 1])
    with assert_refused("expected photos of", "near duplicates in other classes"):
        # a and b both need their two groups in two parts, and c's only two tie them together
        split_parts(dataset(2, 2, 2), {"train": 0.5, "test": 0.5}, [0, 1, 1, 2, 2, 0])


def test_groups_and_seeds_that_do_not_fit_are_refused():
    with assert_refused("a group for each of 4 photos", "(3,)"):
        split_parts(dataset(4), {"train": 0.5, "test": 0.5}, [0, 1, 2])
    with assert_refused("seed"):
        split_parts(dataset(4), {"train": 0.5, "test": 0.5}, seed=-1)


# ---- the file
def parts_of(data):
    parts = np.array(split_parts(data, THREE))
    return {name: data.subset(np.flatnonzero(parts == name)) for name in THREE}


def test_a_written_split_is_read_back(tmp_path):
    data = dataset(5, 7)
    data.names = [f"{data.classes[k]}/é, \"{i}\";\udce9.jpg" for i, k in enumerate(data.labels)]
    parts = parts_of(data)
    write_split(tmp_path / "split.csv", parts)
    with (tmp_path / "split.csv").open(newline="", encoding="utf-8",
                                    errors="surrogateescape") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["photo", "class", "part"] and len(rows) == 13
    assert sorted(row[0] for row in rows[1:]) == sorted(data.names)
    again = read_split(tmp_path / "split.csv", data)
    assert list(again) == list(parts)
    for name, part in parts.items():
        assert (again[name].names, again[name].labels.tolist(), again[name].classes) == (
            part.names, part.labels.tolist(), data.classes)


def test_a_split_from_a_spreadsheet_is_read(tmp_path):
    data = dataset(2, 1)
    text = "\ufeffphoto;class;part\r\nimage 2;b;test\r\nimage 0;a;train\r\nimage 1;a;mine\r\n;;\r\n"
    (tmp_path / "split.csv").write_text(text, "utf-8", newline="")
    found = read_split(tmp_path / "split.csv", data)
    assert {name: part.names for name, part in found.items()} == {
        "test": ["image 2"], "train": ["image 0"], "mine": ["image 1"]}


@pytest.mark.parametrize("rows, words", [
    (["image 0,a,train"] * 2 + ["image 1,a,test"], ["has twice 1", "image 0"]),
    (["image 0,a,train"], ["does not have 5", "image 1, image 2, image 3, …"]),
    ([f"image {i},{'aaabbb'[i]},train" for i in range(6)] + ["cat.jpg,a,test"],
     ["the folder has not 1", "cat.jpg"]),
    ([f"image {i},{'aabbbb'[i]},train" for i in range(6)], ["another class 1", "image 2"]),
    ([f"image {i},{'aaabbb'[i]},train" for i in range(5)] + ["image 5,b,"], ["image 5, b, "]),
    ([f"image {i},{'aaabbb'[i]}" for i in range(6)], ["photo, class, part", "image 0, a"]),
])
def test_a_split_of_other_photos_is_refused_by_their_names(tmp_path, rows, words):
    path = tmp_path / "split.csv"
    path.write_text("\n".join(["photo,class,part", *rows]), "utf-8")
    with assert_refused("split.csv", *words):
        read_split(path, dataset(3, 3))


def test_what_else_to_do_is_said_of_other_photos(tmp_path):
    write_split(tmp_path / "split.csv", {"train": dataset(3, 3)})
    with assert_refused("Put the photos back as they were, or make a new split with minicnn data."):
        read_split(tmp_path / "split.csv", dataset(3, 2))
    with assert_refused("image 5. Put the photos back as they were, or begin a new run."):
        read_split(tmp_path / "split.csv", dataset(3, 2), "begin a new run")


@pytest.mark.parametrize("content", [b"", b"photo,part\n", b"\x00\x01", b"\xff\xfe,\n", b"\n\n"])
def test_a_file_that_is_no_split_is_refused(tmp_path, content):
    (tmp_path / "split.csv").write_bytes(content)
    with assert_refused("split.csv", "photo, class, part"):
        read_split(tmp_path / "split.csv", dataset(3, 3))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with assert_refused("split.csv", "No such file"):
        read_split(tmp_path / "split.csv", dataset(3))


def test_a_failure_while_writing_keeps_the_old_file_and_leaves_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "split.csv").write_text("precious")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with assert_refused("split.csv", "No space left"):
        write_split(tmp_path / "split.csv", parts_of(dataset(5, 5)))
    assert [file.name for file in tmp_path.iterdir()] == ["split.csv"]
    assert (tmp_path / "split.csv").read_text() == "precious"


# ---- folders that are split already
def test_a_folder_that_is_split_already_is_seen(tmp_path):
    names = [f"{part}/{name}" for part in ("Test", "train", "valid") for name in "ab"]
    root = photo_folder(tmp_path, dict.fromkeys(names, 1))
    found = split_folders(root)
    assert list(found) == ["train", "validation", "test"]
    assert found["validation"].classes == ["a", "b"]


@pytest.mark.parametrize("names", [
    ["a", "b"], ["train", "test"], ["train/a", "train/b"], ["val/a", "test/a"],
    ["train/a", "train_set/a", "test/a"], ["train/a", "val/a", "valid/a"], ["train/a", "test"]])
def test_other_folders_are_not_taken_for_a_split(tmp_path, names):
    assert split_folders(photo_folder(tmp_path, dict.fromkeys(names, 1))) == {}
    assert split_folders(tmp_path / "gone") == {}


def test_a_part_of_one_class_is_refused(tmp_path):
    with pytest.raises(FileError, match="test: expected one sub-folder per class, at least two"):
        split_folders(photo_folder(tmp_path, {"train/a": 1, "train/b": 1, "test/a": 1}))
