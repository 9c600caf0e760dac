"""Arrays and their devices: what is where, what may meet, and what a missing device says."""

import copy
import sys

import numpy as np
import pytest
from makers import simulated
from reference import LAYOUTS, assert_refused, assert_same, laid_out

from minicnn.layers import Dense
from minicnn.model import Sequential
from minicnn.ops import DEVICES, array_module, device_of, module_of, to_cpu, to_device
from minicnn.ops.cuda import simulator
from minicnn.ops.cuda.simulator import SimArray

pytestmark = pytest.mark.cpu_only  # names its devices itself
X = np.array([[0.0, -0.0, np.nan], [np.inf, 1e-310, 3.0]])  # what a careless copy might change


# To a device and back


@pytest.mark.parametrize("x", [
    X, X.astype(np.float32), np.arange(12, dtype=np.uint8).reshape(3, 4), np.array([[True, False]]),
    np.arange(-3, 3, dtype=np.int32), np.array(2.5), np.zeros((0, 3)), X.T, X[:, ::-2],
    np.broadcast_to(X, (2, 2, 3))], ids=lambda x: f"{x.dtype} {x.shape} {x.strides}")
def test_to_a_device_and_back_changes_no_bit(x):
    there = to_device(x, "cuda-sim")
    assert device_of(there) == "cuda-sim" and there.flags.c_contiguous
    back = to_device(there, "cpu")
    assert type(back) is np.ndarray and back.dtype == x.dtype and back.shape == x.shape
    assert back.tobytes() == x.tobytes() == to_cpu(there).tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_in_memory_is_lost_on_the_way_and_nothing_else(layout, rng):
    x = laid_out(rng.normal(size=(2, 3, 4, 2)), layout)
    assert_same(to_device(x, "cuda-sim"), x)


def test_what_is_on_another_device_is_a_copy():
    x = np.zeros(3)
    there = to_device(x, "cuda-sim")
    x += 1
    back = to_cpu(there)
    there += 5
    assert_same(back, np.zeros(3))
    assert_same(to_cpu(there), np.full(3, 5.0))


def test_what_is_there_already_is_not_copied():
    x, there = np.zeros(3), simulated(np.zeros(3))
    assert to_device(x, "cpu") is x and to_cpu(x) is x and to_device(there, "cuda-sim") is there


def test_lists_and_numbers_count_as_on_the_cpu():
    assert device_of([1, 2]) == device_of(3.0) == device_of(np.zeros(2)) == "cpu"
    assert array_module(np.zeros(2), 3.0) is np
    assert_same(to_cpu([1, 2]), np.array([1, 2]))


def test_a_deep_copy_stays_on_its_device():
    there = simulated(X)
    again = copy.deepcopy(there)
    assert device_of(again) == "cuda-sim" and again is not there
    assert_same(again, there)


# The simulated device's arrays


@pytest.mark.parametrize("make", [
    lambda xp: xp.zeros((2, 3)), lambda xp: xp.ones(4, np.float32), lambda xp: xp.full(3, 2.0),
    lambda xp: xp.empty((2, 3)), lambda xp: xp.empty_like(simulated(X)),
    lambda xp: xp.zeros_like(simulated(X)),
    lambda xp: xp.arange(4), lambda xp: xp.array([1.0, 2]), lambda xp: xp.asarray(X),
    lambda xp: xp.maximum(simulated(X), 0),
    lambda xp: xp.concatenate([simulated(X), simulated(X)])])
def test_what_the_devices_module_makes_is_on_the_device(make):
    assert device_of(make(module_of("cuda-sim"))) == "cuda-sim"


@pytest.mark.parametrize("compute", [
    lambda s: s + 1, lambda s: 2.0 * s, lambda s: s * np.float32(2), lambda s: np.float64(2) - s,
    lambda s: -s, lambda s: s @ s.T, lambda s: s.sum(), lambda s: s.max(axis=1), lambda s: s.mean(),
    lambda s: s > 0, lambda s: s.T, lambda s: s[0], lambda s: s.reshape(-1), lambda s: np.exp(s),
    lambda s: s.astype(np.float32), lambda s: np.where(s > 0, s, 0), lambda s: np.dot(s, s.T),
    lambda s: s.copy()])
def test_what_is_computed_from_the_devices_arrays_stays_there_and_is_numpys(compute):
    plain = np.arange(6.0).reshape(2, 3) - 2
    found = compute(simulated(plain))
    assert device_of(found) == "cuda-sim"
    assert_same(found, compute(plain))


@pytest.mark.parametrize("meet", [
    lambda s, n: s + n, lambda s, n: n * s, lambda s, n: np.add(n, s), lambda s, n: n > s,
    lambda s, n: np.add(s, s, out=n), lambda s, n: np.add(n, n, out=s), lambda s, n: s @ n,
    lambda s, n: n @ s, lambda s, n: s.__iadd__(n), lambda s, n: n.__iadd__(s),
    lambda s, n: np.concatenate([s, n]), lambda s, n: np.stack((n, s)),
    lambda s, n: np.where(s > 0, s, n), lambda s, n: np.copyto(s, n), lambda s, n: np.dot(n, s),
    lambda s, n: s.__setitem__(0, n[0]), lambda s, n: s.__setitem__(..., n),
    lambda s, n: np.matmul(s, s, out=n), lambda s, n: module_of("cuda-sim").zeros_like(n),
    lambda s, n: module_of("cuda-sim").maximum(s, n), lambda s, n: array_module(s, n),
    lambda s, n: array_module(n, 1.0, s)])
def test_arrays_of_two_devices_never_meet(meet):
    s, n = simulated(np.ones((2, 2))), np.ones((2, 2))
    with assert_refused("expected all arrays on one device", "cuda-sim", "cpu", "to_device"):
        meet(s, n)
    assert_same(s, np.ones((2, 2)))
    assert_same(n, np.ones((2, 2)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_new_memory_holds_nan_so_that_what_a_kernel_forgets_is_seen(dtype):
    xp = module_of("cuda-sim")
    assert np.isnan(to_cpu(xp.empty((3, 4), dtype))).all()
    assert np.isnan(to_cpu(xp.empty_like(simulated(np.zeros(5, dtype))))).all()
    assert (to_cpu(xp.empty(3, np.int32)) == -1).all() and (to_cpu(xp.zeros(3, dtype)) == 0).all()


# What is missing


def test_an_unknown_device_is_refused_with_the_known_ones():
    for call in (lambda: to_device(X, "gpu"), lambda: Sequential([Dense(2)], (3,)).to("gpu")):
        with assert_refused("'gpu'", *DEVICES):
            call()


def refused_moves(*words):
    """to_device and model.to("cuda") say these words, and the model stays whole where it is."""
    model = Sequential([Dense(2)], (3,))
    before = {key: p.copy() for key, p in model.layers[0].params.items()}
    for call in (lambda: to_device(X, "cuda"), lambda: model.to("cuda"),
                 lambda: module_of("cuda")):
        with assert_refused("cuda: expected", *words):
            call()
    assert model.device == "cpu"
    for key, p in model.layers[0].params.items():
        assert type(p) is np.ndarray
        assert_same(p, before[key])
    assert model.predict(np.zeros((1, 3), np.float32)).shape == (1, 2)
    return True


def test_without_cupy_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert refused_moves("expected CuPy", "cuda12", "cuda13", "pip install", "cuda-sim")


def test_with_cupy_but_without_a_gpu_the_sentence_says_so(monkeypatch):
    cupy = pytest.importorskip("cupy", reason="there is no CuPy for macOS")

    def no_driver():
        raise cupy.cuda.runtime.CUDARuntimeError(35)

    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", no_driver)
    assert refused_moves("NVIDIA GPU", "driver", "cuda-sim")


def test_without_a_compiler_the_sentence_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    model = Sequential([Dense(2)], (3,))
    for call in (lambda: to_device(X, "cuda-sim"), lambda: model.to("cuda-sim")):
        with assert_refused("cuda-sim: expected a C++ compiler", "apt install g++", "xcode-select"):
            call()
    assert model.device == "cpu" and type(model.layers[0].params["W"]) is np.ndarray


def test_CXX_names_the_compiler(monkeypatch, tmp_path):
    mine, there = tmp_path / "mine", simulator.compiler()
    mine.write_text("")
    mine.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "mine")
    assert simulator.compiler() == str(mine) != there


def test_the_arrays_of_the_simulated_device_are_numpys_in_a_class_of_their_own():
    assert isinstance(simulated(X), np.ndarray) and isinstance(simulated(X), SimArray)
    assert type(to_cpu(simulated(X))) is np.ndarray
