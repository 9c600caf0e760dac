"""The stand-in for CuPy refuses what CuPy refuses, and is uninstalled after each test."""

import sys

import numpy as np
import pytest
import standin

from minicnn.ops import device_of, module_of, to_cpu, to_device
from minicnn.ops.cuda.array_modules import describe_error

X = np.arange(6.0).reshape(2, 3)


@pytest.fixture
def xp():
    with standin.installed():
        yield module_of("cuda")


@pytest.fixture
def there(xp):
    return to_device(X, "cuda")


def test_its_arrays_are_on_the_device_cuda_and_no_arrays_of_numpys(xp, there):
    assert device_of(there) == device_of(xp.zeros(2)) == device_of(there + 1) == "cuda"
    assert not isinstance(there, np.ndarray)
    back = to_cpu(there)
    assert type(back) is np.ndarray
    np.testing.assert_array_equal(back, X)


@pytest.mark.parametrize("refused", [
    lambda s, n: np.asarray(s), lambda s, n: s + n, lambda s, n: n + s, lambda s, n: n @ s.T,
    lambda s, n: s.__iadd__(n), lambda s, n: n.__iadd__(s), lambda s, n: np.add(s, s, out=n),
    lambda s, n: np.where(s > 0, s, n), lambda s, n: np.concatenate([s, n]),
    lambda s, n: module_of("cuda").maximum(s, n), lambda s, n: module_of("cuda").zeros_like(n),
    lambda s, n: s.set(s), lambda s, n: s.set(n.astype(np.float32))])
def test_an_array_of_numpys_beside_one_is_a_type_error(refused, there):
    with pytest.raises(TypeError):
        refused(there, X.copy())
    np.testing.assert_array_equal(to_cpu(there), X)


def test_numpys_numbers_may_be_assigned_and_its_arrays_may_not(there):
    there[0] = np.float32(7)
    there[1, :2] = 8
    np.testing.assert_array_equal(to_cpu(there), [[7, 7, 7], [8, 8, 5]])
    with pytest.raises(ValueError):
        there[...] = X


@pytest.mark.parametrize("refused, error", [
    (lambda s: setattr(s.flags, "writeable", False), AttributeError),
    (lambda s: s.flags.writeable, AttributeError), (lambda s: s.astype(">f4"), ValueError),
    (lambda s: s.astype(object), ValueError), (lambda s: hash(s), TypeError),
    (lambda s: np.ma.masked_array(s), TypeError), (lambda s: list(s.sum()), TypeError)])
def test_what_cupy_does_not_have(refused, error, there):
    with pytest.raises(error):
        refused(there)


def test_a_function_that_cupy_lacks_is_missing(xp):
    pytest.importorskip("cupy", reason="there is no CuPy for macOS")
    assert not hasattr(standin.names, "vecdot")
    assert not hasattr(xp, "vecdot") and not hasattr(xp, "no_such") and hasattr(xp, "tensordot")
    with pytest.raises(TypeError):
        np.vecdot(xp.ones(3), xp.ones(3))


def test_sums_are_arrays_without_dimensions_and_new_memory_holds_nan(xp, there):
    assert there.sum().shape == () and device_of(there.sum()) == device_of(there[0, 0]) == "cuda"
    assert float(there.sum()) == 15
    assert np.isnan(to_cpu(xp.empty((2, 2)))).all()
    assert np.isnan(to_cpu(xp.empty_like(there))).all()


def test_afterwards_cupy_is_what_it_was():
    before = [sys.modules.get(name) for name in ("cupy", "cupyx")]
    with pytest.raises(ZeroDivisionError), standin.installed():
        assert sys.modules["cupy"].__version__ == "14.2.0"
        raise ZeroDivisionError
    assert [sys.modules.get(name) for name in ("cupy", "cupyx")] == before


def test_its_errors_are_called_as_cupys_are():
    cupy = pytest.importorskip("cupy", reason="there is no CuPy for macOS")
    for ours, theirs in ((standin.OutOfMemoryError, cupy.cuda.memory.OutOfMemoryError),
                         (standin.CUDARuntimeError, cupy.cuda.runtime.CUDARuntimeError)):
        assert (ours.__module__, ours.__name__) == (theirs.__module__, theirs.__name__)
        assert issubclass(theirs, ours.__base__)


@pytest.mark.parametrize("error, words", [
    (standin.OutOfMemoryError("Out of memory allocating 1,000 bytes (allocated so far: 0 bytes)."),
     ["1,000 bytes", "--batch-size", "--size"]),
    (standin.CUDARuntimeError("cudaErrorMemoryAllocation: out of memory"), ["--batch-size"]),
    (standin.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access"),
     ["cudaErrorIllegalAddress", "MINICNN_SYNC=1"])])
def test_an_error_of_cupys_is_a_sentence_that_says_what_helps(error, words):
    sentence = describe_error(error)
    assert sentence.startswith("cuda: expected ") and sentence.endswith(".")
    assert "\n" not in sentence and ".." not in sentence
    for word in words:
        assert word in sentence


def test_other_errors_are_left_as_they_are():
    for error in (MemoryError("on the processor"), RuntimeError("cuda")):
        assert describe_error(error) is None
