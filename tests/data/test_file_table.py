"""Paths and names of very many photos: compact, and otherwise as lists."""

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from makers import photo_folder
from PIL import Image

from minicnn.data import Augment, Augmented, Dataset, ImageFolder, split_folders
from minicnn.data.file_table import FileTable, Names, Paths, concatenate, names_from
from minicnn.data.splits import concatenate_parts
from minicnn.utils.files import entry_names

PHOTOS = {"cats": 3, "dogs": 2}


def table_of(root, names):
    """A table of files directly in a folder."""
    table = FileTable()
    number = table.add_folder(Path(root), f"{root}/")
    for name in names:
        table.append(number, name)
    return table


def test_a_folder_has_the_paths_and_names_of_its_files(tmp_path):
    root = photo_folder(tmp_path / "photos", PHOTOS)
    data = ImageFolder(root)
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.*"))
    assert list(data.names) == names and data.names == names
    assert list(data.items) == [root / name for name in names]
    assert data.items[-1] == root / names[-1] and data.names[np.int64(1)] == names[1]
    assert data.names[1:3] == names[1:3] and names[0] in data.names
    assert data.names != names[:-1] and data.names != [*names[:-1], "other"]
    with pytest.raises(IndexError):
        data.names[len(names)]


def test_names_that_are_no_utf8_and_names_of_many_folders_come_back(tmp_path):
    names = ["a.jpg", "caf\udce9.jpg", "日本.png", "with space"]
    table = table_of("x", names)
    second = table_of("y/z", ["1", "2"])
    table.extend(second)
    assert list(Names(table)) == [*(f"x/{name}" for name in names), "y/z/1", "y/z/2"]
    assert Paths(table)[5] == Path("y/z/2")


def test_subsets_of_subsets_keep_the_order(tmp_path):
    names = Names(table_of("x", [str(k) for k in range(10)]))
    chosen = names.take(np.array([7, 1, 4, 9])).take(np.array([3, 0, 0]))
    assert list(chosen) == ["x/9", "x/7", "x/7"]


def test_joined_parts_have_all_files_whether_of_a_table_or_of_several(tmp_path):
    table, other = table_of("x", "abc"), table_of("y", "de")
    parts = [Names(table).take(np.array([2, 0])), Names(other), Names(table).take(np.array([1]))]
    assert list(concatenate(parts)) == ["x/c", "x/a", "y/d", "y/e", "x/b"]
    assert isinstance(concatenate(parts), Names)
    assert concatenate(parts[:1] + parts[2:]).table is table
    assert concatenate([Names(other), ["z"]]) == ["y/d", "y/e", "z"]
    assert list(table.folders) == [Path("x")]  # as before


def test_a_split_folder_has_names_from_its_root_and_joined_parts_their_photos(tmp_path):
    for part in ("train", "test"):
        photo_folder(tmp_path / part, PHOTOS, seed=len(part))
    folders = split_folders(tmp_path)
    joint = concatenate_parts(folders)
    assert isinstance(joint.items, Paths) and len(joint) == 10
    assert names_from(joint.items, tmp_path) == [
        path.relative_to(tmp_path).as_posix() for path in joint.items]
    assert names_from([tmp_path / "a" / "b.jpg"], tmp_path) == ["a/b.jpg"]
    with pytest.raises(ValueError, match="elsewhere"):
        names_from(joint.items, tmp_path / "elsewhere")


def test_views_of_photos_of_a_folder_are_of_the_same_files(tmp_path):
    data = ImageFolder(photo_folder(tmp_path, PHOTOS))
    views = Augmented(data, Augment(), 3)
    assert list(views.names) == list(data.names) * 3 and list(views.items) == list(data.items) * 3


def naive_key(name):
    """Natural order as it is defined: texts without case and numbers in turn, then the name."""
    parts = re.split("([0-9]+)", name)
    return [int(p) if k % 2 else p.casefold() for k, p in enumerate(parts)], name


def test_natural_order_is_that_of_texts_and_numbers_in_turn(tmp_path, rng):
    names = {"img2", "img10", "img1a", "img", "IMG3", "a", "A", "a1", "ab", "a01", "a1b2", "a1b10",
             "a001", "0", "00", "7", "ß", "ss1", "z" * 50 + "9" * 80, "z" * 50 + "1" + "0" * 80}
    letters = list("aAb019 -_é")
    while len(names) < 600:
        names.add("".join(rng.choice(letters, rng.integers(1, 7))).strip(" ") or "x")
    for name in names:
        (tmp_path / name).touch()
    assert entry_names(tmp_path) == sorted(names, key=naive_key)


def test_a_photo_of_a_folder_takes_less_than_100_bytes(tmp_path):
    """With 2,000 of them, whose Paths alone took 400 bytes each and their names 80."""
    Image.new("L", (2, 2)).save(tmp_path / "photo.png")
    for k in range(2000):
        link = tmp_path / "photos" / "ab"[k % 2] / f"photo-{k}.png"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.hardlink_to(tmp_path / "photo.png")
    ImageFolder(tmp_path / "photos")  # imports
    tracemalloc.start()
    data = ImageFolder(tmp_path / "photos")
    halves = [data.subset(np.arange(k, 2000, 2)) for k in (0, 1)]
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert sum(map(len, halves)) == 2000
    assert held < 100 * 2000


def test_positions_are_checked_however_they_are_given():
    data = Dataset(list("abcd"), [0, 1, 0, 1], ["x", "y"], list("ABCD"))
    for indices in (np.array([3, 0]), [3, 0], np.array([-1, 0]), np.array([3, 0], np.int8)):
        assert data.subset(indices).items == ["d", "a"]
    assert data.subset(np.array([True, False, False, True])).items == ["a", "d"]
    for wrong in (np.array([4]), np.array([[0]]), np.array([0.5]), np.array([-5])):
        with pytest.raises(ValueError, match="expected indices of 4 photos"):
            data.subset(wrong)
