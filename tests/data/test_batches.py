"""Batches decoded by threads: the same photos in the same order as without, and no thread left."""

import threading
import time

import numpy as np
import pytest
from PIL import Image

from minicnn.data import Dataset, ImageFolder, batches
from minicnn.utils.errors import ArgumentError, FileError


def arrays(n, kind=Dataset):
    images = np.random.default_rng(0).integers(0, 256, (n, 9, 12, 3), dtype=np.uint8)
    labels = np.random.default_rng(2).integers(0, 3, n)
    return kind(images, labels, ["a", "b", "c"], [str(i) for i in range(n)])


def decoders():
    return [t for t in threading.enumerate() if t.name.startswith("minicnn-decode")]


class Uneven(Dataset):
    """Every third photo takes its time, so that threads finish out of order."""

    def read(self, i):
        if i % 3 == 0:
            time.sleep(0.005)
        return super().read(i)


class Counted(Dataset):
    """Counts the photos read."""

    def __init__(self, *args):
        super().__init__(*args)
        self.reads = []

    def read(self, i):
        self.reads.append(i)
        return super().read(i)


@pytest.mark.parametrize("workers", [None, 1, 3, 50])
@pytest.mark.parametrize("batch_size", [1, 4, 23, 100])
def test_threaded_batches_equal_serial_reading_in_exactly_the_order_asked_for(workers, batch_size):
    data = arrays(23, Uneven)
    order = np.random.default_rng(1).permutation(23)
    got = list(batches(data, order, batch_size, (6, 5), 0.8, workers))
    assert [len(pixels) for pixels, _, _ in got[:-1]] == [batch_size] * (len(got) - 1)
    assert len(got) == -(-23 // batch_size)
    for k, (pixels, labels, indices) in enumerate(got):
        expected = order[k * batch_size:(k + 1) * batch_size]
        assert np.array_equal(indices, expected)
        assert np.array_equal(labels, data.labels[expected])
        assert np.array_equal(pixels, data.images(expected, (6, 5), 0.8))
        assert (pixels.dtype, labels.dtype, indices.dtype) == (np.uint8, np.int64, np.int64)
    assert not decoders()


def test_photos_may_be_left_out_or_come_twice():
    data = arrays(5)
    got = list(batches(data, [4, 4, 1], 2, (3, 3)))
    assert [indices.tolist() for _, _, indices in got] == [[4, 4], [1]]
    assert np.array_equal(got[0][0][0], got[0][0][1])


def test_no_photos_give_no_batches():
    assert list(batches(arrays(5), [], 2, (3, 3))) == []


def test_photos_are_decoded_by_several_threads_at_once():
    together = threading.Barrier(2, timeout=20)

    class Meeting(Dataset):
        def read(self, i):
            together.wait()  # raises BrokenBarrierError unless two threads are here at once
            return super().read(i)

    got = list(batches(arrays(4, Meeting), range(4), 4, (3, 3), workers=2))
    assert len(got) == 1


def test_two_batches_are_decoded_ahead_and_no_more():
    data = arrays(100, Counted)
    stream = batches(data, range(100), 4, (3, 3), workers=2)
    assert data.reads == []
    for used in (1, 2):
        next(stream)
        end = time.monotonic() + 20
        while len(data.reads) < 4 * (used + 2) and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(0.05)  # time enough to decode all 100, were it not bounded
        assert sorted(data.reads) == list(range(4 * (used + 2)))
    stream.close()


@pytest.mark.parametrize("stop", ["close", "drop", "break", "error"])
def test_early_stop_ends_the_threads(stop):
    stream = batches(arrays(50, Uneven), range(50), 4, (3, 3), workers=2)
    next(stream)
    assert decoders()
    if stop == "close":
        stream.close()
    elif stop == "drop":
        del stream
    elif stop == "break":
        for _ in stream:
            break
        del stream
    else:
        with pytest.raises(ZeroDivisionError):
            stream.throw(ZeroDivisionError)
    assert not decoders()


def test_threads_start_with_the_first_batch():
    stream = batches(arrays(5), range(5), 2, (3, 3))
    assert not decoders()
    next(stream)
    assert decoders()
    stream.close()


def test_damaged_photo_is_named_when_its_batch_is_reached(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(noise).save(tmp_path / name)
    damaged = tmp_path / "b" / "1.jpg"
    damaged.write_bytes(damaged.read_bytes()[:-500])
    stream = batches(ImageFolder(tmp_path), range(4), 2, (8, 8), workers=2)
    assert next(stream)[2].tolist() == [0, 1]
    with pytest.raises(FileError, match=r"b.1\.jpg: expected a readable photo"):
        next(stream)
    assert not decoders()


@pytest.mark.parametrize("change, words", [
    ({"order": [0, 5]}, "expected indices of 5 photos"),
    ({"batch_size": 0}, "batch_size: expected an int of at least 1, received 0"),
    ({"batch_size": 2.0}, r"batch_size: expected an int of at least 1, received 2\.0"),
    ({"workers": 0}, "workers: expected an int of at least 1, received 0"),
    ({"size": 224}, r"expected size=\(height, width\)"),
    ({"crop_fraction": 0}, "expected a crop_fraction"),
])
def test_arguments_that_do_not_fit_are_refused_at_the_call(change, words):
    arguments = {"order": [0, 1], "batch_size": 2, "size": (3, 3), **change}
    with pytest.raises(ArgumentError, match=words):
        batches(arrays(5), **arguments)
