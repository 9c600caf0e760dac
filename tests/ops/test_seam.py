"""The seam: four backends with one set of signatures, and which of them computes."""

import inspect
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from makers import in_float64
from reference import assert_refused, assert_same

import minicnn as mc
from minicnn import ops
from minicnn.ops import ops_for, to_device, use
from minicnn.ops.operations import Operations

pytestmark = pytest.mark.cpu_only

OPERATIONS = [name for name in vars(Operations) if not name.startswith("_")]
x = np.zeros((1, 3))


@pytest.mark.parametrize("backend", ["reference", "fast", "native", "cuda"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_backend_has_every_operation_with_the_signature_of_the_list(name, backend):
    listed = inspect.signature(getattr(Operations, name))
    found = inspect.signature(getattr(getattr(ops, backend), name))
    without_self = list(listed.parameters.values())[1:]
    assert list(found.parameters.values()) == without_self
    assert found.return_annotation == listed.return_annotation


@pytest.mark.parametrize("backend", ["reference", "fast", "native", "cuda"])
def test_a_backend_offers_nothing_else(backend):
    assert sorted(getattr(ops, backend).__all__) == sorted(OPERATIONS)


def test_numpys_arrays_are_computed_with_by_native_unless_use_says_otherwise():
    assert ops_for(x) is ops.native
    with use("reference"):
        assert ops_for(x) is ops.reference
        with use("fast"):
            assert ops_for(x) is ops.fast
        assert ops_for(x) is ops.reference
    assert ops_for(x) is ops.native


def test_an_error_inside_the_block_ends_it():
    with pytest.raises(ZeroDivisionError), use("reference"):
        1 / 0  # noqa: B018
    assert ops_for(x) is ops.native


def test_another_thread_is_not_affected():
    found = []
    with use("reference"):
        thread = threading.Thread(target=lambda: found.append(ops_for(x)))
        thread.start()
        thread.join()
    assert found == [ops.native]


def in_a_process(backend, code):
    """What a Python of its own prints with MINICNN_BACKEND=backend."""
    code = "import minicnn as mc, numpy as np\nfrom minicnn.ops import *\nx = np.zeros(3)\n" + code
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**os.environ, "MINICNN_BACKEND": backend})


def test_the_environment_chooses_where_use_does_not():
    code = "with use('fast'):\n  print(ops_for(x).__name__)\nprint(ops_for(x).__name__)"
    for backend, name in (("reference", "reference"), ("", "native"), ("fast", "fast"),
                          ("native", "native")):
        out = in_a_process(backend, code).stdout.split()
        assert out == ["minicnn.ops.fast", f"minicnn.ops.{name}"]


def test_simulated_arrays_are_the_cuda_backends():
    assert ops_for(to_device(x, "cuda-sim")) is ops.cuda
    with use("fast"):
        assert ops_for(to_device(x, "cuda-sim")) is ops.cuda


@pytest.mark.parametrize("name", ["numpy", "cuda", "", None])
def test_a_backend_that_does_not_exist_is_refused(name):
    with assert_refused("ops.use", "one of reference, fast, native", repr(name)), use(name):
        pass


def test_a_backend_of_the_environment_that_does_not_exist_is_refused():
    error = in_a_process("slow", "mc.ReLU().forward(x)").stderr.splitlines()[-1]
    assert "ArgumentError: MINICNN_BACKEND: expected one of reference, fast, native, " in error
    assert "'slow'" in error


def test_the_reference_refuses_arrays_on_a_gpu():
    with assert_refused("NumPy", "reference", "cuda-sim", "to_cpu"), use("reference"):
        mc.ReLU().forward(to_device(x, "cuda-sim"))


def test_nothing_of_cuda_is_loaded_before_it_is_used():
    code = ("import sys, minicnn as mc, numpy as np\n"
            "mc.Sequential([mc.Dense(2)], (3,)).forward(np.zeros((1, 3)))\n"
            "print([name for name in sys.modules if name.startswith('minicnn.ops.cuda')])\n"
            "mc.to_device(np.zeros(3), 'cuda-sim')\n"
            "print('minicnn.ops.cuda.simulator' in sys.modules)")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines() == ["[]", "True"]


# The whole, under both ----------------------------------------------------------------------------


def layer_outputs(model, images, backend):
    with use(backend):
        y, found = images, []
        for layer in model.layers:
            y = layer.forward(y, keep=False)
            found.append(y)
        return found


def test_vgg16s_base_is_the_same_at_every_layer_in_float32():
    model = mc.VGG16(include_top=False, input_shape=(64, 64, 3))
    images = model.to_input(mc.data.sample("fashion", "test").images([0, 500], (64, 64)))
    fast, slow = (layer_outputs(model, images, backend) for backend in ("fast", "reference"))
    native = layer_outputs(model, images, "native")
    for layer, a, b, c in zip(model.layers, fast, slow, native, strict=True):
        for computed in (a, c):
            assert np.abs(computed - b).max() <= 1e-5 * np.abs(b).max(), layer.name


def fifty_steps(backend):
    """Weights and losses of SmallCNN after 50 steps of Adam in float64."""
    rng = np.random.default_rng(0)
    model = in_float64(mc.SmallCNN(3, (12, 12, 3), seed=1))
    images, labels = rng.normal(size=(40, 12, 12, 3)), rng.integers(0, 3, 40)
    loss, optimizer, losses = mc.losses.CategoricalCrossEntropy(), mc.optimizers.Adam(1e-3), []
    with use(backend):
        for step in range(50):
            batch = np.arange(8) + 8 * (step % 5)
            y = model.forward(images[batch], training=True)
            losses.append(loss.forward(y, labels[batch]))
            model.backward(loss.backward(), input_gradient=False)
            optimizer.step(model)
    return [p for layer in model.layers for p in layer.params.values()], losses


def test_fifty_training_steps_are_the_same_to_1e_10_in_float64():
    (fast, fast_losses), (slow, slow_losses) = fifty_steps("fast"), fifty_steps("reference")
    assert slow_losses[-1] < 0.9 * slow_losses[0]  # it does train
    np.testing.assert_allclose(fast_losses, slow_losses, rtol=1e-10)
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * max(1.0, float(np.abs(b).max())))


def test_the_same_steps_give_the_same_bits_again():
    for backend in ("fast", "reference"):
        (first, _), (again, _) = fifty_steps(backend), fifty_steps(backend)
        for a, b in zip(first, again, strict=True):
            assert_same(a, b)
