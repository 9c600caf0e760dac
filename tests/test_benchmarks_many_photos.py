"""The benchmark of very many photos, on a few."""

from pathlib import Path

import pytest

from benchmarks import many_photos

STEPS = ["list", "read", "copies", "deal", "subsets", "write", "read back"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="looks into /proc")
def test_every_step_has_its_seconds_and_bytes(capfd, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(many_photos.__file__).parents[1]))
    many_photos.main(["--photos", "60", "--distinct", "20", "--classes", "3"])
    out = capfd.readouterr().out
    assert "60 links to 20 files of 32 × 32 pixels, 3 classes" in out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines()
            if line.startswith("| ") and "---" not in line]
    assert rows[0] == ["step", "seconds", "bytes a photo, kept", "peak"]
    assert [row[0] for row in rows[1:]] == STEPS
    for row in rows[1:]:
        seconds, kept, peak = map(float, row[1:])
        assert seconds >= 0 and peak >= kept - 1


def test_the_folder_has_so_many_links_in_so_many_classes(tmp_path):
    photos = many_photos.make_folder(tmp_path, 10, 4, 3, 16)
    files = sorted(photos.rglob("*.jpg"))
    assert len(files) == 10 and len(list(photos.iterdir())) == 3
    assert len({path.stat().st_ino for path in files}) == 4
