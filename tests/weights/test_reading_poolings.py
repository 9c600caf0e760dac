"""Poolings with padding "same", of Keras' files: which rule of the mean counts."""

import keras
import numpy as np
import pytest

import minicnn as mc

L = keras.layers


def means(tmp_path, width, strides):
    """(minicnn's, Keras') means of windows of three over 1 … width, padding "same"."""
    model = keras.Sequential([keras.Input((1, width, 1)), L.AveragePooling2D((1, 3), strides,
                                                                             "same"), L.Flatten()])
    model.save(tmp_path / "pool.keras")
    x = np.arange(1, width + 1, dtype=np.float32).reshape(1, 1, width, 1)
    theirs = model(x).detach().numpy()
    return mc.load(tmp_path / "pool.keras").forward(x)[0].tolist(), theirs[0].tolist()


def test_padding_on_both_sides_does_not_count_for_keras_either(tmp_path):
    ours, theirs = means(tmp_path, 5, 1)
    assert ours == theirs == [1.5, 2, 3, 4, 4.5]


def test_padding_on_one_side_is_where_keras_on_pytorch_differs(tmp_path):
    """Of 1 2 3 4 the second window is 3 4 and padding: its mean is 3.5, as on TensorFlow and JAX,
    which leave padding out. On PyTorch Keras takes 4 once more: (3 + 4 + 4) / 3."""
    ours, theirs = means(tmp_path, 4, 2)
    assert ours == [2, 3.5]
    assert theirs == pytest.approx([2, 11 / 3], rel=1e-6)
