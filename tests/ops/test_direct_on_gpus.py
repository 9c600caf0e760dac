"""The direct convolution on a GPU, in the simulator and through the stand-in for CuPy."""

import numpy as np
import pytest
import standin
from hypothesis import given
from hypothesis import strategies as st
from reference import array, assert_close, by_torch

from minicnn.ops import Window
from minicnn.ops.cuda.direct import conv2d_direct, weight_grad_direct

pytestmark = pytest.mark.on_devices("cuda-sim", standin.NAME)


@given(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 20), st.integers(1, 5)),
       st.integers(1, 5), st.tuples(st.integers(1, 2), st.integers(1, 3)))
def test_it_is_pytorchs_with_and_without_a_bias(shape, F, strides):
    pads = (1, 1), (1, 2)
    rng, window = np.random.default_rng(0), Window((3, 3), strides, pads, shape[1:3])
    x, W, b = array(rng, *shape), array(rng, 3, 3, shape[3], F), array(rng, F)
    dz = array(rng, shape[0], *window.output_size, F)
    y, _, dW, _ = by_torch(x, W, b, dz, strides, pads)
    assert_close(conv2d_direct(x, W, b, window), y, rtol=1e-12)
    assert_close(conv2d_direct(x, W, b, window, relu=True), np.maximum(y, 0), rtol=1e-12)
    without = by_torch(x, W, b * 0, dz, strides, pads)[0]
    assert_close(conv2d_direct(x, W, None, window), without, rtol=1e-12)
    assert_close(weight_grad_direct(x, dz, window), dW, rtol=1e-12)
