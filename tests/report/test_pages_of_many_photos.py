"""The page of a folder names ten thousand photos of a problem, and counts the others."""

import numpy as np
from makers import page_of

from minicnn.data import Dataset, perceptual_hashes
from minicnn.report import folder_page
from minicnn.report.folder_findings import Finding, findings


def test_more_photos_and_lines_than_a_browser_can_show_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_page, "MAX_NAMED", 7)
    monkeypatch.setattr(folder_page, "MAX_GROUPS", 1)
    data = Dataset.from_arrays(np.zeros((20, 2, 2), np.uint8), np.arange(20) % 2)
    problems = [Finding("copies", "look", [[0, 1, 2], [3, 4, 5, 6, 7, 8], [9, 10, 11]]),
                Finding("alone", "look", [[i] for i in range(7)]),
                Finding("lines", "look", [], [f"line {k}" for k in range(9)])]
    path = folder_page.write_folder_page(tmp_path / "report.html", "photos", data,
                                         perceptual_hashes(data), problems)
    copies, alone, lines = page_of(path)["findings"]
    assert [[p["name"] for p in group["photos"]] for group in copies["groups"]] == [
        ["image 0", "image 1", "image 2"], ["image 3", "image 4", "image 5", "image 6"]]
    assert copies["lines"] == ["… and 5 more"]
    assert len(alone["groups"]) == 7 and alone["lines"] == []
    assert lines["lines"] == [*(f"line {k}" for k in range(7)), "… and 2 more"]
    assert "… and 5 more" in path.read_text("utf-8")


def test_photos_of_inner_folders_are_counted_by_folder():
    names = ["a/1.jpg", "a/x/2.jpg", "a/x/3.jpg", "b/4.jpg", "b/y/z/5.jpg", "b/b/6.jpg"]
    arrays = np.random.default_rng(0).integers(0, 256, (6, 80, 80), np.uint8)
    data = Dataset.from_arrays(arrays, [0, 0, 0, 1, 1, 1], ["a", "b"], names)
    data.items = list(names)  # as files
    prints = perceptual_hashes(Dataset.from_arrays(arrays, data.labels, ["a", "b"], names))
    prints.rotated[[1, 4]] = True
    titles = {finding.title: finding for finding in findings(data, prints, np.arange(6))}
    assert titles["3 photos in sub-folders of a class"].lines == ["a/x: 2", "b/y/z: 1"]
    assert titles["2 photos rotated by EXIF"].groups == [[1], [4]]
