"""What a kernel must not do, the simulator reports, with the thread that does it; what it may do,
works as on a GPU."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from makers import simulated
from reference import assert_refused, assert_same

from minicnn.ops.cuda import launch, simulator
from minicnn.ops.cuda.launch import KERNELS, flat, kernels, options, read_kernels
from minicnn.utils.errors import KernelError

SIGNATURE = "const real* x, real* y, int size"
SIZE = 700  # three blocks, the last one not full: thread 187 of block 2 has the last element
GRID = flat(SIZE)


@pytest.fixture
def write(tmp_path):
    """A kernel from its body, in a file of its own."""
    def write(body, signature=SIGNATURE, before=""):
        file = tmp_path / "mine.cu"
        file.write_text(f'#include "common.h"\n{before}\nextern "C" __global__ void '
                        f"mine({signature}) {{\n{body}\n}}\n", encoding="utf-8")
        return read_kernels(file)["mine"]
    return write


def result(kernel, grid=GRID, size=SIZE, **options):
    """y after the kernel has run over x = 0, 1, 2, … and a y that holds NaN."""
    x, y = simulated(np.arange(size), np.float32), simulator.xp.empty(size, np.float32)
    launch.launch(kernel, grid, x, y, size, **options)
    return y


def assert_fails(kernel, *words, **options):
    """It is refused with these words, changes nothing, and the next launch is none the worse."""
    x, y = simulated(np.arange(SIZE), np.float32), simulated(np.full(SIZE, 5), np.float32)
    with assert_refused("mine", *words):
        launch.launch(kernel, GRID, x, y, SIZE, **options)
    assert_same(x, np.arange(SIZE))
    assert_same(y, np.full(SIZE, 5))
    good = simulated(np.full(SIZE, -1), np.float32)
    launch.launch("relu", GRID, good, y, SIZE)
    assert_same(y, np.zeros(SIZE))


# Arrays


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("body, words", [
    ("EACH(k, size) y[k] = x[k + 1];", "thread (187, 0, 0) reads x[700] of 700 elements"),
    ("EACH(k, size) y[k + 1] = x[k];", "thread (187, 0, 0) writes y[700] of 700 elements"),
    ("EACH(k, size) y[k - 1] = x[k];", "thread (0, 0, 0) writes y[-1] of 700 elements"),
    ("EACH(k, size) y[k] = x[k + 1000000];", "thread (0, 0, 0) reads x[1000000] of 700 elements"),
    ("EACH(k, size) y[k - 1000000] = 0;", "thread (0, 0, 0) writes y[-1000000] of 700 elements"),
    ("EACH(k, size) ((real*)x)[k] = 0;", "thread (0, 0, 0) writes x[0] of 700 elements"),
    ("if (blockIdx.x == 1 && threadIdx.x == 7) y[size] = 0;",
     "block (1, 0, 0), thread (7, 0, 0) writes y[700] of 700 elements"),
])
def test_an_access_outside_an_array_is_reported_with_thread_and_element(body, words, runs, write,
                                                                       monkeypatch):
    monkeypatch.setattr(simulator, "runs", runs)
    if sys.platform != "linux":
        words = words.replace("reads", "touches").replace("writes", "touches")
    assert_fails(write(body), words)


def test_a_read_before_an_array_is_reported_when_the_launch_is_repeated(write, monkeypatch):
    early = write("EACH(k, size) y[k] = x[k - 1];")
    assert_same(result(early), [np.nan, *range(SIZE - 1)])  # once, it finds NaN
    monkeypatch.setattr(simulator, "runs", 2)
    assert_fails(early, "thread (0, 0, 0)", "x[-1] of 700 elements")


def test_an_address_that_belongs_to_no_array_is_reported_with_its_thread(write):
    assert_fails(write("if (threadIdx.x == 3) y[1ll << 44] = 0;"),
                 "block (0, 0, 0), thread (3, 0, 0)")
    assert_fails(write("*(real*)nullptr = 0;"), "block (0, 0, 0), thread (0, 0, 0)")


def test_what_a_kernel_forgets_to_write_stays_nan(write):
    y = result(write("EACH(k, size) if (k != 500) y[k] = 1;"))
    assert_same(y, [1] * 500 + [np.nan] + [1] * 199)


def test_an_array_given_twice_is_one_array(write):
    x = simulated(np.arange(SIZE), np.float32)
    launch.launch(write("EACH(k, size) y[k] = 2 * x[k];"), GRID, x, x, SIZE)
    assert_same(x, 2 * np.arange(SIZE))


# Shared memory and barriers

REVERSED = """
    __shared__ real part[256];
    const int t = threadIdx.x, k = blockIdx.x * 256 + t;
    part[t] = k < size ? x[k] : 0;
    {}
    if (k < size) y[k] = part[255 - t];"""


def test_threads_read_what_others_have_left_in_shared_memory(write, monkeypatch):
    monkeypatch.setattr(simulator, "runs", 3)
    y = result(write(REVERSED.format("__syncthreads();")), (3, 1, 1), 768)
    assert_same(y, np.arange(768).reshape(3, 256)[:, ::-1].ravel())


def test_without_the_barrier_the_race_is_reported(write, monkeypatch):
    monkeypatch.setattr(simulator, "runs", 2)
    assert_fails(write(REVERSED.format("")), "in another order of blocks and threads another",
                 "found in y[0]")


def test_a_race_between_blocks_is_reported_with_the_element(write, monkeypatch):
    monkeypatch.setattr(simulator, "runs", 2)
    assert_fails(write("EACH(k, size) y[k % 256 ? k : 256] = k;"),
                 "another result is found in y[256]")


def test_a_place_outside_a_shared_or_local_array_is_reported(write):
    assert_fails(write("__shared__ real part[256];\npart[threadIdx.x + 1] = 0;\ny[0] = part[0];"),
                 "thread (255, 0, 0) leaves a __shared__ or local array")
    assert_fails(write("real own[4];\nown[size % 4 + threadIdx.x] = 0;\ny[0] = own[0];"),
                 "thread (4, 0, 0) leaves a __shared__ or local array")


@pytest.mark.skipif(sys.platform != "linux", reason="the linker of macOS marks no shared memory")
def test_shared_memory_that_nobody_has_written_holds_nan_in_every_block(write):
    y = result(write("__shared__ real part[2];\nif (threadIdx.x == 0) part[0] = 1;\n"
                     "__syncthreads();\nEACH(k, size) y[k] = part[k % 2];"))
    assert_same(y, [1, np.nan] * (SIZE // 2))


@pytest.mark.parametrize("body", [
    "if (threadIdx.x < 128) __syncthreads();", "if (threadIdx.x == 9) return;\n__syncthreads();",
    "if (threadIdx.x % 2)\n__syncthreads();\nelse\n__syncthreads();"])
def test_a_barrier_that_not_every_thread_reaches_is_reported(body, write):
    assert_fails(write(body + "\nEACH(k, size) y[k] = 0;"), "block (0, 0, 0)", "__syncthreads()",
                 "not every thread")


def test_1024_threads_meet_at_barriers_in_a_loop(write, monkeypatch):
    monkeypatch.setattr(simulator, "runs", 2)
    y = result(write("""
        __shared__ real part[1024];
        const int t = threadIdx.x;
        part[t] = x[t];
        for (int step = 1; step < 1024; step *= 2) {  // each adds what stands step before it
            __syncthreads();
            const real sum = part[t] + (t >= step ? part[t - step] : 0);
            __syncthreads();
            part[t] = sum;
        }
        y[t] = part[t];"""), (1, 1, 1), 1024, block=(1024, 1, 1))
    assert_same(y, np.cumsum(np.arange(1024)))


def test_each_of_1024_threads_has_room_for_what_a_kernel_may_keep_of_its_own(write):
    y = result(write("""
        real own[30000];
        const int t = threadIdx.x;
        for (int k = 0; k < 30000; ++k) own[k] = t;
        __syncthreads();
        real sum = 0;
        for (int k = 0; k < 30000; k += 100) sum += own[k];
        y[t] = sum;"""), (1, 1, 1), 64, block=(64, 1, 1))
    assert_same(y, 300 * np.arange(64))


def test_more_local_variables_than_any_gpu_allows_are_reported(write):
    body = """
        real own[300000];
        own[threadIdx.x] = x[0];
        for (int k = 1; k < size; ++k) own[k * 400] = own[k * 400 - 400] + 1;
        y[0] = own[size * 400 - 400];"""
    assert_fails(write(body), "block (0, 0, 0), thread (0, 0, 0) has more local variables")


def test_grids_and_blocks_have_three_dimensions(write):
    places = write("""
        const int t = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
        const int b = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
        const int all = blockDim.x * blockDim.y * blockDim.z;
        y[b * all + t] = 1e4 * gridDim.x + 1e3 * gridDim.y + 1e2 * gridDim.z + 10 * blockIdx.z
                         + threadIdx.z;""")
    y = result(places, (2, 3, 4), 2 * 3 * 4 * 5 * 6 * 7, block=(5, 6, 7))
    assert_same(y, [23400 + 10 * z + t for z in range(4) for _ in range(6) for t in range(7)
                    for _ in range(30)])


# Numbers, printf


@pytest.mark.parametrize("value", ["2147483647 + size", "1 / (size - 700)", "1 << (size - 600)"],
                         ids=["overflow", "division by 0", "shift"])
def test_arithmetic_without_a_result_is_reported(value, write):
    assert_fails(write(f"const int value = {value};\nif (threadIdx.x == 3) y[0] = value;"),
                 "block (0, 0, 0)", "overflows an integer or divides one by 0")


def test_an_address_far_from_all_arrays_is_called_that(write):
    assert_fails(write("if (threadIdx.x == 3) *(real*)(1LL << 44) = x[0];"),
                 "thread (3, 0, 0) writes an address outside all of its arrays")


def test_a_kernel_prints(write, capfd):
    result(write('if (threadIdx.x == 5) printf("block %d, x %g\\n", blockIdx.x, x[5]);'))
    assert capfd.readouterr().out == "block 0, x 5\nblock 1, x 5\nblock 2, x 5\n"


# Compiling


@pytest.fixture
def compilations(tmp_path, monkeypatch):
    """The commands that compile a kernel; no kernel is cached when it begins."""
    calls, run = [], subprocess.run

    def noted(command, **options):
        if not any(word.endswith("simulator.cpp") for word in command):
            calls.append(command)
        return run(command, **options)

    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(subprocess, "run", noted)
    as_in_a_new_process()
    yield calls
    as_in_a_new_process()


def as_in_a_new_process():
    """Forgets what has been compiled; the files of the cache stay."""
    simulator.library.cache_clear()
    launch.compiled.cache_clear()


def cached(tmp_path):
    """The files of the cache, but for that which all kernels share."""
    return [file for file in (tmp_path / "cache").rglob("*.*")
            if not file.match("simulator-*.o")]


def test_a_file_is_compiled_once_also_for_another_process(write, compilations, tmp_path):
    for _ in range(2):
        assert_same(result(write("EACH(k, size) y[k] = 1;")), np.ones(SIZE))
        as_in_a_new_process()
    assert len(compilations) == 1
    assert [file.suffix for file in cached(tmp_path)] == [".so"]


def test_a_changed_file_or_header_is_compiled_again(write, compilations, tmp_path, monkeypatch):
    one = write("EACH(k, size) y[k] = 1;")
    assert_same(result(one), np.ones(SIZE))
    assert_same(result(write("EACH(k, size) y[k] = 2;")), np.full(SIZE, 2))
    assert len(compilations) == 2
    assert len(cached(tmp_path)) == 2
    folder = tmp_path / "kernels"
    folder.mkdir()
    for source in (*KERNELS.glob("*.h"), KERNELS / "simulator.cpp"):
        (folder / source.name).write_bytes(source.read_bytes())
    with (folder / "common.h").open("a") as header:
        header.write("#define size 3\n")
    monkeypatch.setattr(launch, "KERNELS", folder)
    with pytest.raises(KernelError):  # int 3
        result(write("EACH(k, size) y[k] = 2;"))
    assert len(compilations) == 3


def copied_kernels(folder):
    """A copy of kernels/ there."""
    return Path(shutil.copytree(KERNELS, folder / "kernels"))


def relu_of_3(folder, monkeypatch):
    """What the relu of that kernels/ makes of (−1, 0, 3)."""
    with monkeypatch.context() as patch:
        patch.setattr(launch, "KERNELS", folder)
        y = simulated(np.zeros(3), np.float32)
        launch.launch("relu", flat(3), simulated(np.array([-1, 0, 3]), np.float32), y, 3)
        return y


def test_our_kernels_are_not_compiled_again_for_a_copy_of_the_project(compilations, tmp_path,
                                                                     monkeypatch):
    for folder in KERNELS, copied_kernels(tmp_path):
        assert_same(relu_of_3(folder, monkeypatch), [0, 0, 3])
        as_in_a_new_process()
    assert len(compilations) == 1


@pytest.mark.parametrize("included", ["v.h", "v.cuh", "sub/v.h", "../v.h"])
def test_a_reader_s_kernel_meets_the_headers_of_its_own_folder(included, compilations, tmp_path):
    for value in 1, 2:
        folder = tmp_path / str(value) / "mine"
        (folder / included).parent.mkdir(parents=True, exist_ok=True)
        (folder / included).resolve().parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
        (folder / included).write_text(f"#define VALUE {value}\n")
        file = folder / "mine.cu"
        file.write_text(f'#include "common.h"\n#include "{included}"\nextern "C" __global__ void '
                        f"mine({SIGNATURE}) {{ EACH(k, size) y[k] = VALUE; }}\n")
        assert_same(result(read_kernels(file)["mine"]), np.full(SIZE, value))


@pytest.mark.parametrize("changed, times", [
    ("", 1), ("simulator.cpp", 2), ("simulator.h", 2), ("simulator_warp.h", 2)])
def test_what_runs_the_grid_is_compiled_once_and_again_when_it_changes(changed, times, tmp_path,
                                                                       compilations, monkeypatch):
    folder = copied_kernels(tmp_path)
    assert_same(relu_of_3(folder, monkeypatch), [0, 0, 3])
    launch.launch("tanh_forward", flat(3), *(simulated(np.zeros(3), np.float32),) * 2, 3)
    if changed:
        with (folder / changed).open("a") as source:
            source.write("// changed\n")
    as_in_a_new_process()
    assert_same(relu_of_3(folder, monkeypatch), [0, 0, 3])
    assert len(list((tmp_path / "cache").rglob("simulator-*.o"))) == times


def test_another_compiler_compiles_all_again(write, compilations, tmp_path, monkeypatch):
    kernel = write("EACH(k, size) y[k] = 1;")
    result(kernel)
    mine = tmp_path / "another-compiler"
    mine.write_text(f'#!/bin/sh\nexec {simulator.compiler()} "$@"\n')
    mine.chmod(0o755)
    monkeypatch.setenv("CXX", str(mine))
    as_in_a_new_process()
    assert_same(result(kernel), np.ones(SIZE))
    assert len(compilations) == 2
    assert len(list((tmp_path / "cache").rglob("simulator-*.o"))) == 2


def test_a_reader_s_kernel_may_be_written_in_c_plus_plus_17(write, compilations):
    kernel = write("EACH(k, size) y[k] = Table::K[k % 3] + std::is_same_v<real, float>;",
                   before="struct Table { static constexpr int K[3] = {10, 20, 30}; };")
    assert_same(result(kernel)[:4], [11, 21, 31, 11])


def test_a_kernel_that_names_what_nobody_defines_is_refused(write, compilations):
    with assert_refused("mine.cu", "expected a kernel that can be loaded", "elsewhere"):
        result(write("EACH(k, size) y[k] = elsewhere(k);", before="int elsewhere(int k);"))


def test_what_is_preloaded_is_not_the_compiler_s(write, compilations, monkeypatch):
    ours, environments = subprocess.run, []
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: environments.append(k["env"]) or ours(
        *a, **k))
    monkeypatch.setenv("LD_PRELOAD", "libasan.so")
    result(write("EACH(k, size) y[k] = 5;"))
    assert environments and all("LD_PRELOAD" not in e for e in environments)


def test_float_and_double_are_compiled_apart(write, compilations, tmp_path):
    kernel = write("EACH(k, size) y[k] = sizeof(real);")
    for dtype in np.float32, np.float64:
        y = simulated(np.zeros(3), dtype)
        launch.launch(kernel, flat(3), y, y, 3)
        assert_same(y, [np.dtype(dtype).itemsize] * 3)
    assert len(cached(tmp_path)) == 2


def test_a_kernel_that_does_not_compile_is_a_sentence_with_file_and_line(write, compilations,
                                                                        tmp_path):
    with assert_refused("mine.cu", "mine.cu:5:", "error", "Fix that line"):
        result(write("EACH(k, size)\n y[k] = missing;"))
    assert cached(tmp_path) == []
    assert_same(result(write("EACH(k, size) y[k] = 4;")), np.full(SIZE, 4))


def test_without_a_compiler_there_is_one_sentence(write, compilations, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with assert_refused("cuda-sim", "C++ compiler", "apt install g++"):
        result(write("EACH(k, size) y[k] = 1;"))
    assert compilations == []


def test_names_of_one_file_do_not_meet_those_of_another(write, tmp_path):
    helper = "__device__ real value(real v) {{ return {} * v; }}"
    twice = write("EACH(k, size) y[k] = value(x[k]);", before=helper.format(2))
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.cu").write_text(twice.file.read_text().replace("2 * v", "3 * v"))
    thrice = read_kernels(other / "mine.cu")["mine"]
    for _ in range(2):
        assert_same(result(twice), 2 * np.arange(SIZE))
        assert_same(result(thrice), 3 * np.arange(SIZE))


def test_all_kernels_are_told_the_same_as_on_a_gpu():
    told = options(np.dtype(np.float32))
    assert [re.match(r"-D\w+=|-I", o).group() for o in told] == ["-DREAL=", "-DSWITCH=", "-I"]
    assert len(kernels(KERNELS)) > 20
