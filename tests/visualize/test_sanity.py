"""The parameter-randomisation check: its correlation, its cascade, its verdicts."""

import numpy as np
import pytest
from reference import assert_refused, assert_same
from visualize.twins import both, photo

import minicnn as mc
from minicnn.visualize import Unit
from minicnn.visualize.attribution.gradients import gradient
from minicnn.visualize.attribution.result import Attribution
from minicnn.visualize.attribution.sanity import (
    Randomisation,
    randomisation_check,
    rank_correlation,
    ranks,
)


def spearman(a, b):
    """By counting: the rank is the number of smaller values, and half of the equal ones."""
    return np.corrcoef([[sum(v < w for v in x) + (sum(v == w for v in x) + 1) / 2 for w in x]
                        for x in (a.ravel().tolist(), b.ravel().tolist())])[0, 1]


def result_of(values):
    return Attribution("stub", "t", np.zeros((12, 10, 3), np.uint8), values, 0.0, "both")


def test_equal_values_share_the_mean_of_their_ranks():
    assert ranks(np.array([30, 10, 20, 10, 30, 30])).tolist() == [5, 1.5, 3, 1.5, 5, 5]


def test_rank_correlation_counts_ties_as_the_definition(rng):
    a, b = rng.integers(0, 9, (2, 12, 10)).astype(float)
    assert rank_correlation(a, b) == pytest.approx(spearman(a, b))
    assert rank_correlation(a, np.exp(a)) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert np.isnan(rank_correlation(a, a * 0))


def test_the_layers_are_drawn_anew_from_the_output_down_and_the_model_stays():
    model, _ = both()
    before = {layer.name: dict(layer.params) for layer in model.layers}
    seen, steps = [], []

    def method(network, image, target):
        assert target == 2
        seen.append([layer.name for layer in network.layers if layer.params and not all(
            layer.params[key] is before[layer.name][key] for key in layer.params)])
        return gradient(network, image, target)

    result = randomisation_check(model, photo(), method, 2,
                                 progress=lambda done, total: steps.append((done, total)))
    assert result.layers == ["logits", "dense", "conv2", "conv1"]
    assert seen == [[], ["logits"], ["dense", "logits"], ["conv2", "dense", "logits"],
                    ["conv1", "conv2", "dense", "logits"]]
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for layer in model.layers:
        assert all(layer.params[key] is p for key, p in before[layer.name].items())
    expected = [spearman(result.original, one) for one in result.maps]
    np.testing.assert_allclose(result.correlation, expected)


def test_the_starting_weights_of_the_training_are_not_drawn_again():
    model = mc.SmallCNN(3, (12, 10, 3), seed=0)
    result = randomisation_check(model, photo().astype(np.float32), gradient, 0, seed=0)
    assert result.correlation.max() < 0.9


def test_a_unit_left_open_is_chosen_once_by_the_trained_network():
    model, _ = both()
    asked = []

    def method(network, image, target):
        asked.append(target)
        return gradient(network, image, target)

    result = randomisation_check(model, photo(), method, Unit("conv2", position=None))
    assert result.layers == ["conv2", "conv1"]
    assert len(set(asked)) == 1 and asked[0].unit is not None


def test_a_map_of_the_photo_alone_fails_and_one_of_noise_passes(rng):
    model, _ = both()
    same = randomisation_check(model, photo(), lambda *_: result_of(photo()[..., 0]))
    noise = randomisation_check(model, photo(), lambda *_: result_of(rng.normal(size=(12, 10))))
    assert_same(same.correlation.round(12), np.ones(4))
    assert same.verdict.startswith("failed") and noise.verdict.startswith("passed")
    assert same.verdict in str(same)
    assert same.figure().get_suptitle().startswith("stub")


def test_a_flat_map_says_that_nothing_can_be_told():
    result = randomisation_check(both()[0], photo(), lambda *_: result_of(np.zeros((12, 10))))
    assert "zero everywhere" in result.verdict and np.isnan(result.correlation).all()
    assert result.figure().axes


def test_a_map_that_is_lost_in_deeper_networks_has_not_clearly_failed():
    nan = float("nan")
    result = Randomisation("m", "t", np.zeros((2, 2, 3), np.uint8), np.eye(2), ["a", "b", "c"],
                           np.zeros((3, 2, 2)), np.array([0.9, nan, nan]))
    assert "nor clearly failed" in result.verdict and "flat in 2" in result.verdict


def test_a_network_without_weights_is_refused():
    model = mc.Sequential([mc.MaxPool2D(2), mc.Flatten(), mc.Softmax()], (12, 10, 3))
    with assert_refused("sequential", "layers with weights", "randomise"):
        randomisation_check(model, photo(), gradient)
