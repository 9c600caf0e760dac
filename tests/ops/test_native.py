"""The native backend: kernels/*.cu compiled for this processor, against PyTorch; its compiler and
its cache."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from reference import assert_close, assert_same

from minicnn import ops
from minicnn.ops import Window, compiler, fast, use
from minicnn.ops.algorithms import input_gradient_window
from minicnn.ops.fast import threads
from minicnn.ops.native import (
    conv,
    direct,
    elementwise,
    flat,
    library,
    pooling,
    steps,
    winograd,
    winograd_backward,
)
from minicnn.ops.tuning import Constants, use_constants
from minicnn.utils.errors import KernelError
from tests.ops.test_winograd import PADS, SHAPES, by_torch, drawn

pytestmark = pytest.mark.cpu_only
POOLING = Window((2, 2), (2, 2), ((0, 0), (0, 0)), (12, 12))


@pytest.fixture(autouse=True)
def few_tiles_too(monkeypatch):
    """The kernels compute with images of few tiles and with small arrays, too."""
    monkeypatch.setattr(flat, "MIN_SIZE", 1)
    with use_constants(Constants(few_tiles=1)):
        yield


def computed(x, W, pads, b=None, **options):
    return winograd.conv2d_winograd(x, W, b, Window((3, 3), (1, 1), pads, x.shape[1:3]), **options)


# The numbers


@given(SHAPES, st.sampled_from([1, 5, 32, 33, 70, 96]), PADS, st.sampled_from([1, 3, 100]),
       st.sampled_from([1, 1000]), st.integers(1, 3))
def test_any_geometry_in_blocks_of_any_size_is_pytorchs(shape, F, pads, block, few, workers):
    x, W = drawn(shape, F)
    with (pytest.MonkeyPatch.context() as patch,
          use_constants(Constants(block_tiles=block, few_tiles=few))):
        patch.setattr(winograd, "FEW_CHANNELS", 2)
        patch.setattr(winograd, "num_threads", lambda: workers)
        assert_close(computed(x, W, pads), by_torch(x, W, pads), rtol=1e-12)


@pytest.mark.parametrize("C, F", [(1, 1), (15, 17), (16, 32), (33, 47)])
def test_channels_that_fill_vectors_and_those_left_over(C, F):
    """A vector holds 2, 4 or 8 of float64, 4, 8 or 16 of float32."""
    for dtype, rtol in ((np.float64, 1e-12), (np.float32, 1e-4)):
        x, W = drawn((2, 9, 7, C), F, dtype)
        y = computed(x, W, ((1, 1), (1, 1)))
        assert y.dtype == dtype
        assert_close(y, by_torch(x.astype(float), W.astype(float), ((1, 1), (1, 1))), rtol=rtol)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="flags of x86 processors")
@pytest.mark.parametrize("flag", ["-march=x86-64", "-march=x86-64-v3"])
def test_a_processor_with_narrower_vectors_computes_the_same(flag, monkeypatch):
    """SSE: 16 bytes, 16 registers; AVX2: 32 bytes, 16 registers."""
    if flag.endswith("v3") and "avx2" not in library.processor_identity():
        pytest.skip("this processor has no AVX2")
    monkeypatch.setattr(library, "for_this_processor", lambda: flag)
    for dtype, rtol in ((np.float64, 1e-12), (np.float32, 1e-4)):
        compiled = library.Library(np.dtype(dtype).name)
        for module in (winograd, direct, pooling):
            monkeypatch.setattr(module, "library", lambda name, compiled=compiled: compiled)
        x, W = drawn((2, 13, 14, 19), 96, dtype)
        window = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (13, 14))
        expected = by_torch(x.astype(float), W.astype(float), ((1, 1), (1, 1)))
        for few in 1, 1000:
            with use_constants(Constants(few_tiles=few)):
                assert_close(computed(x, W, ((1, 1), (1, 1))), expected, rtol=rtol)
        assert_close(direct.conv2d_direct(x, W, None, window), expected, rtol=rtol)
        y, switches = pooling.max_pool2d(x, POOLING._replace(size=(13, 14)))
        assert_same(y, x[:, :12].reshape(2, 6, 2, 7, 2, 19).max(axis=(2, 4)))
        back = pooling.max_unpool2d(y, switches, x.shape, POOLING._replace(size=(13, 14)))
        assert_same(back, np.where(back != 0, x, 0))
        assert_close(back.sum(), y.sum(), rtol=1e-4)


def test_bias_relu_and_pooling_are_those_of_the_definition():
    x, W = drawn((3, 11, 14, 20), 35)
    b = np.linspace(-3, 3, 35)
    z = by_torch(x, W, ((1, 1), (1, 1))) + b
    assert_close(computed(x, W, ((1, 1), (1, 1)), b), z, rtol=1e-12)
    y = np.maximum(z, 0)
    assert_close(computed(x, W, ((1, 1), (1, 1)), b, relu=True), y, rtol=1e-12)
    pooled = y[:, :10].reshape(3, 5, 2, 7, 2, 35).max(axis=(2, 4))
    assert_close(computed(x, W, ((1, 1), (1, 1)), b, relu=True, pool=True), pooled, rtol=1e-12)


def test_nan_comes_out_as_nan_with_relu_and_pooling():
    x, W = drawn((1, 8, 8, 32), 32)
    x[0, 0, 0, 0] = np.nan
    for pool in (False, True):
        y = computed(x, W, ((1, 1), (1, 1)), relu=True, pool=pool)
        assert np.isnan(y[0, 0, 0]).all() and not np.isnan(y[0, -1, -1]).any()


@given(SHAPES, st.integers(1, 6), PADS, st.sampled_from([1, 1000, 1 << 23]),
       st.sampled_from([1, 1000]), st.integers(1, 3))
def test_the_gradients_are_pytorchs(shape, F, pads, group, few, workers):
    x, W = drawn(shape, F)
    dz = np.random.default_rng(1).normal(size=computed(x, W, pads).shape)
    _, dx, dW, _ = reference.by_torch(x, W, np.zeros(F), dz, (1, 1), pads)
    window = Window((3, 3), (1, 1), pads, x.shape[1:3])
    with pytest.MonkeyPatch.context() as patch, use_constants(Constants(few_tiles=few)):
        patch.setattr(winograd_backward, "GROUP_ELEMENTS", group)
        patch.setattr(winograd_backward, "num_threads", lambda: workers)
        assert_close(winograd_backward.weight_grad_winograd(x, dz, window), dW, rtol=1e-12)
        if gradient_window := input_gradient_window(window):
            assert_close(winograd.input_grad_winograd(dz, W, gradient_window), dx, rtol=1e-12)


def test_the_gradient_in_float32_errs_by_about_1e_5_and_does_not_depend_on_threads(monkeypatch):
    x, dz = drawn((4, 28, 28, 64), 1, np.float32)[0], drawn((4, 28, 28, 96), 1, np.float32)[0]
    window = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (28, 28))
    exact = fast.conv2d_weight_grad(x.astype(float), dz.astype(float), window)
    results = []
    for workers in (1, 2, 3):
        monkeypatch.setattr(winograd_backward, "num_threads", lambda n=workers: n)
        results.append(winograd_backward.weight_grad_winograd(x, dz, window))
    assert 1e-7 < np.abs(results[0] - exact).max() / np.abs(exact).max() < 3e-5
    assert all(np.array_equal(dW, results[0]) for dW in results)


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_threads_change_nothing_and_runs_are_the_same_to_the_bit(workers, monkeypatch):
    x, W = drawn((5, 13, 11, 32), 33)
    # of 3 tiles, so that blocks do not depend on the threads
    with use_constants(Constants(block_tiles=3, few_tiles=1)):
        monkeypatch.setattr(winograd, "num_threads", lambda: 1)
        expected = computed(x, W, ((1, 1), (1, 1)))
        monkeypatch.setattr(winograd, "num_threads", lambda: workers)
        for _ in range(3):
            assert np.array_equal(computed(x, W, ((1, 1), (1, 1))), expected)


def test_arrays_that_are_not_contiguous_and_a_bias_of_another_dtype():
    x, W = drawn((2, 10, 12, 32), 34, np.float32)
    b = np.arange(34.0)
    expected = computed(x, W, ((1, 1), (1, 1)), b.astype(np.float32))
    for x_, W_ in ((x[::-1][::-1], W.copy("F")), (np.asfortranarray(x), W)):
        assert np.array_equal(computed(x_, W_, ((1, 1), (1, 1)), b), expected)


def test_dtypes_without_kernels_are_computed_by_fast():
    x, W = drawn((1, 28, 28, 32), 32)
    window = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (28, 28))
    assert conv.by_kernels(x, W.shape, W, window) == "winograd"
    long, other = x.astype(np.longdouble), W.astype(np.float32)
    assert not conv.by_kernels(long, W.shape, W.astype(np.longdouble), window)
    assert not conv.by_kernels(x, W.shape, other, window)


@use_constants(Constants(few_tiles=96))
def test_with_few_tiles_u_is_made_in_parts(monkeypatch):
    x, W = drawn((1, 28, 28, 32), 32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "convolve", lambda *_: pytest.fail("U is whole in memory"))
        assert_close(computed(x, W, ((1, 1), (1, 1))), by_torch(x, W, ((1, 1), (1, 1))), rtol=1e-12)
    monkeypatch.setattr(winograd, "convolve_few_tiles", lambda *_: pytest.fail("in parts"))
    computed(drawn((6, 16, 16, 32), 32)[0], W, ((1, 1), (1, 1)))  # 96 tiles


def test_a_worker_of_parallel_map_takes_memory_for_itself_only(monkeypatch):
    x, W = drawn((4, 12, 12, 32), 32)
    wanted = []
    split = winograd.split_workspace
    monkeypatch.setattr(winograd, "split_workspace",
                        lambda dtype, *sizes: wanted.append(len(sizes)) or split(dtype, *sizes))
    monkeypatch.setattr(threads, "num_threads", lambda: 5)
    computed(x, W, ((1, 1), (1, 1)))
    threads.parallel_map(lambda _: computed(x, W, ((1, 1), (1, 1))), range(2), 2)
    assert wanted == [1 + 2 * 5, 1 + 2, 1 + 2]  # U, and V and M of each thread


def test_it_computes_inside_the_threads_of_others():
    """A nested call runs serially, on the thread that calls."""
    x, W = drawn((4, 12, 12, 32), 32)
    expected = computed(x, W, ((1, 1), (1, 1)))

    def work(images):
        return [computed(x[k:k + 1], W, ((1, 1), (1, 1))) for k in images]
    first, second = threads.parallel_map(work, range(4), 2)
    assert_close(np.concatenate([first[0], second[0], first[1], second[1]]), expected, rtol=1e-12)


@pytest.mark.parametrize("C, F, size, kernel, strides, pays_off", [
    (32, 32, (4, 4), 3, 1, True), (512, 512, (14, 14), 3, 1, True), (32, 96, (8, 7), 3, 1, True),
    (32, 32, (5, 5), 3, 1, False),  # four tiles for 25 outputs: 144 multiplications instead of 225
    (31, 32, (8, 8), 3, 1, False), (32, 31, (8, 8), 3, 1, False), (32, 50, (8, 8), 3, 1, True),
    (32, 32, (8, 8), 5, 1, False), (32, 32, (8, 8), 3, 2, False), (32, 32, (8, 0), 3, 1, False)])
def test_it_is_selected_where_tiles_save_half_of_the_multiplications(C, F, size, kernel, strides,
                                                                     pays_off):
    window = Window.on_image(size, (kernel, kernel), (strides, strides), "same")
    assert winograd.pays_off(C, F, window) == pays_off
    x, W = np.zeros((1, *size, C)), np.zeros((kernel, kernel, C, F))
    assert (conv.by_kernels(x, W.shape, W, window) == "winograd") == pays_off


def test_where_winograds_algorithm_is_selected_all_is_computed_by_the_kernels(monkeypatch):
    for name in ("conv2d", "conv2d_max_pool", "conv2d_weight_grad", "conv2d_input_grad"):
        monkeypatch.setattr(conv.fast, name, lambda *_: pytest.fail("fast computes"))
    x, W = drawn((4, 12, 12, 32), 40)
    window, b = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (12, 12)), np.zeros(40)
    y = conv.conv2d(x, W, b, window)
    assert_close(y, by_torch(x, W, ((1, 1), (1, 1))), rtol=1e-12)
    assert conv.conv2d_max_pool(x, W, b, window, POOLING).shape == (4, 6, 6, 40)
    odd = Window((3, 3), (2, 2), ((0, 0), (0, 0)), (12, 12))  # not within the tiles
    assert conv.conv2d_max_pool(x, W, b, window, odd).shape == (4, 5, 5, 40)
    assert conv.conv2d_weight_grad(x, y, window).shape == W.shape
    assert conv.conv2d_input_grad(y, W, x.shape, window).shape == x.shape


# What the kernels cannot compute with


def test_arrays_of_shapes_that_do_not_belong_together_are_refused():
    x, W = drawn((4, 12, 12, 32), 32)
    window = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (12, 12))
    dz = computed(x, W, ((1, 1), (1, 1)))
    assert conv.by_kernels(x, W.shape, W, window)
    for wrong in (lambda: conv.conv2d(x, W, np.zeros(31), window),
                  lambda: conv.conv2d(x[:, :6], W, np.zeros(32), window),
                  lambda: conv.conv2d_max_pool(x, W, np.zeros(3), window, POOLING),
                  lambda: conv.conv2d_weight_grad(x, dz[:3], window)):
        with pytest.raises(ValueError):  # noqa: PT011
            wrong()


def test_what_may_not_be_written_is_not_written():
    p, g, m, s = (np.ones(5) for _ in range(4))
    p.flags.writeable = False
    for step in (lambda: steps.adam_step(p, g, m, s, 1, 0.1, 0.9, 0.999, 1e-8),
                 lambda: steps.momentum_step(p, g, m, 0.1, 0.9)):
        with pytest.raises(ValueError, match="read-only"):
            step()
    assert (p == 1).all()


def test_numbers_in_another_byte_order_are_computed_by_fast():
    y, dy = np.array([-1, 1, -1, 1], ">f4"), np.ones(4, ">f4")
    assert elementwise.relu_grad(dy, y).tolist() == [0, 1, 0, 1]
    window = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (12, 12))
    x, W = (array.astype(">f8") for array in drawn((4, 12, 12, 32), 32))
    assert not conv.by_kernels(x, W.shape, W, window)


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_threads_share_the_elements(dtype, rtol, monkeypatch):
    monkeypatch.setattr(library, "MIN_PART", 1)
    monkeypatch.setattr(threads, "num_threads", lambda: 3)
    rng = np.random.default_rng(0)
    arrays = [rng.random(1001).astype(dtype) for _ in range(4)]
    y = rng.normal(size=1001).astype(dtype)
    for name, numbers, count in (("adam_step", (3, 0.1, 0.9, 0.999, 1e-8), 4),
                                 ("momentum_step", (0.1, 0.9, True), 3)):
        ours, theirs = ([array.copy() for array in arrays[:count]] for _ in range(2))
        getattr(steps, name)(*ours, *numbers)
        getattr(ops.reference, name)(*theirs, *numbers)
        for a, b in zip(ours, theirs, strict=True):
            assert_close(a, b, rtol=rtol)
    assert np.array_equal(elementwise.relu_grad(arrays[0], y), np.where(y > 0, arrays[0], 0))


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 101])
@pytest.mark.parametrize("F", [1, 16, 37, 64, 200])
@pytest.mark.parametrize("workers", [1, 3])
def test_the_gradient_of_a_bias_is_the_sum_of_the_rows(rows, F, workers, monkeypatch):
    monkeypatch.setattr(library, "MIN_PART", 1)
    monkeypatch.setattr(threads, "num_threads", lambda: workers)
    if rows:
        monkeypatch.setattr(elementwise.fast, "bias_grad", lambda _: pytest.fail("fast computes"))
    for dtype, rtol in ((np.float32, 1e-5), (np.float64, 1e-13)):
        dz = np.random.default_rng(0).normal(size=(rows, F)).astype(dtype)
        dz.flags.writeable = False
        db = ops.native.bias_grad(dz.reshape(rows, 1, F))
        assert db.dtype == dtype and db.shape == (F,)
        assert_close(db, dz.astype(float).sum(axis=0), rtol=rtol)


# The compiler and the cache


CHOSEN = """
import numpy as np
from minicnn.ops import ops_for
print(ops_for(np.zeros(3)).__name__.rpartition(".")[2])
"""


def chosen(code=CHOSEN, **environment):
    """What a Python of its own prints and complains of."""
    variables = {key: value for key, value in os.environ.items() if key != "MINICNN_BACKEND"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**variables, **environment})
    return done.stdout.strip(), done.stderr


def test_without_a_compiler_fast_computes_and_native_says_what_is_missing(tmp_path):
    assert chosen() == ("native", "")
    assert chosen(PATH=str(tmp_path), CXX="") == ("fast", "")
    code = "from minicnn.ops import use\nwith use('native'): pass"
    for words, variables in ((code, {}), (CHOSEN, {"MINICNN_BACKEND": "native"})):
        said = chosen(words, PATH=str(tmp_path), CXX="", **variables)[1].splitlines()[-1]
        assert "native backend: expected a C++ compiler" in said and "apt install g++" in said


def a_compiler(folder, script):
    """A file that may be run, and is called c++."""
    file = folder / "c++"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


def test_a_compiler_that_fails_is_no_reason_to_stop(tmp_path):
    broken = a_compiler(tmp_path, "echo 'error: no such option: -O3' >&2; exit 1")
    assert chosen(CXX=broken, MINICNN_CACHE=str(tmp_path / "cache")) == ("fast", "")
    assert not list((tmp_path / "cache").rglob("*.so"))


def test_what_is_compiled_is_kept_for_the_same_compiler_and_processor(tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path / "cache"))
    calls = tmp_path / "calls"
    monkeypatch.setenv("CXX", a_compiler(
        tmp_path, f"echo >> {calls}; exec {shutil.which('c++')} \"$@\""))
    file = library.KERNELS / "winograd.cu"
    library.compiler_identity.cache_clear()
    try:
        def files():
            library.open_library(file, "float32")
            return sorted(path.name for path in (tmp_path / "cache" / "kernels").iterdir())
        first = files()
        assert files() == first and len(calls.read_text()) == len(first) == 1
        monkeypatch.setattr(library, "processor_identity", lambda: "another processor")
        assert set(first) < set(files()) and len(calls.read_text()) == 2
    finally:
        library.compiler_identity.cache_clear()


def test_a_cache_that_cannot_be_written_costs_compiling_anew_and_nothing_else(tmp_path):
    (tmp_path / "file").write_text("")
    assert chosen(MINICNN_CACHE=str(tmp_path / "file")) == ("native", "")


def test_a_library_that_is_damaged_is_compiled_again(tmp_path):
    cache = {"MINICNN_CACHE": str(tmp_path)}
    assert chosen(**cache) == ("native", "")
    file = next((tmp_path / "kernels").glob("native-relu-*.so"))
    whole = file.stat().st_size
    file.write_bytes(b"not a library")
    assert chosen(**cache) == ("native", "")
    assert file.stat().st_size == whole


def test_a_compiler_that_fails_for_one_file_is_noticed_before_anything_is_computed(tmp_path):
    broken = a_compiler(tmp_path, "case \"$*\" in *winograd_backward*) echo 'error: memory' >&2; "
                                  f"exit 1;; esac; exec {shutil.which('c++')} \"$@\"")
    assert chosen(CXX=broken, MINICNN_CACHE=str(tmp_path / "cache")) == ("fast", "")


def test_a_compiler_that_never_ends_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", a_compiler(tmp_path, "exec sleep 60"))
    monkeypatch.setattr(compiler, "SECONDS", 0.2)
    with pytest.raises(KernelError) as caught:
        compiler.run_compiler(library.KERNELS / "relu.cu")
    assert "relu.cu" in str(caught.value) and "CXX" in str(caught.value)


@pytest.mark.parametrize("real", ["float", "double"])
@pytest.mark.parametrize("file", library.FILES)
def test_the_compiler_has_nothing_to_warn_of(file, real, tmp_path):
    compiler.run_compiler(library.KERNELS / file, *library.FLAGS, library.for_this_processor(),
                          f"-DREAL={real}", f"-I{library.KERNELS}", "-Wall", "-Wextra", "-Werror",
                          "-x", "c++", str(library.KERNELS / file), "-o", str(tmp_path / "a.so"))


def test_the_processor_is_told_by_what_it_can_do():
    identity = library.processor_identity()
    assert identity
    if sys.platform == "linux":
        flags = Path("/proc/cpuinfo").read_text("utf-8")
        assert all(line in flags for line in identity.splitlines()[1:])
    assert identity.startswith(platform.machine())


def test_use_native_gives_its_module():
    with use("native"):
        assert ops.ops_for(np.zeros(3)) is ops.native
