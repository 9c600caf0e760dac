"""Photos that are read only to see whether they can be, or for their fingerprints, are decoded
once in all: each rank reads its part, after all have compared what they are to read."""

import numpy as np
import pytest
from makers import striped_folder

from minicnn.data import Dataset, ImageFolder, perceptual_hashes, readable_photos
from minicnn.utils.ranks import Ranks, working_with


class WithoutOthers(Ranks):
    """One of several ranks. It hears nothing of the others: their rows are zeros."""

    def __init__(self, rank, size):
        self.rank, self.size, self.compared = rank, size, []

    def check_same(self, where, facts):
        """Notes what is compared."""
        self.compared.append(facts)

    def assemble(self, part, count, memory_budget):
        """Its rows between zeros."""
        rows = np.zeros((count, *part.shape[1:]), part.dtype)
        start, stop = self.part_of(count)
        rows[start:stop] = part
        return rows


@pytest.fixture
def folder(tmp_path):
    """Seven photos, of which the second and the last cannot be read."""
    striped_folder(tmp_path / "photos", {"left": 4, "right": 3}, (16, 16))
    for name in ("left/1.png", "right/2.png"):
        path = tmp_path / "photos" / name
        path.write_bytes(path.read_bytes()[:60])
    return tmp_path / "photos"


@pytest.mark.parametrize("reading", [
    lambda folder: perceptual_hashes(ImageFolder(folder)),
    lambda folder: readable_photos([folder]),
    lambda folder: readable_photos([folder / "left", folder / "right"])])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_each_photo_is_decoded_by_a_single_rank(folder, reading, size, monkeypatch):
    decoded = []
    read = Dataset.read
    monkeypatch.setattr(Dataset, "read", lambda self, i: [decoded.append(self.items[i]),
                                                          read(self, i)][1])
    for rank in range(size):
        ranks = WithoutOthers(rank, size)
        with working_with(ranks):
            reading(folder)
        assert len(ranks.compared) == (size > 1)
        if size > 1:
            assert ranks.compared[0]["number"] == 7
    assert sorted(path.relative_to(folder).as_posix() for path in decoded) == [
        *(f"left/{number}.png" for number in range(4)),
        *(f"right/{number}.png" for number in range(3))]


class WithAnswers(WithoutOthers):
    """The same, with what the others would tell."""

    def __init__(self, rank, size, answers):
        super().__init__(rank, size)
        self.answers = answers

    def gather(self, part):
        """Of all ranks."""
        return [part if rank == self.rank else self.answers[rank] for rank in range(self.size)]


def test_all_ranks_end_with_the_readable_photos_of_all(folder):
    alone, left_out = readable_photos([folder])
    assert alone.names == ["left/0.png", "left/2.png", "left/3.png", "right/0.png", "right/1.png"]
    assert [other.name for other in left_out] == ["left/1.png", "right/2.png"]
    told = []

    class Listening(WithoutOthers):
        """Keeps what it tells."""

        def gather(self, part):
            told.append(part)
            return [part]

    for rank in range(2):
        with working_with(Listening(rank, 2)):
            readable_photos([folder])
    for rank in range(2):
        with working_with(WithAnswers(rank, 2, told)):
            data, others = readable_photos([folder])
        assert list(data.names) == list(alone.names) and others == left_out
