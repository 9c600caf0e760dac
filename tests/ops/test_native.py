"""The native backend: kernels/*.cu compiled for this processor, against PyTorch; its compiler and
its cache."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from reference import assert_close

from minicnn import ops
from minicnn.ops import Window, fast, use
from minicnn.ops.algorithms import input_gradient_window
from minicnn.ops.fast import threads
from minicnn.ops.native import conv, library, winograd, winograd_backward
from minicnn.utils.errors import KernelError
from tests.ops.test_winograd import PADS, SHAPES, by_torch, drawn

pytestmark = pytest.mark.cpu_only


@pytest.fixture(autouse=True)
def few_tiles_too(monkeypatch):
    """Images of few tiles, which fast would compute, are computed by the kernels."""
    monkeypatch.setattr(winograd, "FEW_TILES", 1)


def computed(x, W, pads, b=None, **options):
    return winograd.conv2d_winograd(x, W, b, Window((3, 3), (1, 1), pads, x.shape[1:3]), **options)


# The numbers


@given(SHAPES, st.integers(1, 6), PADS, st.sampled_from([1, 3, 100]))
def test_any_geometry_in_blocks_of_any_size_is_pytorchs(shape, F, pads, block):
    x, W = drawn(shape, F)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "BLOCK_TILES", block)
        assert_close(computed(x, W, pads), by_torch(x, W, pads), rtol=1e-12)


@pytest.mark.parametrize("C, F", [(1, 1), (15, 17), (16, 32), (33, 47)])
def test_channels_that_fill_vectors_and_those_left_over(C, F):
    """A vector holds 2, 4 or 8 of float64, 4, 8 or 16 of float32."""
    for dtype, rtol in ((np.float64, 1e-12), (np.float32, 1e-4)):
        x, W = drawn((2, 9, 7, C), F, dtype)
        y = computed(x, W, ((1, 1), (1, 1)))
        assert y.dtype == dtype
        assert_close(y, by_torch(x.astype(float), W.astype(float), ((1, 1), (1, 1))), rtol=rtol)


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


@given(SHAPES, st.integers(1, 6), PADS, st.sampled_from([1, 3, 100]),
       st.sampled_from([1, 1000, 1 << 23]))
def test_the_gradients_are_pytorchs(shape, F, pads, block, group):
    x, W = drawn(shape, F)
    dz = np.random.default_rng(1).normal(size=computed(x, W, pads).shape)
    _, dx, dW, _ = reference.by_torch(x, W, np.zeros(F), dz, (1, 1), pads)
    window = Window((3, 3), (1, 1), pads, x.shape[1:3])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd_backward, "BLOCK_TILES", block)
        patch.setattr(winograd_backward, "GROUP_ELEMENTS", group)
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
    monkeypatch.setattr(winograd, "BLOCK_TILES", 3)  # so that blocks do not depend on the threads
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


def test_few_tiles_and_dtypes_without_kernels_are_computed_by_fast(monkeypatch):
    monkeypatch.setattr(winograd, "FEW_TILES", 96)
    kernels = []
    monkeypatch.setattr(winograd, "library", lambda dtype: kernels.append(dtype) or (
        lambda *_: None))
    x, W = drawn((1, 28, 28, 32), 32)
    assert_close(computed(x, W, ((1, 1), (1, 1))), by_torch(x, W, ((1, 1), (1, 1))), rtol=1e-12)
    assert not kernels  # 49 tiles
    computed(np.concatenate([x, x]), W, ((1, 1), (1, 1)))
    assert set(kernels) == {"float64"}
    window = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (28, 28))
    assert conv.by_kernels(x, W, (32, 32), window)
    assert not conv.by_kernels(x.astype(np.longdouble), W.astype(np.longdouble), (32, 32), window)
    assert not conv.by_kernels(x, W.astype(np.float32), (32, 32), window)


def test_it_computes_inside_the_threads_of_others():
    """A nested call runs serially, on the thread that calls."""
    x, W = drawn((4, 12, 12, 32), 32)
    expected = computed(x, W, ((1, 1), (1, 1)))

    def work(images):
        return [computed(x[k:k + 1], W, ((1, 1), (1, 1))) for k in images]
    first, second = threads.parallel_map(work, range(4), 2)
    assert_close(np.concatenate([first[0], second[0], first[1], second[1]]), expected, rtol=1e-12)


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
    said = chosen("import numpy as np, minicnn as mc; mc.ReLU().forward(np.zeros(3))",
                  PATH=str(tmp_path), CXX="", MINICNN_BACKEND="native")[1]
    assert not said  # ReLU needs no kernel
    code = "from minicnn.ops import use\nwith use('native'): pass"
    said = chosen(code, PATH=str(tmp_path), CXX="")[1].splitlines()[-1]
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


def test_a_library_that_cannot_be_loaded_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MINICNN_CACHE", str(tmp_path))
    monkeypatch.setattr(library, "compile_to", lambda path, *_: (
        path.parent.mkdir(), path.write_bytes(b"not a library")))
    file, path = library.KERNELS / "winograd.cu", tmp_path / "kernels" / "native-winograd-"
    with pytest.raises(KernelError) as caught:
        library.open_library(file, "float32")
    assert str(path) in str(caught.value) and "Delete it" in str(caught.value)


def test_the_processor_is_told_by_what_it_can_do():
    identity = library.processor_identity()
    assert identity
    if sys.platform == "linux":
        flags = Path("/proc/cpuinfo").read_text("utf-8")
        assert all(line in flags for line in identity.splitlines())


def test_use_native_gives_its_module():
    with use("native"):
        assert ops.ops_for(np.zeros(3)) is ops.native
