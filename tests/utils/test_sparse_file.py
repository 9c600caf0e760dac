"""A file made in memory that is larger than it: h5py fills it, and the disk has it in the end."""

import io
import resource

import h5py
import numpy as np
import pytest

from minicnn.utils.sparse_file import SparseFile, allocate


def test_it_reads_and_writes_as_a_file_does(rng):
    ours, plain = SparseFile(), io.BytesIO()
    for _ in range(200):
        position = int(rng.integers(0, 300_000))
        data = rng.bytes(int(rng.integers(1, 100_000)))
        if rng.random() < 0.5:
            for file in (ours, plain):
                file.seek(position)
                file.write(data)
        else:
            buffers = [bytearray(len(data)) for _ in range(2)]
            counts = []
            for file, buffer in zip((ours, plain), buffers, strict=True):
                file.seek(position)
                counts.append(file.readinto(buffer))
            assert counts[0] == counts[1] and buffers[0] == buffers[1]
        assert ours.tell() == plain.tell()
    assert ours.seek(0, io.SEEK_END) == plain.seek(0, io.SEEK_END)
    ours.seek(0)
    assert ours.read() == plain.getvalue()


def test_what_was_not_written_takes_no_memory_and_is_zero():
    file = SparseFile()
    file.seek(10**12)
    file.write(b"end")
    assert len(file.pages) <= 2 and file.size == 10**12 + 3
    file.seek(10**12 - 2)
    assert file.read() == b"\0\0end"
    file.truncate(10**13)
    assert file.seek(0, io.SEEK_END) == 10**13


def test_a_file_of_hdf5_is_written_to_the_disk_with_its_space(tmp_path):
    sparse = SparseFile()
    with h5py.File(sparse, "w") as file:
        file["small"] = np.arange(1000)
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        settings.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((3_000_000,))
        offset = h5py.h5d.create(file.id, b"large", h5py.h5t.IEEE_F32LE, space,
                                 settings).get_offset()
    assert len(sparse.pages) * sparse.PAGE < 1_000_000 < sparse.size
    with (tmp_path / "x.h5").open("wb", buffering=0) as out:
        allocate(out, sparse.size)
        sparse.write_to(out)
        out.seek(offset + 4 * 7)
        out.write(np.array([2.5], "<f4").tobytes())
    assert (tmp_path / "x.h5").stat().st_size == sparse.size
    assert (tmp_path / "x.h5").stat().st_blocks * 512 >= sparse.size  # it is the file's own
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["large"][7] == 2.5 and file["small"][999] == 999


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with (tmp_path / "x").open("wb", buffering=0) as out:
            with pytest.raises(OSError, match="too large"):
                allocate(out, 1001)
            assert out.tell() == 0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
