"""The page about a folder says what is wrong with its photos, and shows them; names stay text."""

import re
from pathlib import Path

import numpy as np
import pytest
from makers import images_of, page_of, picture_of
from PIL import Image
from reference import assert_refused

import minicnn as mc
from minicnn.data import Dataset, ImageFolder, near_duplicates, perceptual_hashes, read_image
from minicnn.data.file_kinds import TEXT
from minicnn.data.listing import OtherFile
from minicnn.report import folder_page
from minicnn.report.folder_findings import findings, relation
from minicnn.report.folder_page import write_folder_page

EVIL = "</script><script>window.bad = 1</script>"


def photo(k, size=(100, 120)):
    """Part k of the cat: parts overlap by less than half."""
    cat = read_image(mc.data.photos()["chelsea"])
    i, j = 60 * (k // 5), 80 * (k % 5)
    return cat[i:i + size[0], j:j + size[1]].copy()


def examined(items, labels, classes="ab", parts=None, others=()):
    """The dataset, its fingerprints and {title: finding}."""
    data = Dataset(items, labels, list(classes), [f"{classes[k]}/{i}.jpg"
                                                  for i, k in enumerate(labels)])
    found = perceptual_hashes(data)
    said = findings(data, found, near_duplicates(data, found), parts, others)
    return data, found, {one.title: one for one in said}


# ---- findings
def test_all_is_well_with_different_photos_in_even_classes():
    assert examined([photo(k) for k in range(4)], [0, 0, 1, 1])[2] == {}


def test_copies_are_sorted_by_where_they_are():
    items = [photo(k) for k in (0, 1, 2, 3, 0, 1, 2, 7, 8, 9)]
    labels = [0, 0, 0, 0, 0, 1, 0, 1, 1, 1]
    parts = ["train"] * 6 + ["test"] * 3 + ["train"]
    said = examined(items, labels, parts=parts)[2]
    assert {title: one.groups for title, one in said.items()} == {
        "1 group of copies (2 photos) across the parts": [[2, 6]],
        "1 group of copies (2 photos) across classes": [[1, 5]],
        "1 group of copies (2 photos) within a class": [[0, 4]]}
    assert list(examined(items, labels)[2]) == ["1 group of copies (2 photos) across classes",
                                                "2 groups of copies (4 photos) within a class"]


def test_copies_across_parts_and_classes_are_said_twice():
    said = examined([photo(0), photo(1), photo(2), photo(0), photo(3)], [0, 0, 1, 1, 1],
                    parts=["train", "train", "train", "test", "test"])[2]
    assert [one.groups for title, one in said.items() if "copies" in title] == [[[0, 3]]] * 2
    assert said["A part lacks a class"].lines == ["test: no photo of a"]


def test_photos_that_all_look_alike_are_said_first():
    items = [photo(0, (100 - k, 120)) for k in range(3)] + [photo(7)]
    first, *others = examined(items, [0, 0, 0, 0], "a")[2].values()
    assert first.title == "3 of 4 photos look alike" and first.groups == [[0, 1, 2]]
    assert others == []


def test_uneven_classes_are_told_from_three_to_one():
    items = [photo(k) for k in range(8)]
    said = examined(items, [0] * 6 + [1] * 2)[2]
    assert said["The classes are uneven"].lines == ["a: 6, b: 2"]
    assert "75.0%" in said["The classes are uneven"].advice
    assert "--class-weights" in said["The classes are uneven"].advice
    assert examined(items, [0] * 5 + [1] * 3)[2] == {}


def test_tiny_flat_rotated_damaged_and_skipped_files_are_reported(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for k, size in enumerate([(64, 64), (63, 120), (120, 63)]):
        Image.fromarray(photo(k, size)).save(tmp_path / "a" / f"{k}.png")
    Image.new("RGB", (80, 90), "navy").save(tmp_path / "b" / "flat.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo(7)).save(tmp_path / "b" / "turned.jpg", exif=exif)
    whole = (tmp_path / "b" / "turned.jpg").read_bytes()
    (tmp_path / "b" / "damaged.jpg").write_bytes(whole[:len(whole) // 2])
    data = ImageFolder(tmp_path)
    found = perceptual_hashes(data)
    other = OtherFile(tmp_path / "x", "x", "x: y")
    said = {one.title: [[data.names[i] for i in g] for g in one.groups] or one.lines
            for one in findings(data, found, near_duplicates(data, found), others=[other])}
    damaged = said.pop("1 photo cannot be read")
    assert len(damaged) == 1 and "damaged.jpg: expected a readable photo" in damaged[0]
    assert said == {"1 photo nearly even": [["b/flat.png"]],
                    "2 photos with a side below 64 pixels": [["a/1.png"], ["a/2.png"]],
                    "1 photo rotated by EXIF": [["b/turned.jpg"]], "1 photo skipped": ["x: y"]}


def test_what_is_serious_comes_first_and_what_is_even_last(tmp_path):
    for name in ("a/trip", "b"):
        (tmp_path / name).mkdir(parents=True)
    for k, name in enumerate(["a/0.png", "a/trip/1.png", "b/2.png", "b/3.png", "b/4.png"]):
        Image.fromarray(photo(min(k, 3))).save(tmp_path / name)  # the last two are the same
    Image.fromarray(photo(0)).save(tmp_path / "b" / "of another class.png")
    Image.new("RGB", (80, 90), "navy").save(tmp_path / "a" / "flat.png")
    broken = (tmp_path / "b" / "2.png").read_bytes()
    (tmp_path / "b" / "damaged.png").write_bytes(broken[:len(broken) // 2])
    (tmp_path / "a" / "notes.txt").write_text("no photo")
    (tmp_path / "a" / "empty.jpg").write_bytes(b"")
    data = ImageFolder(tmp_path)
    found = perceptual_hashes(data)
    ordered = findings(data, found, near_duplicates(data, found), others=data.others)
    assert [(one.title, one.serious) for one in ordered] == [
        ("1 photo cannot be read", True), ("1 photo skipped", True),
        ("1 group of copies (2 photos) across classes", True),
        ("1 group of copies (2 photos) within a class", False),
        ("1 photo in sub-folders of a class", False), ("1 other file skipped", False),
        ("1 photo nearly even", False)]
    assert {one.title: one.lines for one in ordered}[
        "1 photo in sub-folders of a class"] == ["a/trip: 1"]
    page = write_folder_page(tmp_path / "r.html", "photos", data, found, ordered)
    assert page_of(page)["title"] == "photos/: 8 photos, 2 classes, 3 things to fix, 4 to look at"
    marked = re.findall(r'<article class="card finding (\w+)"', page.read_text("utf-8"))
    assert marked == ["serious"] * 3 + ["light"] * 4


def test_relation_tells_the_same_pixels_from_nearly_the_same():
    found = examined([photo(0), photo(0), photo(0, (98, 120))], [0, 0, 0], "a")[1]
    assert relation(found, [0, 1]) == "the same pixels"
    assert relation(found, [0, 1, 2]) == relation(found, [1, 2]) == "nearly the same"


# ---- the page
def written(path, items, labels, classes="ab", parts=None, **more):
    data, found, said = examined(items, labels, classes, **more)
    calls = []
    write_folder_page(path, "photos", data, found, list(said.values()), parts,
                      lambda done, total: calls.append((done, total)))
    assert [done for done, _ in calls] == list(range(1, calls[-1][1] + 1))
    return page_of(path)


def test_page_has_counts_by_part_and_pictures_of_each_class(tmp_path):
    items = [photo(k) for k in range(6)]
    parts = ["test", "train", "train", "train", "train", "unreadable"]
    page = written(tmp_path / "r.html", items, [0, 0, 0, 1, 1, 1], parts=parts)
    assert (page["title"], page["count"], page["sizes"]) == (
        "photos/: 6 photos, 2 classes, nothing to fix", 6, "120 × 100 pixels")
    assert page["parts"] == ["train", "test", "unreadable"]
    assert [(one["name"], one["counts"]) for one in page["classes"]] == [
        ("a", [2, 1, 0]), ("b", [2, 0, 1])]
    assert sorted(p["name"] for p in page["classes"][1]["samples"]) == [
        "b/3.jpg", "b/4.jpg", "b/5.jpg"]
    pictures = dict(images_of(tmp_path / "r.html"))
    for one in page["classes"][0]["samples"]:
        k = int(one["name"][2])
        assert np.abs(picture_of(pictures[one["name"]]).astype(int) - items[k]).mean() < 3
        assert (one["part"], one["size"]) == (parts[k], "120 × 100")


def test_page_without_a_split_counts_the_classes(tmp_path):
    page = written(tmp_path / "r.html", [photo(0), photo(1), photo(2, (90, 90))], [0, 0, 1])
    assert page["parts"] == [] and [one["counts"] for one in page["classes"]] == [[2], [1]]
    assert page["sizes"] == "90 × 90 to 120 × 100 pixels"


def test_copies_stand_side_by_side_and_large_photos_are_shrunk(tmp_path):
    large = np.repeat(np.repeat(photo(0), 4, axis=0), 4, axis=1)
    page = written(tmp_path / "r.html", [photo(0), photo(1), photo(2), large], [0, 0, 1, 1])
    finding, = page["findings"]
    assert finding["title"] == "1 group of copies (2 photos) across classes"
    group, = finding["groups"]
    assert group["relation"] == "nearly the same"
    assert [(p["name"], p["class"], p["size"]) for p in group["photos"]] == [
        ("a/0.jpg", "a", "120 × 100"), ("b/3.jpg", "b", "480 × 400")]
    pictures = dict(images_of(tmp_path / "r.html"))
    assert [picture_of(pictures[p["name"]]).shape for p in group["photos"]] == [
        (100, 120, 3), (133, 160, 3)]


def test_photos_beyond_the_shown_ones_are_named(tmp_path, monkeypatch):
    made, picture = [], folder_page.thumbnail
    monkeypatch.setattr(folder_page, "thumbnail", lambda x: (made.append(x), picture(x))[1])
    monkeypatch.setattr(folder_page, "MAX_GROUPS", 2)
    items = [photo(k % 5) for k in range(10)] + [photo(7)] * 12
    page = written(tmp_path / "r.html", items, [0] * 10 + [1] * 12)
    groups = {len(g["photos"]): g for one in page["findings"] for g in one["groups"]}
    shown = [g["photos"][0]["shown"] for one in page["findings"] for g in one["groups"]
             if len(g["photos"]) == 2]
    assert shown == [True, True, False, False, False]
    assert [p["shown"] for p in groups[12]["photos"]] == [True] * 8 + [False] * 4
    pictured = [p for one in page["classes"] for p in one["samples"]] + [
        p for one in page["findings"] for g in one["groups"] for p in g["photos"] if p["shown"]]
    assert len(made) == len({p["name"] for p in pictured})
    assert sorted(alt for alt, _ in images_of(tmp_path / "r.html")) == sorted(
        p["name"] for p in pictured)
    assert [p["name"] for p in groups[12]["photos"]] == [f"b/{i}.jpg" for i in range(10, 22)]


def test_a_damaged_photo_has_no_picture(tmp_path):
    for k, name in enumerate(["a/1.jpg", "a/2.jpg", "b/1.jpg"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(photo(k)).save(tmp_path / name)
    whole = (tmp_path / "a" / "1.jpg").read_bytes()
    (tmp_path / "a" / "1.jpg").write_bytes(whole[:len(whole) // 2])
    data = ImageFolder(tmp_path)
    found = perceptual_hashes(data)
    said = findings(data, found, near_duplicates(data, found))
    page = page_of(write_folder_page(tmp_path / "r.html", "x", data, found, said))
    assert [p["name"] for p in page["classes"][0]["samples"]] == ["a/2.jpg"]
    assert page["sizes"] == "120 × 100 pixels"
    assert "a/1.jpg" in page["findings"][0]["lines"][0]


def test_names_stay_text_and_nothing_is_loaded_from_elsewhere(tmp_path):
    written(tmp_path / "r.html", [photo(0), photo(0), photo(1)], [0, 1, 1], [EVIL, "b"],
            others=[OtherFile(Path(EVIL), EVIL, EVIL, TEXT), OtherFile(Path(EVIL), EVIL, EVIL)])
    text = (tmp_path / "r.html").read_text("utf-8")
    assert EVIL not in text and text.count("<script") == 2
    assert page_of(tmp_path / "r.html")["classes"][0]["name"] == EVIL
    assert "default-src 'none'" in text and "innerHTML" not in text
    assert re.findall(r"https?:|@import|url\(|<script[^>]*src|<link[^>]*stylesheet", text) == []


def test_a_failure_while_writing_keeps_the_old_page(tmp_path):
    data, found, _ = examined([photo(0), photo(1)], [0, 1])
    (tmp_path / "r.html").mkdir()  # a page cannot take the name of a folder
    with assert_refused("r.html", "file that can be written"):
        write_folder_page(tmp_path / "r.html", "x", data, found, [])
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.html"]


@pytest.mark.parametrize("classes, each", [(2, 8), (50, 8), (100, 4), (1000, 1)])
def test_many_classes_have_fewer_pictures_each(tmp_path, classes, each):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (9 * classes, 8, 8), np.uint8)
    data = Dataset.from_arrays(images, np.repeat(np.arange(classes), 9))
    found = perceptual_hashes(data)
    page = page_of(write_folder_page(tmp_path / "r.html", "x", data, found, []))
    assert {len(one["samples"]) for one in page["classes"]} == {each}
