"""Which layers compute each sample by itself: those that are known to, as they are."""

import pytest
from reference import array, assert_close

from minicnn.layers import BatchNormalization, Dense, Dropout, GaussianNoise, ReLU
from minicnn.layers.samplewise import SAMPLEWISE, is_samplewise

from .cases import LAYERS, built

EVERY = pytest.mark.parametrize("make, shape", LAYERS.values(), ids=LAYERS)


@EVERY
@pytest.mark.cpu_only
def test_outside_a_training_step_every_layer_without_dice_is_samplewise(make, shape):
    assert is_samplewise(make()) == (not make().random)


@EVERY
def test_what_is_called_samplewise_gives_each_sample_what_it_gives_it_alone(make, shape, rng):
    layer, x = built(make(), shape, rng), array(rng, *shape)
    if not is_samplewise(layer, training=True):
        assert layer.random or isinstance(layer, BatchNormalization)
        return
    together = layer.forward(x, training=True)
    for n in range(shape[0]):
        assert_close(layer.forward(x[n:n + 1], training=True), together[n:n + 1], rtol=1e-12)


@pytest.mark.cpu_only
def test_batch_normalization_mixes_the_samples_in_a_training_step_unless_it_is_frozen():
    layer = BatchNormalization()
    assert BatchNormalization not in SAMPLEWISE
    assert is_samplewise(layer) and not is_samplewise(layer, training=True)
    layer.trainable = False
    assert is_samplewise(layer, training=True)


@pytest.mark.cpu_only
@pytest.mark.parametrize("layer", [Dropout(0.5), GaussianNoise(0.1)], ids=repr)
def test_dice_are_drawn_for_the_whole_batch(layer):
    assert not is_samplewise(layer, training=True)


@pytest.mark.cpu_only
def test_what_somebody_has_changed_is_not_known_to_be():
    class Mine(Dense):
        pass

    assert not is_samplewise(Mine(3)) and is_samplewise(Dense(3))
    for method in "forward", "backward":
        layer = ReLU()
        setattr(layer, method, lambda x: x)
        assert not is_samplewise(layer)
