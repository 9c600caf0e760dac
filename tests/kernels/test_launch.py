"""launch: what a kernel is given is checked; what it does wrong is found."""

import sys
import types

import numpy as np
import pytest
import standin
from makers import simulated
from reference import assert_refused, assert_same

from minicnn import ops
from minicnn.ops import Window, cuda
from minicnn.ops.cuda import launch, simulator
from minicnn.ops.cuda.conv import conv2d_implicit_gemm
from minicnn.ops.cuda.elementwise import add_bias_relu
from minicnn.ops.cuda.launch import by_rows, flat, kernels, read_kernels

SAXPY = """#include "common.h"
extern "C" __global__ void saxpy(const real* x, real* y, int64 size,
                                 int times, real a)
{
    EACH(k, size) y[k] += times * a * x[k];
}
"""


def kernel(folder, body, signature="const real* x, real* y, int64 size"):
    """A kernel with this body, from a file of its own."""
    file = folder / "mine.cu"
    file.write_text(f'#include "common.h"\nextern "C" __global__ void mine({signature}) {{\n'
                    f"{body}\n}}\n", encoding="utf-8")
    return read_kernels(file)["mine"]


@pytest.fixture
def saxpy(tmp_path):
    file = tmp_path / "saxpy.cu"
    file.write_text(SAXPY, encoding="utf-8")
    return read_kernels(file)["saxpy"]


def test_a_kernels_signature_is_read_from_its_source(saxpy):
    assert saxpy.name == "saxpy" and saxpy.file.name == "saxpy.cu"
    assert [name for _, name in saxpy.parameters] == ["x", "y", "size", "times", "a"]
    kinds = [kind for kind, _ in saxpy.parameters]
    assert kinds == ["const real*", "real*", "int64", "int", "real"]


@pytest.mark.parametrize("parameter, words", [
    ("const float* x", ["'const float* x'", "real*"]), ("unsigned n", ["'unsigned n'", "int64"]),
    ("", ["''"]), ("real", ["'real'"]), ("real** x", ["'real** x'"]), ("realx", ["'realx'"])])
def test_parameters_of_other_types_are_refused(parameter, words, tmp_path):
    with assert_refused("mine.cu", "mine", *words):
        kernel(tmp_path, "", parameter)


def test_stars_may_stand_where_c_lets_them(tmp_path):
    for star in ("const real *x", "const real* x", "const real*x", "const real * x"):
        assert kernel(tmp_path, "", star).parameters == (("const real*", "x"),)


@pytest.mark.parametrize("head", [
    "__global__ void __launch_bounds__(256, 2) mine(real* y)",
    "__global__ __launch_bounds__(256) void mine(real* y)",
    "__global__ void\n__launch_bounds__( 256 )\nmine (real* y)"])
def test_launch_bounds_are_no_part_of_the_name(head, tmp_path):
    file, y = tmp_path / "mine.cu", simulated([1.0, 2])
    file.write_text(f'#include "common.h"\nextern "C" {head} {{ y[threadIdx.x] += 1; }}\n')
    assert read_kernels(file)["mine"].parameters == (("real*", "y"),)
    launch.launch(read_kernels(file)["mine"], (1, 1, 1), y, block=(2, 1, 1))
    assert_same(y, [2, 3])


def test_every_kernel_of_the_engine_is_found_with_parameters_of_known_types():
    found = kernels(launch.KERNELS)
    assert len(found) >= 20 and {"im2col", "col2im", "max_pool", "adam"} <= set(found)
    types = {kind for k in found.values() for kind, _ in k.parameters}
    assert types == {"const real*", "real*", "const switch_t*", "switch_t*", "int", "int64", "real"}


def test_a_kernel_that_is_not_there_is_refused_with_those_that_are():
    with assert_refused("launch", "im2col", "'im2cal'", "read_kernels"):
        launch.launch("im2cal", flat(1), simulated([1.0]), 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_kernel_of_ones_own_computes_what_it_says(saxpy, dtype):
    x, y = np.arange(1000).astype(dtype), np.ones(1000, dtype)
    there = simulated(y, dtype)
    launch.launch(saxpy, flat(1000), simulated(x, dtype), there, 1000, 3, 0.5)
    assert_same(there, y + 3 * dtype(0.5) * x)


def test_const_arrays_may_lie_in_memory_as_they_like(saxpy):
    x, y = simulated(np.arange(12.0).reshape(3, 4)), simulated(np.zeros(12))
    launch.launch(saxpy, flat(12), x.T, y, 12, 1, 1)
    assert_same(y, np.arange(12.0).reshape(3, 4).T.ravel())


def test_a_grid_without_blocks_is_an_empty_batch(saxpy):
    y = simulated([1.0, 2.0])
    launch.launch(saxpy, flat(0), simulated([]), y, 0, 1, 1)
    assert_same(y, [1, 2])


X, Y = simulated([1.0, 2]), simulated([3.0, 4])
FIT = [X, Y, 2, 1, 0.5]  # what saxpy takes


def without(place, value):
    return [*FIT[:place], value, *FIT[place + 1:]]


@pytest.mark.parametrize("values, words", [
    (FIT[:4], ["5 arguments", "times", "received 4"]), ([*FIT, 1], ["received 6"]),
    (without(0, X.astype(np.float16)), ["x as one of", "float32", "float16"]),
    (without(1, simulated([1, 2], int)), ["y as one of", "int64"]),
    (without(0, X.astype(np.float32)), ["all arrays as float32", "y as float64"]),
    (without(1, simulated(np.zeros(4))[::2]), ["y contiguous", "written", "strides"]),
    ([np.ones(2), np.ones(2), 2, 1, 0.5], ["cuda or cuda-sim", "cpu", "to_device"]),
    (without(2, 2**63), ["size as a whole number within int64", str(2**63)]),
    (without(3, 2**31), ["times as a whole number within int", str(2**31)]),
    (without(3, -2**31 - 1), ["times as a whole number within int", str(-2**31 - 1)]),
    (without(2, 2.5), ["size", "2.5"]), (without(2, "2"), ["size", "'2'"]),
    (without(3, X), ["times", "SimArray"]), (without(4, "a"), ["number as a", "'a'"]),
    (without(4, X), ["number as a", "SimArray"])])
def test_arguments_that_do_not_fit_the_signature_are_refused(saxpy, values, words):
    with assert_refused("saxpy", *words):
        launch.launch(saxpy, flat(2), *values)
    assert_same(X, [1, 2])
    assert_same(Y, [3, 4])


@pytest.mark.parametrize("x", [np.ones(2), 3.0, [1.0, 2.0]], ids=str)
def test_arrays_of_two_devices_are_refused(saxpy, x):
    with assert_refused("one device", "cpu", "cuda-sim"):
        launch.launch(saxpy, flat(2), *without(0, x))


def test_a_place_is_a_byte_or_an_int():
    x, window = simulated(np.zeros((1, 2, 2, 1))), Window.on_image((2, 2), (2, 2), (2, 2))
    y, switches = cuda.max_pool2d(x, window)
    with assert_refused("unpool", "switches as one of", "uint8", "int32", "float64"):
        cuda.max_unpool2d(y, switches.astype(float), x.shape, window)


def test_a_kernel_without_arrays_is_on_no_device(tmp_path):
    with assert_refused("mine", "with an array"):
        launch.launch(kernel(tmp_path, "", "int n"), flat(2), 3)


def test_a_number_of_a_kernel_without_real_arrays_is_a_double(tmp_path):
    y = simulated([0, 0], np.int32)
    launch.launch(kernel(tmp_path, "y[threadIdx.x] = sizeof(a) + (int)a;", "switch_t* y, real a"),
                  (1, 1, 1), y, 3, block=(2, 1, 1))
    assert_same(y, [11, 11])


@pytest.mark.parametrize("grid, block", [
    ((2**31, 1, 1), (256, 1, 1)), ((1, 65536, 1), (256, 1, 1)), ((1, 1, 65536), (256, 1, 1)),
    ((1, 1, 1), (1025, 1, 1)), ((1, 1, 1), (32, 32, 2)), ((-1, 1, 1), (1, 1, 1)),
    ((1.5, 1, 1), (1, 1, 1)), ((1, 1), (1, 1, 1)), ((1, 1, 1), (256,)), ((1, 1, 1), (0, 1, 1))])
def test_a_grid_or_block_that_cuda_would_not_launch_is_refused(saxpy, grid, block):
    with assert_refused("saxpy", "grid of at most", "1024", str(grid), str(block)):
        launch.launch(saxpy, grid, *FIT, block=block)


def test_rows_whose_places_do_not_fit_32_bits_are_refused():
    assert by_rows(70000, 1000) == (4, 65535, 1)
    with assert_refused("launch", "2**30", str(2**30)):
        by_rows(1, 2**30)


def test_a_kernel_that_does_not_compile_is_a_sentence_with_its_line_and_can_be_mended(tmp_path):
    y = simulated(np.zeros(2))
    with assert_refused("mine.cu", "compiles", "mine.cu:3:", "nowhere"):
        launch.launch(kernel(tmp_path, "EACH(k, size) y[k] = nowhere;"), flat(2), X, y, 2)
    launch.launch(kernel(tmp_path, "EACH(k, size) y[k] = 7 * x[k];"), flat(2), X, y, 2)
    assert_same(y, [7, 14])


def test_a_changed_source_is_compiled_again(tmp_path):
    y = simulated(np.zeros(2))
    for factor in (2, 3):
        launch.launch(kernel(tmp_path, f"EACH(k, size) y[k] = {factor} * x[k];"), flat(2), X, y, 2)
        assert_same(y, [factor, 2 * factor])


def test_a_source_that_changes_between_two_launches_is_compiled_again(tmp_path):
    y, mine = simulated(np.zeros(2)), kernel(tmp_path, "EACH(k, size) y[k] = 2 * x[k];")
    launch.launch(mine, flat(2), X, y, 2)
    kernel(tmp_path, "EACH(k, size) y[k] = 30 * x[k];")  # into the same file
    launch.launch(mine, flat(2), X, y, 2)
    assert_same(y, [30, 60])


def test_a_signature_that_changes_between_two_launches_is_refused(tmp_path):
    y, mine = simulated(np.zeros(2)), kernel(tmp_path, "EACH(k, size) y[k] = 2 * x[k];")
    kernel(tmp_path, "EACH(k, size) y[k] = 2 * x[k];", "real* y, const real* x, int64 size")
    with assert_refused("mine.cu", "signature", "read_kernels again"):
        launch.launch(mine, flat(2), X, y, 2)
    assert_same(X, [1, 2])


# What CuPy is told, by a stand-in that keeps it: there is no GPU here


class OnGPU(np.ndarray):
    """An array that says it is CuPy's."""


OnGPU.__module__ = "cupy"


@pytest.fixture
def cupy(monkeypatch):
    """A module of that name; .asked holds what it was asked for."""
    module, asked, functions = types.ModuleType("cupy"), [], []

    class CompileException(Exception):
        pass

    class RawModule:
        def __init__(self, code, options):
            self.code = code
            asked.append((code, options))

        def compile(self):
            for refused in ("CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled "
                            "with an unsupported toolchain.",
                            "nvrtc: error: invalid value for --gpu-architecture (-arch)"):
                if refused in self.code:
                    raise CompileException(refused)
            if "nowhere" in self.code:
                raise CompileException("mine.cu(3): error: nowhere is undefined\n1 error detected")

        def get_function(self, name):
            functions.append(name)
            return lambda *call: asked.append((name, *call))

    module.functions, module.synchronize = functions, lambda: asked.append("waited")
    module.RawModule, module.asked, module.ascontiguousarray = RawModule, asked, lambda x: x
    module.cuda = types.SimpleNamespace(
        compiler=types.SimpleNamespace(CompileException=CompileException),
        runtime=types.SimpleNamespace(getDeviceCount=lambda: 1, CUDARuntimeError=RuntimeError),
        get_current_stream=lambda: types.SimpleNamespace(synchronize=lambda: module.synchronize()))
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


@pytest.mark.parametrize("dtype, real", [(np.float32, "float"), (np.float64, "double")])
def test_on_a_gpu_cupy_compiles_the_file_and_starts_the_kernel_with_its_arguments(
        cupy, saxpy, dtype, real):
    x, y = (np.arange(5).astype(dtype).view(OnGPU) for _ in range(2))
    launch.launch(saxpy, (7, 2, 1), x, y, 5, 3, 0.5, block=(32, 4, 1))
    launch.launch(saxpy, (7, 2, 1), x, y, 5, 4, 0.5, block=(32, 4, 1))
    (code, options), *calls = cupy.asked  # compiled once
    assert cupy.functions == ["saxpy"]  # and found once
    assert f'#line 1 "{saxpy.file.as_posix()}"\n#include "common.h"' in code and code.isascii()
    assert f"-DREAL={real}" in options and f"-I{launch.KERNELS}" in options
    for (name, grid, block, arguments), times in zip(calls, (3, 4), strict=True):
        assert (name, grid, block) == ("saxpy", (7, 2, 1), (32, 4, 1))
        assert arguments[0] is x and arguments[1] is y and arguments[2:] == (5, times, 0.5)
        assert [type(n) for n in arguments[2:]] == [np.int64, np.int32, dtype]


def test_a_kernel_that_nvidias_compiler_refuses_is_a_sentence_with_its_line(cupy, tmp_path):
    x = np.ones(2).view(OnGPU)
    with assert_refused("mine.cu: expected a kernel that compiles", "mine.cu(3): error: nowhere"):
        launch.launch(kernel(tmp_path, "EACH(k, size) y[k] = nowhere;"), flat(2), x, x, 2)


@pytest.mark.parametrize("message", [
    "CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled with an unsupported "
    "toolchain.", "nvrtc: error: invalid value for --gpu-architecture (-arch)"])
def test_a_driver_or_a_card_that_is_too_old_for_the_compiler_is_a_sentence(cupy, tmp_path, message):
    x = np.ones(2).view(OnGPU)
    with assert_refused("mine.cu: expected a GPU and a driver", message.split(":")[0], "cuda12",
                        "driver"):
        launch.launch(kernel(tmp_path, f"// {message}\nEACH(k, size) y[k] = x[k];"), flat(2), x,
                      x, 2)


@pytest.mark.parametrize("value, waits", [(None, []), ("0", []), ("1", ["waited"])])
def test_with_MINICNN_SYNC_a_launch_waits_for_its_kernel(cupy, saxpy, monkeypatch, value, waits):
    monkeypatch.delenv("MINICNN_SYNC", raising=False)
    if value is not None:
        monkeypatch.setenv("MINICNN_SYNC", value)
    x = np.ones(2).view(OnGPU)
    launch.launch(saxpy, flat(2), x, x, 2, 1, 1)
    assert cupy.asked[2:] == waits  # after the compilation and the launch


def test_with_MINICNN_SYNC_a_fault_on_the_gpu_names_its_kernel(cupy, saxpy, monkeypatch):
    def failed():
        raise RuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")
    monkeypatch.setenv("MINICNN_SYNC", "1")
    cupy.synchronize = failed
    x = np.ones(2).view(OnGPU)
    with assert_refused("saxpy", "cudaErrorIllegalAddress", "cuda-sim"):
        launch.launch(saxpy, flat(2), x, x, 2, 1, 1)


def test_a_letter_that_cupys_file_might_lack_is_replaced(cupy, tmp_path):
    x = np.ones(2).view(OnGPU)
    launch.launch(kernel(tmp_path, "EACH(k, size) y[k] = x[k];  // Σ −"), flat(2), x, x, 2)
    assert "y[k] = x[k];  // ? ?" in cupy.asked[0][0]


TILES = """
    extern __shared__ real tiles[];
    tiles[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = tiles[size - 1 - threadIdx.x];"""


def launch_tiles(tmp_path, shared_memory):
    """y after a kernel has reversed 0, 1, 2 through dynamic shared memory, on the stand-in."""
    with standin.installed():
        x, y = (ops.to_device(np.arange(3.0), "cuda") for _ in range(2))
        launch.launch(kernel(tmp_path, TILES), (1, 1, 1), x, y, 3, block=(3, 1, 1),
                      shared_memory=shared_memory)
        return ops.to_cpu(y)


@pytest.mark.parametrize("shared_memory", [24, 48 * 1024 + 8, 227 * 1024])
def test_a_kernel_gets_the_dynamic_shared_memory_that_it_asks_for(tmp_path, shared_memory):
    assert_same(launch_tiles(tmp_path, shared_memory), [2, 1, 0])


def test_more_shared_memory_than_the_gpu_has_is_refused(tmp_path, monkeypatch):
    with assert_refused("mine", "232448 bytes", "this GPU", "232449", "smaller tiles"):
        launch_tiles(tmp_path, 227 * 1024 + 1)
    monkeypatch.setattr(standin.RawKernel, "shared_size_bytes", 1024)  # a part is taken
    with assert_refused("mine", "231424 bytes", "this GPU"):
        launch_tiles(tmp_path, 227 * 1024)


# The three nets under every test that runs on cuda-sim


def test_a_kernel_that_forgets_an_element_leaves_nan(tmp_path):
    y = ops.module_of("cuda-sim").empty(5)
    forgetful = kernel(tmp_path, "EACH(k, size - 1) y[k] = x[k];")
    launch.launch(forgetful, flat(5), simulated(np.ones(5)), y, 5)
    assert_same(y, [1, 1, 1, 1, np.nan])


@pytest.mark.parametrize("body, words", [
    ("EACH(k, size) y[k + 1] = x[k];", ["y[5] of 5 elements", "thread (4, 0, 0)"]),
    ("EACH(k, size) y[k - 1] = x[k];", ["y[-1] of 5 elements", "thread (0, 0, 0)"]),
    ("EACH(k, size) y[k] = x[k + 1];", ["x[5] of 5 elements", "thread (4, 0, 0)"]),
    ("EACH(k, size) ((real*)x)[k] = y[k];", ["x", "block (0, 0, 0)"])])
def test_a_kernel_that_leaves_its_arrays_is_named_with_thread_and_element(body, words, tmp_path,
                                                                         monkeypatch):
    monkeypatch.setattr(simulator, "runs", 2)
    y = simulated(np.zeros(5))
    with assert_refused("mine", *words):
        launch.launch(kernel(tmp_path, body), flat(5), simulated(np.ones(5)), y, 5)
    assert_same(y, np.zeros(5))


def test_a_result_that_depends_on_the_order_of_the_threads_is_found(tmp_path, monkeypatch):
    last_wins, y = kernel(tmp_path, "EACH(k, size) y[0] = x[k];"), simulated(np.zeros(1))
    monkeypatch.setattr(simulator, "runs", 2)
    with assert_refused("mine", "another order", "y"):
        launch.launch(last_wins, flat(500), simulated(np.arange(500.0)), y, 500)
    monkeypatch.setattr(simulator, "runs", 1)
    # In order nobody sees it.
    launch.launch(last_wins, flat(500), simulated(np.arange(500.0)), y, 500)
    assert_same(y, [499])


IMAGES, WINDOW = (2, 4, 4, 3), Window.on_image((4, 4), (2, 2), (2, 2))


@pytest.mark.parametrize("words, call", [
    (["relu_backward", "one shape"], lambda a: cuda.relu_grad(a(2, 6), a(4, 3))),
    (["relu_backward", "y of 12"], lambda a: cuda.relu_grad(a(4, 3), a(2, 3))),
    (["bias_relu", "b of 3"], lambda a: add_bias_relu(a(4, 3), a(5), True)),
    (["softmax_cross_entropy", "t of 12"],
     lambda a: cuda.softmax_cross_entropy(a(4, 3), a(4, 5))),
    (["sgd", "g of 3"], lambda a: cuda.sgd_step(a(3), a(5), 0.1)),
    (["average_pool_backward", "dy of 24"],
     lambda a: cuda.average_pool2d_grad(a(2, 3, 3, 3), IMAGES, WINDOW)),
    (["unpool", "y of 24"], lambda a: cuda.max_unpool2d(
        a(2, 3, 3, 3), cuda.max_pool2d(a(*IMAGES), WINDOW)[1], IMAGES, WINDOW)),
    (["implicit_gemm", "W of 60"], lambda a: conv2d_implicit_gemm(
        a(*IMAGES), a(2, 2, 4, 5), a(5), WINDOW))])
def test_arrays_that_are_not_as_large_as_they_should_be_are_refused(words, call):
    with assert_refused(*words):
        call(lambda *shape: simulator.xp.ones(shape, np.float32))
