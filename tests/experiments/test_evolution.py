"""Looking while a network learns: the looks disturb nothing, and see what a search finds."""

import numpy as np
import pytest
from makers import clothes
from reference import assert_close, assert_refused, assert_same

import minicnn as mc
from minicnn.experiments import evolution
from minicnn.experiments.ablation import VARIANTS, ablation, variant_of_small_cnn
from minicnn.models import SmallCNN, loss_for
from minicnn.visualize.features import deconvnet

EPOCHS = (1, 2, 3)


@pytest.fixture(scope="module")
def data():
    return clothes(classes=("sandal", "sneaker", "bag"))


def trained(data, epochs):
    model = SmallCNN(3, (28, 28, 3), 5)
    history = mc.fit(model, data, loss_for(3), mc.optimizers.Adam(0.001), epochs=epochs, seed=5)
    return model, history


def test_each_look_is_the_network_trained_that_long_and_the_strongest_place_of_all(data):
    result = evolution(data, epochs=EPOCHS, maps=3, seed=5)
    for e, epochs in enumerate(EPOCHS):
        model, history = trained(data, epochs)  # nothing looks here
        pictures = data.images(range(len(data)), (28, 28))
        y = model.activations(model.to_input(pictures), [result.layer])[result.layer]
        for u, unit in enumerate(result.units):
            n, i, j = np.unravel_index(y[..., unit].argmax(), y.shape[:3])
            assert result.photos[e, u] == n
            assert result.activations[e, u] == pytest.approx(float(y[n, i, j, unit]), rel=1e-5)
            one = deconvnet(model, pictures[n], result.layer, int(unit), (int(i), int(j)))
            top, left, bottom, right = one.box
            down = np.abs(one.projection[top:bottom, left:right]).sum()
            assert np.abs(result.projections[e, u]).sum() == pytest.approx(float(down), rel=1e-4)
        assert result.accuracy[e] == pytest.approx(history["accuracy"][-1])


def test_distances_are_between_looks_that_follow_one_another(data):
    result = evolution(data, epochs=EPOCHS, maps=1, seed=5)
    pictures = data.images(range(len(data)), (28, 28))
    features = []
    for epochs in EPOCHS:
        model, _ = trained(data, epochs)
        features.append(model.activations(model.to_input(pictures), result.layers))
    assert result.distances.shape == (2, len(result.layers))
    for row, (before, after) in enumerate(zip(features, features[1:], strict=False)):
        expected = [np.sqrt(((after[key] - before[key]) ** 2).sum() / (after[key] ** 2).sum())
                    for key in result.layers]
        assert_close(result.distances[row], np.array(expected), 1e-4)
    assert {type(model[name]).__name__ for name in result.layers} == {"Conv2D", "MaxPool2D",
                                                                      "Dense"}


def test_the_figure_has_a_pair_of_pictures_for_each_look_and_the_text_a_column(data):
    result = evolution(data, epochs=(1, 3), maps=2)
    assert len(result.figure().axes) == 2 * 2 * 2 + 1
    assert str(result).splitlines()[1].split() == ["epoch", "1", "3"]
    result.projections[1] *= 0  # a map that has died since
    said = [text.get_text() for ax in result.figure().axes for text in ax.texts]
    assert said.count("zero") == 2


def test_evolution_refuses_epochs_that_do_not_increase_and_layers_without_maps(data):
    for epochs in [(), (2, 1), (0, 1), (1, 1)]:
        with assert_refused("increasing epochs", repr(epochs)):
            evolution(data, epochs=epochs)
    with assert_refused("dense", "feature maps"):
        evolution(data, epochs=(1,), layer="dense")


# Ablation


def test_each_variant_has_the_layers_that_its_row_says():
    whole = [layer.name for layer in SmallCNN(10).layers]
    assert [layer.name for layer in variant_of_small_cnn(16, 32, 64, 10).layers] == whole
    counts = {name: sum(p.size for layer in variant_of_small_cnn(*row, 10).layers
                        for p in layer.params.values())
              for name, row in VARIANTS.items()}

    def by_hand(a, b, units):
        channels, total = 3, 0
        for filters in (a, b):
            if filters:
                total, channels = total + 9 * channels * filters + filters, filters
        width = 7 * 7 * channels
        if units:
            total, width = total + (width + 1) * units, units
        return total + (width + 1) * 10

    assert counts == {name: by_hand(*row) for name, row in VARIANTS.items()}


def test_errors_are_those_of_networks_trained_one_by_one(data):
    test = mc.data.sample("fashion", "test", ["sandal", "sneaker", "bag"], 6)
    result = ablation(data, test, epochs=1, seeds=2)
    for v, name in ((0, "the whole network"), (5, "only the last layer")):
        assert result.variants[v] == name
        for seed in range(2):
            model = variant_of_small_cnn(*VARIANTS[name], 3, 28, seed)
            mc.fit(model, data, loss_for(3), mc.optimizers.Adam(0.001), epochs=1, seed=seed)
            for photos, errors in ((data, result.train), (test, result.test)):
                pixels = photos.images(range(len(photos)), (28, 28))
                said = model.predict(model.to_input(pixels)).argmax(axis=1)
                assert errors[v, seed] == pytest.approx(np.mean(said != photos.labels))
    lines = str(result).splitlines()
    assert len(lines) == 2 + len(VARIANTS)
    assert f"{100 * result.test[0].mean():5.1f} ± {100 * result.test[0].std(ddof=1):4.1f}" in (
        lines[2])
    assert len(result.figure().axes[0].get_yticklabels()) == len(VARIANTS)


def test_the_same_seeds_give_the_same_errors(data):
    once, again = (ablation(data, epochs=1, seeds=2) for _ in range(2))
    assert_same(once.test, again.test)


def test_ablation_refuses_one_seed_and_other_classes(data):
    with assert_refused("seeds", "2"):
        ablation(data, seeds=1)
    with assert_refused("sandal", "coat"):
        ablation(data, mc.data.sample("fashion", "test", ["coat", "bag"], 5))
