"""A folder of classes: natural order, what is no photo named, turned photos counted."""

import numpy as np
import pytest
from makers import grey_values
from PIL import Image
from reference import assert_refused

from minicnn.data import ImageFolder, image_folder, open_image
from minicnn.utils.errors import ArgumentError, FileError


def save(path, value, orientation=1, size=(4, 3)):
    """An even grey photo of that value, by default 4 wide and 3 high."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("L", size, value).save(path, exif=exif)
    return path


def test_folder_gives_photos_labels_and_names_in_natural_order(tmp_path):
    value = 0
    for folder in ("class10", "Class2", "class1"):  # written in another order than expected
        for file in ("img10.png", "img2.png", "IMG1.png"):
            value += 1
            save(tmp_path / folder / file, value)
    data = ImageFolder(tmp_path)
    assert data.classes == ["class1", "Class2", "class10"]
    assert data.names[:3] == ["class1/IMG1.png", "class1/img2.png", "class1/img10.png"]
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert data.labels.dtype == np.int64
    assert grey_values(data) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert data.read(0).shape == (3, 4, 3)
    assert (data.skipped, data.rotated) == ([], 0)


def test_order_of_equal_numbers_does_not_depend_on_the_file_system(tmp_path):
    names = ["a1.png", "a01.png", "A1.png", "1.png", "é.png", "b.png"]
    for name in names:
        save(tmp_path / "x" / name, 0)
        save(tmp_path / "y" / name, 0)
    seen = [name[2:] for name in ImageFolder(tmp_path).names[:6]]
    assert seen == ["1.png", "A1.png", "a01.png", "a1.png", "b.png", "é.png"]


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    for path in ("a/1.png", "b/1.png", ".git/1.png", "a/.1.png"):
        save(tmp_path / path, 0)
    (tmp_path / "a" / ".DS_Store").write_text("no photo")
    data = ImageFolder(tmp_path)
    assert data.names == ["a/1.png", "b/1.png"]
    assert data.skipped == []


def test_what_is_no_photo_is_skipped_and_named(tmp_path):
    for path in ("a/1.png", "b/1.png", "0.png"):
        save(tmp_path / path, 0)
    (tmp_path / "notes.txt").write_text("beside the classes")
    (tmp_path / "a" / "notes.txt").write_text("among the photos")
    (tmp_path / "a" / "empty.jpg").write_bytes(b"")
    data = ImageFolder(str(tmp_path))
    assert data.names == ["a/1.png", "b/1.png"]
    assert len(data.skipped) == 4
    names = ("0.png", "notes.txt", "empty.jpg", "notes.txt")
    for line, name in zip(data.skipped, names, strict=True):
        assert f"{name}: " in line
    assert "no class folder" in data.skipped[0]
    assert "received an empty file" in data.skipped[2] and "received a text" in data.skipped[3]
    assert [other.name for other in data.others] == ["0.png", "notes.txt", "a/empty.jpg",
                                                     "a/notes.txt"]
    assert repr(data).endswith(", 4 skipped")


def test_photos_in_folders_inside_a_class_belong_to_it(tmp_path):
    paths = ("a/1.png", "a/2/10.png", "a/2/9.png", "a/3.png", "b/deep/er/1.png")
    for value, path in enumerate(paths, 1):
        save(tmp_path / path, value)
    (tmp_path / "b" / "deep" / "notes.txt").write_text("no photo")
    data = ImageFolder(tmp_path)
    assert data.names == ["a/1.png", "a/2/9.png", "a/2/10.png", "a/3.png", "b/deep/er/1.png"]
    assert grey_values(data) == [1, 3, 2, 4, 5] and data.counts == {"a": 4, "b": 1}
    assert [other.name for other in data.others] == ["b/deep/notes.txt"]


def test_keras_reads_the_same_photos_of_folders_in_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    from keras.src.utils.dataset_utils import index_directory  # of image_dataset_from_directory
    for path in ("a/1.png", "a/2/3.png", "b/4/5/6.png", "b/7.png"):
        save(tmp_path / path, 0)
    paths, labels, classes = index_directory(str(tmp_path), "inferred", (".png",), shuffle=False)
    ours = ImageFolder(tmp_path)
    assert dict(zip(map(str, ours.items), ours.labels.tolist(), strict=True)) == dict(
        zip(paths, np.asarray(labels).tolist(), strict=True))
    assert ours.classes == classes


def test_a_class_of_heic_photos_only_is_refused_with_what_it_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(open_image, "readable_formats", lambda: open_image.FORMATS)
    save(tmp_path / "a" / "1.png", 0)
    (tmp_path / "b").mkdir()
    for k in range(3):
        (tmp_path / "b" / f"{k}.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with assert_refused("'b', found none that can be read (3 HEIC photos: b/0.heic, … and 2 more.",
                        "'.[heic]'"):
        ImageFolder(tmp_path)


def test_broken_link_is_skipped_and_named(tmp_path):
    for path in ("a/1.png", "b/1.png"):
        save(tmp_path / path, 0)
    (tmp_path / "a" / "2.png").symlink_to(tmp_path / "gone.png")
    assert [line.split(": ")[0] for line in ImageFolder(tmp_path).skipped] == [
        str(tmp_path / "a" / "2.png")]


def test_turned_photos_are_counted_and_read_upright(tmp_path):
    save(tmp_path / "a" / "1.png", 0)
    save(tmp_path / "a" / "2.png", 0, orientation=6)
    save(tmp_path / "b" / "1.jpg", 0, orientation=3)
    data = ImageFolder(tmp_path)
    assert data.rotated == 2
    assert [data.read(i).shape for i in range(3)] == [(3, 4, 3), (4, 3, 3), (3, 4, 3)]
    assert repr(data) == ("ImageFolder: 3 photos, 2 classes (a 2, b 1), 2 rotated by EXIF, "
                          "0 skipped")


def test_folder_reads_headers_only_and_damage_shows_when_the_photo_is_read(tmp_path):
    save(tmp_path / "b" / "1.png", 0)
    path = save(tmp_path / "a" / "1.png", 0, size=(400, 300))
    path.write_bytes(path.read_bytes()[:-40])
    data = ImageFolder(tmp_path)
    with pytest.raises(FileError, match=r"1\.png: expected a readable photo"):
        data.read(0)


@pytest.mark.parametrize("paths, words", [
    ([], "expected one sub-folder per class, at least two, found none; sort the photos"),
    (["1.png"], "expected one sub-folder per class, at least two, found none; sort the photos"),
    (["a/1.png"], "expected one sub-folder per class, at least two, found only 'a'; sort"),
    (["a/1.png", "b/.1.png"], "b: expected photos of the class 'b', found none"),
    (["a/.1.png", "b/1.png"], "a: expected photos of the class 'a', found none"),
    (["train/a/1.png", "test/a/1.png"], "choose the folder whose sub-folders hold the photos"),
])
def test_folder_without_classes_of_photos_is_refused(tmp_path, paths, words):
    for path in paths:
        save(tmp_path / path, 0)
    with pytest.raises(FileError, match=words):
        ImageFolder(tmp_path)


def test_links_in_circles_are_not_searched_for_classes(tmp_path, monkeypatch):
    for k in range(4):
        (tmp_path / f"{k}").symlink_to(".")
    save(tmp_path / "deep" / "photos" / "a" / "1.png", 0)
    save(tmp_path / "deep" / "photos" / "b" / "1.png", 0)
    listed, ours = [], image_folder.list_folder
    monkeypatch.setattr(image_folder, "list_folder", lambda path: listed.append(path) or ours(path))
    with pytest.raises(FileError, match=r"only 'deep'.*hold them \(.*deep.photos\)"):
        ImageFolder(tmp_path)
    assert len(listed) < 12


def test_path_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(FileError, match="gone: expected a folder .*, found nothing"):
        ImageFolder(tmp_path / "gone")
    with pytest.raises(FileError, match=r"1\.png: expected a folder .*, found a file"):
        ImageFolder(save(tmp_path / "1.png", 0))


def test_folder_that_cannot_be_listed_is_refused(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")
    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)  # root may list everything
    with pytest.raises(FileError, match="expected a folder that can be read, received Permission"):
        ImageFolder(tmp_path)


def test_class_of_one_photo_is_a_class_but_cannot_be_split(tmp_path):
    for path in ("a/1.png", "a/2.png", "lonely/1.png"):
        save(tmp_path / path, 0)
    data = ImageFolder(tmp_path)
    assert data.counts == {"a": 2, "lonely": 1}
    with pytest.raises(ArgumentError, match="at least two photos .*, received 1 of 'lonely'"):
        data.split(0.5)


def test_subset_of_a_folder_still_reads_its_files(tmp_path):
    for k in range(3):
        save(tmp_path / "a" / f"{k}.png", k)
        save(tmp_path / "b" / f"{k}.png", 10 + k)
    part = ImageFolder(tmp_path).subset([4, 0])
    assert part.names == ["b/1.png", "a/0.png"]
    assert grey_values(part) == [11, 0]
    assert repr(part) == "Dataset: 2 photos, 2 classes (a 1, b 1)"
