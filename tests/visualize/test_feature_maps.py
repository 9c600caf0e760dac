"""A layer's maps for one photo: which are the strongest, and by which figures."""

import numpy as np
import pytest
from reference import assert_close, assert_refused, assert_same
from visualize.twins import both, nchw, nhwc, photo

import minicnn as mc
from minicnn.visualize.features.feature_maps import feature_maps, rank_maps


def maps_of_torch():
    """The second convolution's maps (6, 5, 6), computed by PyTorch."""
    _, net = both()
    return nhwc(net[:5](nchw(photo())))


def test_the_maps_are_pytorchs_in_the_order_of_their_sums():
    y = maps_of_torch()
    order = sorted(range(6), key=lambda k: -y[..., k].sum())
    result = feature_maps(both()[0], photo(), maps=4)
    assert result.layer == "conv2"
    assert result.units.tolist() == order[:4]
    for k, unit in enumerate(order[:4]):
        assert_close(result.maps[k], y[..., unit], 1e-12)
        assert result.sums[k] == pytest.approx(y[..., unit].sum())


def test_more_maps_than_there_are_gives_all_and_the_figure_draws_each():
    result = feature_maps(both()[0], photo(), "conv1", maps=50)
    assert sorted(result.units) == list(range(5))
    drawn = [ax for ax in result.figure().axes if ax.get_title().startswith("map ")]
    assert len(drawn) == 5


def test_a_map_that_is_zero_says_so():
    model, _ = both()
    model["conv2"].params["W"][..., 3] = 0
    model["conv2"].params["b"][3] = -1
    result = feature_maps(model, photo())
    assert result.units[-1] == 3
    assert str(result).splitlines()[-1].startswith("map 3: sum 0")
    assert "zero everywhere" in str(result)
    texts = [text.get_text() for ax in result.figure().axes for text in ax.texts]
    zeros = sum((maps_of_torch()[..., k] <= 0).all() for k in range(6) if k != 3) + 1
    assert sum("zero everywhere" in text for text in texts) == zeros


def test_the_ranking_counts_every_place():
    y = maps_of_torch()
    result = rank_maps(both()[0], photo(), top=5)
    order = sorted(range(6), key=lambda k: -y[..., k].sum())
    assert result.units.tolist() == order[:5]
    for row, unit in enumerate(order[:5]):
        values = [y[i, j, unit] for i, j in np.ndindex(y.shape[:2])]
        assert result.sums[row] == pytest.approx(sum(values))
        assert result.maxima[row] == pytest.approx(max(values))
        assert result.shares[row] == sum(v > 0 for v in values) / 30
    assert result.count == 6
    assert result.silent == sum(y[..., k].max() <= 0 for k in range(6))
    assert len(result.figure().axes) == 4
    assert len(str(result).splitlines()) == 2 + 5


def test_silent_maps_are_counted():
    model, _ = both()
    model["conv2"].params["W"][..., :2] = 0
    model["conv2"].params["b"][:2] = 0
    silent = 2 + sum(maps_of_torch()[..., k].max() <= 0 for k in range(2, 6))
    result = rank_maps(model, photo())
    assert result.silent == silent
    assert f"{silent} silent" in str(result)


def test_pixels_are_cut_and_prepared_as_in_training():
    model = mc.SmallCNN(10)
    picture = np.random.default_rng(0).integers(0, 256, (40, 31, 3), np.uint8)
    cut = mc.data.resize_and_crop(picture, model.input_shape[:2])
    name = next(layer.name for layer in model.layers if isinstance(layer, mc.Conv2D))
    y = model.activations(model.to_input(cut[None]), [name])[name][0]
    result = feature_maps(model, picture, name, maps=3)
    assert_same(result.pixels, cut)
    assert_same(result.maps, np.stack([y[..., unit] for unit in result.units]))


@pytest.mark.parametrize("function", [feature_maps, rank_maps])
def test_bad_input_is_refused(function):
    model, _ = both()
    keyword = "maps" if function is feature_maps else "top"
    with assert_refused("'con1'", "conv1"):
        function(model, photo(), "con1")
    with assert_refused("feature maps", "dense"):
        function(model, photo(), "dense")
    with assert_refused(keyword, "at least 1"):
        function(model, photo(), **{keyword: 0})
    with assert_refused("convolution"):
        function(mc.Sequential([mc.Flatten(), mc.Dense(2)], (12, 10, 3)), photo())


def test_maps_that_are_not_finite_are_not_ranked():
    model, _ = both()
    model["conv1"].params["b"][2] = np.nan
    with assert_refused("conv1", "finite", "2"):
        rank_maps(model, photo(), "conv1")
