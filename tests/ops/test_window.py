"""Geometry: padding and the number of windows, against Keras' rule and counting by hand."""

import numpy as np
import pytest
from hypothesis import given
from reference import array, assert_same, count, geometries, pads_of, same_pads, seen

from minicnn.ops import Window
from minicnn.ops.cuda.im2col_blocks import geometry as kernel_arguments
from minicnn.ops.window import crop, offset_view, pad, padding_amounts

pytestmark = pytest.mark.cpu_only  # nothing but numbers and NumPy's pad and crop


@pytest.mark.parametrize("H, K, s, pads", [
    (224, 3, 1, (1, 1)), (224, 3, 2, (0, 1)), (5, 2, 1, (0, 1)), (5, 2, 2, (0, 1)),
    (6, 4, 1, (1, 2)), (7, 3, 2, (1, 1)), (7, 1, 3, (0, 0)), (1, 4, 3, (1, 2)), (10, 2, 5, (0, 0))])
def test_same_padding_is_keras_by_hand(H, K, s, pads):
    assert padding_amounts("same", (H, H), (K, K), (s, s)) == (pads, pads)


@given(geometries())
def test_padding_and_output_size_match_counting_windows(geometry):
    (_, H, Wd, _), kernel, strides, padding = geometry
    pair = (padding, padding) if isinstance(padding, int) else padding
    window = Window.on_image((H, Wd), kernel, strides, pair)
    pads = pads_of(padding, (H, Wd), kernel, strides)
    assert window == Window(kernel, strides, pads, (H, Wd))
    assert window.output_size == (count(H, kernel[0], strides[0], *pads[0]),
                                  count(Wd, kernel[1], strides[1], *pads[1]))
    if padding == "same":
        assert pads == same_pads((H, Wd), kernel, strides)
        assert window.output_size == (-(-H // strides[0]), -(-Wd // strides[1]))


@given(geometries())
def test_offset_views_hold_what_each_window_sees_at_that_place(geometry):
    shape, kernel, strides, padding = geometry
    pads = pads_of(padding, shape[1:3], kernel, strides)
    window = Window(kernel, strides, pads, shape[1:3])
    x = array(np.random.default_rng(0), *shape)
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    for p, q in np.ndindex(kernel):
        view = offset_view(padded, p, q, window)
        assert view.shape == (shape[0], *window.output_size, shape[3])
        for i, j in np.ndindex(window.output_size):
            h, w = seen(i, j, p, q, strides, pads)
            inside = 0 <= h < shape[1] and 0 <= w < shape[2]
            assert_same(view[:, i, j], x[:, h, w] if inside else np.zeros(x[:, 0, 0].shape))


def test_the_geometry_of_a_window_is_what_the_kernels_take():
    window = Window((3, 2), (2, 1), ((4, 5), (6, 7)), (10, 11))
    H, Wd, C, OH, OW, KH, KW, SH, SW, top, left = kernel_arguments(window, 12)
    assert (H, Wd, C) == (10, 11, 12)
    assert (OH, OW) == (count(10, 3, 2, 4, 5), count(11, 2, 1, 6, 7))
    assert (KH, KW, SH, SW, top, left) == (3, 2, 2, 1, 4, 6)


@pytest.mark.parametrize("kernel, dtype", [((16, 16), np.uint8), ((1, 257), np.int32)])
def test_switches_have_integers_that_hold_all_places(kernel, dtype):
    assert Window.on_image((300, 300), kernel, (1, 1)).switch_dtype is dtype


def test_crop_is_the_adjoint_of_zero_padding(rng):
    x, pads = array(rng, 2, 3, 4, 2), ((1, 2), (0, 3))
    padded = pad(x, pads)
    z = array(rng, *padded.shape)
    assert padded.shape == (2, 6, 7, 2)
    np.testing.assert_allclose((padded * z).sum(), (x * crop(z, pads)).sum(), rtol=1e-12)
    np.testing.assert_array_equal(crop(padded, pads), x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pad_fills_with_the_value_and_keeps_the_dtype(rng, dtype):
    x = array(rng, 1, 2, 2, 1, dtype=dtype)
    padded = pad(x, ((0, 1), (2, 0)), -np.inf)
    assert padded.dtype == dtype
    assert np.isinf(padded).sum() == 3 * 4 - 4 and np.isinf(padded[0, 2]).all()
