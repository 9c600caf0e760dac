"""Mean activation, active shares and dead units, against PyTorch's outputs counted one by one."""

import numpy as np
import pytest
from reference import assert_close, assert_refused
from visualize.twins import both

import minicnn as mc
from minicnn.preprocessing import Preprocessing
from minicnn.visualize.features.activity import activity

RECIPE = Preprocessing("RGB", (120.0, 120.0, 120.0), 0.02)


def prepared():
    """The network of twins.py for pixels, one of its maps dead; photos; PyTorch's outputs of its
    computing layers, (N, …, units) each."""
    import torch

    model, net = both(softmax=True)
    model.preprocessing = RECIPE
    model["conv2"].params["W"][..., 4] = 0
    model["conv2"].params["b"][4] = -0.5
    with torch.no_grad():
        net[3].weight[4] = 0
        net[3].bias[4] = -0.5
    pictures = np.random.default_rng(5).integers(0, 256, (7, 12, 10, 3), np.uint8)
    x = torch.tensor(((pictures - 120.0) * 0.02).transpose(0, 3, 1, 2))
    outputs = {}
    for name, stop in [("conv1", 2), ("conv2", 5), ("dense", 8), ("logits", 9)]:
        y = net[:stop](x).detach().numpy()
        outputs[name] = y.transpose(0, 2, 3, 1) if y.ndim == 4 else y
    return model, pictures, outputs


@pytest.mark.parametrize("batch_size", [None, 1, 3])
def test_every_figure_is_that_of_pytorchs_outputs(batch_size):
    model, pictures, outputs = prepared()
    result = activity(model, pictures, batch_size=batch_size)
    assert result.layers == list(outputs)
    assert result.photos == 7
    for row, y in enumerate(outputs.values()):
        assert result.means[row] == pytest.approx(y.mean(), rel=1e-5)
        assert result.active[row] == sum(v > 0 for v in y.flat) / y.size
        maxima = [max(y[..., k].flat) for k in range(y.shape[-1])]
        assert_close(result.maxima[result.layers[row]], np.array(maxima), 1e-5)
        if row < 3:
            assert result.dead[row] == sum(most <= 0 for most in maxima)
        assert result.units[row] == y.shape[-1]
    assert result.dead[1] >= 1  # the one killed above
    assert np.isnan(result.dead[3]) and str(result).endswith("(no ReLU)")  # logits may be negative


def test_a_unit_that_only_one_photo_excites_is_not_dead():
    model = mc.Sequential([mc.Conv2D(2, 1, name="c"), mc.ReLU(name="r"), mc.Flatten(),
                           mc.Dense(1, name="d")], (4, 4, 3), preprocessing=RECIPE)
    W = np.zeros((1, 1, 3, 2), np.float32)
    W[0, 0, 0], model["c"].params["b"][:] = (1, -1), (-2, -3)  # red > 220; red < −30: never
    model["c"].params["W"] = W
    pictures = np.full((5, 4, 4, 3), 100, np.uint8)
    pictures[3, 2, 1, 0] = 255
    result = activity(model, pictures, batch_size=2)
    assert result.layers == ["r", "d"]  # the ReLU stands for the linear convolution before it
    assert (result.dead[0], result.units[0]) == (1, 2)
    assert result.active[0] == 1 / (5 * 16 * 2)
    assert result.means[0] == pytest.approx((135 * 0.02 - 2) / (5 * 16 * 2), rel=1e-4)
    assert "1 of 2" in str(result)
    texts = [text.get_text().strip() for text in result.figure().axes[2].texts]
    assert texts[0] == "1 of 2"


def test_the_text_has_a_line_a_layer_and_the_numbers_are_kept():
    model, pictures, outputs = prepared()
    result = activity(model, pictures)
    assert [line.split()[0] for line in str(result).splitlines()[2:]] == list(outputs)
    assert "maxima/conv2" in result.numbers()
    assert len(result.figure().axes) == 3


def test_bad_input_is_refused():
    model, pictures, _ = prepared()
    with assert_refused("at least one photo"):
        activity(model, [])
    model["conv2"].params["W"][0, 0, 0, 0] = np.nan
    with assert_refused("conv2", "finite activations"):
        activity(model, pictures)
    bare = mc.Sequential([mc.MaxPool2D(2)], (12, 10, 3), preprocessing=RECIPE)
    with assert_refused("ReLU"):
        activity(bare, pictures)
