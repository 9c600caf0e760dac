"""What holds for every layer, whatever it computes."""

import copy

import numpy as np
import pytest
import reference
from reference import (
    LAYOUTS,
    array,
    assert_close,
    assert_refused,
    assert_same,
    laid_out,
    numeric_gradient,
    running_ops,
)

from minicnn import Sequential
from minicnn.layers import Conv2D, Dense, Dropout, GlobalAveragePool2D, Layer, MaxPool2D, ReLU
from minicnn.ops import array_module, device_of

from .cases import IMAGES, LAYERS, ROWS, built, run, trained

every_layer = pytest.mark.parametrize("make, shape", LAYERS.values(), ids=LAYERS)
AFFINE = [name for name in LAYERS if name.startswith(("Conv2D", "Dense"))]
with_parameters = pytest.mark.parametrize("make, shape", [LAYERS[k] for k in AFFINE], ids=AFFINE)


def in_other_byte_order(x):
    return x.astype(">f4")


def ready(make, shape, rng, dtype=np.float64):
    """(layer, x, dy), all random."""
    layer = built(make(), shape, rng, dtype)
    return (layer, array(rng, *shape, dtype=dtype),
            array(rng, shape[0], *layer.output_shape(shape[1:]), dtype=dtype))


@every_layer
def test_every_gradient_matches_finite_differences(make, shape, rng):
    layer, x, dy = ready(make, shape, rng)
    fresh = copy.deepcopy(layer)

    def L():
        again = copy.deepcopy(fresh) if fresh.random else fresh  # each copy draws the same mask
        return float((again.forward(x, training=True) * dy).sum())

    _, dx, *grads = run(layer, x, dy)
    assert_close(dx, numeric_gradient(L, x), rtol=1e-8)
    for key, grad in zip(trained(layer), grads, strict=True):
        assert_close(grad, numeric_gradient(L, fresh.params[key]), rtol=1e-8)


@every_layer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_in_is_dtype_out(make, shape, dtype, rng):
    layer, x, dy = ready(make, shape, rng, dtype)
    assert {array.dtype for array in run(layer, x, dy)} == {np.dtype(dtype)}
    assert {device_of(array) for array in run(layer, x, dy)} == {device_of(x)}
    assert layer.forward(x, training=False).dtype == dtype
    layer.params = {key: p.astype(np.float32) for key, p in layer.params.items()}
    assert layer.forward(x).dtype == dtype  # also over float32 parameters
    assert layer.backward(dy).dtype == dtype


@every_layer
def test_inputs_are_never_changed(make, shape, rng):
    layer, x, dy = ready(make, shape, rng)
    params = [*layer.params.values()]  # the moving averages are replaced, not changed
    kept = [a.copy() for a in (x, dy, *params)]
    if device_of(x) != "cuda":  # CuPy's arrays cannot be locked
        for a in (x, dy, *params):
            a.flags.writeable = False  # so that even a change taken back would raise
    y = layer.forward(x, training=True)
    before = y.copy()
    layer.backward(dy)
    layer.forward(x, training=False)
    for a, b in zip((x, dy, *params, y), (*kept, before), strict=True):
        assert_same(a, b)


@every_layer
@pytest.mark.parametrize("layout", LAYOUTS[1:])
def test_memory_layout_does_not_matter(make, shape, layout, rng):
    layer, x, dy = ready(make, shape, rng)
    if len(shape) == 2:  # rows as one-row images
        x, shaped = laid_out(x[:, None, :, None], layout)[:, 0, :, 0], dy
    else:
        x, shaped = laid_out(x, layout), dy
    if shaped.ndim == 4:
        shaped = laid_out(shaped, layout)
    expected = run(copy.deepcopy(layer), array_module(x).ascontiguousarray(x),
                   array_module(x).ascontiguousarray(shaped))
    for a, b in zip(run(layer, x, shaped), expected, strict=True):
        assert_close(a, b, rtol=1e-13)


@every_layer
def test_one_image_is_computed_as_in_the_batch(make, shape, rng):
    layer, x, _ = ready(make, shape, rng)
    y = layer.forward(x)
    for n in range(len(x)):
        assert_close(layer.forward(x[n:n + 1])[0], y[n], rtol=1e-13)


@every_layer
def test_keep_false_keeps_nothing_and_changes_no_number(make, shape, rng):
    layer, x, dy = ready(make, shape, rng)
    y = layer.forward(x)
    assert_same(layer.forward(x, keep=False), y)
    inner = getattr(layer, "activation", None)
    assert layer.cache is None and (inner is None or inner.cache is None)
    with assert_refused(layer.name, "forward", "keep=True"):
        layer.backward(dy)


@every_layer
def test_backward_needs_a_forward(make, shape, rng):
    layer, _, dy = ready(make, shape, rng)
    with assert_refused(layer.name, "forward"):
        layer.backward(dy)


@every_layer
def test_a_layer_that_is_moved_has_forgotten_what_forward_kept(make, shape, rng):
    layer, x, dy = ready(make, shape, rng)
    run(layer, x, dy)
    layer.to(device_of(x))
    inner = getattr(layer, "activation", None)
    assert layer.cache is None and (inner is None or inner.cache is None)


@every_layer
@pytest.mark.parametrize("wrong", [
    lambda x: x.astype(np.int64), lambda x: x.astype(np.uint8), lambda x: x.astype(np.float16),
    lambda x: x.astype(complex), in_other_byte_order, lambda x: x.tolist(), lambda x: None],
    ids=["int64", "uint8", "float16", "complex", "other byte order", "list", "None"])
def test_anything_but_float32_and_float64_is_refused(make, shape, wrong, rng):
    layer, x, _ = ready(make, shape, rng)
    if device_of(x) == "cuda" and wrong is in_other_byte_order:
        with pytest.raises(ValueError):
            wrong(x)  # CuPy has no such arrays
        return
    layer.forward(x)
    cache = layer.cache
    with assert_refused(layer.name, "expected float32 or float64"):
        layer.forward(wrong(x))
    assert layer.cache is cache


@every_layer
def test_output_shape_says_what_forward_gives(make, shape, rng):
    layer, x, dy = ready(make, shape, rng)
    assert layer.forward(x).shape == (shape[0], *layer.output_shape(shape[1:]))
    assert layer.backward(dy).shape == x.shape


@with_parameters
def test_gradients_are_assigned_not_accumulated(make, shape, rng):
    layer, x, dy = ready(make, shape, rng)
    first = run(layer, x, dy)
    second = run(layer, x, dy)
    for a, b in zip(first, second, strict=True):
        assert_same(a, b)


@with_parameters
def test_a_frozen_layer_passes_dx_but_computes_no_gradient(make, shape, rng, monkeypatch):
    layer, x, dy = ready(make, shape, rng)
    expected = run(layer, x, dy)[1]
    layer.grads, layer.trainable = {}, False
    for operation in ("bias_grad", "conv2d_weight_grad", "dense_weight_grad"):
        monkeypatch.setattr(running_ops(), operation, None)  # calling it would raise
    layer.forward(x)
    assert_same(layer.backward(dy), expected)
    layer.needs_dx = False
    assert layer.backward(dy) is None
    assert layer.grads == {}


@with_parameters
def test_without_needs_dx_the_gradients_are_the_same(make, shape, rng, monkeypatch):
    layer, x, dy = ready(make, shape, rng)
    _, _, *expected = run(layer, x, dy)
    layer.grads = {}
    monkeypatch.setattr(layer, "input_gradient", None)  # calling it would raise
    layer.forward(x)
    layer.needs_dx = False
    assert layer.backward(dy) is None
    for key, grad in zip(layer.params, expected, strict=True):
        assert_same(layer.grads[key], grad)


@with_parameters
def test_a_layer_that_was_not_built_says_so(make, shape, rng):
    layer = make()
    with assert_refused(layer.name):
        layer.forward(array(rng, *shape))


@with_parameters
def test_a_built_layer_is_not_built_again_for_another_shape(make, shape, rng):
    layer = make()
    layer.build(shape[1:], rng)
    before, W = dict(layer.params), layer.params["W"].shape
    with assert_refused(layer.name, f"W of shape {(*W[:-2], 9, W[-1])}", f"found {W}", "new layer"):
        layer.build((*shape[1:-1], 9), rng)
    layer.build(shape[1:], rng)
    assert all(layer.params[key] is before[key] for key in before)


@pytest.mark.cpu_only
@pytest.mark.parametrize("kind, arguments, shape", [(Dense, (3,), ROWS), (Conv2D, (3, 2), IMAGES)])
def test_weights_are_drawn_as_the_initializer_says(kind, arguments, shape, rng):
    drawn, zeros = kind(*arguments), kind(*arguments, kernel_initializer="zeros")
    for layer in drawn, zeros:
        layer.build(shape[1:], rng)
    assert (drawn.params["W"] != 0).all() and (drawn.params["b"] == 0).all()
    assert (zeros.params["W"] == 0).all() and zeros.kernel_initializer == "zeros"


@pytest.mark.cpu_only
@every_layer
def test_repr_is_the_call_that_makes_the_layer(make, shape, rng):
    layer = make()
    again = eval(repr(layer), {type(layer).__name__: type(layer)})
    assert again.config() == layer.config() and again.name == layer.name


@pytest.mark.parametrize("name", [
    k for k in LAYERS if any(word in k for word in ("Conv2D", "Pool", "Padding", "Crop", "Resiz"))])
def test_layers_for_images_refuse_rows(name, rng):
    layer = built(LAYERS[name][0](), IMAGES, rng)
    for shape in (ROWS, IMAGES[1:], (2, *IMAGES)):
        with assert_refused(layer.name, "(N, H, W, C)"):
            layer.forward(array(rng, *shape))


def test_a_layer_of_ones_own_is_told_what_is_missing(rng):
    class Half(Layer):
        pass

    for call in (Half().forward, Half().backward):
        with assert_refused("half", "Half"):
            call(array(rng, 2, 3))


def test_a_layer_of_ones_own_gets_its_gradients_by_its_backward(rng):
    class Scale(Layer):
        def param_shapes(self, input_shape):
            return {"a": (1,)}

        def forward(self, x, training=False, keep=True):
            self.cache = x
            return x * self.params["a"]

        def backward(self, dy):  # knows nothing of needs_dx
            self.grads = {"a": (dy * self.cache).sum().reshape(1)}
            return dy * self.params["a"]

    x, dy = array(rng, 2, 3), array(rng, 2, 3)
    model = Sequential([Scale()], (3,)).to(reference.DEVICE)
    model.forward(x)
    assert model.backward(dy, input_gradient=False) is None
    assert_close(model.layers[0].grads["a"], (dy * x).sum().reshape(1))


@pytest.mark.cpu_only
def test_window_is_what_one_output_looks_at():
    shape = (9, 8, 3)
    for layer in ReLU(), Dropout(0.5):
        assert layer.window(shape)[:3] == ((1, 1), (1, 1), ((0, 0), (0, 0)))
    assert Conv2D(2, (3, 2), (1, 4), (1, 0)).window(shape) == (
        (3, 2), (1, 4), ((1, 1), (0, 0)), (9, 8))
    assert MaxPool2D((3, 2)).window((5, *shape)) == ((3, 2), (3, 2), ((0, 0), (0, 0)), (9, 8))
    assert Dense(3).window((5,)) is GlobalAveragePool2D().window(shape) is None
