"""use_precision("tf32"): every product of a GPU, and nothing else."""

import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import standin
from reference import assert_refused, assert_same

import minicnn as mc
from minicnn import ops
from minicnn.ops import Window, ops_for, to_cpu, to_device
from minicnn.ops.algorithms import use_algorithm
from minicnn.ops.cuda.products import round_to_tf32
from minicnn.ops.precision import use_precision

pytestmark = pytest.mark.cpu_only  # names its devices itself
TF32, DEFAULT = 3, 0  # cuBLAS' math modes
WINDOW = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (6, 7))


def drawn(*shape, device="cpu", dtype=np.float32):
    return to_device(np.random.default_rng(0).normal(size=shape).astype(dtype), device)


def products(x, W, b, algorithm="im2col"):
    """Every operation with a matrix product."""
    F = W.shape[3]
    dz, rows = drawn(*x.shape[:3], F, device="cuda", dtype=x.dtype), x.reshape(len(x), -1)
    D = drawn(rows.shape[1], F, device="cuda", dtype=x.dtype)
    backend = ops_for(x)
    with use_algorithm(algorithm):
        y = backend.conv2d(x, W, b, WINDOW)
        backend.conv2d_input_grad(dz, W, x.shape, WINDOW)
    backend.conv2d_weight_grad(x, dz, WINDOW)
    backend.dense(rows, D, b)
    backend.dense_weight_grad(rows, dz[:, 0, 0])
    backend.dense_input_grad(dz[:, 0, 0], D)
    return y


@pytest.fixture
def recorded():
    """The math mode of each product on the stand-in."""
    with standin.installed():
        standin.CUBLAS.products.clear()
        yield standin.CUBLAS.products
    assert standin.CUBLAS.mode == DEFAULT  # as it was


def test_every_product_is_in_the_mode_that_is_asked_for_and_the_mode_is_put_back(recorded):
    arrays = [drawn(*shape, device="cuda") for shape in ((2, 6, 7, 3), (3, 3, 3, 4), (4,))]
    products(*arrays)
    assert recorded == [DEFAULT] * 6
    with use_precision("tf32"):
        products(*arrays)
        assert recorded[6:] == [TF32] * 6 and standin.CUBLAS.mode == DEFAULT
        with use_precision("float32"):
            products(*arrays)
    assert recorded[12:] == [DEFAULT] * 6


def test_winograds_products_stay_in_float32(recorded):
    arrays = [drawn(*shape, device="cuda") for shape in ((2, 6, 7, 3), (3, 3, 3, 4), (4,))]
    with use_precision("tf32"):
        products(*arrays, "winograd")
    assert recorded == [DEFAULT, DEFAULT, *[TF32] * 4]  # conv2d and its dx


def test_the_mode_is_put_back_after_an_error(recorded):
    with use_precision("tf32"), pytest.raises(ValueError):
        ops.cuda.dense(drawn(2, 3, device="cuda"), drawn(4, 5, device="cuda"), None)
    assert recorded == [TF32]


def test_another_mode_than_the_default_is_put_back_too(recorded):
    with mock.patch.object(standin.CUBLAS, "mode", 2), use_precision("tf32"):  # pedantic
        ops.cuda.dense_input_grad(drawn(2, 3, device="cuda"), drawn(4, 3, device="cuda"))
        assert recorded == [TF32] and standin.CUBLAS.mode == 2


def test_float64_is_multiplied_as_ever(recorded):
    arrays = [drawn(*shape, device="cuda", dtype=np.float64)
              for shape in ((2, 6, 7, 3), (3, 3, 3, 4), (4,))]
    with use_precision("tf32"):
        products(*arrays)
    assert recorded == [DEFAULT] * 6


def test_a_gpu_without_tf32_is_refused_in_a_sentence(recorded, monkeypatch):
    monkeypatch.setattr(standin.Device, "compute_capability", "75")
    a = drawn(3, 3, device="cuda")
    with use_precision("tf32"), assert_refused("precision tf32", "8.0", "7.5", "float32"):
        ops.cuda.dense_weight_grad(a, a)
    assert recorded == []


# What TF32 does to the numbers: on cuda-sim


@pytest.mark.parametrize("number, rounded", [
    (1.0, 1.0), (1 + 2**-10, 1 + 2**-10), (1 + 2**-12, 1.0), (1 + 3 * 2**-12, 1 + 2**-10),
    (1 + 2**-11, 1 + 2**-10), (-1 - 2**-11, -1 - 2**-10), (2 - 2**-23, 2.0), (0.0, 0.0),
    (np.inf, np.inf), (-np.inf, -np.inf), (np.nan, np.nan), (3e38, 1806 * 2.0**117)])
def test_tf32_keeps_ten_bits_behind_the_leading_one(number, rounded):
    assert_same(round_to_tf32(to_device(np.float32([number]), "cuda-sim")), np.float32([rounded]))


def test_on_cuda_sim_products_err_by_some_1e_4_and_float64_does_not():
    x, W, b = drawn(2, 6, 7, 32), drawn(3, 3, 32, 31), drawn(31)  # by im2col
    exact = ops.reference.conv2d(*(a.astype(float) for a in (x, W, b)), WINDOW)

    def error(dtype):
        y = ops.cuda.conv2d(*(to_device(a.astype(dtype), "cuda-sim") for a in (x, W, b)), WINDOW)
        return np.abs(to_cpu(y) - exact).max() / np.abs(exact).max()
    with use_precision("tf32"):
        assert 3e-5 < error(np.float32) < 1e-3
        assert error(np.float64) < 1e-12
    assert error(np.float32) < 1e-6


def test_numpys_arrays_are_multiplied_as_ever():
    x, W, b = drawn(2, 6, 7, 3), drawn(3, 3, 3, 4), drawn(4)
    expected = ops.fast.conv2d(x, W, b, WINDOW)
    with use_precision("tf32"):
        assert_same(ops.fast.conv2d(x, W, b, WINDOW), expected)


# Choosing it


def test_the_summary_says_so_on_a_gpu_only():
    model = mc.Sequential([mc.Dense(2)], (3,))
    assert "TF32" not in model.summary()
    with use_precision("tf32"):
        assert "TF32" not in model.summary()
        assert "precision: TF32" in model.to("cuda-sim").summary()
    assert "TF32" not in model.summary()


def test_the_environment_chooses_where_use_precision_does_not(monkeypatch):
    monkeypatch.setenv("MINICNN_PRECISION", "tf32")
    assert ops.precision.current_precision() == "tf32"
    with use_precision("float32"):
        assert ops.precision.current_precision() == "float32"
    monkeypatch.setenv("MINICNN_PRECISION", "half")
    with assert_refused("MINICNN_PRECISION", "tf32", "'half'"):
        ops.precision.current_precision()


@pytest.mark.parametrize("name", ["TF32", "half", "", None])
def test_a_precision_that_does_not_exist_is_refused(name):
    with assert_refused("ops.use_precision", "float32", "tf32", repr(name)), use_precision(name):
        pass


def test_cupy_has_the_functions_that_set_the_mode():
    """Importing its module for cuBLAS needs cuBLAS, so a process of its own looks into the file."""
    pytest.importorskip("cupy", reason="there is no CuPy for macOS")
    code = ("import importlib.util, pathlib, cupy_backends.cuda.libs as libs\n"
            "file, = pathlib.Path(libs.__path__[0]).glob('cublas.*')\n"
            "data = file.read_bytes()\n"
            "print(b'setMathMode(intptr_t handle, int mode)' in data,"
            " b'getMathMode(intptr_t handle)' in data)\n"
            "import cupy.cuda; print(callable(cupy.cuda.get_cublas_handle))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True"] * 3, done.stderr
