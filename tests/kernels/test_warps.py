"""What the threads of a warp do together works in the simulator as on a GPU, and faults planted in
it are noticed: shuffles, copies that run beside the threads, tensor cores, float4, dynamic shared
memory."""

import sys

import numpy as np
import pytest
from ladder_checks import as_tf32
from reference import assert_close, assert_refused, assert_same

from minicnn.ops import to_cpu, to_device
from minicnn.ops.cuda import launch, simulator

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="signals differ on macOS")
ALL = "0xffffffffu"


@pytest.fixture(autouse=True)
def four_orders(monkeypatch):
    monkeypatch.setattr(simulator, "runs", 4)


@pytest.fixture
def run(tmp_path):
    """y (size,) after a kernel of this body has run over x = 0, 1, 2, … in blocks of `threads`."""
    def run(body, size=256, threads=256, dtype=np.float32, x=None, blocks=1, **options):
        file = tmp_path / "mine.cu"
        file.write_text('#include "common.h"\n#include "tensor_core.h"\nextern "C" __global__ void '
                        "mine(const real* x, real* y) {\nconst int t = threadIdx.x;\n"
                        f"{body}\n}}\n", encoding="utf-8")
        x = to_device(np.arange(size).astype(dtype) if x is None else x, "cuda-sim")
        y = simulator.xp.empty(size, dtype)
        launch.launch(launch.read_kernels(file)["mine"], (blocks, 1, 1), x, y,
                      block=(threads, 1, 1), **options)
        return to_cpu(y)
    return run


X = np.arange(256.0)
WARPS = X.reshape(8, 32)


# Shuffles

@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_warp_adds_its_numbers_by_shuffles(run, dtype):
    y = run(f"real v = x[t];\nfor (int b = 16; b; b /= 2) v += __shfl_xor_sync({ALL}, v, b);\n"
            "y[t] = v;", dtype=dtype)
    assert_same(y, np.repeat(WARPS.sum(1), 32))


@pytest.mark.parametrize("call, expected", [
    ("__shfl_sync(ALL, x[t], 5)", np.repeat(WARPS[:, 5], 32)),
    ("__shfl_sync(ALL, x[t], (t + 1) % 32)", np.roll(WARPS, -1, 1).ravel()),
    ("__shfl_sync(ALL, x[t], 3, 8)", np.repeat(X.reshape(-1, 8)[:, 3], 8)),
    ("__shfl_down_sync(ALL, x[t], 2)", np.where(X % 32 < 30, X + 2, X)),
    ("__shfl_down_sync(ALL, x[t], 2, 4)", np.where(X % 4 < 2, X + 2, X)),
    ("__shfl_up_sync(ALL, x[t], 1)", np.where(X % 32 > 0, X - 1, X)),
    ("__shfl_xor_sync(ALL, (int)x[t], 7)", (X.astype(int) ^ 7))])
def test_a_shuffle_gives_the_number_of_the_lane_that_it_names(run, call, expected):
    assert_same(run(f"y[t] = {call.replace('ALL', ALL)};"), expected)


def test_the_last_warp_of_a_block_may_have_fewer_lanes(run):
    y = run(f"y[t] = __shfl_sync({ALL}, x[t], 3) + 0 * __shfl_xor_sync({ALL}, x[t], 1);", 40, 40)
    assert_same(y, [3] * 32 + [35] * 8)
    y = run(f"y[t] = __shfl_sync({ALL}, x[t], 20);", 40, 40)
    assert_same(y, [20] * 32 + [np.nan] * 8)  # no such lane


@pytest.mark.parametrize("body, words", [
    (f"real v = x[t];\nif (t % 32 < 7) v = __shfl_sync({ALL}, v, 0);\ny[t] = v;",
     "waits for its warp, of which not every thread comes"),
    (f"if (t == 40) return;\ny[t] = __shfl_sync({ALL}, x[t], 0);",
     "thread (32, 0, 0) waits for its warp"),
    ("if (t < 32)\n__syncthreads();\nelse\n__syncwarp();\ny[t] = x[t];",
     "is at a __syncthreads() that not every thread of its block reaches"),
    ("if (t % 2)\n__syncthreads();\nelse\n__syncwarp();\ny[t] = x[t];", "waits for its warp"),
    ("if (t % 2)\n__syncwarp();\nelse\n__syncwarp();\ny[t] = x[t];", "waits for its warp"),
    ("y[t] = __shfl_sync(0xffffu, x[t], 0);", "the mask")])
def test_a_warp_of_which_a_thread_does_not_come_is_reported(run, body, words):
    with assert_refused("mine", "block (0, 0, 0)", words):
        run(body)


PAIRS = "__shared__ real part[256];\npart[t] = x[t];\n{}\ny[t] = part[{}];"


def test_threads_of_a_warp_see_what_others_have_written_before_a_syncwarp(run):
    assert_same(run(PAIRS.format("__syncwarp();", "t ^ 1")), X.astype(int) ^ 1)


@pytest.mark.parametrize("barrier, index", [
    ("", "t ^ 1"),  # nobody waits
    ("__syncwarp();", "t ^ 32")])  # the warp waits for itself only, and reads what another writes
def test_a_race_within_a_warp_or_between_warps_is_noticed(run, barrier, index):
    with assert_refused("mine", "in another order"):
        run(PAIRS.format(barrier, index))


# Copies that run beside the threads

COPY = """
    __shared__ __align__(16) real part[2][256];
    copy_async(&part[0][4 * t], &x[4 * t], true);
    commit_copies();
    copy_async(&part[1][4 * t], &x[4 * t], t % 2 == 0);
    commit_copies();
    {wait}
    for (int e = 0; e < 4; ++e) y[4 * t + e] = part[{which}][(4 * t + e) ^ {other}];"""


def copied(run, wait, which, other=0):
    return run(COPY.format(wait=wait, which=which, other=other), threads=64)


def test_a_copy_is_there_once_it_has_been_waited_for(run):
    assert_same(copied(run, "wait_copies<1>();", 0), X)
    assert_same(copied(run, "wait_copies<0>();", 1), X * (X // 4 % 2 == 0))  # else zeros
    assert_same(copied(run, "wait_copies<0>();\n__syncthreads();", 0, 128), X.astype(int) ^ 128)


@pytest.mark.parametrize("wait, which", [
    ("", 0), ("wait_copies<2>();", 0), ("wait_copies<1>();", 1), ("__syncthreads();", 0)])
def test_a_copy_that_nobody_waits_for_is_nan(run, wait, which):
    assert_same(copied(run, wait, which), np.full(256, np.nan))


def test_the_copies_of_other_threads_need_a_barrier(run):
    with assert_refused("mine", "in another order"):
        copied(run, "wait_copies<0>();", 0, 128)


@pytest.mark.parametrize("body, words", [
    ("copy_async(&part[4 * t], &x[4 * t + 8], true);", ["thread (62, 0, 0)", "of 256 elements"]),
    ("copy_async(&part[4 * t], &x[4 * t + 1], true);", ["no multiple of 16"]),
    ("copy_async(&part[4 * t + 2], &x[4 * t], true);", ["no multiple of 16"]),
    ("copy_async((real*)x, &x[4 * t], true);", ["x[0] of 256"]),
    ("for (int k = 0; k < 300; ++k) copy_async(&part[4 * t], x, true);", ["256 copies"])])
def test_a_copy_from_or_to_a_wrong_place_is_reported(run, body, words):
    with assert_refused("mine", "block (0, 0, 0)", *words):
        run(f"__shared__ __align__(16) real part[260];\n{body}\ny[0] = part[0];", threads=64)


# Tensor cores

MULTIPLY = """
    const int g = t / 4, s = t % 4;  // x: a (16, 8), then b (8, 8)
    const real *a = x, *b = x + 128;
    const unsigned A[4] = {tf32(a[g * 8 + s]), tf32(a[(g + 8) * 8 + s]), tf32(a[g * 8 + s + 4]),
                           tf32(a[(g + 8) * 8 + s + 4])};
    const unsigned B[2] = {tf32(b[s * 8 + g]), tf32(b[(s + 4) * 8 + g])};
    float d[4] = {1, 1, 1, 1};
    mma(d, A, B);
    y[g * 8 + 2 * s] = d[0], y[g * 8 + 2 * s + 1] = d[1];
    y[(g + 8) * 8 + 2 * s] = d[2], y[(g + 8) * 8 + 2 * s + 1] = d[3];"""


@pytest.fixture
def product():
    """x = (a, b), and 1 + a @ b from numbers as the tensor cores see them."""
    x = np.random.default_rng(0).normal(size=192).astype(np.float32)
    a, b = (m.astype(float) for m in (as_tf32(x[:128]), as_tf32(x[128:])))
    return x, 1 + a.reshape(16, 8) @ b.reshape(8, 8)


def multiplied(run, body, x):
    return run(body, 192, 32, x=x)[:128].reshape(16, 8)


def test_a_warp_multiplies_16_by_8_by_8_in_the_lanes_of_the_ptx_manual(run, product):
    x, expected = product
    assert_close(multiplied(run, MULTIPLY, x), expected, rtol=1e-6)


@pytest.mark.parametrize("right, wrong", [
    ("a[(g + 8) * 8 + s]), tf32(a[g * 8 + s + 4])", "a[g * 8 + s + 4]), tf32(a[(g + 8) * 8 + s])"),
    ("b[s * 8 + g]", "b[g * 8 + s]"), ("= d[1];", "= d[2];"),
    ("tf32(a[g * 8 + s])", "__builtin_bit_cast(unsigned, a[g * 8 + s])")],  # cut off, not rounded
    ids=["a transposed", "b transposed", "d exchanged", "not rounded"])
def test_a_wrong_lane_or_a_number_that_is_not_rounded_shows(run, product, right, wrong):
    x, expected = product
    assert right in MULTIPLY
    found = multiplied(run, MULTIPLY.replace(right, wrong), x)
    assert np.abs(found - expected).max() > 1e-4


def test_tf32_rounds_to_11_digits_ties_away_from_zero(run):
    e = 2.0 ** -10
    x = np.array([1, 1 + e / 2, -1 - e / 2, 1 + 0.499 * e, 3e38, np.inf, np.nan, 0], np.float32)
    y = run("if (t < 8) y[t] = __builtin_bit_cast(float, tf32(x[t]));", 8, 32, x=x)
    assert_same(y[:4], [1, 1 + e, -1 - e, 1])
    assert_same(y[5:], [np.inf, np.nan, 0])
    assert abs(y[4] / 3e38 - 1) < e


def test_a_warp_of_which_a_lane_does_not_multiply_is_reported(run, product):
    with assert_refused("mine", "waits for its warp"):
        run(MULTIPLY.replace("mma(d, A, B);", "if (t != 9) mma(d, A, B);"), 192, 32, x=product[0])


# float4

def test_four_floats_are_read_and_written_at_once(run):
    y = run("const float4 four = *(const float4*)&x[4 * t];\n*(float4*)&y[4 * t] = "
            "make_float4(four.w, four.z, four.y, four.x);", threads=64)
    assert_same(y, X.reshape(-1, 4)[:, ::-1].ravel())


@pytest.mark.parametrize("body, words", [
    ("*(float4*)&y[4 * t] = *(const float4*)&x[4 * t + 4];",
     ["thread (63, 0, 0)", "of 256 elements"]),
    ("*(float4*)&y[4 * t + 4] = *(const float4*)&x[4 * t];",
     ["thread (63, 0, 0)", "of 256 elements"]),
    ("*(float4*)&y[4 * t] = *(const float4*)&x[t];", ["thread (1, 0, 0)", "no multiple of 16"])])
def test_four_floats_at_a_wrong_place_are_reported(run, body, words, monkeypatch):
    monkeypatch.setattr(simulator, "runs", 1)
    with assert_refused("mine", *words):
        run(body, threads=64)


def test_an_array_that_ends_within_four_floats_begins_at_a_multiple_of_16(run):
    y = run("if (t == 0) *(float4*)y = *(const float4*)x;\nelse y[3 + t] = x[3 + t];", 7, 4)
    assert_same(y, np.arange(7))


# Dynamic shared memory

REVERSED = """
    extern __shared__ real part[];
    part[t] = x[blockIdx.x * 128 + t];
    __syncthreads();
    y[blockIdx.x * 128 + t] = part[127 - t];"""


def test_a_launch_gives_a_kernel_shared_memory_of_its_size(run):
    y = run(REVERSED, threads=128, blocks=2, shared_memory=512)
    assert_same(y, X.reshape(2, 128)[:, ::-1].ravel())


def test_it_holds_nan_in_every_block(run):
    y = run("extern __shared__ real part[];\ny[blockIdx.x * 128 + t] = part[t];\n"
            "__syncthreads();\npart[t] = 1;", threads=128, blocks=2, shared_memory=512)
    assert_same(y, np.full(256, np.nan))


@LINUX
@pytest.mark.parametrize("index, words", [
    ("t + 1", "thread (127, 0, 0) writes byte 512 of its 512 bytes of dynamic shared memory"),
    ("t + 5000", "writes byte 20000 of its 512 bytes")])
def test_a_place_outside_of_it_is_reported(run, index, words):
    with assert_refused("mine", words):
        run(f"extern __shared__ real part[];\npart[{index}] = 1;\ny[t] = part[t];", threads=128,
            shared_memory=512)


@LINUX
def test_a_place_before_it_is_reported_when_the_launch_is_repeated(run):
    with assert_refused("mine", "thread (0, 0, 0) writes byte -4 of its 512 bytes"):
        run("extern __shared__ real part[];\npart[t - 1] = 1;\n__syncthreads();\ny[t] = 1;",
            threads=128, shared_memory=512)


def test_a_launch_that_gives_it_no_size_is_reported(run):
    with assert_refused("mine", "thread (0, 0, 0)", "shared_memory"):
        run(REVERSED, threads=128, blocks=2)


@pytest.mark.parametrize("size", [227 * 1024 + 1, 1 << 40, -4, 512.0])
def test_more_of_it_than_a_card_has_is_refused(run, size):
    with assert_refused("mine", "at most 232448 bytes", str(size), "smaller tiles"):
        run(REVERSED, threads=128, blocks=2, shared_memory=size)
    run(REVERSED, threads=128, blocks=2, shared_memory=227 * 1024)


def test_a_kernel_that_does_not_compile_keeps_its_line_numbers(run):
    with assert_refused("mine.cu", "mine.cu:6:", "missing"):
        run("extern __shared__ real part[];\ny[t] = missing;", shared_memory=16)
