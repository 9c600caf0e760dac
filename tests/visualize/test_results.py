"""Saving: the numbers come back, pictures are pictures, and no file is overwritten unasked."""

from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from reference import assert_refused, assert_same

from minicnn.plotting import drawing
from minicnn.visualize.result import Result


@dataclass
class Drawn(Result):
    values: np.ndarray
    score: float
    name: str
    layers: list
    by_layer: dict
    missing: None = None

    def figure(self):
        figure = drawing.new_figure(3, 2)
        drawing.show_map(figure.subplots(), self.values)
        return figure


@pytest.fixture
def result():
    return Drawn(np.arange(6.0).reshape(2, 3), 0.5, "猫 $1", ["a", "b"], {"a": np.ones(2)})


def test_the_numbers_come_back_from_npz(result, tmp_path):
    assert result.save(tmp_path / "x.npz") == tmp_path / "x.npz"
    with np.load(tmp_path / "x.npz") as read:
        assert set(read) == {"values", "score", "name", "layers", "by_layer/a"}
        assert_same(read["values"], result.values)
        assert_same(read["by_layer/a"], np.ones(2))
        assert read["score"] == 0.5 and read["name"] == "猫 $1"
        assert read["layers"].tolist() == ["a", "b"]


def test_pictures_are_written_by_their_suffix(result, tmp_path):
    with Image.open(result.save(tmp_path / "x.png")) as picture:
        assert picture.size == (360, 240)
    assert result.save(tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in result.save(str(tmp_path / "x.svg")).read_text("utf-8")


@pytest.mark.parametrize("suffix", [".png", ".npz"])
def test_an_existing_file_is_refused_but_with_force(result, tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"mine")
    with assert_refused("exists", "force=True"):
        result.save(path)
    assert path.read_bytes() == b"mine"
    result.save(path, force=True)
    assert path.read_bytes() != b"mine"


def test_bad_names_are_refused(result, tmp_path):
    with assert_refused(".png, .pdf, .svg, .npz", "'.jpg'"):
        result.save(tmp_path / "x.jpg")
    with assert_refused("none of them"):
        result.save(tmp_path / "x")
    with assert_refused("folder", "missing", "does not exist"):
        result.save(tmp_path / "missing" / "x.png")
    (tmp_path / "d.png").mkdir()
    with assert_refused("d.png"):
        result.save(tmp_path / "d.png", force=True)
