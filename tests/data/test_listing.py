"""Every file of a folder is a photo or named, in every command; kinds on a line each; splits."""

import json

import numpy as np
import pytest
from makers import photo_folder, read_csv, run_command
from PIL import Image
from reference import assert_refused

import minicnn as mc
from minicnn.data import ImageFolder, find_photos, open_image, read_photos, split_folders
from minicnn.data.file_kinds import TEXT, VIDEO
from minicnn.data.listing import OtherFile, group_by_kind, list_photos
from minicnn.data.part_names import part_of

FAST = ["--size", "32", "--cut", "block2_pool", "--epochs", "1", "--no-scratch"]
PDF, GIT, ZIP = b"%PDF-1.7", b"version https://git-lfs.github.com/spec/v1\n", b"PK\x03\x04"
FILM = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
# What a folder of people's photos holds. The first ones are photos, whatever they are called.
PHOTOS = {"a.jpg": "jpeg", "b.jfif": "jpeg", "c.ppm": "ppm", "d.avif": "avif", "noext": "jpeg",
          "notes.txt": "png", "deep/er/f.png": "png"}
OTHERS = {"e.heic": HEIC, "film1.mp4": FILM, "film2.JPG": FILM, "scan.pdf": PDF, "empty.jpg": b"",
          "pointer.jpg": GIT, "all.zip": ZIP, "deep/README": b"words", "zeros.png": bytes(99),
          "page.jpg": b"<!doctype html><html>", "raw.cr2": b"II*\0\x10\0\0\0CR\2\0" + bytes(40),
          "draft.psd": b"8BPS\0\1" + bytes(99), "logo.svg": b"<svg width='9'></svg>",
          "cut.jpg": b"\xff\xd8\xff\xe0"}
SYSTEM = {".DS_Store": b"x", "Thumbs.db": b"x", "desktop.ini": b"x", "deep/.hidden.jpg": b"x"}


def mixed(folder, seed=0):
    """Writes the files above into a folder; no two photos are alike."""
    rng = np.random.default_rng(seed)
    for name, kind in PHOTOS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (5, 4, 3), np.uint8)
        Image.fromarray(pixels).resize((40, 50)).save(folder / name, kind)
    for name, content in (OTHERS | SYSTEM).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(autouse=True)
def formats(monkeypatch):
    """Of AVIF, so that every Pillow will do, and no HEIC, whatever is installed."""
    if "AVIF" not in open_image.readable_formats():
        monkeypatch.setitem(PHOTOS, "d.avif", "webp")
    known = tuple(name for name in open_image.readable_formats() if name != "HEIF")
    monkeypatch.setattr(open_image, "readable_formats", lambda: known)


# ---- one function
def test_a_folder_is_listed_by_content(tmp_path):
    listing = list_photos(mixed(tmp_path), tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in listing.photos]
    assert names == ["a.jpg", "b.jfif", "c.ppm", "d.avif", "deep/er/f.png", "noext", "notes.txt"]
    assert listing.rotated == [False] * 7
    kinds = {other.name: other.kind.singular for other in listing.others}
    assert kinds == {
        "e.heic": "a HEIC photo", "film1.mp4": "a video", "film2.JPG": "a video",
        "scan.pdf": "a PDF", "empty.jpg": "an empty file", "pointer.jpg": "a Git LFS pointer",
        "all.zip": "an archive", "deep/README": "a text", "zeros.png": "a file of zeros",
        "page.jpg": "a web page", "raw.cr2": "a RAW camera file", "draft.psd": "a Photoshop file",
        "logo.svg": "a drawing in SVG", "cut.jpg": "a damaged photo"}
    missed = {other.name for other in listing.others if other.is_photo}
    assert missed == {"e.heic", "film2.JPG", "empty.jpg", "pointer.jpg", "zeros.png", "page.jpg",
                      "raw.cr2", "draft.psd", "cut.jpg"}


def other(name, kind=None):
    return OtherFile(mc.data.photos()["chelsea"], name, f"{name}: its reason.", kind)


def test_kinds_have_a_line_each_and_photos_their_own_reason():
    others = [other("a.mp4", VIDEO), other("b.txt", TEXT), other("cut.jpg"),
              other("c.mov", VIDEO), other("dark.jpg"), other("d.avi", VIDEO)]
    assert group_by_kind(others) == [
        "cut.jpg: its reason.", "dark.jpg: its reason.",
        "3 videos: a.mp4, c.mov, d.avi. Save single frames as JPEG.",
        "1 text: b.txt. Only photos are read: keep other files elsewhere."]
    assert group_by_kind(others, limit=2)[2].startswith("3 videos: a.mp4, c.mov, … and 1 more. ")
    many = [other(f"{k}.mp4", VIDEO) for k in range(40)]
    assert "36.mp4, 37.mp4, 38.mp4, 39.mp4. Save" in group_by_kind(many, limit=None)[0]
    assert group_by_kind(many)[0] == ("40 videos: 0.mp4, 1.mp4, 2.mp4, 3.mp4, 4.mp4, 5.mp4, "
                                      "6.mp4, 7.mp4, … and 32 more. Save single frames as JPEG.")
    assert group_by_kind([]) == []


def test_links_to_folders_are_followed_once_and_never_up(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "photo.png")
    for name in ("a/b", "c"):
        (tmp_path / "start" / name).mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / "start" / name / "1.png")
    outside = tmp_path / "outside"
    outside.mkdir()
    Image.new("L", (4, 4)).save(outside / "2.png")
    (tmp_path / "start" / "a" / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "start" / "a" / "sideways").symlink_to(tmp_path / "start" / "c")
    (tmp_path / "start" / "out").symlink_to(outside)
    listing = list_photos(tmp_path / "start", tmp_path / "start")
    names = [path.relative_to(tmp_path / "start").as_posix() for path in listing.photos]
    assert names == ["a/b/1.png", "a/sideways/1.png", "out/2.png"]
    assert [other.name for other in listing.others] == ["a/b/up", "c"]
    assert not any(other.is_photo for other in listing.others)


def test_a_folder_inside_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (4, 4)).save(tmp_path / name / "1.png")
    inside = type(tmp_path).iterdir

    def refuse(self):
        if self.name == "a":
            raise PermissionError(13, "Permission denied")
        return inside(self)
    monkeypatch.setattr(type(tmp_path), "iterdir", refuse)  # root may list everything
    listing = list_photos(tmp_path)
    assert listing.photos == [tmp_path / "b" / "1.png"]
    assert "a: expected a folder that can be read" in listing.others[0].reason


def test_a_folder_without_photos_is_refused_with_what_it_holds(tmp_path):
    for k in range(3):
        (tmp_path / f"{k}.mp4").write_bytes(FILM)
    with assert_refused("expected photos in this folder (JPEG", "found none. 3 videos: "):
        find_photos([tmp_path])


def test_photos_of_folders_without_classes_are_named_below_the_folder(tmp_path):
    data, skipped = read_photos([str(mixed(tmp_path / "heap"))])
    assert data.names == ["a.jpg", "b.jfif", "c.ppm", "d.avif", "deep/er/f.png", "noext",
                          "notes.txt"]
    assert len(skipped) == len(OTHERS) and all(": expected" in reason for reason in skipped)


# ---- every command
def model_file(path):
    model = mc.SmallCNN(2, (32, 32, 3))
    model.classes = ["left", "right"]
    model.save(path)
    return path


def unmentioned(text, *folders):
    """The files of the folders, but for those of the system, of whose names the text is silent."""
    return [name for folder in folders for name in (*PHOTOS, *OTHERS)
            if f"{folder}{name}" not in text]


@pytest.mark.parametrize("form", ["text", "csv", "json"])
def test_predict_answers_or_names_every_file(tmp_path, monkeypatch, capsys, form):
    monkeypatch.chdir(tmp_path)
    mixed(tmp_path / "photos")
    model_file("m.h5")
    code, text, said = run_command(capsys, "predict", "m.h5", "photos", "--format", form)
    assert code == 2  # photos could not be read
    assert unmentioned(text + said, "photos/") == []
    assert all(f"photos/{name}" in text for name in PHOTOS)
    assert "2 videos: photos/film1.mp4, photos/film2.JPG. Save single frames" in said
    assert "1 HEIC photo: photos/e.heic. Install the extra heic (pip" in said
    assert not any(name in text + said for name in ("DS_Store", "Thumbs", "desktop", "hidden"))


def test_files_that_are_no_photos_alone_leave_the_exit_status(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photo_folder(tmp_path / "photos", {".": 1})
    model_file("m.h5")
    (tmp_path / "photos" / "notes.txt").write_text("words")
    code, text, said = run_command(capsys, "predict", "m.h5", "photos")
    assert code == 0 and text.count("\n") == 1 and "1 text: photos/notes.txt" in said


@pytest.mark.parametrize("command", [["train", "photos", *FAST, "--output", "run"],
                                     ["evaluate", "m.h5", "photos", "--output", "run"],
                                     ["data", "photos", "--output", "run"]],
                         ids=lambda words: words[0])
@pytest.mark.parametrize("split", [False, True])
def test_train_evaluate_and_data_name_every_file_they_do_not_read(
        tmp_path, monkeypatch, capsys, command, split):
    if split and command[0] == "evaluate":
        pytest.skip("evaluate reads one part")
    monkeypatch.chdir(tmp_path)
    parts = ["training_set/", "test_set/"] if split else [""]
    for k, part in enumerate(parts):
        mixed(tmp_path / "photos" / part / "left", 2 * k)
        mixed(tmp_path / "photos" / part / "right", 2 * k + 1)
    (tmp_path / "photos" / "licence.pdf").write_bytes(PDF)
    (tmp_path / "photos" / "stray.jpg").write_bytes(
        (tmp_path / "photos" / parts[0] / "left" / "a.jpg").read_bytes())
    model_file("m.h5")
    code, text, said = run_command(capsys, *command)
    assert code == 0, said
    tables = [name for name in ("split.csv", "predictions.csv")
              if (tmp_path / "run" / name).exists()]
    read = {row["photo"] for name in tables for row in read_csv(tmp_path / "run" / name)}
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    page = json.dumps(json.loads(page.split('id="data">')[1].split("</script>")[0]),
                      ensure_ascii=False)
    for part in parts:
        for label in ("left/", "right/"):
            assert {part + label + name for name in PHOTOS} <= read
            for place in (text, page):
                assert [name for name in OTHERS if part + label + name not in place] == []
    for place in (text, page):
        assert "licence.pdf" in place and "stray.jpg" in place
    what = "photo in no part of the split" if split else "photo in no class folder"
    assert f"1 {what}: stray.jpg. " in text
    if not split:
        assert ("4 videos: left/film1.mp4, left/film2.JPG, right/film1.mp4, right/film2.JPG. Save "
                "single frames as JPEG.") in text


@pytest.mark.parametrize("words", [["look", "activity", "m.h5", "photos", "-o", "x.png"],
                                   ["atlas", "m.h5", "photos", "-o", "x.html"]],
                         ids=lambda words: words[0])
def test_look_and_atlas_name_every_file_they_do_not_read(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    mixed(tmp_path / "photos")
    model_file("m.h5")
    code, text, said = run_command(capsys, *words)
    assert code == 2 and f"{len(OTHERS)} skipped" in text
    assert [name for name in OTHERS if f"photos/{name}" not in said] == []


def test_look_at_one_photo_of_a_folder_names_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photo_folder(tmp_path / "photos", {".": 1}, (40, 40))
    (tmp_path / "photos" / "film.mov").write_bytes(FILM)
    model_file("m.h5")
    code, text, said = run_command(capsys, "look", "gradient", "m.h5", "photos", "-o", "x.png")
    assert code == 0 and "1 skipped" in text and "1 video: photos/film.mov. " in said


# ---- splits by their usual names
@pytest.mark.parametrize("names, part", [
    (["train", "Training", "training_set", "train-set", "seg_train", "Train Data", "trainset"],
     "train"),
    (["val", "valid", "validation", "dev", "Validation_Set", "seg_val"], "validation"),
    (["test", "testing", "test_set", "seg_test", "TEST", "test1", "testset"], "test"),
    (["trains", "contest", "latest", "value", "cat", "seg", "", "test_tube"], None)])
def test_usual_names_of_parts(names, part):
    assert {name: part_of(name) for name in names} == dict.fromkeys(names, part)


def tree(root, *folders):
    for name in folders:
        (root / name).mkdir(parents=True)
        Image.new("L", (4, 3)).save(root / name / "1.png")
    return root


@pytest.mark.parametrize("folders, parts", [
    (["training_set/a", "training_set/b", "test_set/a", "test_set/b"], ["train", "test"]),
    (["training_set/training_set/a", "training_set/training_set/b", "test_set/test_set/a",
      "test_set/test_set/b"], ["train", "test"]),  # Kaggle's cats and dogs
    (["seg_train/seg_train/a", "seg_train/seg_train/b", "seg_test/seg_test/a",
      "seg_test/seg_test/b", "seg_pred/seg_pred"], ["train", "test"]),  # Intel's
    (["train/a", "train/b", "valid/a", "valid/b", "test/a", "test/b"],
     ["train", "validation", "test"])])
def test_data_sets_of_the_web_are_seen_as_split(tmp_path, folders, parts):
    found = split_folders(tree(tmp_path, *folders))
    assert list(found) == parts
    assert all(data.classes == ["a", "b"] for data in found.values())
    outside = [other.name for other in found["train"].others]
    assert outside == [f"{name}/1.png" for name in folders if "pred" in name]


def test_the_parts_of_a_split_are_no_classes_and_the_advice_names_the_training(tmp_path):
    tree(tmp_path, "test_set/test_set/a", "test_set/test_set/b", "training_set/training_set/a",
         "training_set/training_set/b")
    with assert_refused("found the parts of a split (test_set, training_set)",
                        f"{tmp_path / 'training_set' / 'training_set'} to train, "
                        f"{tmp_path / 'test_set' / 'test_set'} to evaluate."):
        ImageFolder(tmp_path)
    tree(tmp_path / "v", "test/a", "test/b", "val/a", "val/b")
    with assert_refused("found the parts of a split (test, val)", "hold the photos, ",
                        "test to evaluate."):
        ImageFolder(tmp_path / "v")


@pytest.mark.parametrize("folders, advised", [
    (["x/test/a", "x/test/b", "x/train/a", "x/train/b"], "x"),
    (["x/seg_test/seg_test/a", "x/seg_test/seg_test/b", "x/seg_train/seg_train/a",
      "x/seg_train/seg_train/b"], "x"),
    (["x/test/a", "x/test/b", "x/photos/a", "x/photos/b"], "x/photos"),
    (["x/test/a", "x/test/b"], None), (["x/y/test/a", "x/y/test/b", "x/y/train/a", "x/y/train/b"],
                                       "x/y")])
def test_advice_never_names_the_test_folder(tmp_path, folders, advised):
    tree(tmp_path, *folders)
    with assert_refused("expected one sub-folder per class") as _:
        ImageFolder(tmp_path)
    try:
        ImageFolder(tmp_path)
    except mc.MiniCNNError as error:
        said = str(error)
    assert (f"({tmp_path / advised})" in said) if advised else "(" not in said
    assert "test)" not in said


def test_folders_that_each_hold_the_same_folders_are_no_classes(tmp_path):
    tree(tmp_path, "2023/cirrus", "2023/cumulus", "2024/cirrus", "2024/cumulus")
    with assert_refused("found none: 2023, 2024 each hold the folders cirrus, cumulus",
                        f"({tmp_path / '2023'})"):
        ImageFolder(tmp_path)
    Image.new("L", (4, 3)).save(tmp_path / "2023" / "1.png")  # photos of its own: a class
    assert ImageFolder(tmp_path).counts == {"2023": 3, "2024": 2}
