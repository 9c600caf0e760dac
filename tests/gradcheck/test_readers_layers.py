"""gradcheck as a judge of layers that it has never seen: the right ones pass, all others do not."""

import copy

import numpy as np
import pytest

from minicnn.gradcheck.explain import explain
from minicnn.gradcheck.suite import check_user_layer

from . import in_torch, mistakes_in_elementwise, mistakes_in_normalisation, mistakes_in_windows
from .mutants import SHAPES, computed, layer_class, parameters, right_class

MISTAKES = [*mistakes_in_normalisation.MISTAKES, *mistakes_in_elementwise.MISTAKES,
            *mistakes_in_windows.MISTAKES]


@pytest.mark.parametrize("name", SHAPES)
def test_a_right_layer_computes_what_pytorch_does(name, rng):
    layer = right_class(name)()
    for training in (True, False):  # running statistics have moved by then
        x = rng.normal(size=SHAPES[name])
        parameters(layer, x, rng)
        before = copy.deepcopy(layer)
        y = layer.forward(x.copy(), training=training)
        dy = rng.normal(size=y.shape)
        got = {"y": y, "dx": layer.backward(dy.copy()),
               **{f"d{key}": layer.grads[key] for key in layer.params}}
        expected = in_torch.gradients(name, before, x, dy, training)
        assert got.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_allclose(got[key], value, 1e-8, 1e-10, err_msg=f"{key}, {training}")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SHAPES)
def test_a_right_layer_passes(name, seed):
    result = check_user_layer(right_class(name)(), SHAPES[name], seed=seed)
    assert result.ok and result.remarks == [], str(result)
    assert {row.name for row in result.rows} == {
        "dx", *(f"d{key}" for key in result.points[0].layer.params)}
    assert explain(result) == [explain(result)[0]] and "right." in explain(result)[0]


def differs(u, v):
    """Whether two arrays, or None, are not the same numbers."""
    if u is None or v is None or np.shape(u) != np.shape(v):
        return u is not v
    return not np.allclose(u, v, 1e-4, 1e-4 * np.abs(u).max())


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_is_refused_and_named(mistake, full):
    shape, wrong = SHAPES[mistake.layer], layer_class(mistake.text())
    right, computed_wrong = computed(right_class(mistake.layer)(), shape), computed(wrong(), shape)
    assert [u["y"].tolist() for u in right] == [v["y"].tolist() for v in computed_wrong], (
        "the forward is another one")
    assert any(differs(u[key], v[key]) for u, v in zip(right, computed_wrong, strict=True)
               for key in u), "it computes what the right layer does"
    for seed in range(4 if full else 1):
        result = check_user_layer(wrong(), shape, seed=seed)
        assert not result.ok, str(result)
        hints = explain(result)
        assert any(mistake.hint in hint for hint in hints) or not mistake.hint, hints


def test_there_are_enough_mistakes_and_most_are_named():
    of_layer = {name: [m for m in MISTAKES if m.layer == name] for name in SHAPES}
    assert all(len(mistakes) >= 12 for mistakes in of_layer.values())
    assert len(MISTAKES) >= 120 and len({str(m) for m in MISTAKES}) == len(MISTAKES)
    assert sum(bool(m.hint) for m in MISTAKES) >= 2 / 3 * len(MISTAKES)
