"""Every kernel's file says how a warp of it uses memory; here it is counted. And the counting
itself finds what is planted: numbers apart, out of line, in one bank."""

import re
import sys

import accesses
import numpy as np
import pytest

from minicnn.ops import to_device
from minicnn.ops.cuda import launch, simulator
from minicnn.ops.cuda.accesses import record

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="where shared memory lies is "
                                "known on Linux only")


@pytest.mark.parametrize("name", list(accesses.every_kernel()))
def test_a_kernel_uses_memory_as_the_header_of_its_file_says(name):
    file = accesses.every_kernel()[name].file
    header = file.read_text(encoding="utf-8").partition("#include")[0]
    said = re.findall(rf"^{accesses.LINE}({name}: .*)$", header, re.M)
    assert said == [str(accesses.measured(name))], f"{file.name}: {accesses.LINE}…"


def test_every_kernel_is_measured():
    assert set(accesses.LAUNCHES) == set(accesses.every_kernel())


# Planted faults. One kernel has them all, so that it is compiled once.

PLANTED = """
extern "C" __global__ void planted(const real* x, real* y, int kind, int times, int over, int by,
                                   int plus) {
    __shared__ __align__(16) real part[1056];
    extern __shared__ real dynamic[];
    const int t = threadIdx.x, index = t * times / over % by + plus;
    if (kind == 0) y[t] = x[index];
    if (kind == 1) y[index] = 1;
    if (kind == 2) part[index] = t;
    if (kind == 3) y[t] = part[index];
    if (kind == 4) y[t] = dynamic[index];
    if (kind == 5 && sizeof(real) == 4) *(float4*)&y[4 * t] = *(float4*)&part[index];
    if (kind == 6)
        for (int k = 0; k < 2; ++k) y[t] += x[k * index];
}
"""
READ, WRITE, WRITE_SHARED, READ_SHARED, READ_DYNAMIC, READ_FLOAT4, TWICE = range(7)


@pytest.fixture(scope="module")
def measure(tmp_path_factory):
    """What 32 threads of that kernel do, thread t at index t · times / over % by + plus."""
    file = tmp_path_factory.mktemp("planted") / "planted.cu"
    file.write_text('#include "common.h"\n' + PLANTED)
    kernel = launch.read_kernels(file)["planted"]

    def measure(kind, times=1, over=1, by=4096, plus=0, dtype=np.float32, threads=32):
        x, y = (to_device(np.zeros(4096, dtype), "cuda-sim") for _ in range(2))
        with record() as launches:
            launch.launch(kernel, (1, 1, 1), x, y, kind, times, over, by, plus,
                          block=(threads, 1, 1), shared_memory=4096 + 128)
        return launches[0]
    return measure


@pytest.mark.parametrize("index, expected", [
    ({}, 4), ({"times": -1, "plus": 31}, 4), ({"times": 0}, 1), ({"over": 8}, 1), ({"plus": 8}, 4),
    ({"plus": 1}, 5),  # out of line with the pieces of 32 bytes
    ({"times": 2}, 8), ({"times": 8}, 32), ({"times": 100}, 32)], ids=str)
def test_transactions_are_the_pieces_of_32_bytes_that_a_warp_touches(index, expected, measure):
    assert measure(READ, **index).transactions == {"x": expected, "y": 4}
    assert measure(WRITE, **index).transactions == {"y": expected}


def test_doubles_take_twice_the_transactions(measure):
    assert measure(READ, dtype=np.float64).transactions == {"x": 8, "y": 8}


def test_a_mean_is_taken_over_warps_and_turns_of_a_loop(measure):
    found = measure(TWICE, times=31, threads=64)  # k · 31 · t: 0 in the first turn
    assert found.transactions == {"x": (1 + 32) / 2, "y": 4}


@pytest.mark.parametrize("index, expected", [
    ({}, 0), ({"times": 33}, 0), ({"times": 0}, 0), ({"over": 2}, 0),
    ({"times": -1, "plus": 31}, 0), ({"times": 2}, 1), ({"times": 4}, 3),
    ({"times": 32}, 31), ({"times": 32, "by": 64}, 1),
    ({"times": 16, "by": 64}, 1)], ids=str)
def test_conflicts_are_the_times_that_a_warp_waits_for_a_bank(index, expected, measure):
    assert measure(WRITE_SHARED, **index).conflicts_writing == expected
    assert measure(WRITE_SHARED, **index).conflicts_reading is None
    assert measure(READ_SHARED, **index).conflicts_reading == expected
    assert measure(READ_DYNAMIC, **index).conflicts_reading == expected
    assert measure(READ_DYNAMIC, **index).conflicts_writing is None


@pytest.mark.parametrize("times, expected", [(4, 0), (0, 0), (8, 4), (32, 28)])
def test_sixteen_bytes_at_once_are_served_in_four_parts_of_the_warp(times, expected, measure):
    found = measure(READ_FLOAT4, times=times)
    assert found.conflicts_reading == expected
    assert found.transactions == {"y": 16}


def test_outside_the_block_of_code_nothing_is_recorded():
    x = to_device(np.zeros(64, np.float32), "cuda-sim")
    with record() as launches:
        launch.launch("relu", (1, 1, 1), x, x, 64)
    launch.launch("relu", (1, 1, 1), x, x, 64)
    assert simulator.log is None
    assert [str(one) for one in launches] == ["relu: x 4 transactions; no shared memory"]
